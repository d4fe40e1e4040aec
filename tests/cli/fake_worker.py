"""A worker that does what `FAKE_WORKER_PLAN` says for each start: an exit code, `kill`, `serve` or `stubborn`.

With a semicolon in it, the plan has a part for each slot.
"""

from __future__ import annotations

import json
import os
import signal
import sys


def main() -> int:
    restarts = int(os.environ["MESURA_WORKER_RESTARTS"])
    settings = os.environ.get("MESURA_WORKER_SETTINGS")
    plan = os.environ["FAKE_WORKER_PLAN"]
    if ";" in plan:
        plan = plan.split(";")[int(json.loads(settings or "")["slot"])]
    step = plan.split(",")[restarts]
    if step == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if step in {"serve", "stubborn"}:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN if step == "stubborn" else lambda *_: sys.exit(0))
        says = {"pid": os.getpid(), "restarts": restarts, "settings": settings}
        print(json.dumps(says), flush=True)
        while True:
            signal.pause()
    if step == "refuse":
        print("The topics have different numbers of partitions.", file=sys.stderr)
        return 2
    return int(step)


if __name__ == "__main__":
    sys.exit(main())

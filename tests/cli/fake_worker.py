"""A worker that does what `FAKE_WORKER_PLAN` says for each start; the last step stands for all that follow it.

A step is an exit code; `kill`; `serve` or `stubborn`; `refuse`, as a worker is refused, or `refuse-and-hang`;
`fail@OFFSET`, at that offset of `opt-out-3`; `crash`, of the interpreter; `raw`, which writes past the logging.
With a semicolon in it, the plan has a part for each slot.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

REFUSAL = "The topics have different numbers of partitions."
FAILURE = "The record batch cannot be read."
CUSTOMER = "+57-300-555-0199"


def main() -> int:
    settings = os.environ.get("MESURA_WORKER_SETTINGS")
    slot = "0" if settings is None else json.loads(settings)["slot"]
    restarts = restarts_of(slot)
    plan = os.environ["FAKE_WORKER_PLAN"]
    if ";" in plan:
        plan = plan.split(";")[int(slot)]
    steps = plan.split(",")
    step = steps[min(restarts, len(steps) - 1)]
    if step == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if step == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if step in {"serve", "stubborn"}:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN if step == "stubborn" else lambda *_: sys.exit(0))
        say({"pid": os.getpid(), "restarts": restarts, "settings": settings, "key": key()})
        wait()
    if step.startswith("refuse"):
        say(ended(REFUSAL, "StartupRefusedError"))
        if step == "refuse-and-hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            wait()
        return 2
    if step.startswith("fail@"):
        say(ended(FAILURE, "BatchUnreadableError", topic="opt-out", partition=3, offset=int(step.partition("@")[2])))
        return 3
    if step == "raw":
        print(f"customer {CUSTOMER}")
        print(f"customer {CUSTOMER}" * 100_000, file=sys.stderr)
        raise ValueError(CUSTOMER)
    return int(step)


def key() -> str:
    """What its supervisor hands over apart from the environment."""
    with os.fdopen(int(os.environ["MESURA_WORKER_KEY"])) as pipe:
        return pipe.read()


def restarts_of(slot: str) -> int:
    """How often a worker of this slot was started before."""
    with (Path(os.environ["FAKE_WORKER_STARTS"]) / slot).open("ab") as starts:
        starts.write(b".")
        return starts.tell() - 1


def ended(
    sentence: str, kind: str, *, topic: str = "", partition: int | None = None, offset: int | None = None
) -> object:
    """The line by which a worker says what ended it, as `streams.worker_end` documents it."""
    place = {"topic": topic or None, "partition": partition, "offset": offset}
    return {"ended": {"sentence": sentence, "kind": kind, **place}}


def say(what: object) -> None:
    print(json.dumps(what), flush=True)


def wait() -> NoReturn:
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())

"""A worker as a process of its own; everything it is told comes through one environment variable."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from streams.app import run_worker
from tests.engine.toy import Clock, Greeter, Recorder, Topics


async def main() -> int:
    bootstrap_servers, prefix, changes = json.loads(os.environ["WORKER"])
    topics = Topics(prefix)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = topics.settings(bootstrap_servers, **changes)
    end = await run_worker(settings, Greeter(topics), Recorder(), Clock(), stop)
    print(end.exit_code, end.reason, file=sys.stderr, flush=True)
    return end.exit_code


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

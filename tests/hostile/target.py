"""The endpoint as a process of its own, with few descriptors: `python -m tests.hostile.target DIRECTORY`.

Prints `{"ops": PORT, "explain": PORT}` once both ports listen; logs to standard error as the product does; ends when
standard input does.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Final

from streams.telemetry.logs import configure_logging, log_what_nobody_catches
from tests.web.served import served

DESCRIPTORS: Final = 1_024
"""What a service has by default, and what 3 000 half requests once used up."""


async def _main(directory: Path) -> None:
    async with served(directory) as here:
        print(json.dumps({"ops": here.ops, "explain": here.explain}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, most))
    configure_logging()
    log_what_nobody_catches()
    asyncio.run(_main(Path(sys.argv[1])))


if __name__ == "__main__":
    main()

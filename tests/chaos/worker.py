"""The gate's worker process with a clock that may be wrong, and with the short heartbeats of the fault scenarios.

MESURA_WORKER_SETTINGS='{…}' WRONG_CLOCK_FILE=… python -m tests.chaos.worker
"""

from __future__ import annotations

import sys

from streams import worker
from tests.faults.held_worker import Fault, _arm_settings
from tests.system.worker_with_clock import WrongClock

if __name__ == "__main__":
    worker.SystemClock = WrongClock  # type: ignore[attr-defined]
    _arm_settings(Fault())
    sys.exit(worker.main())

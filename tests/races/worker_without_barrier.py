"""A worker whose barrier answers "nothing to wait for". It exists for the tests alone: the product has no such switch.

The races must find approvals with it; else they would find none with the barrier either, whatever it did.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from streams import worker
from streams.exactly_once import engine
from streams.exactly_once.barrier import Barrier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.exactly_once.partition import PartitionState
    from streams.exactly_once.wake_signal import WakeSignal


class NothingToWaitFor(Barrier):
    """Lets every partition pass at once."""

    async def passed(
        self, asking: Sequence[PartitionState], partitions: Sequence[PartitionState], wake_signal: WakeSignal
    ) -> set[int]:
        return {state.partition for state in asking}


if __name__ == "__main__":
    engine.Barrier = NothingToWaitFor  # type: ignore[attr-defined]
    sys.exit(worker.main())

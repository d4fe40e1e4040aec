"""Every fault of the drill, and which alerts have none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.drill import access, brokers, clocks, crashes, latency, machines, policies, processes, records
from tests.drill.shortened import alerts

if TYPE_CHECKING:
    from tests.drill.fault import Fault

ACTS: Final = (latency, policies, records, brokers, crashes, machines, access, clocks, processes)
"""What takes longest begins first."""

FAULTS: Final[tuple[Fault, ...]] = tuple(fault for act in ACTS for fault in act.FAULTS)
STAGES: Final = {act.ACT: act.STAGE for act in ACTS}


def acts() -> dict[str, list[Fault]]:
    """The faults by act, in their order."""
    return {act.ACT: list(act.FAULTS) for act in ACTS}


def not_drilled() -> list[str]:
    """Alerts that no fault provokes."""
    return sorted(set(alerts()) - {name for fault in FAULTS for name in fault.alerts})

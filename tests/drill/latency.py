"""Faults that make decisions late."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Final

from tests.drill.fault import Fault
from tests.drill.shortened import HOURS
from tests.drill.stage import stage

if TYPE_CHECKING:
    from tests.drill.scene import Scene

ACT: Final = "latency"
FROZEN_SECONDS: Final = 13.0
"""Longer than the 10 s within which a no must be in force."""

HISTORY_SECONDS: Final = 3 * 3_600 // HOURS.factor
STARVED_PER_SECOND: Final = 1_500.0
RUNS_SECONDS, STANDS_SECONDS = 0.1, 0.9

_starving: dict[str, threading.Event] = {}


def _freeze_for_a_while(scene: Scene) -> None:
    scene.machine.signal_workers(signal.SIGSTOP)
    time.sleep(FROZEN_SECONDS)
    scene.machine.signal_workers(signal.SIGCONT)


def _until_there_is_history(scene: Scene) -> None:
    looked = f'job:mesura_decision_latency_count:rate1h{{job="{scene.job}"}}[{HISTORY_SECONDS}s]'
    scene.until(f"max_over_time({looked} offset {HISTORY_SECONDS}s) >= 0", "three hours of history")


def _starve(scene: Scene) -> None:
    """The machine's processors are somebody else's for nine tenths of the time."""
    scene.upstream.per_second, usual = STARVED_PER_SECOND, scene.upstream.per_second
    over = _starving[scene.act] = threading.Event()

    def run() -> None:
        while not over.is_set():
            scene.machine.signal_workers(signal.SIGSTOP)
            over.wait(STANDS_SECONDS)
            scene.machine.signal_workers(signal.SIGCONT)
            over.wait(RUNS_SECONDS)
        scene.machine.signal_workers(signal.SIGCONT)
        scene.upstream.per_second = usual

    threading.Thread(target=run, daemon=True).start()


def _give_them_back(scene: Scene) -> None:
    _starving[scene.act].set()


STAGE: Final = stage(ACT, days=True)
FAULTS: Final = (
    Fault(
        ACT,
        f"every worker is frozen for {FROZEN_SECONDS:g} s (SIGSTOP, SIGCONT)",
        {
            "MesuraOptOutInForceSlow": r"waits? |restoring|opt-out|s?\d",
            "MesuraDecisionLatencyBurnFast": r"\d",
            "MesuraDecisionLatencyBudget": r"6 hours 0?\.?\d",
        },
        _freeze_for_a_while,
        mended="nothing: they run again, and the range of the rule ends",
    ),
    Fault(
        ACT,
        "every worker gets a tenth of a processor (SIGSTOP and SIGCONT in turn) under "
        f"{STARVED_PER_SECOND:.0f} intents a second",
        {"MesuraLagGrowing": r"outbound-intent [1-9]"},
        _starve,
        _give_them_back,
        "the processors are given back",
    ),
    Fault(
        ACT,
        f"the same as the first, after three hours of history ({HISTORY_SECONDS} s on this clock)",
        {"MesuraDecisionLatencyBurnSlow": r"\d"},
        _freeze_for_a_while,
        mended="nothing: they run again, and the range of the rule ends",
        prepare=_until_there_is_history,
    ),
)

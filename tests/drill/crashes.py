"""Faults at which workers end again and again."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from streams.testing.records import OutgoingRecord, preference
from tests.drill.fault import Fault
from tests.drill.scene import now_ms
from tests.drill.stage import stage

if TYPE_CHECKING:
    from tests.drill.scene import Scene

ACT: Final = "crashes"
SPOILED: Final = 3
KILL_SECONDS: Final = 0.2
FROZEN_SECONDS, RUNS_SECONDS = 11.0, 4.0
"""A session lasts 10 s."""

_over: dict[str, threading.Event] = {}


def _flip_last_byte(scene: Scene) -> None:
    """Of the log as the broker stored it: once to damage the last batch, twice to mend it."""
    (path,) = (scene.broker.data_directory / "data" / f"opt-out-{SPOILED}").glob("*.log")  # type: ignore[attr-defined]
    with path.open("r+b") as log:
        log.seek(-1, 2)
        (byte,) = log.read(1)
        log.seek(-1, 2)
        log.write(bytes([byte ^ 0xFF]))


def _damage(scene: Scene) -> None:
    """A batch is damaged between its writing and the gate's reading: the machine was being restarted."""
    port = scene.machine.port
    scene.upstream.end()
    scene.machines.pop().stop()
    record: OutgoingRecord = preference("drilled-damaged", "e-damaged", at=now_ms())._replace(partition=SPOILED)
    scene.upstream.publish([record])
    _flip_last_byte(scene)
    scene.start(port=port, ready=False)


def _kill_as_they_start(scene: Scene) -> None:
    """Memory is so short that the system kills whatever starts."""
    over = _over[scene.act] = threading.Event()

    def run() -> None:
        while not over.wait(KILL_SECONDS):
            with suppress(OSError):  # ended meanwhile
                scene.machine.signal_workers(signal.SIGKILL)

    threading.Thread(target=run, daemon=True).start()


def _freeze_again_and_again(scene: Scene) -> None:
    """A worker freezes for longer than its session, and goes on: memory that is swapped out looks like this."""
    over = _over[scene.act] = threading.Event()

    def run() -> None:
        while not over.is_set():
            scene.machine.signal_workers(signal.SIGSTOP, "1")
            over.wait(FROZEN_SECONDS)
            scene.machine.signal_workers(signal.SIGCONT, "1")
            over.wait(RUNS_SECONDS)

    threading.Thread(target=run, daemon=True).start()


def _stop_it(scene: Scene) -> None:
    _over[scene.act].set()


STAGE: Final = stage(ACT)
FAULTS: Final = (
    Fault(
        ACT,
        "the system kills every worker as soon as it starts (SIGKILL)",
        {
            "MesuraCrashLoop": r"503: .*SIGKILL",
            "MesuraWorkerRestarts": r"\d",
        },
        _kill_as_they_start,
        _stop_it,
        "it does not any more",
    ),
    Fault(
        ACT,
        f"a worker freezes for {FROZEN_SECONDS:g} s again and again (SIGSTOP, SIGCONT)",
        {"MesuraRebalanceStorm": r"rebalances [1-9]"},
        _freeze_again_and_again,
        _stop_it,
        "it does not any more",
    ),
    Fault(
        ACT,
        "a disk damages a record batch of opt-out: workers end at it again and again",
        {"MesuraRecurringFailure": r"in the same way at offset \d+ of opt-out-3, .*checksum"},
        _damage,
        _flip_last_byte,
        "the batch is whole again, as if another replica led the partition",
    ),
)

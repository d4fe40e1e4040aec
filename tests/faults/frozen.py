"""A frozen worker: SIGSTOP inside a transaction, past its session; another worker takes over; SIGCONT.

Shown from the ledger topic as the broker stores it: in each partition that the frozen worker wrote to, its transaction
ends, one way or the other, before the next owner writes anything. On other partitions that owner may begin earlier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streams.testing.waiting import wait_until
from tests.faults import held_worker as at
from tests.faults.broker_view import ABORTED, ABORTING, COMMITTED, COMMITTING, EMPTY, OPEN, Watch
from tests.faults.held_worker import Fault
from tests.faults.ledger_log import are_committed, open_transactions
from tests.faults.scene import POINT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ledger_log import OpenTransaction
    from tests.faults.scene import HeldGate, Scene

ENDS: Final = (ABORTED, COMMITTED, EMPTY)
ABORTS: Final = "aborted"
COMMITS: Final = "committed"

PASSING: Final = 5
PATIENT_SECONDS: Final = 60.0
"""A transaction timeout that another worker's start and take-over fit in, on a busy machine too."""

START_AGAIN: Final = 3

STORY_LINES: Final = 30
"""Of transactions: those around the end of the frozen one."""

IMPATIENT_SECONDS: Final = 8.0
"""One that passes while the worker is frozen."""


@dataclass(frozen=True)
class Case:
    """Where the worker freezes, until when, and how its transaction must end."""

    name: str
    point: str
    transaction_seconds: float
    ends: str


CASES: Final = (
    Case("between first send and offsets", at.AFTER_ACKNOWLEDGEMENTS, PATIENT_SECONDS, ABORTS),
    Case("right before the offsets are sent", at.BEFORE_OFFSETS, PATIENT_SECONDS, ABORTS),
    Case("between offsets and EndTxn", at.AFTER_OFFSETS, PATIENT_SECONDS, ABORTS),
    Case("right before EndTxn", at.BEFORE_END, PATIENT_SECONDS, COMMITS),
    Case("right before EndTxn, past the transaction timeout", at.BEFORE_END, IMPATIENT_SECONDS, ABORTS),
)
"""In the first, third and fifth nothing depends on luck: decisions grown old are aborted by the worker itself, the
second is refused by the group, the fourth committed and waited for, the fifth ended by the coordinator."""


@dataclass
class Frozen:
    """One case as it went."""

    case: Case
    story: list[str]
    ended_at_seconds: float
    followed_at_seconds: float
    """Another transaction stood behind it in each of its partitions."""
    exit_code: int
    """Of the frozen worker after it woke: not 0 if it ended by itself, else it went on in the new generation."""


def freeze(scene: Scene, case: Case) -> Frozen:
    """Freeze a worker, let another take over, thaw it; both then decide to the end. Fails where order is broken."""
    first = scene.worker(
        Fault(point=case.point, passing=PASSING, armed=False), transaction_timeout_seconds=case.transaction_seconds
    )
    first.until_ready()
    other_ids = [name.replace(f"-{first.settings.slot}-0-", "-1-0-") for name in first.ids]
    ledger = scene.world.names.ledger
    with Watch(scene.world.address, [*first.ids, *other_ids]) as watch:
        scene.load.begin()
        first.arm()
        first.until_held()
        first.freeze()
        first.release()
        frozen_at = watch.note(f"SIGSTOP {case.point}")
        scene.load.pause()
        [held] = _open_ids(scene, first)
        unended = open_transactions(scene.world.address, ledger)
        assert unended, f"{case.name}: nothing was written"
        second = scene.worker(Fault(point=at.TAKING_OVER, holds=False), slot="1")
        second.until_held()
        watch.note("the session is over: another worker takes the partitions over")
        if case.transaction_seconds == IMPATIENT_SECONDS:
            wait_until(lambda: watch.of(held, ABORTED, after=frozen_at), POINT_SECONDS, "the transaction's timeout")
        first.thaw()
        thawed_at = watch.note("SIGCONT")
        successors: list[HeldGate] = []

        def supervise() -> None:
            if first.exit_code is not None and not successors:
                watch.note("the thawed worker has ended, and is started again under its slot")
                successors.append(scene.worker())

        def has_ended() -> bool:
            supervise()
            return bool(watch.of(held, *ENDS, after=frozen_at))

        def are_followed() -> Mapping[OpenTransaction, bool] | None:
            supervise()
            return are_committed(scene.world.address, ledger, unended)  # fails where the order is broken

        second.until(has_ended, POINT_SECONDS, "the frozen transaction's end")
        scene.load.begin()
        committed = second.until(are_followed, POINT_SECONDS, "the next transaction in each partition")
        followed_at = watch.note("another transaction stands behind the frozen one in each of its partitions")
        first_end = watch.of(held, *ENDS, after=frozen_at)[0]
        story = watch.story(frozen_at)[:STORY_LINES]
        scene.load.pause()
        scene.until_all_decided(second)
        for successor in successors:
            successor.until_ready()
            assert successor.terminate() == 0
        exit_code = first.terminate()
        assert exit_code in (0, START_AGAIN), first.said[-3000:]
    assert set(committed.values()) == {case.ends == COMMITS}, "\n".join([case.name, *story])
    if case.transaction_seconds == PATIENT_SECONDS:
        ending = watch.of(held, COMMITTING, *ABORTING, after=frozen_at)
        decided_at = min([first_end.at, *(change.at for change in ending)])
        assert decided_at >= thawed_at, "\n".join([f"{case.name}: ended while its worker was frozen", *story])
    assert second.terminate() == 0
    return Frozen(case, story, first_end.at - frozen_at, followed_at - frozen_at, exit_code)


def _open_ids(scene: Scene, gate: HeldGate) -> list[str]:
    with scene.view() as view:
        return [name for name, found in view.describe(gate.ids).items() if found.state == OPEN and found.partitions]

"""Which failures are the same again: at one place, whoever meets it; or with nothing done in between."""

from __future__ import annotations

import pytest

from streams.telemetry.recurrence import SAME_TIMES, SETTLED_SECONDS, End, Recurrence


class MachineSubject:
    """Workers that end, under a clock that is moved."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.recurrence = Recurrence(monotonic=lambda: self.seconds)
        self.committed = [0.0, 0.0]

    def fails(self, end: End, process: int = 0, *, settled: bool = False) -> bool:
        return self.recurrence.ended(process, end, committed=self.committed[process], was_settled=settled)


@pytest.fixture
def machine() -> MachineSubject:
    return MachineSubject()


def at(offset: int, kind: str = "BatchUnreadableError") -> End:
    return End("It cannot be read.", kind, 3, "opt-out", 3, offset)


KILLED = End("It ended by SIGKILL without reporting a cause.", "by SIGKILL", -9)
NO_BROKER = End("The worker could not start: no broker.", "KafkaConnectionError", 3)


def test_the_same_place_counts_whatever_is_decided_elsewhere(machine: MachineSubject) -> None:
    said = []
    for _ in range(SAME_TIMES):
        said.append(machine.fails(at(17), settled=True))
        machine.committed[0] += 100
    assert said == [False] * (SAME_TIMES - 1) + [True]
    assert machine.recurrence.why == (
        f"a worker has ended {SAME_TIMES} times in the same way at offset 17 of opt-out-3, "
        "and a restart does not help: It cannot be read."
    )


def test_a_place_counts_whichever_process_meets_it(machine: MachineSubject) -> None:
    assert [machine.fails(at(17), process % 2) for process in range(SAME_TIMES)][-1]


def test_two_places_in_turn_are_each_recognised(machine: MachineSubject) -> None:
    for _ in range(SAME_TIMES - 1):
        assert not machine.fails(at(17))
        assert not machine.fails(at(4))
    assert machine.fails(at(17))
    assert machine.fails(at(4))


def test_what_moves_on_does_not_recur(machine: MachineSubject) -> None:
    assert not any(machine.fails(at(offset)) for offset in range(10))
    assert not machine.recurrence.is_recurring
    assert machine.recurrence.why == ""


@pytest.mark.parametrize("end", [KILLED, NO_BROKER])
def test_without_a_place_it_recurs_if_nothing_was_done(machine: MachineSubject, end: End) -> None:
    assert [machine.fails(end) for _ in range(SAME_TIMES)][-1]
    assert "without getting any further" in machine.recurrence.why


def test_without_a_place_whatever_was_done_makes_it_another_story(machine: MachineSubject) -> None:
    for _ in range(10):
        assert not machine.fails(KILLED)
        machine.committed[0] += 1
    for _ in range(10):
        assert not machine.fails(KILLED, settled=True)
    for _ in range(10):
        assert not machine.fails(KILLED)
        assert not machine.fails(NO_BROKER)


def test_without_a_place_each_process_counts_for_itself(machine: MachineSubject) -> None:
    for _ in range(SAME_TIMES - 1):
        assert not machine.fails(KILLED, 0)
        assert not machine.fails(KILLED, 1)
    assert machine.fails(KILLED, 0)


def test_it_is_over_when_all_have_been_ready_for_long_enough(machine: MachineSubject) -> None:
    for _ in range(SAME_TIMES):
        machine.fails(at(17))
    machine.recurrence.seen(all_ready=True)
    machine.seconds += SETTLED_SECONDS - 1
    machine.recurrence.seen(all_ready=True)
    assert machine.recurrence.is_recurring
    machine.fails(at(17))  # and is ready again before anybody looks
    machine.seconds += 1
    machine.recurrence.seen(all_ready=True)
    assert machine.recurrence.is_recurring
    machine.seconds += SETTLED_SECONDS - 1
    machine.recurrence.seen(all_ready=False)
    machine.recurrence.seen(all_ready=True)
    machine.seconds += SETTLED_SECONDS
    machine.recurrence.seen(all_ready=True)
    assert not machine.recurrence.is_recurring
    assert not machine.fails(at(17)), "a story of its own"


def test_a_place_is_said_as_far_as_it_is_known() -> None:
    assert at(17).place == "offset 17 of opt-out-3"
    assert End("", "", 3, "mesura-ledger", 2).place == "mesura-ledger-2"
    assert End("", "", 3, "mesura-ledger").place == "mesura-ledger"
    assert KILLED.place == ""

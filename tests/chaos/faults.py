"""What each kind of fault does, while the campaign goes on: a generator that strikes, waits, and puts right.

A generator yields for as long as its fault is under way and is asked again a moment later; what it returns is what was
seen, in a word. Excuses say which ends of which worker the fault explains: no other end is accepted.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol

from streams.exit_codes import ExitCode
from tests.chaos import plan
from tests.chaos.workers import ENDS_BY_ITSELF, KILLED

if TYPE_CHECKING:
    from tests.chaos.broker import ProxiedCluster, ProxiedKafka, Way
    from tests.chaos.plan import Planned
    from tests.chaos.policies import Policies
    from tests.chaos.workers import Slot, Workers

STOP_SECONDS: Final = 30.0
"""A worker asked to stop ends in five seconds; on a machine with more to do than it can, in several times that."""

SAYS: Final = "said so"
SAYS_NOT: Final = "had nothing to commit, or was still starting"

Course = Generator[None, None, str]


class Stage(Protocol):
    """What faults strike."""

    kafka: ProxiedKafka | ProxiedCluster
    workers: Workers
    policies: Policies

    def link(self, slot: int) -> Way:
        """The way of a worker to the brokers."""
        ...

    def tell_upstream(self, command: dict[str, Any]) -> None:
        """Have something published."""
        ...


def lasting(seconds: float) -> Iterator[None]:
    """So long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield


def worker_killed(stage: Stage, fault: Planned) -> Course:
    """kill -9, whatever it is doing."""
    slot = _slot(stage, fault)
    slot.excuse(fault.kind.name, KILLED)
    slot.signal(signal.SIGKILL)
    yield
    return ""


def worker_frozen(stage: Stage, fault: Planned) -> Course:
    """SIGSTOP, for less or for more than its session; SIGCONT."""
    slot = _slot(stage, fault)
    slot.signal(signal.SIGSTOP)
    try:
        yield from lasting(fault.seconds)
    finally:
        slot.excuse(fault.kind.name, *ENDS_BY_ITSELF)
        slot.signal(signal.SIGCONT)
    return ""


def worker_leaves(stage: Stage, fault: Planned) -> Course:
    """SIGTERM; it comes back later."""
    slot = _slot(stage, fault)
    yield from _dismissed(slot, fault)
    yield from lasting(fault.seconds)
    slot.is_wanted = True
    return ""


def worker_joins(stage: Stage, fault: Planned) -> Course:
    """One more, for some time."""
    slot = _slot(stage, fault)
    slot.is_wanted = True
    yield from lasting(fault.seconds)
    yield from _dismissed(slot, fault)
    return ""


def _dismissed(slot: Slot, fault: Planned) -> Iterator[None]:
    slot.is_wanted = False
    # One that is asked while it is still starting ends as the signal ends any process.
    slot.excuse(fault.kind.name, ExitCode.DONE, -signal.SIGTERM)
    slot.signal(signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    while slot.gate is not None:
        assert time.monotonic() < until, f"worker {slot.number} did not stop:\n{slot.gate.said[-2000:]}"
        yield


def broker_killed(stage: Stage, fault: Planned) -> Course:
    """kill -9, and its start on what it had stored."""
    stage.kafka.kill()
    _excuse_all(stage, fault)
    yield from lasting(fault.seconds)
    with ThreadPoolExecutor(1) as thread:
        starting = thread.submit(stage.kafka.start)
        while not starting.done():
            _excuse_all(stage, fault)
            yield
        starting.result()
    _excuse_all(stage, fault)
    return ""


def _excuse_all(stage: Stage, fault: Planned) -> None:
    for slot in stage.workers.slots.values():
        slot.excuse(fault.kind.name, *ENDS_BY_ITSELF)


def network_slow(stage: Stage, fault: Planned) -> Course:
    """Everything takes so many milliseconds more, each way."""
    return (yield from _on_line(stage, fault, delay_seconds=fault.amount / 1000))


def network_narrow(stage: Stage, fault: Planned) -> Course:
    """Only so many bytes a second."""
    return (yield from _on_line(stage, fault, bytes_per_second=fault.amount))


def network_stalled(stage: Stage, fault: Planned) -> Course:
    """Connections stay open and nothing flows."""
    return (yield from _on_line(stage, fault, is_stalled=True))


def network_cut(stage: Stage, fault: Planned) -> Course:
    """Every connection is reset, and no other one taken for some time."""
    stage.link(fault.slot or 0).cut(refuses=True)
    return (yield from _on_line(stage, fault, refuses=True))


def _on_line(stage: Stage, fault: Planned, **line: object) -> Course:
    slot, link = _slot(stage, fault), stage.link(fault.slot or 0)
    link.set(**line)
    slot.excuse(fault.kind.name, *ENDS_BY_ITSELF, seconds=fault.seconds)
    try:
        yield from lasting(fault.seconds)
    finally:
        slot.excuse(fault.kind.name, *ENDS_BY_ITSELF)
        link.heal()
    return ""


def clock_off(stage: Stage, fault: Planned) -> Course:
    """A clock a little ahead or behind: it is decided through."""
    slot = _slot(stage, fault)
    slot.shift_clock(fault.shift_ms)
    try:
        yield from lasting(fault.seconds)
    finally:
        slot.shift_clock(0)
    return ""


def clock_wrong(stage: Stage, fault: Planned) -> Course:
    """A clock so wrong that nothing may be committed by it, and the worker says so."""
    slot, seen = _slot(stage, fault), SAYS_NOT
    slot.shift_clock(fault.shift_ms)
    try:
        for _ in lasting(fault.seconds):
            if seen != SAYS and "clock" in slot.ready_sentence():
                seen = SAYS
            yield
    finally:
        slot.shift_clock(0)
    return seen


def clock_trembles(stage: Stage, fault: Planned) -> Course:
    """A clock that is far off and right again at every step of the campaign."""
    slot = _slot(stage, fault)
    try:
        for number, _ in enumerate(lasting(fault.seconds)):
            slot.shift_clock(0 if number % 2 else fault.shift_ms)
            yield
    finally:
        slot.shift_clock(0)
    return ""


def policy_reloaded(stage: Stage, _: Planned) -> Course:
    """Another version in the file."""
    seen = stage.policies.load_next()
    yield
    return seen


def upstream_bursts(stage: Stage, fault: Planned) -> Course:
    """So many records of the kind, at once."""
    stage.tell_upstream({"do": "burst", "kind": fault.kind.name, "count": fault.amount})
    yield
    return ""


def _slot(stage: Stage, fault: Planned) -> Slot:
    assert fault.slot is not None
    return stage.workers[fault.slot]


DONE_BY: Final[dict[plan.Kind, Callable[[Stage, Planned], Course]]] = {
    plan.WORKER_KILLED: worker_killed,
    plan.WORKER_FROZEN: worker_frozen,
    plan.WORKER_LEAVES: worker_leaves,
    plan.WORKER_JOINS: worker_joins,
    plan.BROKER_KILLED: broker_killed,
    plan.NETWORK_SLOW: network_slow,
    plan.NETWORK_NARROW: network_narrow,
    plan.NETWORK_STALLED: network_stalled,
    plan.NETWORK_CUT: network_cut,
    plan.CLOCK_OFF: clock_off,
    plan.CLOCK_WRONG: clock_wrong,
    plan.CLOCK_TREMBLES: clock_trembles,
    plan.POLICY_RELOADED: policy_reloaded,
    plan.DUPLICATED: upstream_bursts,
    plan.LATE: upstream_bursts,
    plan.MISROUTED: upstream_bursts,
    plan.OPT_OUTS: upstream_bursts,
}

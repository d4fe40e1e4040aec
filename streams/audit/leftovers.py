"""What is left when every batch has been served: records that no batch served, and traces that nothing accounts for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.audit import headers as known
from streams.audit.answers import read_answer
from streams.audit.report import Place
from streams.audit.verdict import Forwarded, digest_of

if TYPE_CHECKING:
    from streams.audit.judge import PartitionJudge
    from streams.audit.log import Record
    from streams.audit.traces import Trace


def leave_undecided(judge: PartitionJudge, topic: str, record: Record) -> None:
    """A record that no batch has served: it must have left nothing, and waits to be decided."""
    place = judge.place(topic, record)
    traces = [*judge.traces.answers(topic, record.offset), *judge.traces.dead_letters(topic, record.offset)]
    judge.verdict.undecided.add(place)
    said = known.named(record)
    first, timestamp_ms = known.place(said, known.ORIGIN), known.first_timestamp(said)
    if topic == judge.topics.rerouted and first is not None and timestamp_ms is not None:
        judge.verdict.forwarded.append(forwarded(judge, first, record, timestamp_ms))
    if not traces:
        judge.verdict.counts["pending"] += 1
        if not judge.settings.allow_undecided:
            judge.find("lost", None, place, detail="beyond the last committed position")
    elif not judge.settings.allow_undecided:
        judge.find("position_behind", None, place, *map(judge.place_of, traces))


def report_invented(judge: PartitionJudge, cause: Place | None, trace: Trace) -> None:
    """A trace that nothing accounts for, unless its cause cannot be seen."""
    if read_answer(trace.record) is None and trace.topic != judge.topics.dead_letter:
        judge.find("unreadable_answer", None, judge.place_of(trace))
        return
    places = (judge.place_of(trace),) if cause is None else (judge.place_of(trace), cause)
    if cause is None or not _is_out_of_sight(judge, cause):
        judge.find("invented", None, *places)


def _is_out_of_sight(judge: PartitionJudge, cause: Place) -> bool:
    """Whether a record came after the audit had begun, or was deleted and that was accepted."""
    came_later = judge.settings.allow_undecided and cause.offset >= judge.log.ends.get(cause.topic, 0)
    return came_later or cause.offset < judge.log.starts.get(cause.topic, 0)


def forwarded(judge: PartitionJudge, first: Place, record: Record, timestamp_ms: int) -> Forwarded:
    """A record of the rerouting topic, to be matched with the misrouted record that it was made of."""
    digest = digest_of(record.value, record.headers[: -known.FORWARD_HEADERS], timestamp_ms)
    return Forwarded(first, judge.place(judge.topics.rerouted, record), record.key, digest)

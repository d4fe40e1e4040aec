"""What is left when every batch has been served: records that no batch served, and traces that nothing accounts for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.audit import headers as known
from streams.audit.answers import read_answer
from streams.audit.report import Place
from streams.audit.verdict import Forwarded, digest_of

if TYPE_CHECKING:
    from streams.audit.judgement import Judgement
    from streams.audit.log import Record
    from streams.audit.traces import Trace


def leave_undecided(judgement: Judgement, topic: str, record: Record) -> None:
    """A record that no batch has served: it must have left nothing, and waits to be decided."""
    place = judgement.place(topic, record)
    traces = [*judgement.traces.answers(topic, record.offset), *judgement.traces.dead_letters(topic, record.offset)]
    judgement.verdict.undecided.add(place)
    said = known.named(record)
    first, timestamp_ms = known.place(said, known.ORIGIN), known.first_timestamp(said)
    if topic == judgement.topics.rerouted and first is not None and timestamp_ms is not None:
        judgement.verdict.forwarded.append(forwarded(judgement, first, record, timestamp_ms))
    if not traces:
        judgement.verdict.counts["pending"] += 1
        if not judgement.settings.allow_undecided:
            judgement.find("lost", None, place, detail="beyond the last committed position")
    elif not judgement.settings.allow_undecided:
        judgement.find("position_behind", None, place, *map(judgement.place_of, traces))


def report_invented(judgement: Judgement, cause: Place | None, trace: Trace) -> None:
    """A trace that nothing accounts for, unless its cause cannot be seen."""
    if read_answer(trace.record) is None and trace.topic != judgement.topics.dead_letter:
        judgement.find("unreadable_answer", None, judgement.place_of(trace))
        return
    places = (judgement.place_of(trace),) if cause is None else (judgement.place_of(trace), cause)
    if cause is None or not _is_out_of_sight(judgement, cause):
        judgement.find("invented", None, *places)


def _is_out_of_sight(judgement: Judgement, cause: Place) -> bool:
    """Whether a record came after the audit had begun, or was deleted and that was accepted."""
    came_later = judgement.settings.allow_undecided and cause.offset >= judgement.log.ends.get(cause.topic, 0)
    return came_later or cause.offset < judgement.log.starts.get(cause.topic, 0)


def forwarded(judgement: Judgement, first: Place, record: Record, timestamp_ms: int) -> Forwarded:
    """A record of the rerouting topic, to be matched with the misrouted record that it was made of."""
    digest = digest_of(record.value, record.headers[: -known.FORWARD_HEADERS], timestamp_ms)
    return Forwarded(first, judgement.place(judgement.topics.rerouted, record), record.key, digest)

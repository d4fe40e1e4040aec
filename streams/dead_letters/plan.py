"""What becomes of every dead letter that is meant: decided before anything is published.

Rules of this module
1. A letter was replayed already if a record on the partition to which it would go names it. Those records lie behind
   the letter's own, so only what lies behind is read.
2. A plan holds nothing of the records. Whoever carries it out reads the letters again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from streams.dead_letters.assessment import Assessed, Fate, assess
from streams.dead_letters.kafka_topics import headers_in, input_topics, read
from streams.dead_letters.letter import DeadLetter, NotADeadLetter, Place, letter_of
from streams.dead_letters.replayed import split_replay
from streams.stored_topics import Span, spans_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streams.connection.cluster import Cluster
    from streams.dead_letters.assessment import Words
    from streams.dead_letters.selection import Selection
    from streams.stored_topics import Spans
    from streams.topics import TopicNames


LETTERS_MAX: Final = 500_000
"""How many letters a plan may be about: each takes about 1.5 KB of memory until it is carried out. More are replayed in
several runs, by time or partition."""


class TooMany(Exception):
    """More letters are meant than a plan may be about."""


class Planned(NamedTuple):
    """A letter without its contents, and what becomes of it."""

    letter: DeadLetter
    assessed: Assessed


def find(cluster: Cluster, names: TopicNames, selection: Selection) -> Iterator[DeadLetter | None]:
    """The letters that are meant, without their contents, as they are read; None for each record that no gate wrote.

    Raises:
        TopicsUnreadable, KafkaException: see `stored_topics`.
    """
    for letter in _letters(cluster, spans_of(cluster, [names.dead_letter]), names):
        if letter is None:
            yield None
        elif selection.takes(letter):
            yield letter.without_contents()


def age(letter: DeadLetter) -> tuple[int, int, int]:
    """By this they are ordered, the oldest first."""
    return letter.set_aside_ms, letter.place.partition, letter.place.offset


def make_plan(
    cluster: Cluster,
    names: TopicNames,
    selection: Selection,
    *,
    now_ms: int,
    words: Words,
    is_forced: bool = False,
    limit: int | None = None,
) -> list[Planned]:
    """What becomes of every letter that is meant, oldest first. `limit`: how many are replayed at most.

    Raises:
        TooMany: more than `LETTERS_MAX` are meant.
        TopicsUnreadable, KafkaException: see `stored_topics`.
    """
    inputs = input_topics(cluster, names)
    plan: list[Planned] = []
    for letter in _letters(cluster, spans_of(cluster, [names.dead_letter]), names):
        if letter is not None and selection.takes(letter):
            if len(plan) == LETTERS_MAX:
                raise TooMany
            plan.append(Planned(letter.without_contents(), assess(letter, inputs, now_ms=now_ms, words=words)))
    plan.sort(key=lambda planned: age(planned.letter))
    done = _replayed(cluster, names, plan)
    return list(_decided(plan, done, is_forced=is_forced, limit=limit))


def letters_at(cluster: Cluster, names: TopicNames, places: Sequence[Place]) -> Iterator[DeadLetter]:
    """The letters at these places of the dead-letter topic, with their contents; those that are gone are left out.

    Raises:
        TopicsUnreadable, KafkaException: see `stored_topics`.
    """
    wanted = set(places)
    spans: Spans = {}
    for place in places:
        span = spans.get((place.topic, place.partition), Span(place.offset, place.offset + 1))
        spans[place.topic, place.partition] = Span(min(span.start, place.offset), max(span.end, place.offset + 1))
    for letter in _letters(cluster, spans, names):
        if letter is not None and letter.place in wanted:
            yield letter


def _letters(cluster: Cluster, spans: Spans, names: TopicNames) -> Iterator[DeadLetter | None]:
    """Every letter; None for a record that is none."""
    for record in read(cluster, spans):
        try:
            yield letter_of(record, names.rerouted)
        except NotADeadLetter:
            yield None


def _replayed(cluster: Cluster, names: TopicNames, plan: Sequence[Planned]) -> set[tuple[int, int]]:
    """Partition and offset of the dead letters that the records of the input topics name."""
    begins: dict[tuple[str, int], int] = {}
    for letter, assessed in plan:
        if assessed.topic is None or assessed.fate is Fate.REFUSED:
            continue
        where = assessed.topic, assessed.partition
        is_same = letter.first is not None and (letter.first.topic, letter.first.partition) == where
        # On another partition nothing tells which records were there before the letter.
        begin = letter.first.offset + 1 if is_same and letter.first is not None else 0
        begins[where] = min(begin, begins.get(where, begin))
    if not begins:
        return set()
    whole = spans_of(cluster, sorted({topic for topic, _ in begins}), "read_uncommitted")
    spans = {
        # A topic that ends before the record stands there was made anew since: then all of it is read.
        where: span._replace(start=max(begin, span.start)) if begin <= (span := whole[where]).end else span
        for where, begin in begins.items()
    }
    found = set()
    for headers in headers_in(cluster, spans):
        _, replayed = split_replay(headers)
        if replayed is not None and replayed.topic == names.dead_letter:
            found.add((replayed.partition, replayed.offset))
    return found


def _decided(
    plan: Sequence[Planned], done: set[tuple[int, int]], *, is_forced: bool, limit: int | None
) -> Iterator[Planned]:
    left = limit
    for letter, assessed in plan:
        fate = assessed.fate
        if fate is not Fate.REFUSED and (letter.place.partition, letter.place.offset) in done:
            fate = Fate.ALREADY
        elif fate is Fate.HELD_BACK and is_forced:
            fate = Fate.REPLAY
        if fate is Fate.REPLAY and left is not None:
            fate = Fate.REPLAY if left > 0 else Fate.BEYOND_LIMIT
            left -= 1
        yield Planned(letter, assessed._replace(fate=fate))


def to_be_replayed(plan: Sequence[Planned]) -> Mapping[Place, Assessed]:
    """The letters that the plan replays, by their place."""
    return {letter.place: assessed for letter, assessed in plan if assessed.fate is Fate.REPLAY}

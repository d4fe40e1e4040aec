"""Reconciles what the demonstration published with what was answered.

Rules of this module
1. A record is identified by its position: topic, partition, offset. An answer names its intent's position in its
   headers.
2. Every intent record must have exactly one answer: a decision or a dead letter. Withdrawals are not answers.
3. Preferences and outcomes must have been applied, so the positions that the gate commits with its decisions must lie
   beyond them. Those that could not be read are also dead letters.
4. Several threads may add to the account. A reader gets a copy.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from streams.contracts.header_names import (
    ERROR_OFFSET,
    ERROR_PARTITION,
    ERROR_REASON,
    ERROR_TOPIC,
    ORIGIN_OFFSET,
    ORIGIN_PARTITION,
    ORIGIN_TOPIC,
)
from streams.exactly_once.changelog import META_KEY, decode_meta

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.topics import TopicNames

RECENT_ANSWERS: Final = 2_000
"""How many of the latest answers the live figures are about: a few seconds' worth."""


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int


class Arrival(NamedTuple):
    """One record as it was read back."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]
    received_ms: int


class Check(NamedTuple):
    """One thing that must hold, whether it does, and the figures."""

    name: str
    holds: bool
    detail: str


@dataclass(slots=True)
class Figures:
    """The books as they stand at one moment."""

    published: Counter[str] = field(default_factory=Counter)
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    withdrawals: Counter[str] = field(default_factory=Counter)
    rerouted: int = 0
    recent_latencies_ms: tuple[int, ...] = ()
    recent_rate: float = 0.0

    @property
    def decided(self) -> int:
        """How many intents were decided."""
        return self.decisions.total()

    @property
    def approved(self) -> int:
        """How many of them were approved."""
        return sum(count for (_, verdict), count in self.decisions.items() if verdict == "approved")


class Reconciliation:
    """The books of one run."""

    def __init__(self, names: TopicNames) -> None:
        self._names = names
        self._lock = threading.Lock()
        self._figures = Figures()
        # Intents by place: when they were published. Of the other inputs only how far they reach matters.
        self._intents: dict[Place, int] = {}
        self._answers: dict[Place, int] = {}
        self._answered_at: dict[Place, int] = {}
        self._ends: dict[tuple[str, int], int] = {}
        self._positions: dict[tuple[str, int], int] = {}
        self._latencies_ms: list[int] = []
        self._recent: deque[tuple[int, int | None]] = deque(maxlen=RECENT_ANSWERS)
        self._examples: dict[str, dict[str, Any]] = {}

    def published(self, topic: str, partition: int, offset: int, timestamp_ms: int) -> None:
        """A record was acknowledged at that place."""
        with self._lock:
            key = (topic, partition)
            self._ends[key] = max(self._ends.get(key, 0), offset + 1)
            self._figures.published[topic] += 1
            if topic in self._names.intents:
                place = Place(topic, partition, offset)
                self._intents[place] = timestamp_ms
                received_ms = self._answered_at.pop(place, None)
                if received_ms is not None:  # the answer was here before the acknowledgement
                    self._latencies_ms.append(received_ms - timestamp_ms)

    def arrived(self, arrival: Arrival) -> None:
        """A record was read from one of the gate's own topics."""
        names = self._names
        with self._lock:
            if arrival.topic == names.ledger:
                self._take_position(arrival)
            elif arrival.topic == names.dead_letter:
                self._take_dead_letter(arrival)
            elif arrival.topic == names.rerouted:
                self._figures.rerouted += 1
                key = (arrival.topic, arrival.partition)
                self._ends[key] = max(self._ends.get(key, 0), arrival.offset + 1)
            else:
                self._take_decision(arrival)

    def figures(self) -> Figures:
        """A copy of the present figures."""
        with self._lock:
            recent = [pair for pair in self._recent if pair[0] >= (self._recent[-1][0] - 3_000 if self._recent else 0)]
            span_ms = recent[-1][0] - recent[0][0] if len(recent) > 1 else 0
            return Figures(
                published=self._figures.published.copy(),
                decisions=self._figures.decisions.copy(),
                reasons=self._figures.reasons.copy(),
                dead_letters=self._figures.dead_letters.copy(),
                withdrawals=self._figures.withdrawals.copy(),
                rerouted=self._figures.rerouted,
                recent_latencies_ms=tuple(latency for _, latency in recent if latency is not None),
                recent_rate=len(recent) * 1000 / span_ms if span_ms else 0.0,
            )

    def latencies_ms(self) -> list[int]:
        """The times from publishing each intent until its answer could be read, sorted."""
        with self._lock:
            return sorted(self._latencies_ms)

    def examples(self) -> list[dict[str, Any]]:
        """The earliest decision of each kind, the most instructive kinds first."""
        with self._lock:
            return sorted(self._examples.values(), key=_how_telling)

    def is_settled(self) -> bool:
        """Whether everything published so far was answered or applied."""
        with self._lock:
            return not self._behind() and len(self._intents.keys() - self._answers.keys()) == 0

    def checks(self, *, is_alone: bool, shown_aborted: int = 0) -> list[Check]:
        """What must hold at the end.

        Args:
            is_alone: nobody else published to these topics.
            shown_aborted: how many transactions were aborted on a broker that shows them nevertheless. An answer that
                was seen twice may then have been given once.
        """
        with self._lock:
            missing = len(self._intents.keys() - self._answers.keys())
            twice = sum(count > 1 for place, count in self._answers.items() if place in self._intents)
            strange = sum(place.topic in self._names.intents for place in self._answers.keys() - self._intents.keys())
            behind = self._behind()
            others = sum(count for topic, count in self._figures.published.items() if topic not in self._names.intents)
            detail = f"{len(self._intents)} published, {missing} without an answer, {twice} answered twice"
            if twice and shown_aborted:
                detail += f" (this broker also shows the {shown_aborted} transactions that were aborted)"
            found = [
                Check(
                    "one answer to every intent record",
                    missing == 0 and (twice == 0 or shown_aborted > 0),
                    detail,
                ),
                Check(
                    "everything customers and gateways said was applied",
                    not behind,
                    f"{others} records, {len(behind)} partitions behind",
                ),
            ]
            if is_alone:
                found.append(Check("no answer to what nobody sent", strange == 0, f"{strange} found"))
            return found

    def _behind(self) -> list[tuple[str, int]]:
        return [key for key, end in self._ends.items() if self._positions.get(key, 0) < end]

    def _take_position(self, arrival: Arrival) -> None:
        if arrival.key == META_KEY and arrival.value is not None:
            for topic, offset in decode_meta(arrival.value).positions.items():
                self._positions[topic, arrival.partition] = offset

    def _take_dead_letter(self, arrival: Arrival) -> None:
        headers = arrival.headers
        self._figures.dead_letters[headers.get(ERROR_REASON, b"?").decode()] += 1
        # A record that was forwarded names its original position.
        place = _place(headers, ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET)
        place = place or _place(headers, ERROR_TOPIC, ERROR_PARTITION, ERROR_OFFSET)
        if place is not None and place.topic in self._names.intents:
            self._answer(place, arrival.received_ms)

    def _take_decision(self, arrival: Arrival) -> None:
        decision = orjson.loads(arrival.value or b"null")
        kind = decision["type"]
        if kind == "withdrawn":
            self._figures.withdrawals[decision["reason"]] += 1
            return
        self._figures.decisions[decision["channel"], kind] += 1
        reason = decision.get("reason")
        if reason is not None:
            self._figures.reasons[reason] += 1
        # The earliest, not the first to arrive, so that a recorded run shows the same ones every time.
        known = self._examples.get(reason or kind)
        if known is None or _age(decision) < _age(known):
            self._examples[reason or kind] = decision
        place = _place(arrival.headers, ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET)
        if place is not None:
            self._answer(place, arrival.received_ms)

    def _answer(self, place: Place, received_ms: int) -> None:
        self._answers[place] = self._answers.get(place, 0) + 1
        sent_ms = self._intents.get(place)
        if sent_ms is None:
            self._answered_at[place] = received_ms
        else:
            self._latencies_ms.append(received_ms - sent_ms)
        self._recent.append((received_ms, None if sent_ms is None else received_ms - sent_ms))


_TELLING: Final = ("cap_reached", "opt_out", "holiday", None, "gap", "window_closed", "consent_missing", "paused")


def _how_telling(decision: Mapping[str, Any]) -> tuple[int, str]:
    """Kinds that show the purpose of a gate come first, then the others by name. None is an approval."""
    reason = decision.get("reason")
    return _TELLING.index(reason) if reason in _TELLING else len(_TELLING), reason or ""


def _age(decision: Mapping[str, Any]) -> tuple[int, str]:
    return int(decision["decided_at"]), str(decision["decision_id"])


def percentile(ordered: list[int] | tuple[int, ...], share: float) -> int:
    """The value that this share of the sorted values does not exceed; 0 if there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


def _place(headers: Mapping[str, bytes], topic: str, partition: str, offset: str) -> Place | None:
    try:
        return Place(headers[topic].decode(), int(headers[partition]), int(headers[offset]))
    except (KeyError, ValueError):
        return None

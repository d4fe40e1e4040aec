"""The books of the demonstration: they balance exactly when every intent was answered once and all was applied."""

from __future__ import annotations

import json
from itertools import count

from streams.contracts.header_names import (
    ERROR_OFFSET,
    ERROR_PARTITION,
    ERROR_REASON,
    ERROR_TOPIC,
    ORIGIN_OFFSET,
    ORIGIN_PARTITION,
    ORIGIN_TOPIC,
)
from streams.demo.reconciliation import Arrival, Reconciliation, percentile
from streams.exactly_once.changelog import META_KEY, Meta, encode_meta
from streams.topics import TopicNames

NAMES = TopicNames()
INTENTS = NAMES.intents[0]


class Books:
    """An account that is told what happened in few words. Everything happens on partition 0."""

    def __init__(self) -> None:
        self.reconciliation = Reconciliation(NAMES)
        self._offsets = count()

    def publish(self, topic: str, *offsets: int, at: int = 1_000) -> None:
        for offset in offsets:
            self.reconciliation.published(topic, 0, offset, at)

    def decide(self, offset: int, reason: str | None = None, *, kind: str = "", at: int = 1_010) -> None:
        verdict = "suppressed" if reason else "approved"
        moment: dict[str, object] = {"decided_at": at, "decision_id": f"{offset:024x}"}
        value = {"type": kind or verdict, "channel": "sms", "reason": reason, **moment}
        topic = NAMES.suppressed if reason and not kind else NAMES.approved
        headers = {ORIGIN_TOPIC: INTENTS.encode(), ORIGIN_PARTITION: b"0", ORIGIN_OFFSET: b"%d" % offset}
        self.arrive(topic, json.dumps(value).encode(), headers, at=at)

    def dead_letter(self, topic: str, offset: int, first: int | None = None) -> None:
        headers = {ERROR_REASON: b"not_json", ERROR_TOPIC: topic.encode(), ERROR_PARTITION: b"0"}
        headers[ERROR_OFFSET] = b"%d" % offset
        if first is not None:
            headers |= {ORIGIN_TOPIC: INTENTS.encode(), ORIGIN_PARTITION: b"0", ORIGIN_OFFSET: b"%d" % first}
        self.arrive(NAMES.dead_letter, b"x", headers)

    def apply(self, **positions: int) -> None:
        topics = {"intents": INTENTS, "preferences": NAMES.preferences, "rerouted": NAMES.rerouted}
        meta = Meta({topics[name]: offset for name, offset in positions.items()})
        self.arrive(NAMES.ledger, encode_meta(meta), {}, key=META_KEY)

    def arrive(
        self, topic: str, value: bytes, headers: dict[str, bytes], *, key: bytes = b"c1", at: int = 1_010
    ) -> None:
        self.reconciliation.arrived(Arrival(topic, 0, next(self._offsets), key, value, headers, at))

    def good(self, **options: bool) -> bool:
        return all(check.holds for check in self.reconciliation.checks(is_alone=True, **options))


def test_balanced() -> None:
    books = Books()
    books.publish(INTENTS, 0, 1, 2)
    books.publish(NAMES.preferences, 0)
    assert not books.reconciliation.is_settled()
    books.decide(0)
    books.decide(1, "gap")
    books.dead_letter(INTENTS, 2)
    assert not books.reconciliation.is_settled()
    books.apply(intents=3, preferences=1)
    assert books.reconciliation.is_settled()
    assert books.good()


def test_a_missing_answer_is_seen() -> None:
    books = Books()
    books.publish(INTENTS, 0, 1)
    books.decide(0)
    books.apply(intents=2)
    assert not books.good()
    assert "1 without an answer" in books.reconciliation.checks(is_alone=True)[0].detail


def test_a_second_answer_is_seen_and_a_withdrawal_is_none() -> None:
    books = Books()
    books.publish(INTENTS, 0)
    books.decide(0)
    books.decide(0, "opt_out", kind="withdrawn")
    books.apply(intents=1)
    assert books.good()
    assert books.reconciliation.figures().withdrawals == {"opt_out": 1}
    books.decide(0)
    assert not books.good()
    # Where aborted transactions are shown, nobody can tell.
    [first, *_] = books.reconciliation.checks(is_alone=True, shown_aborted=1)
    assert first.holds
    assert "aborted" in first.detail


def test_what_was_not_applied_is_seen() -> None:
    books = Books()
    books.publish(NAMES.preferences, 0, 1)
    books.apply(preferences=1)
    assert not books.good()
    books.apply(preferences=2)
    assert books.good()


def test_what_was_forwarded_is_answered_at_its_first_place_and_must_be_taken() -> None:
    books = Books()
    books.publish(INTENTS, 7)
    books.arrive(NAMES.rerouted, b"x", {})
    books.dead_letter(NAMES.rerouted, 0, first=7)
    books.apply(intents=8)
    assert not books.reconciliation.is_settled()
    books.apply(rerouted=1)
    assert books.reconciliation.is_settled()
    assert books.good()
    assert books.reconciliation.figures().rerouted == 1


def test_an_answer_to_nothing_is_seen() -> None:
    books = Books()
    books.decide(3)
    assert not books.good()
    assert all(check.holds for check in books.reconciliation.checks(is_alone=False))


def test_an_answer_may_be_here_before_the_acknowledgement() -> None:
    books = Books()
    books.decide(0, at=1_030)
    books.publish(INTENTS, 0, 1, at=1_000)
    books.decide(1, at=1_050)
    assert books.reconciliation.latencies_ms() == [30, 50]


def test_figures_and_examples() -> None:
    books = Books()
    for offset, reason in enumerate([None, "gap", "gap", "cap_reached", "consent_expired"]):
        books.decide(offset, reason, at=1_000 - offset)
    figures = books.reconciliation.figures()
    assert (figures.decided, figures.approved) == (5, 1)
    assert figures.reasons["gap"] == 2
    examples = books.reconciliation.examples()
    assert [each["reason"] for each in examples] == ["cap_reached", None, "gap", "consent_expired"]
    assert examples[2]["decided_at"] == 998


def test_percentiles() -> None:
    assert percentile([], 0.5) == 0
    assert percentile([1, 2, 3, 4], 0.5) == 3
    assert percentile([1, 2, 3, 4], 1.0) == 4

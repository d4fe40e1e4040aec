"""What becomes of a dead letter, case by case. Nothing here has a broker."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.dead_letters.assessment import Assessed, Fate, InputTopic, Why, assess
from streams.dead_letters.letter import DeadLetter, Place
from streams.dead_letters.replayed import REPLAYS_MAX, Replayed
from streams.dead_letters.selection import Selection
from streams.decision.vocabulary import Vocabulary
from streams.testing.records import murmur2_partition

PARTITIONS = 8
HOUR_MS = 3_600_000
NOW_MS = 1_795_000_000_000
SAID_MS = NOW_MS - 2 * HOUR_MS
YES = {"event_id": "e", "customer_id": "c", "type": "opt_in"}
INTENT = {"intent_id": "i", "customer_id": "c", "channel": "sms", "created_at": SAID_MS}
WORDS = Vocabulary({}, frozenset({"newsletter"}), {})
NO_WORDS = Vocabulary({}, frozenset(), {})
KINDS = {"outbound-intent": "intents", "opt-out": "preferences", "contact-outcome": "outcomes"}


def letter(topic: str, event: dict[str, Any] | bytes | None, **changes: Any) -> DeadLetter:  # noqa: ANN401
    stood = Place(topic, 3, 40)
    plain = DeadLetter(
        place=Place("mesura-dead-letter", 3, 7),
        set_aside_ms=SAID_MS + 1_000,
        reason="unknown_word",
        detail="",
        read_at=stood,
        first=stood,
        said_ms=SAID_MS,
        cut=(),
        replayed=None,
        key=b"c",
        value=orjson.dumps(event) if isinstance(event, dict) else event,
        headers=(),
    )
    return plain._replace(**changes)


def assessed(found: DeadLetter, *, has_producers_time: bool = True, words: Vocabulary | None = None) -> Assessed:
    inputs: dict[str, Any] = {
        name: InputTopic(name, kind, PARTITIONS, has_producers_time)  # type: ignore[arg-type]  # one of the three
        for name, kind in KINDS.items()
    }
    return assess(found, inputs, now_ms=NOW_MS, words=lambda: words)


def replayed(times: int, reason: str) -> Replayed:
    return Replayed(times, reason, "mesura-dead-letter", 3, 2, SAID_MS)


@pytest.mark.parametrize(
    "kind", ["opt_in", "resume", "consent_granted", "restriction_lifted", "clarification", "profile"]
)
@pytest.mark.parametrize(
    ("has_producers_time", "event", "changes", "why"),
    [
        (True, {}, {}, None),
        (True, {}, {"said_ms": -1}, Why.ORDER_LOST),
        (False, {}, {}, Why.ORDER_LOST),
        (False, {"effective_at": SAID_MS - HOUR_MS}, {}, None),
        (False, {"effective_at": SAID_MS}, {}, None),
        # Dated ahead, its place in the order was that of its arrival, which is lost.
        (False, {"effective_at": SAID_MS + 1}, {}, Why.ORDER_LOST),
        (False, {"effective_at": SAID_MS - HOUR_MS}, {"said_ms": -1}, None),
    ],
)
def test_a_yes_keeps_its_place_in_the_order_or_is_refused(
    kind: str, has_producers_time: bool, event: dict[str, Any], changes: dict[str, Any], why: Why | None
) -> None:
    found = assessed(
        letter("opt-out", {**YES, "type": kind, **event}, **changes), has_producers_time=has_producers_time
    )
    assert (found.fate, found.why) == (Fate.REPLAY if why is None else Fate.REFUSED, why)


@pytest.mark.parametrize("kind", ["opt_out", "objection", "pause", "restriction", "consent_withdrawn"])
@pytest.mark.parametrize("has_producers_time", [True, False])
def test_a_no_is_always_replayed(kind: str, has_producers_time: bool) -> None:
    for event in ({}, {"effective_at": SAID_MS}):
        found = assessed(letter("opt-out", {**YES, "type": kind, **event}), has_producers_time=has_producers_time)
        assert (found.fate, found.why) == (Fate.REPLAY, None)
        assert found.counts_from_now is not (has_producers_time or bool(event))


def test_an_erasure_that_would_erase_what_came_later_is_refused() -> None:
    erasure = {**YES, "type": "erasure"}
    assert assessed(letter("opt-out", erasure), has_producers_time=False).why is Why.ERASES_LATER
    assert assessed(letter("opt-out", erasure)).fate is Fate.REPLAY
    dated = letter("opt-out", {**erasure, "effective_at": SAID_MS})
    assert assessed(dated, has_producers_time=False).fate is Fate.REPLAY


@pytest.mark.parametrize(
    ("topic", "event", "again"),
    [
        ("outbound-intent", b"{", "not_json"),
        ("outbound-intent", None, "no_value"),
        ("outbound-intent", {**INTENT, "created_at": NOW_MS + HOUR_MS}, "from_the_future"),
        ("opt-out", b"{", "not_json"),
        ("opt-out", {**YES, "shape": 1}, "unknown_field"),
        ("opt-out", {**YES, "expires_at": 1_700_000_000}, "implausible_time"),
        ("opt-out", {**YES, "effective_at": SAID_MS, "until": SAID_MS - 1}, "implausible_time"),
        ("contact-outcome", {"customer_id": "c", "type": "shouted", "occurred_at": SAID_MS}, "unknown_type"),
    ],
)
def test_what_the_gate_would_set_aside_again_is_held_back(
    topic: str, event: dict[str, Any] | bytes | None, again: str
) -> None:
    found = assessed(letter(topic, event))
    assert (found.fate, found.why, found.again) == (Fate.HELD_BACK, Why.UNREADABLE, again)


@pytest.mark.parametrize(("words", "again"), [(None, None), (WORDS, None), (NO_WORDS, "unknown_word")])
def test_a_yes_with_a_word_that_the_policy_does_not_know_is_held_back(
    words: Vocabulary | None, again: str | None
) -> None:
    assert assessed(letter("opt-out", {**YES, "purpose": "newsletter"}), words=words).again == again
    assert assessed(letter("opt-out", {**YES, "type": "opt_out", "purpose": "newsletter"}), words=words).again is None
    assert assessed(letter("opt-out", YES), words=words).again is None


@pytest.mark.parametrize(
    ("changes", "is_past"),
    [
        ({}, False),
        ({"expires_at": NOW_MS + 1}, False),
        ({"expires_at": NOW_MS}, True),
        ({"created_at": NOW_MS - 8 * 24 * HOUR_MS}, True),
    ],
)
def test_an_intent_whose_time_has_passed_is_replayed_and_said(changes: dict[str, Any], is_past: bool) -> None:
    found = assessed(letter("outbound-intent", {**INTENT, **changes}))
    assert (found.fate, found.is_past) == (Fate.REPLAY, is_past)


def test_it_goes_by_its_key_and_without_one_where_it_was() -> None:
    by_key = assessed(letter("outbound-intent", INTENT))
    assert (by_key.topic, by_key.partition) == ("outbound-intent", murmur2_partition(b"c", PARTITIONS))
    assert assessed(letter("outbound-intent", INTENT, key=None)).partition == 3


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"cut": ("value",), "value": None}, Why.CUT),
        ({"first": None}, Why.PLACE_UNKNOWN),
        ({"first": Place("other-intent", 0, 1)}, Why.NO_INPUT),
        ({"replayed": replayed(REPLAYS_MAX, "not_json")}, Why.TOO_OFTEN),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_a_sentence(changes: dict[str, Any], why: Why) -> None:
    found = assessed(letter("outbound-intent", INTENT, **changes))
    assert (found.fate, found.why) == (Fate.REFUSED, why)
    assert why.sentence.endswith(".")


def test_what_came_back_is_held_back_if_it_was_for_the_same_reason() -> None:
    assert assessed(letter("opt-out", YES, replayed=replayed(1, "unknown_word"))).why is Why.CAME_BACK
    assert assessed(letter("opt-out", YES, replayed=replayed(REPLAYS_MAX - 1, "not_json"))).fate is Fate.REPLAY


@pytest.mark.parametrize(
    ("selection", "is_taken"),
    [
        (Selection(), True),
        (
            Selection(reasons=frozenset({"unknown_word"}), topics=frozenset({"opt-out"}), partitions=frozenset({3})),
            True,
        ),
        (Selection(reasons=frozenset({"not_json"})), False),
        (Selection(topics=frozenset({"outbound-intent"})), False),
        (Selection(topics=frozenset({"mesura-rerouted"})), False),
        (Selection(partitions=frozenset({2, 4})), False),
        (Selection(since_ms=SAID_MS + 1_000, until_ms=SAID_MS + 1_001), True),
        (Selection(since_ms=SAID_MS + 1_001), False),
        (Selection(until_ms=SAID_MS + 1_000), False),
        (Selection(offsets=(7, 7)), True),
        (Selection(offsets=(8, 9)), False),
        (Selection(offsets=(0, 6)), False),
    ],
)
def test_which_are_meant(selection: Selection, is_taken: bool) -> None:
    forwarded = letter("opt-out", YES, read_at=Place("mesura-rerouted", 3, 9))
    assert selection.takes(forwarded) is is_taken


def test_nothing_of_a_record_is_in_a_sentence() -> None:
    assert all("{" not in why.sentence for why in Why)

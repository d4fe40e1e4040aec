"""What is not believed or not understood of a preference event: left out and counted where it restricts, refused where
it permits.
"""

from __future__ import annotations

from typing import Any, get_args

import pytest

from streams.decision.ledger.preferences import BELIEVED_FROM_MS, FUTURE_TOLERANCE_MS, PreferenceResult
from streams.decision.ledger.state import EMPTY_LEDGER
from streams.decision.preference_event import RESTRICTIVE, UNREAD, PreferenceEvent, PreferenceType
from tests.decision.builders import DAY, NOW, heard

NOES = sorted(RESTRICTIVE - {UNREAD, "erasure"})
OTHERS = sorted(set(get_args(PreferenceType)) - RESTRICTIVE)
YESES = sorted(set(OTHERS) - {"profile", "clarification"})
SECONDS = NOW // 1_000


def said(kind: Any, *, at: int = NOW, now: int = NOW, **fields: Any) -> PreferenceResult:  # noqa: ANN401
    return heard(PreferenceEvent(event_id="e", customer_id="c-1", type=kind, **fields), at=at, now=now)


# Times and record's timestamp; order, effective_at and end that are believed of a no; how many are not.
TIMES: dict[str, tuple[dict[str, int], int, tuple[int, int, int | None], int]] = {
    "plausible": ({"effective_at": NOW - 5, "until": NOW + DAY}, NOW, (NOW - 5, NOW - 5, NOW + DAY), 0),
    "effective_at in seconds": ({"effective_at": SECONDS}, NOW, (NOW, NOW, None), 1),
    "effective_at just before belief": ({"effective_at": BELIEVED_FROM_MS - 1}, NOW, (NOW, NOW, None), 1),
    "effective_at when belief begins": (
        {"effective_at": BELIEVED_FROM_MS},
        NOW,
        (BELIEVED_FROM_MS, BELIEVED_FROM_MS, None),
        0,
    ),
    "timestamp 0": ({}, 0, (NOW, NOW, None), 1),
    "timestamp 1": ({}, 1, (NOW, NOW, None), 1),
    "timestamp in seconds": ({}, SECONDS, (NOW, NOW, None), 1),
    "timestamp missing": ({}, -1, (NOW, NOW, None), 1),
    "timestamp just before belief": ({}, BELIEVED_FROM_MS - 1, (NOW, NOW, None), 1),
    "timestamp when belief begins": ({}, BELIEVED_FROM_MS, (BELIEVED_FROM_MS, BELIEVED_FROM_MS, None), 0),
    "timestamp 0 beside effective_at": ({"effective_at": NOW - 5}, 0, (NOW - 5, NOW - 5, None), 1),
    "until in seconds": ({"until": SECONDS}, NOW, (NOW, NOW, None), 1),
    "until at effective_at": ({"effective_at": NOW, "until": NOW}, NOW, (NOW, NOW, None), 1),
    "until before effective_at": ({"effective_at": NOW + 2, "until": NOW + 1}, NOW, (NOW, NOW + 2, None), 1),
    "until before the record": ({"until": NOW - 1}, NOW, (NOW, NOW, None), 1),
    "all three in seconds": ({"effective_at": SECONDS, "until": SECONDS + 60}, SECONDS, (NOW, NOW, None), 3),
}


@pytest.mark.parametrize("times, at, believed, doubts", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("kind", NOES)
def test_of_a_no_a_time_that_cannot_be_true_is_left_out(
    kind: str, times: dict[str, int], at: int, believed: tuple[int, int, int | None], doubts: int
) -> None:
    found = said(kind, at=at, **times)
    assert found.refused is None
    assert found.not_understood == ("time",) * doubts
    (kept,) = found.ledger.preferences
    assert (kept.order_ms, kept.effective_ms, kept.end_ms) == believed


@pytest.mark.parametrize("times, at, believed, doubts", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("kind", OTHERS)
def test_of_anything_else_it_is_a_dead_letter(
    kind: str, times: dict[str, int], at: int, believed: tuple[int, int, int | None], doubts: int
) -> None:
    found = said(kind, at=at, **times, country="ES" if kind == "profile" else None)
    assert found.not_understood == ()
    if doubts:
        assert found.refused == "implausible_time"
        assert found.ledger is EMPTY_LEDGER
    else:
        assert found.refused is None
        assert found.ledger != EMPTY_LEDGER


@pytest.mark.parametrize("kind", YESES)
@pytest.mark.parametrize("expires", [SECONDS, NOW, NOW - 1])
def test_the_other_end_of_a_yes_is_looked_at_too(kind: str, expires: int) -> None:
    for until in (None, NOW + DAY):
        assert said(kind, until=until, expires_at=expires).refused == "implausible_time"
        assert said(kind, until=expires, expires_at=until).refused == "implausible_time"
    (kept,) = said(kind, until=NOW + DAY, expires_at=NOW + 5).ledger.preferences
    assert kept.end_ms == NOW + 5
    (kept,) = said(kind, until=NOW + 5, expires_at=NOW + DAY).ledger.preferences
    assert kept.end_ms == NOW + 5


@pytest.mark.parametrize("kind", NOES)
def test_a_no_has_no_other_end(kind: str) -> None:
    (kept,) = said(kind, expires_at=NOW + DAY).ledger.preferences
    assert kept.end_ms is None


@pytest.mark.parametrize("times, at, believed, doubts", TIMES.values(), ids=TIMES)
def test_an_erasure_is_dated_like_any_no(
    times: dict[str, int], at: int, believed: tuple[int, int, int | None], doubts: int
) -> None:
    found = said("erasure", at=at, **times)
    assert found.ledger.erased_ms == believed[0]
    assert found.not_understood == ("time",) * doubts


@pytest.mark.parametrize("kind", sorted(RESTRICTIVE - {"erasure"}))
def test_a_no_from_the_future_is_said_now_and_anything_else_a_dead_letter(kind: str) -> None:
    ahead = NOW + FUTURE_TOLERANCE_MS
    for at, order_ms in ((ahead, ahead), (ahead + 1, NOW)):
        (kept,) = said(kind, at=at).ledger.preferences
        assert (kept.order_ms, kept.effective_ms) == (order_ms, at)
    for other in OTHERS:
        assert said(other, at=ahead).refused is None
        assert said(other, at=ahead + 1).refused == "from_the_future"


SCOPES: dict[str, tuple[dict[str, str], int]] = {
    "nothing": ({}, 0),
    "words it knows": ({"channel": " SMS", "purpose": "MARKETING", "topic": "t", "brand": "b", "sender_id": "s"}, 0),
    "a group": ({"channel": "Text"}, 0),
    "a channel it does not know": ({"channel": "pager"}, 1),
    "everything by name": ({"channel": "all"}, 1),
    "a purpose it does not know": ({"purpose": "offers"}, 1),
    "two": ({"channel": "pager", "purpose": "offers"}, 2),
    "all five": ({"channel": "*", "purpose": "*", "topic": "All", "brand": "any", "sender_id": "every thing"}, 5),
    "blanks alone": ({"topic": " \u200b"}, 1),
}


@pytest.mark.parametrize("scope, unknown", SCOPES.values(), ids=SCOPES)
@pytest.mark.parametrize("kind", NOES)
def test_of_a_no_every_word_that_is_not_understood_is_counted_and_kept(
    kind: str, scope: dict[str, str], unknown: int
) -> None:
    found = said(kind, **scope)
    assert found.not_understood == ("scope_word",) * unknown
    assert len(found.ledger.preferences) == 1


@pytest.mark.parametrize("scope, unknown", SCOPES.values(), ids=SCOPES)
@pytest.mark.parametrize("kind", YESES)
def test_of_a_yes_it_is_a_dead_letter(kind: str, scope: dict[str, str], unknown: int) -> None:
    found = said(kind, **scope)
    assert found.refused == ("unknown_word" if unknown else None)
    assert found.not_understood == ()
    assert len(found.ledger.preferences) == (0 if unknown else 1)


def test_times_are_named_before_words() -> None:
    assert said("opt_out", at=-1, channel="pager").not_understood == ("time", "scope_word")
    assert said("opt_in", at=-1, channel="pager").refused == "implausible_time"


def test_only_restrictions_and_what_lifts_them_keep_their_source_and_it_is_folded() -> None:
    for kind in sorted({*NOES, *YESES}):
        (kept,) = said(kind, source=" National Register").ledger.preferences
        assert kept.source == ("nationalregister" if kind.startswith("restriction") else None)


def test_words_are_kept_folded() -> None:
    words = {"channel": "SMS", "purpose": "Market ing", "topic": "LOANS", "brand": "Ñ", "sender_id": "+57 300"}
    (kept,) = said("opt_out", **words).ledger.preferences
    assert (kept.channel, kept.purpose, kept.topic, kept.brand, kept.sender) == (
        "sms",
        "marketing",
        "loans",
        "ñ",
        "+57300",
    )


def test_an_unread_event_is_about_everything_and_answered_by_a_clarification_alone() -> None:
    ledger = said(UNREAD).ledger
    for kind in YESES:
        after = heard(PreferenceEvent(event_id="e", customer_id="c-1", type=kind), ledger, at=NOW + 1, now=NOW + 1)
        assert [p.type for p in after.ledger.preferences] == [UNREAD, kind]
    assert [p.type for p in said("clarification").ledger.preferences] == ["clarification"]

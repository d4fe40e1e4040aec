"""Scope words: how they are compared, and what they mean under a policy."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.decision.ledger.precedence import covers, names_all_of, scope_of
from streams.decision.ledger.state import LabelSet, Preference
from streams.decision.vocabulary import EVERYTHING, SCOPE_FIELDS, Vocabulary, fold

WORDS = Vocabulary(
    {"sms": "text", "WhatsApp": "text", "voice": "voice", "push": "chat", "chat": None, "email": None},
    frozenset({"marketing", "service"}),
    {
        "channel": {"SMS message": "sms", "written": "text"},
        "purpose": {"Promotions": "marketing"},
        "brand": {"Norte": "north"},
    },
)
CHANNELS = ("sms", "WhatsApp", "voice", "push", "chat", "email")

# Characters that compatibility forms, letter case or invisibility make treacherous.
_treacherous = st.sampled_from(
    ["İ", "ı", "ß", "ẞ", "ﬁ", "Ǆ", "ς", "Σ", "K", "Å", "͏", "\u00ad", "\u200b", "ﷺ", "𝐒", "ͅ", "ᾳ", "\ufeff"]
)
_text = st.text(st.characters() | _treacherous, max_size=12)


@given(_text)
@example("ﷺ")
@example("İ\u200b ͅ")
def test_folding_what_is_folded_changes_nothing(word: str) -> None:
    folded = fold(word)
    assert fold(folded) == folded
    assert folded == unicodedata.normalize("NFKC", folded) == unicodedata.normalize("NFKC", folded.casefold())
    assert not any(c.isspace() or unicodedata.category(c) == "Cf" for c in folded)


@given(
    _text,
    _text,
    st.sampled_from([" ", "\t", "\n", "\u00a0", "\u3000", "\u2028", "\u200b", "\u2060", "\ufeff", "\u00ad"]),
)
def test_blanks_and_invisible_characters_are_not_looked_at(one: str, other: str, between: str) -> None:
    # Beside a combining character a blank is part of what is composed: these are told apart before it goes.
    if unicodedata.combining(other[:1] or "x") or unicodedata.normalize("NFKC", one + other) != unicodedata.normalize(
        "NFKC", one
    ) + unicodedata.normalize("NFKC", other):
        return
    assert fold(one + between + other) == fold(fold(one) + fold(other))


@given(st.text("abcdefghijklmnopqrstuvwxyzáéñöß0123456789_-", max_size=12))
def test_letter_case_is_not_looked_at(word: str) -> None:
    assert fold(word.upper()) == fold(word.lower()) == fold(word.title()) == fold(word)


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("SMS", "sms"),
        (" s m s\n", "sms"),
        ("ＳＭＳ", "sms"),
        ("s\u200bm\u2060s", "sms"),
        ("E\u2011mail", "e\u2010mail"),  # the non-breaking hyphen is the hyphen, and neither is the minus sign
        ("e-mail", "e-mail"),
        ("Straße", "strasse"),
        ("cafe\u0301", "caf\u00e9"),
        ("ﬁxed", "fixed"),
        ("", ""),
        (" \t\u200b", ""),
    ],
)
def test_what_is_folded_to_what(written: str, folded: str) -> None:
    assert fold(written) == folded


@pytest.mark.parametrize(
    ("named", "restricts", "meant"),
    [
        ("sms", True, {"sms"}),
        (" SMS ", True, {"sms"}),
        ("sms MESSAGE", True, {"sms"}),
        ("whatsapp", True, {"WhatsApp"}),
        ("text", True, {"sms", "WhatsApp"}),
        ("text", False, {"sms", "WhatsApp"}),
        ("Written", True, {"sms", "WhatsApp"}),
        ("written", False, {"sms", "WhatsApp"}),
        # A channel and a group: the wider where it restricts, the narrower where it permits.
        ("chat", True, {"push"}),
        ("chat", False, {"chat"}),
        ("voice", True, {"voice"}),
        ("voice", False, {"voice"}),
        ("fax", True, set(CHANNELS)),
        ("fax", False, set()),
        ("all", True, set(CHANNELS)),
        ("all", False, set()),
        ("", True, set(CHANNELS)),
        ("", False, set()),
    ],
)
def test_what_a_channel_word_means(named: str, restricts: bool, meant: set[str]) -> None:
    if named == "chat" and restricts:  # written alike, too
        meant = {*meant, "chat"}
    assert {c for c in CHANNELS if WORDS.covers_channel(named, c, restricts=restricts)} == meant


@pytest.mark.parametrize(
    ("named", "restricts", "meant"),
    [
        ("Marketing", True, {"marketing"}),
        ("promotions", True, {"marketing"}),
        ("PROMOTIONS", False, {"marketing"}),
        ("offers", True, {"marketing", "service"}),
        ("offers", False, set()),
    ],
)
def test_what_a_purpose_word_means(named: str, restricts: bool, meant: set[str]) -> None:
    found = {p for p in ("marketing", "service") if WORDS.covers_purpose(named, p, restricts=restricts)}
    assert found == meant


@pytest.mark.parametrize("restricts", [True, False])
def test_an_event_covers_a_channel_that_is_written_alike_whatever_its_word_means_by_now(restricts: bool) -> None:
    """The channel of a contact was approved under a policy that called it so."""
    assert WORDS.covers_channel("sms message", "SMS Message", restricts=restricts)
    assert WORDS.covers_channel("telex", "Telex", restricts=restricts)
    assert WORDS.covers_purpose("promotions", "Promotions", restricts=restricts)
    assert WORDS.covers_purpose("offers", "Offers", restricts=restricts)


@pytest.mark.parametrize("field", ["topic", "brand", "sender_id"])
def test_words_a_policy_does_not_list_are_themselves_and_those_for_everything_are_not_understood(field: str) -> None:
    assert WORDS.covers_open(field, "Loans", " loans", restricts=False)
    assert not WORDS.covers_open(field, "Loans", "cards", restricts=True)
    assert WORDS.covers_open(field, "Loans", None, restricts=True)
    assert not WORDS.covers_open(field, "Loans", None, restricts=False)
    for word in (*EVERYTHING, "ALL", " Every thing "):
        assert not WORDS.understands(field, word)
        assert WORDS.covers_open(field, word, "cards", restricts=True)
        assert not WORDS.covers_open(field, word, "cards", restricts=False)


def test_another_name_is_the_word_on_either_side() -> None:
    for named, value in (("norte", "North"), ("north", "NORTE"), ("Norte", "norte")):
        assert WORDS.covers_open("brand", named, value, restricts=True)
        assert WORDS.covers_open("brand", named, value, restricts=False)
    assert not WORDS.covers_open("topic", "norte", "north", restricts=True)


def test_what_is_understood() -> None:
    for word in (*CHANNELS, "TEXT", "sms message", "written"):
        assert WORDS.understands("channel", word)
    for word in ("fax", "all", "marketing", ""):
        assert not WORDS.understands("channel", word)
    for word in ("Marketing", "promotions"):
        assert WORDS.understands("purpose", word)
    for word in ("sms", "everything", "Promotion"):
        assert not WORDS.understands("purpose", word)


def test_every_field_that_is_named_must_cover() -> None:
    label_set = LabelSet("sms", "marketing", "loans", "north", None, "acme")
    whole = {"channel": "SMS", "purpose": "promotions", "topic": "LOANS", "brand": "norte", "sender": "Acme"}
    others = {"channel": "email", "purpose": "service", "topic": "cards", "brand": "south", "sender": "else"}
    for restricts in (True, False):
        assert covers(said(), label_set, WORDS, restricts=restricts)
        assert covers(said(**whole), label_set, WORDS, restricts=restricts)
        for field, other in others.items():
            assert not covers(said(**{**whole, field: other}), label_set, WORDS, restricts=restricts)


def test_a_yes_that_names_every_field_of_the_no_alike_undoes_it() -> None:
    no = {"channel": "sms", "purpose": "marketing", "topic": "loans", "brand": "north", "sender": "acme"}
    other_names = {"channel": "SMS Message", "purpose": "PROMOTIONS", "brand": "Norte"}
    assert names_all_of(said(**{**no, **other_names}), said(**no), WORDS)
    assert names_all_of(said(**no), said(**{**no, **other_names}), WORDS)
    assert names_all_of(said(), said(**no), WORDS)
    for field in no:
        assert not names_all_of(said(**{name: word for name, word in no.items() if name != field}), said(**no), WORDS)
        assert names_all_of(said(**no), said(**{name: word for name, word in no.items() if name != field}), WORDS)
        assert not names_all_of(said(**{**no, field: "other"}), said(**no), WORDS)
    assert not names_all_of(said(channel="sms"), said(channel="text"), WORDS)


def test_a_scope_is_in_the_order_of_its_fields() -> None:
    names = tuple("sender" if field == "sender_id" else field for field in SCOPE_FIELDS)
    assert scope_of(said(**{name: name for name in names})) == names


def said(**scope: str) -> Preference:
    return Preference("opt_out", 1, 1, None, **scope)

"""What is counted by columns is what is counted by looking at one contact after another."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from streams.decision.counting import Counting, Pair
from streams.decision.evaluation_context import PAIRS_NUMBERED_MAX, UNCOUNTED_PAIR, EvaluationContext, OpenField
from streams.decision.ledger.state import UNCOUNTED, LabelSet, Ledger
from streams.decision.request_context import ChannelPurpose, RequestContext
from streams.decision.specification import ScopeField, Selector
from tests.decision.builders import NOW, WORDS, contact, ledger_of, policy_of

if TYPE_CHECKING:
    from collections.abc import Mapping

PAIRS = tuple(product(("sms", "voice", "email"), ("marketing", "service")))
NUMBERS = {pair: number for number, pair in enumerate(PAIRS)}
LOCATION = policy_of().location
GROUPS = {"sms": "text", "voice": "phone", "email": "email"}
OPEN: tuple[ScopeField, ...] = ("topic", "brand", "campaign")
WORDS_OF_OPEN_FIELDS = (None, "a", "b")

LABEL_SETS = tuple(
    LabelSet(channel, "marketing" if number % 3 else "service", topic, brand, campaign)
    for number, (channel, topic, brand, campaign) in enumerate(
        product(("sms", "email"), WORDS_OF_OPEN_FIELDS, WORDS_OF_OPEN_FIELDS, WORDS_OF_OPEN_FIELDS)
    )
)
CONTACTS = tuple(
    contact(NOW - number, label_set=number, number=number, flags=UNCOUNTED if number % 7 == 3 else 0)
    for number in range(len(LABEL_SETS))
)
LEDGER = ledger_of(*CONTACTS, label_sets=LABEL_SETS)


def context_of(own: LabelSet, ledger: Ledger = LEDGER, numbers: Mapping[Pair, int] = NUMBERS) -> EvaluationContext:
    pair = own.channel, own.purpose
    key = (own.topic, own.brand, own.campaign, None, None, None, None, None, "", None)
    request = RequestContext(ChannelPurpose(*pair, NUMBERS[pair], is_counted=True), key, LOCATION)
    return EvaluationContext(own, request, ledger, WORDS, numbers)


def counting(*scope: ScopeField, excepting: Selector | None = None, **selector: Any) -> Counting:  # noqa: ANN401
    return Counting(Selector(**selector), excepting, scope, GROUPS, PAIRS)


def shares(one: str | None, other: str | None) -> bool:
    """docs/semantics.md, 5: what lacks a value shares every scope."""
    return None in (one, other) or one == other


def one_by_one(own: LabelSet, scope: tuple[ScopeField, ...]) -> int:
    return sum(
        not each.flags & UNCOUNTED
        and all(
            shares(getattr(LABEL_SETS[each.label_set_number], str(name)), getattr(own, str(name))) for name in scope
        )
        for each in CONTACTS
    )


@pytest.mark.parametrize("scope", [OPEN, *((name,) for name in OPEN)])
@pytest.mark.parametrize("words", [*product(WORDS_OF_OPEN_FIELDS, repeat=3), ("c", "c", "c")])
def test_a_scope_counts_what_has_the_same_word_or_none(
    scope: tuple[ScopeField, ...], words: tuple[str | None, str | None, str | None]
) -> None:
    own = LabelSet("sms", "marketing", *words)
    rule = counting(*scope)
    context = context_of(own)
    assert rule.count_after(context, 0) == one_by_one(own, scope)
    # By label sets, as where a policy has too many pairs for numbers: the same.
    assert rule.count_after(context_of(own, numbers={}), 0) == one_by_one(own, scope)


def test_where_channel_and_purpose_settle_it_no_label_set_is_looked_at() -> None:
    context = context_of(LabelSet("sms", "marketing", "a"))
    of_channel, of_topic = counting("channel"), counting("channel", "topic")
    for _ in range(2):
        assert of_channel.count_after(context, 0) == sum(
            LABEL_SETS[each.label_set_number].channel == "sms" and not each.flags & UNCOUNTED for each in CONTACTS
        )
        of_topic.count_after(context, 0)
    assert context._label_sets is None
    assert set(context.verdicts) == {of_topic}


def test_what_was_worked_out_is_kept() -> None:
    context = context_of(LabelSet("sms", "marketing", "a"))
    field = OpenField("topic")
    assert context.contact_pairs() is context.contact_pairs() is not None
    assert context.sharing(field) is context.sharing(field)
    rule = counting("topic")
    rule.count_after(context, 0)
    kept = context.verdicts[rule]
    rule.count_after(context, 0)
    assert context.verdicts[rule] is kept


def test_a_field_of_a_scope_has_its_place_among_the_words_of_a_label_set() -> None:
    assert {name: LabelSet.__struct_fields__[OpenField(name).place] for name in OPEN} == {name: name for name in OPEN}


def test_every_contact_has_the_number_of_its_pair() -> None:
    wanted = [
        UNCOUNTED_PAIR
        if each.flags & UNCOUNTED
        else NUMBERS[LABEL_SETS[each.label_set_number].channel, LABEL_SETS[each.label_set_number].purpose]
        for each in CONTACTS
    ]
    assert list(context_of(LabelSet("sms", "marketing")).contact_pairs()) == wanted


def test_pairs_without_a_number_of_their_own_are_counted_by_label_sets() -> None:
    own = LabelSet("sms", "marketing")
    for numbers in ({}, {**NUMBERS, ("sms", "service"): PAIRS_NUMBERED_MAX}):
        assert context_of(own, numbers=numbers).contact_pairs() is None
    last = dict.fromkeys(PAIRS, PAIRS_NUMBERED_MAX - 1)
    assert set(context_of(own, numbers=last).contact_pairs()) == {PAIRS_NUMBERED_MAX - 1, UNCOUNTED_PAIR}

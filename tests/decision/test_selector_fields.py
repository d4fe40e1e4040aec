"""Every field of a selector is told in words, tells intents and contacts apart, and is known to the independent model.

A field that is forgotten in one place fails nowhere else: a plan would be shared by intents that differ, `mesura policy
show` would leave a condition out, or an exception would stop counting contacts and a cap would be exceeded.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, NamedTuple

import pytest
from msgspec import structs

from streams.audit import events
from streams.decision.intent import Intent
from streams.decision.specification import CONTACT_FIELDS, Selector
from streams.policy.phrases import selector_in_words
from tests.decision.builders import HOUR, NOW
from tests.golden.cases import policy
from tests.golden.sides import Core, Independent, Side


class Pair(NamedTuple):
    """What a selector says, and the fields of an intent that it selects and of one that it does not."""

    wanted: Any
    selected: dict[str, Any]
    other: dict[str, Any]


PAIRS = {
    "channels": Pair(["sms"], {"channel": "sms"}, {"channel": "email"}),
    "groups": Pair(["text"], {"channel": "sms"}, {"channel": "email"}),
    "purposes": Pair(["service"], {"purpose": "service"}, {"purpose": "marketing"}),
    "topics": Pair(["bills"], {"topic": "bills"}, {"topic": "news"}),
    "brands": Pair(["north"], {"brand": "north"}, {"brand": "south"}),
    "campaigns": Pair(["spring"], {"campaign_id": "spring"}, {"campaign_id": "autumn"}),
    "countries": Pair(["CO"], {"country": "CO"}, {"country": "ES"}),
    "automated": Pair(True, {"automated": True}, {"automated": False}),
}
NAMES = sorted(PAIRS)
SIDES = [Core, Independent]


def side_with(side: type[Core] | type[Independent], rule: dict[str, Any]) -> Side:
    return side(json.dumps(policy({"rules": [rule]})))


def is_approved(side: Side, number: int, now: int, **said: Any) -> bool:  # noqa: ANN401 - fields of the intent
    asked = {"intent_id": f"i-{number}", "customer_id": "c-1", "channel": "sms", "country": "CO", "created_at": now}
    return bool(side.intent({**asked, **said}, now)["verdict"] == "approved")


def test_no_field_is_left_out() -> None:
    assert {field.name for field in fields(Selector)} == set(PAIRS)
    assert set(CONTACT_FIELDS) <= set(PAIRS)


@pytest.mark.parametrize("name", NAMES)
def test_a_field_is_told_in_words(name: str) -> None:
    wanted = PAIRS[name].wanted
    said = selector_in_words(Selector(**{name: wanted if isinstance(wanted, bool) else frozenset(wanted)}))
    assert said
    assert isinstance(wanted, bool) or wanted[0] in said


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", NAMES)
def test_a_field_selects_whichever_intent_comes_first(name: str, side: type[Core] | type[Independent]) -> None:
    pair = PAIRS[name]
    for number, (first, second) in enumerate([(pair.selected, pair.other), (pair.other, pair.selected)]):
        rule = {"id": "it", "kind": "cap", "limit": 0, "window": {"rolling": "1d"}, "applies_to": {name: pair.wanted}}
        asked = side_with(side, rule)
        answers = [is_approved(asked, turn, NOW, **said) for turn, said in enumerate((first, second))]
        assert answers == [number == 1, number == 0], name


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", NAMES)
def test_an_exception_takes_contacts_out_of_the_count_only_if_contacts_can_tell(
    name: str, side: type[Core] | type[Independent]
) -> None:
    """What is excepted and is known of the intent alone still counts: the cap would be exceeded otherwise."""
    pair = PAIRS[name]
    rule = {"id": "it", "kind": "cap", "limit": 1, "window": {"rolling": "1d"}, "except": {name: pair.wanted}}
    asked = side_with(side, rule)
    assert is_approved(asked, 1, NOW, **pair.selected), "excepted"
    assert is_approved(asked, 2, NOW + HOUR, **pair.other) == (name in CONTACT_FIELDS)


def test_the_audit_reads_every_field_of_an_intent() -> None:
    assert set(events._FIELDS["intent"]) == {field.encode_name for field in structs.fields(Intent)}

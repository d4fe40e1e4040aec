"""Encoding: whatever the gate says is valid under the published schemas, small, and the same every time."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.contracts.decode import decode_intent
from streams.contracts.encode import (
    EXPLANATION_BYTES_MAX,
    encode_approval,
    encode_suppression,
    encode_withdrawal,
    policy_fragment,
)
from streams.decision.intent import MOMENT_MAX_MS
from streams.decision.reasons import REASONS, WITHDRAWAL_REASONS
from tests.contracts.schema_files import SCHEMAS, raw_schema, validator

_DAY_MS = 86_400_000
_identifiers = st.text(min_size=1, max_size=128)
_moments = st.integers(0, MOMENT_MAX_MS)
_policies = st.builds(
    policy_fragment, _identifiers, _identifiers, st.text("0123456789abcdef", min_size=32, max_size=64)
)
_attributes = st.none() | st.dictionaries(
    _identifiers,
    st.none() | st.booleans() | st.text(max_size=256) | st.integers(-(9 * 10**18), 9 * 10**18) | st.floats(-9e18, 9e18),
    max_size=16,
)
_zones = st.none() | st.tuples(
    st.text(min_size=1, max_size=64), st.sampled_from(["intent", "ledger", "region", "country", "policy"])
)
_numbers = st.integers(-366 * _DAY_MS, 366 * _DAY_MS)
_rules = st.lists(
    st.builds(
        lambda rule, verdict, numbers: (rule, verdict, *numbers),
        st.integers(0, 206),
        st.sampled_from([0, 1, *(reason.number for reason in REASONS)]),
        st.lists(_numbers, max_size=3),
    ),
    min_size=1,
    max_size=20,
)
_common: dict[str, st.SearchStrategy[Any]] = {
    "decision_id": st.text("0123456789abcdef", min_size=24, max_size=24),
    "customer_id": _identifiers,
    "channel": _identifiers,
    "decided_at": _moments,
    "policy": _policies,
}
_answers = {**_common, "intent_id": _identifiers, "attributes": _attributes, "zone": _zones, "rules": _rules}


def written(name: str, value: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(value)
    validator(name).validate(document)
    validator(f"readers/{name}").validate(document)
    return document


def assert_in_the_order_of(properties: dict[str, Any], document: dict[str, Any]) -> None:
    assert list(document) == [name for name in properties if name in document]


@given(
    st.fixed_dictionaries(
        {
            **_answers,
            "valid_until": _moments,
            "remaining": st.dictionaries(_identifiers, st.integers(0, 1000), max_size=5),
            "obligations": st.lists(_identifiers, max_size=3).map(tuple),
        }
    )
)
def test_approvals_are_valid_and_say_what_they_were_given(answer: dict[str, Any]) -> None:
    value = encode_approval(**answer)
    document = written("approved", value)
    assert value == encode_approval(**answer)
    assert_in_the_order_of(raw_schema("approved")["$defs"]["approval"]["properties"], document)
    assert document["type"] == "approved"
    for name in ("decision_id", "intent_id", "customer_id", "channel", "decided_at", "valid_until", "remaining"):
        assert document[name] == answer[name]
    assert document["obligations"] == list(answer["obligations"])
    assert document.get("attributes") == answer["attributes"]
    assert document["explanation"]["rules"] == [list(rule) for rule in answer["rules"]]
    assert document["explanation"].get("zone") == (None if answer["zone"] is None else list(answer["zone"]))


@given(
    st.fixed_dictionaries(
        {
            **_answers,
            "reason": st.sampled_from([reason.code for reason in REASONS]),
            "rule": _identifiers,
            "next_eligible_at": st.none() | _moments,
        }
    )
)
def test_suppressions_are_valid_and_say_what_they_were_given(answer: dict[str, Any]) -> None:
    document = written("suppressed", encode_suppression(**answer))
    assert_in_the_order_of(raw_schema("suppressed")["properties"], document)
    for name in ("decision_id", "intent_id", "customer_id", "channel", "decided_at", "reason", "rule"):
        assert document[name] == answer[name]
    assert document["next_eligible_at"] == answer["next_eligible_at"]
    assert document.get("duplicate_of") == (answer["decision_id"] if answer["reason"] == "duplicate" else None)
    assert document.get("attributes") == answer["attributes"]


@given(st.fixed_dictionaries({**_common, "reason": st.sampled_from(WITHDRAWAL_REASONS)}))
def test_withdrawals_are_valid_and_end_at_once(withdrawal: dict[str, Any]) -> None:
    document = written("approved", encode_withdrawal(**withdrawal))
    assert_in_the_order_of(raw_schema("approved")["$defs"]["withdrawal"]["properties"], document)
    assert document["valid_until"] == document["decided_at"] == withdrawal["decided_at"]
    assert document["reason"] == withdrawal["reason"]


def test_an_explanation_of_twenty_rules_is_small() -> None:
    """The built-in checks, opt-out, consent, four windows, a gap, six calendar caps with their bounds, one rolling."""
    year = 366 * _DAY_MS
    rules: list[tuple[int, ...]] = [
        *((0, 0), (1, 0), (2, 0, _DAY_MS), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0, year)),
        *((number, 22, 8 * _DAY_MS) for number in range(8, 12)),
        (12, 26, 1),
        *((number, 25, 100, -31 * _DAY_MS, 31 * _DAY_MS) for number in range(13, 19)),
        (19, 25, 1000),
    ]
    assert len(rules) == 20
    document = json.loads(
        encode_suppression(
            decision_id="0" * 24,
            intent_id="i",
            customer_id="c",
            channel="sms",
            decided_at=0,
            reason="window_closed",
            rule="hours",
            next_eligible_at=None,
            policy=policy_fragment("p", "1", "00"),
            attributes=None,
            zone=("America/Argentina/Rio_Gallegos", "ledger"),
            rules=rules,
        )
    )
    size = len(json.dumps(document["explanation"], separators=(",", ":")))
    assert size <= EXPLANATION_BYTES_MAX


@given(_attributes.filter(lambda attributes: attributes is not None))
def test_attributes_come_back_as_they_were_sent(attributes: dict[str, Any]) -> None:
    sent = {"intent_id": "i", "customer_id": "c", "channel": "sms", "created_at": 1, "attributes": attributes}
    intent, _ = decode_intent(json.dumps(sent).encode())
    value = encode_approval(
        decision_id="0" * 24,
        intent_id=intent.intent_id,
        customer_id=intent.customer_id,
        channel=intent.channel,
        decided_at=1,
        valid_until=2,
        policy=policy_fragment("p", "1", "00"),
        remaining={},
        obligations=(),
        attributes=intent.attributes,
        zone=None,
        rules=((0, 0),),
    )
    assert written("approved", value)["attributes"] == attributes


def test_numbers_in_attributes_come_back_as_the_documentation_says() -> None:
    text = (SCHEMAS.parent / "docs" / "contracts.md").read_text()
    table = text.partition("| a number in `attributes` |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) >= 7
    for line in table:
        written_number, comes_back, in_doubles = re.findall("`([^`]+)`", line)
        value = b'{"intent_id":"i","customer_id":"c","channel":"sms","created_at":1,"attributes":{"a":%s}}'
        intent, _ = decode_intent(value % written_number.encode())
        answers = [
            encode_approval(
                decision_id="d" * 24,
                intent_id="i",
                customer_id="c",
                channel="sms",
                decided_at=1,
                valid_until=2,
                policy=policy_fragment("n", "v", "h"),
                remaining={},
                obligations=(),
                attributes=intent.attributes,
                zone=None,
                rules=(),
            ),
            encode_suppression(
                decision_id="d" * 24,
                intent_id="i",
                customer_id="c",
                channel="sms",
                decided_at=1,
                reason="opt_out",
                rule="r",
                next_eligible_at=None,
                policy=policy_fragment("n", "v", "h"),
                attributes=intent.attributes,
                zone=None,
                rules=(),
            ),
        ]
        for answer in answers:
            assert b'"attributes":{"a":%s}' % comes_back.encode() in answer
            # Every number is a double to a reader like JavaScript, and is printed without a fraction if it has none.
            read = json.loads(answer, parse_int=float)["attributes"]["a"]
            plain = int(read) if isinstance(read, float) and read.is_integer() else read
            assert json.dumps(plain) == in_doubles

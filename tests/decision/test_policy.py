"""The compiled policy: its rule table, its horizons, and what of it is worked out once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.decision.policy import BUILT_IN, compile_policy
from streams.decision.reasons import EXEMPT, PASSED, REASON_BY_NUMBER, REASON_NUMBERS, REASONS, WITHDRAWAL_REASONS
from streams.decision.specification import CountingSpecification, RuleSpecification
from streams.decision.tables import DAY_MS
from streams.oracle.model import REASON_NUMBERS as PUBLISHED
from tests.decision.builders import NOW, contact, ledger_of, policy_of

CAP = {"id": "daily", "kind": "cap", "limit": 1, "window": {"rolling": "1d"}}
OFF = {"id": "spring-off", "kind": "campaign", "campaigns": ["spring"], "switch": "off"}


def test_numbers_of_rules_lead_back_to_rules() -> None:
    policy = policy_of(CAP, OFF)
    assert policy.rule_table == (*BUILT_IN, "opt-out", "spring-off", "daily")
    for number, rule_id in enumerate(policy.rule_table):
        rule = policy.rule(number)
        assert (rule is None) == (rule_id in BUILT_IN)
        assert rule is None or (rule.rule_id, rule.number) == (rule_id, number)


def test_numbers_of_reasons_are_as_published_and_each_is_given_once() -> None:
    assert (PASSED, EXEMPT) == (0, 1)
    assert REASON_NUMBERS == PUBLISHED
    assert len(REASONS) == len(REASON_NUMBERS) == len(REASON_BY_NUMBER) == len({reason.sentence for reason in REASONS})
    assert all(REASON_BY_NUMBER[reason.number] is reason and reason.sentence.endswith(".") for reason in REASONS)
    assert set(WITHDRAWAL_REASONS) - set(REASON_NUMBERS) == {"erased"}


# What kinds of rule are made of, and no kind: a compiled core lets nobody make another.
@pytest.mark.parametrize("rule", [CountingSpecification(rule_id="new"), RuleSpecification(rule_id="plain")])
def test_a_kind_of_rule_that_is_not_registered_is_a_mistake_and_not_left_out(rule: RuleSpecification) -> None:
    specification = replace(policy_of(CAP).specification, rules=(rule,))
    with pytest.raises(TypeError, match=f"{type(rule).__name__} is no kind of rule"):
        compile_policy(specification)


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ({"kind": "cap", "limit": 1, "window": {"rolling": "10d"}}, 10),
        ({"kind": "gap", "minimum": "10d"}, 10),
        ({"kind": "cap", "limit": 1, "window": {"calendar": "day", "zone": "policy"}}, 1),
        ({"kind": "cap", "limit": 1, "window": {"calendar": "week", "zone": "policy"}}, 7),
        ({"kind": "cap", "limit": 1, "window": {"calendar": "month", "zone": "policy"}}, 31),
    ],
)
def test_a_policy_keeps_at_least_what_its_rules_look_back_to(rule: dict[str, object], days: int) -> None:
    specification = policy_of({"id": "it", **rule}, history="1d", identities="1d").specification
    policy = compile_policy(replace(specification, history_ms=DAY_MS))
    assert policy.retention.prune(ledger_of(contact(NOW - days * DAY_MS + 1)), NOW).contacts
    # And not much more: a day or two for the clocks of different zones.
    assert policy.horizons.history_ms <= (days + 2) * DAY_MS


def test_zones_of_one_clock_are_one_zone_under_its_first_name() -> None:
    specification = policy_of(regions={"US-FL": ["America/New_York", "US/Eastern", "America/Detroit"]}).specification
    zones = compile_policy(specification).location.regions["US-FL"]
    assert [zone.name for zone in zones] == ["America/Detroit"]

"""A policy as it is published on the control topic, so that every decision under it can be explained later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.contracts.control import PolicyRecord, PolicyRule
from streams.decision.policy import BUILT_IN
from streams.policy.describe import limit_in_words

if TYPE_CHECKING:
    from streams.decision.policy import Policy
    from streams.policy.loader import LoadedPolicy


def policy_record(loaded: LoadedPolicy, policy: Policy) -> PolicyRecord:
    """The record of a policy file that was loaded and compiled."""
    specification = loaded.specification
    return PolicyRecord(
        name=specification.name,
        version=specification.version,
        hash=specification.content_hash,
        text=loaded.text,
        rules=[_policy_rule(number, policy) for number in range(len(policy.rule_table))],
        versions={"tzdata": loaded.tzdata_version, "holidays": loaded.holidays_version},
        calendars={
            name: [day.isoformat() for day in sorted(calendar.days)] for name, calendar in loaded.calendars.items()
        },
    )


def _policy_rule(number: int, policy: Policy) -> PolicyRule:
    rule = policy.rule(number)
    if rule is None:
        return PolicyRule(id=BUILT_IN[number], kind=BUILT_IN[number].partition(":")[0])
    specification = rule.specification
    limit, window = limit_in_words(specification)
    return PolicyRule(
        id=rule.rule_id,
        kind=rule.kind,
        state=specification.state,
        limit=limit,
        window=window or None,
        because=specification.because or None,
    )

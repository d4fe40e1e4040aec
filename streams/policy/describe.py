"""A policy's rules in plain English, for people who will never read the file.

Rules of this module
1. The sentence says everything that changes a decision, including defaults whose omission would mislead.
2. The sentence follows the specification, not the file, so that two ways of writing a rule give the same sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.policy.kinds.registry import RULES_ALWAYS_THERE, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.decision.policy_specification import PolicySpecification
    from streams.decision.specification import RuleSpecification


def rules_in_force(specification: PolicySpecification) -> Iterator[RuleSpecification]:
    """The rules of the policy, after those that every policy has."""
    yield from RULES_ALWAYS_THERE.values()
    yield from specification.rules


def describe_rule(rule: RuleSpecification) -> str:
    """The rule as one sentence, with its state if it is not on."""
    text = kind_of(rule).sentence(rule)
    if rule.state != "on":
        text = f"({'Switched off' if rule.state == 'off' else 'In shadow'}) {text}"
    return text


def limit_in_words(rule: RuleSpecification) -> tuple[int | None, str]:
    """What the rule compares its count with, and over what time. None and empty for rules that do not count."""
    return kind_of(rule).limit_in_words(rule)

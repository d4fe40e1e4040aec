"""The compiled policy: for each channel and purpose the rules that can apply, in the order in which they are asked.

Rules of this module (docs/semantics.md, 3)
1. What cannot apply to an intent of a channel and purpose is left out here, once, and not asked per intent.
2. The order is fixed: built-in checks, then the kinds in the order of `KINDS`; within a kind the file's.
3. The rule table numbers every rule, those switched off too, so a number means the same in every explanation of
   this policy. The built-in checks come first in it, then what every policy has, then what its file states.
"""

from __future__ import annotations

from typing import Final

from streams.decision.checks.check import CheckTables
from streams.decision.checks.table import CHECKS
from streams.decision.counting import Pair
from streams.decision.evaluation_plan import Asked, PlanRules
from streams.decision.intent import Intent
from streams.decision.ledger.retention import Horizons, Retention
from streams.decision.ledger.state import UNCOUNTED, LabelSet
from streams.decision.location import LocationTables
from streams.decision.places import Places
from streams.decision.plan import Plan
from streams.decision.policy_specification import PolicySpecification, named_places
from streams.decision.reasons import PASSED
from streams.decision.request_context import ChannelPurpose
from streams.decision.rules.exempt import exemption
from streams.decision.rules.kind import Compilation
from streams.decision.rules.registry import KINDS, kind_of
from streams.decision.rules.rule import Rule
from streams.decision.selection import Condition, condition
from streams.decision.specification import RuleSpecification
from streams.decision.vocabulary import Vocabulary

BUILT_IN: Final = tuple(check.name for check in CHECKS)
_CHECKS_PASSED: Final = tuple((number, PASSED) for number in range(len(CHECKS)))


class Policy:
    """A policy compiled for deciding. Immutable once built; build it with `compile_policy`."""

    __slots__ = (
        "_for_life",
        "_groups",
        "_rules",
        "check_tables",
        "horizons",
        "location",
        "pair_numbers",
        "plans",
        "retention",
        "rule_table",
        "specification",
        "vocabulary",
    )

    def __init__(self, specification: PolicySpecification) -> None:
        self.specification = specification
        self.location = _location(specification)
        self.vocabulary = Vocabulary(specification.channels, specification.purposes, specification.other_names)
        self._groups = {channel: group or channel for channel, group in specification.channels.items()}
        pairs = [(channel, purpose) for channel in specification.channels for purpose in specification.purposes]
        self.pair_numbers = {pair: number for number, pair in enumerate(pairs)}
        self._rules = _compiled_rules(specification, self._groups, pairs)
        counted_for_life = [rule.counts_for_life() for rule in self._rules]
        self._for_life = tuple(counting for counting in counted_for_life if counting is not None)
        history_ms = max(specification.history_ms, *(rule.reach_ms for rule in specification.rules), 0)
        self.horizons = Horizons(history_ms, specification.identities_ms)
        self.retention = Retention(self.horizons, self._counts_for_life)
        self.check_tables = CheckTables(
            specification.channels, specification.purposes, specification.identities_ms, self.retention
        )
        self.rule_table: tuple[str, ...] = (*BUILT_IN, *(rule.rule_id for rule in self._rules))
        in_order = tuple(sorted(self._rules, key=lambda rule: KINDS.index(kind_of(rule.specification))))
        self.plans: dict[Pair, Plan] = {
            pair: self._plan(in_order, pair, number) for pair, number in self.pair_numbers.items()
        }

    def rule(self, number: int) -> Rule | None:
        """The rule of that number in the rule table, or None if it is a built-in check."""
        return None if number < len(BUILT_IN) else self._rules[number - len(BUILT_IN)]

    def purpose_of(self, intent: Intent) -> str:
        """The intent's purpose, or the one the policy takes for granted."""
        return self.specification.default_purpose if intent.purpose is None else intent.purpose

    def _counts_for_life(self, label_set: LabelSet) -> bool:
        """Whether a rule counts contacts of the label set for life, so that they must be counted beyond the history."""
        return any(counting.selects(label_set) for counting in self._for_life)

    def _plan(self, rules: tuple[Rule, ...], pair: Pair, number: int) -> Plan:
        channel, purpose = pair
        exempted = exemption(purpose, self.specification.rules)
        asked = []
        for rule in rules:
            if rule.specification.state == "off":
                continue
            may_apply, left = condition(rule.specification, channel, self._groups[channel], purpose)
            if may_apply:
                asked.append(Asked(rule, left, rule.kind in exempted.kinds))
        flags = 0 if exempted.counts else UNCOUNTED
        for kind in KINDS:
            if kind.name in exempted.kinds:
                flags |= kind.exempt_contact_flags
        plan_rules = PlanRules(tuple(asked), self._obligations(pair), flags, _CHECKS_PASSED)
        channel_purpose = ChannelPurpose(channel, purpose, number, exempted.counts)
        return Plan(channel_purpose, plan_rules, self.location, self.specification.time_to_live_ms)

    def _obligations(self, pair: Pair) -> tuple[tuple[str, Condition | None], ...]:
        """The obligations that may apply to intents of the pair, each with what is left to ask."""
        channel, purpose = pair
        obligations = []
        for obligation in self.specification.obligations:
            carrier = RuleSpecification(
                rule_id=obligation.obligation_id, applies_to=obligation.applies_to, country_unknown="apply"
            )
            may_apply, left = condition(carrier, channel, self._groups[channel], purpose)
            if may_apply:
                obligations.append((obligation.obligation_id, left))
        return tuple(obligations)


def compile_policy(specification: PolicySpecification) -> Policy:
    """The policy, ready to decide."""
    return Policy(specification)


def _location(specification: PolicySpecification) -> LocationTables:
    return LocationTables(
        zones=specification.zones,
        country_zones=specification.country_zones,
        regions=specification.regions,
        recipient_zone=specification.recipient_zone,
        calendars=specification.calendars,
        places=Places(specification.subdivisions, specification.calendars, named_places(specification)),
    )


def _compiled_rules(specification: PolicySpecification, groups: dict[str, str], pairs: list[Pair]) -> tuple[Rule, ...]:
    """Every rule that is asked, as the rule table has them, numbered on from the built-in checks."""
    compilation = Compilation(specification.zones, specification.zone, specification.calendars, groups, pairs)
    always = [kind.always for kind in KINDS if kind.always is not None]
    written = sorted(specification.rules, key=lambda rule: KINDS.index(kind_of(rule)))
    rules: list[Rule] = []
    for rule in (*always, *written):
        kind = kind_of(rule)
        if kind.compile is not None:
            rules.append(kind.compile(len(BUILT_IN) + len(rules), rule, compilation))
    return tuple(rules)

"""The compiled policy: for each channel and purpose the rules that can apply, in the order in which they are asked.

Rules of this module (docs/semantics.md, 3)
1. What cannot apply to an intent of a channel and purpose is left out here, once, and not asked per intent.
2. The order is fixed: built-in checks, then campaign, opt-out, sender, consent, window, cap, gap; within a kind
   the file's.
3. The rule table numbers every rule, those switched off too, so a number means the same in every explanation of
   this policy.
   `opt-out` comes first in it, campaigns are asked before.
"""

from __future__ import annotations

from typing import Final

from streams.decision.intent import Intent
from streams.decision.ledger.retention import pruned
from streams.decision.ledger.state import OPT_OUT_EXEMPT, UNCOUNTED, LabelSet, Ledger
from streams.decision.places import Places
from streams.decision.plan import Asked, Plan
from streams.decision.policy_specification import PolicySpecification
from streams.decision.reasons import PASSED
from streams.decision.request_context import Zones
from streams.decision.rules.cap import LifetimeCapRule
from streams.decision.rules.exempt import exemption
from streams.decision.rules.kind import Compilation
from streams.decision.rules.registry import KINDS, kind_of
from streams.decision.rules.rule import Rule
from streams.decision.selection import condition
from streams.decision.specification import RuleSpecification
from streams.decision.tables import ZoneTable
from streams.decision.vocabulary import Vocabulary

BUILT_IN: Final = (
    "expired:horizon",
    "expired:erasure",
    "expired:deadline",
    "duplicate",
    "vocabulary",
    "ledger_full",
)


class Policy:
    """A policy compiled for deciding. Immutable once built; build it with `compile_policy`."""

    __slots__ = (
        "_for_life",
        "_rules",
        "_zones_by_name",
        "calendars",
        "country_zones",
        "groups",
        "history_ms",
        "pair_numbers",
        "places",
        "plans",
        "recipient_zone",
        "regions",
        "rule_table",
        "specification",
        "vocabulary",
        "zones",
    )

    def __init__(self, specification: PolicySpecification) -> None:
        self.specification = specification
        self.zones = specification.zones
        self._zones_by_name: dict[str, Zones] = {name: (zone,) for name, zone in self.zones.items()}
        self.calendars = specification.calendars
        self.regions = {key: self._distinct(names) for key, names in specification.regions.items()}
        self.country_zones = {key: self._distinct(names) for key, names in specification.country_zones.items()}
        zone = specification.recipient_zone
        self.recipient_zone: ZoneTable | None = None if zone is None else self.zones[zone]
        self.places = Places(specification)
        self.vocabulary = Vocabulary(specification.channels, specification.purposes, specification.other_names)
        self.groups = {channel: group or channel for channel, group in specification.channels.items()}
        self.history_ms = max(specification.history_ms, *(rule.reach_ms for rule in specification.rules), 0)
        vocabulary = [(channel, purpose) for channel in specification.channels for purpose in specification.purposes]
        self.pair_numbers = {pair: number for number, pair in enumerate(vocabulary)}
        rules = _compiled_rules(specification, self.groups, vocabulary)
        self._rules = rules
        self._for_life = tuple(rule.counting for rule in rules if isinstance(rule, LifetimeCapRule))
        self.rule_table: tuple[str, ...] = (*BUILT_IN, *(rule.rule_id for rule in rules))
        in_order = tuple(sorted(rules, key=lambda rule: KINDS.index(kind_of(rule.specification))))
        self.plans: dict[tuple[str, str], Plan] = {
            (channel, purpose): self._plan(in_order, channel, purpose) for channel, purpose in vocabulary
        }

    def rule(self, number: int) -> Rule | None:
        """The rule of that number in the rule table, or None if it is a built-in check."""
        return None if number < len(BUILT_IN) else self._rules[number - len(BUILT_IN)]

    def zone_by_name(self, name: str) -> Zones:
        """The zone of that name, or nothing if there is none."""
        return self._zones_by_name.get(name, ())

    def purpose_of(self, intent: Intent) -> str:
        """The intent's purpose, or the one the policy takes for granted."""
        return self.specification.default_purpose if intent.purpose is None else intent.purpose

    def prune(self, ledger: Ledger, now: int) -> Ledger:
        """The ledger without what this policy's horizons have passed. Changes no decision."""
        return pruned(
            ledger,
            now=now,
            history_ms=self.history_ms,
            identities_ms=self.specification.identities_ms,
            counts_for_life=self._counts_for_life,
        )

    def _counts_for_life(self, label_set: LabelSet) -> bool:
        """Whether a lifetime cap counts contacts of the label set, so that they must be counted beyond the history."""
        return any(counting.selects(label_set) for counting in self._for_life)

    def _distinct(self, names: tuple[str, ...]) -> Zones:
        """One zone for each clock among the names: the first by name."""
        seen: dict[tuple[tuple[int, ...], tuple[int, ...]], ZoneTable] = {}
        for name in sorted(names):
            zone = self.zones[name]
            seen.setdefault((zone.starts_ms, zone.offsets_ms), zone)
        return tuple(seen.values())

    def _plan(self, rules: tuple[Rule, ...], channel: str, purpose: str) -> Plan:
        exempted = exemption(purpose, self.specification.rules)
        asked = []
        for rule in rules:
            if rule.specification.state == "off":
                continue
            may_apply, left = condition(rule.specification, channel, self.groups[channel], purpose)
            if may_apply:
                asked.append(Asked(rule, left, rule.kind in exempted.kinds))
        flags = 0 if exempted.counts else UNCOUNTED
        if "opt_out" in exempted.kinds:
            flags |= OPT_OUT_EXEMPT
        obligations = []
        for obligation in self.specification.obligations:
            carrier = RuleSpecification(
                rule_id=obligation.obligation_id, applies_to=obligation.applies_to, country_unknown="apply"
            )
            may_apply, left = condition(carrier, channel, self.groups[channel], purpose)
            if may_apply:
                obligations.append((obligation.obligation_id, left))
        checks_passed = tuple((number, PASSED) for number in range(len(BUILT_IN)))
        pair = self.pair_numbers[channel, purpose]
        return Plan(channel, purpose, pair, tuple(asked), tuple(obligations), flags, checks_passed)


def compile_policy(specification: PolicySpecification) -> Policy:
    """The policy, ready to decide."""
    return Policy(specification)


def _compiled_rules(
    specification: PolicySpecification, groups: dict[str, str], vocabulary: list[tuple[str, str]]
) -> tuple[Rule, ...]:
    """Every rule that is asked, as the rule table has them, numbered on from the built-in checks."""
    compilation = Compilation(specification.zones, specification.zone, specification.calendars, groups, vocabulary)
    always = [kind.always for kind in KINDS if kind.always is not None]
    written = sorted(specification.rules, key=lambda rule: KINDS.index(kind_of(rule)))
    rules: list[Rule] = []
    for rule in (*always, *written):
        kind = kind_of(rule)
        if kind.compile is not None:
            rules.append(kind.compile(len(BUILT_IN) + len(rules), rule, compilation))
    return tuple(rules)

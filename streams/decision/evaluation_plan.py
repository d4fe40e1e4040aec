"""What is settled before a ledger is looked at: in a request (a static plan), and in it at one moment (a timed plan).

Rules of this module
1. The order of a plan is kept: a static plan has one place in the explanation for every rule that applies.
2. Static plan and timed plan depend on the policy, the request and the moment alone, so keeping them changes no
   answer. It spares asking the same of every intent of a batch, all of which are decided at one moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.decision.answer import Answer, denial
from streams.decision.decision import Entry
from streams.decision.reasons import EXEMPT, PASSED
from streams.decision.request_context import RequestContext
from streams.decision.rules.rule import Rule, Step
from streams.decision.selection import COUNTRY_UNKNOWN, NO, YES, Condition

# Behind every place there is.
NOWHERE: Final = 1 << 30
_COUNTRY_UNKNOWN: Final[Answer] = denial("country_unknown")


@dataclass(frozen=True, slots=True)
class Asked:
    """A rule in a plan: what is left to ask of the intent, and whether its purpose is exempt from it."""

    rule: Rule
    condition: Condition | None
    is_exempt: bool


@dataclass(frozen=True, slots=True)
class PlanRules:
    """What intents of one channel and purpose are asked: the rules that can apply, in their order; the obligations an
    approval names, each with what is left to ask of the intent; the flags of the contacts; and the explanation of an
    intent that has passed the built-in checks.
    """

    asked: tuple[Asked, ...]
    obligations: tuple[tuple[str, Condition | None], ...]
    contact_flags: int
    checks_passed: tuple[Entry, ...]


class StaticPlan:
    """What intents in one request are asked at any moment, and what of it is settled whatever the moment."""

    __slots__ = (
        "binding",
        "contact_flags",
        "denials",
        "entries",
        "is_country_missing",
        "obligations",
        "request",
        "steps",
        "timed",
        "zone_label",
    )

    def __init__(self, rules: PlanRules, request: RequestContext, moment_ms: int) -> None:
        self.request = request
        self.obligations = tuple(
            [name for name, condition in rules.obligations if condition is None or condition.holds(request)]
        )
        # The explanation with what is settled; what a timed plan or a step finds out comes into its place.
        self.entries: list[Entry] = list(rules.checks_passed)
        self.steps: list[Step] = []
        # Places of the rules whose answers or limits depend on the moment.
        self.timed: list[tuple[int, Rule]] = []
        # The rules in force, in their order, and those of them that deny at every moment, with place and reason.
        self.binding: list[Rule] = []
        self.denials: list[tuple[int, int, Rule]] = []
        self.is_country_missing = False
        self.contact_flags = rules.contact_flags
        self.zone_label: tuple[str, ...] | None = None
        for asked in rules.asked:
            rule = asked.rule
            holds = YES if asked.condition is None else asked.condition.holds(request)
            if holds == NO:
                continue
            if asked.is_exempt:
                self.entries.append((rule.number, EXEMPT))
                continue
            if not rule.is_shadow:
                self.binding.append(rule)
                self.contact_flags |= rule.contact_flags
            if holds == COUNTRY_UNKNOWN:
                self.is_country_missing = self.is_country_missing or not rule.is_shadow
                self._settle(rule, _COUNTRY_UNKNOWN)
            elif rule.is_timed:
                self.timed.append((len(self.entries), rule))
                self.entries.append((rule.number, PASSED))
            else:
                self._ask(rule, moment_ms)
            if rule.asks_zones and holds == YES:
                self.zone_label = request.zone_label

    def _ask(self, rule: Rule, moment_ms: int) -> None:
        """Ask a rule to which one moment is like another."""
        settled = rule.settle(len(self.entries), self.request, moment_ms)
        if isinstance(settled, Step):
            self.steps.append(settled)
            self.entries.append((rule.number, PASSED))
        else:
            self._settle(rule, settled)

    def _settle(self, rule: Rule, answer: Answer) -> None:
        if answer[0] != PASSED and not rule.is_shadow:
            self.denials.append((len(self.entries), answer[0], rule))
        self.entries.append((rule.number, answer[0], *answer[2]))


class TimedPlan:
    """What intents in one request are asked at one moment, and what they need not be asked any more."""

    __slots__ = ("denied_at", "denying", "entries", "reason", "static_plan", "steps", "valid_until_ms")

    def __init__(self, static_plan: StaticPlan, moment_ms: int, valid_until_ms: int) -> None:
        self.static_plan = static_plan
        self.entries = static_plan.entries
        self.steps = static_plan.steps
        self.valid_until_ms = valid_until_ms
        # The rules in force that deny whatever the ledger says; the first place of such a denial, and its reason.
        self.denying: list[Rule] = []
        self.denied_at = NOWHERE
        self.reason = PASSED
        for place, reason, rule in static_plan.denials:
            self._deny(place, reason, rule)
        if static_plan.timed:
            self.entries = static_plan.entries.copy()
            self.steps = static_plan.steps.copy()
            for place, rule in static_plan.timed:
                self._ask(place, rule, moment_ms)
            self.steps.sort(key=_place_of)

    def _ask(self, place: int, rule: Rule, moment_ms: int) -> None:
        settled = rule.settle(place, self.static_plan.request, moment_ms)
        if isinstance(settled, Step):
            self.steps.append(settled)
        else:
            self._settle(place, rule, settled)

    def _settle(self, place: int, rule: Rule, answer: Answer) -> None:
        reason, end_ms, numbers = answer
        self.entries[place] = (rule.number, reason, *numbers)
        if rule.is_shadow:
            return
        if reason != PASSED:
            self._deny(place, reason, rule)
        elif end_ms <= self.valid_until_ms:
            self.valid_until_ms = end_ms - 1

    def _deny(self, place: int, reason: int, rule: Rule) -> None:
        self.denying.append(rule)
        if place < self.denied_at:
            self.denied_at, self.reason = place, reason


def _place_of(step: Step) -> int:
    return step.place

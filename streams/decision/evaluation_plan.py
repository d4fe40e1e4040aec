"""What is settled before a ledger is looked at: in a request (a static plan), and in it at one moment (a timed plan).

Rules of this module
1. The order of a plan is kept: a static plan has one place in the explanation for every rule that applies.
2. Static plan and timed plan depend on the policy, the request and the moment alone, so keeping them changes no
   answer. It spares asking the same of every intent of a batch, all of which are decided at one moment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from streams.decision.decision import Entry
from streams.decision.ledger.state import NEEDED_CONSENT, UNCOUNTED
from streams.decision.reasons import EXEMPT, PASSED, REASON_NUMBERS
from streams.decision.rules.cap import CapRule
from streams.decision.rules.consent import CONSENT
from streams.decision.rules.rule import PASS, Answer, ContextRule, CountingRule, Limit, PreferenceRule, Rule, denial
from streams.decision.selection import COUNTRY_UNKNOWN, NO, YES
from streams.decision.tables import NEVER

if TYPE_CHECKING:
    from streams.decision.evaluation_context import EvaluationContext
    from streams.decision.plan import Plan
    from streams.decision.request_context import RequestContext

# Behind every place there is.
NOWHERE: Final = 1 << 30
_COUNTRY_UNKNOWN: Final[Answer] = denial("country_unknown")
_CLOSING: Final = REASON_NUMBERS["closing"]


class Step(ABC):
    """A rule left to ask, and its place in the explanation. `room`: of a cap in force, how many contacts it leaves room
    for beside those it counts, once the intent itself is approved.
    """

    __slots__ = ("place", "room", "rule")

    def __init__(self, place: int, rule: Rule, room: int | None) -> None:
        self.place = place
        self.rule = rule
        self.room = room

    @abstractmethod
    def answer(self, context: EvaluationContext, moment_ms: int) -> Answer:
        """The rule's answer."""


class PreferenceStep(Step):
    """To ask what the customer said."""

    __slots__ = ("_hearing",)

    def __init__(self, place: int, rule: PreferenceRule) -> None:
        super().__init__(place, rule, None)
        self._hearing = rule

    def answer(self, context: EvaluationContext, moment_ms: int) -> Answer:
        """The rule's own."""
        return self._hearing.ask(context, moment_ms)


class CountingStep(Step):
    """To count."""

    __slots__ = ("_counting", "_limits", "_reason")

    def __init__(self, place: int, rule: CountingRule, room: int | None, limits: list[Limit]) -> None:
        super().__init__(place, rule, room)
        self._counting = rule.counting
        self._reason = rule.reason
        self._limits = limits

    def answer(self, context: EvaluationContext, moment_ms: int) -> Answer:
        """A denial by the first limit that is reached, else by the first that is closing, else a pass for as long as
        all of them last, with the numbers of the first.
        """
        counting = self._counting
        passed: Answer | None = None
        closing: Answer | None = None
        for limit in self._limits:
            count = (
                counting.count_ever(context)
                if limit.is_ever
                else counting.count_after(context, moment_ms - limit.back_ms)
            )
            numbers = (count,) + limit.numbers  # noqa: RUF005 - unpacking would build a list first
            if count >= limit.most:
                return self._reason, NEVER, numbers
            if limit.is_closing and closing is None:
                closing = _CLOSING, NEVER, numbers
            passed = (PASSED, limit.end_ms, numbers) if passed is None else _shorter(passed, limit.end_ms)
        return closing or passed or PASS


def _shorter(passed: Answer, end_ms: int) -> Answer:
    """The same pass, until then at most."""
    return PASSED, min(passed[1], end_ms), passed[2]


class StaticPlan:
    """What intents in one request are asked at any moment, and what of it is settled whatever the moment."""

    __slots__ = (
        "binding",
        "contact_flags",
        "denials",
        "entries",
        "is_country_missing",
        "obligations",
        "plan",
        "request",
        "steps",
        "timed",
        "zone_label",
    )

    def __init__(self, plan: Plan, request: RequestContext, moment_ms: int) -> None:
        self.plan = plan
        self.request = request
        self.obligations = tuple(
            [name for name, condition in plan.obligations if condition is None or condition.holds(request)]
        )
        # The explanation with what is settled; what a timed plan or a step finds out comes into its place.
        self.entries: list[Entry] = list(plan.checks_passed)
        self.steps: list[Step] = []
        # Places of the rules whose answers or limits depend on the moment.
        self.timed: list[tuple[int, Rule]] = []
        # The rules in force, in their order, and those of them that deny at every moment, with place and reason.
        self.binding: list[Rule] = []
        self.denials: list[tuple[int, int, Rule]] = []
        self.is_country_missing = False
        self.contact_flags = plan.contact_flags
        self.zone_label: tuple[str, ...] | None = None
        for asked in plan.asked:
            rule = asked.rule
            holds = YES if asked.condition is None else asked.condition.holds(request)
            if holds == NO:
                continue
            if asked.is_exempt:
                self.entries.append((rule.number, EXEMPT))
                continue
            if not rule.is_shadow:
                self.binding.append(rule)
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
        if isinstance(rule, ContextRule):
            self._settle(rule, rule.answer(self.request, moment_ms))
            return
        place = len(self.entries)
        self.entries.append((rule.number, PASSED))
        if isinstance(rule, PreferenceRule):
            if rule.kind == CONSENT and not rule.is_shadow:
                self.contact_flags |= NEEDED_CONSENT
            self.steps.append(PreferenceStep(place, rule))
        else:
            assert isinstance(rule, CountingRule)
            limits = rule.limits(self.request, moment_ms)
            assert isinstance(limits, list), "only an unknown zone leaves nothing to count"
            self.steps.append(CountingStep(place, rule, self.room(rule), limits))

    def _settle(self, rule: Rule, answer: Answer) -> None:
        if answer[0] != PASSED and not rule.is_shadow:
            self.denials.append((len(self.entries), answer[0], rule))
        self.entries.append((rule.number, answer[0], *answer[2]))

    def room(self, rule: CountingRule) -> int | None:
        """How many contacts a cap in force leaves room for beside those counted, once the intent is approved."""
        if not isinstance(rule, CapRule) or rule.is_shadow:
            return None
        is_counted = not self.plan.contact_flags & UNCOUNTED
        return rule.limit - (
            1 if is_counted and rule.counting.counts_own(self.plan.pair, self.request.label_set) else 0
        )


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
        request = self.static_plan.request
        if isinstance(rule, ContextRule):
            self._settle(place, rule, rule.answer(request, moment_ms))
            return
        assert isinstance(rule, CountingRule), "what customers said is no matter of the moment alone"
        limits = rule.limits(request, moment_ms)
        if isinstance(limits, tuple):
            self._settle(place, rule, limits)
        else:
            self.steps.append(CountingStep(place, rule, self.static_plan.room(rule), limits))

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

"""An agenda: for one situation at one moment, what is settled already and what is left to ask of a ledger.

Rules of this module
1. The order of a plan is kept: an agenda has one place in the explanation for every rule that applies.
2. An agenda depends on the policy, the situation and the moment alone, so keeping it changes no answer: it spares
   asking the same of every intent of a batch, all of which are decided at one moment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from streams.decision.decision import Entry
from streams.decision.ledger import NEEDED_CONSENT, UNCOUNTED
from streams.decision.reasons import EXEMPT, PASSED, REASON_NUMBERS
from streams.decision.rules.cap import CapRule
from streams.decision.rules.consent import CONSENT
from streams.decision.rules.rule import PASS, Answer, HearingRule, Limit, LimitingRule, Rule, SettledRule, denial
from streams.decision.selection import COUNTRY_UNKNOWN, NO, YES
from streams.decision.tables import NEVER

if TYPE_CHECKING:
    from streams.decision.plan import Plan
    from streams.decision.question import Question
    from streams.decision.situation import Situation

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
    def answer(self, question: Question, moment_ms: int) -> Answer:
        """The rule's answer, the moment being the agenda's."""


class HearingStep(Step):
    """To ask what the customer said."""

    __slots__ = ("_hearing",)

    def __init__(self, place: int, rule: HearingRule) -> None:
        super().__init__(place, rule, None)
        self._hearing = rule

    def answer(self, question: Question, moment_ms: int) -> Answer:
        """The rule's own."""
        return self._hearing.ask(question, moment_ms)


class LimitingStep(Step):
    """To count."""

    __slots__ = ("_counting", "_limits", "_reason")

    def __init__(self, place: int, rule: LimitingRule, room: int | None, limits: list[Limit]) -> None:
        super().__init__(place, rule, room)
        self._counting = rule.counting
        self._reason = rule.reason
        self._limits = limits

    def answer(self, question: Question, moment_ms: int) -> Answer:  # noqa: ARG002 - the limits are of the moment
        """A denial by the first limit that is reached, else by the first that is closing, else a pass for as long as
        all of them last, with the numbers of the first.
        """
        counting = self._counting
        passed: Answer | None = None
        closing: Answer | None = None
        for limit in self._limits:
            count = counting.count_ever(question) if limit.is_ever else counting.count_after(question, limit.after_ms)
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


class Agenda:
    """What intents in one situation are asked at one moment, and what they need not be asked any more."""

    __slots__ = (
        "binding",
        "contact_flags",
        "denied_at",
        "denying",
        "entries",
        "is_country_missing",
        "obligations",
        "reason",
        "situation",
        "steps",
        "valid_until_ms",
        "zone_label",
    )

    def __init__(self, plan: Plan, situation: Situation, moment_ms: int, valid_until_ms: int) -> None:
        self.situation = situation
        self.obligations = tuple(
            [name for name, condition in plan.obligations if condition is None or condition.holds(situation)]
        )
        # The explanation with everything that is settled; what a step finds out comes into its place.
        self.entries: list[Entry] = list(plan.checks_passed)
        self.steps: list[Step] = []
        # The rules in force, in their order, and those of them that deny whatever the ledger says.
        self.binding: list[Rule] = []
        self.denying: list[Rule] = []
        # The first place of such a denial, and its reason.
        self.denied_at = NOWHERE
        self.reason = PASSED
        self.is_country_missing = False
        self.contact_flags = plan.contact_flags
        self.valid_until_ms = valid_until_ms
        self.zone_label: tuple[str, str] | None = None
        for asked in plan.asked:
            holds = YES if asked.condition is None else asked.condition.holds(situation)
            if holds == NO:
                continue
            if asked.is_exempt:
                self.entries.append((asked.rule.number, EXEMPT))
                continue
            if not asked.rule.is_shadow:
                self.binding.append(asked.rule)
            if holds == COUNTRY_UNKNOWN:
                self.is_country_missing = self.is_country_missing or not asked.rule.is_shadow
                self._settle(asked.rule, _COUNTRY_UNKNOWN)
            else:
                self._ask(plan, asked.rule, moment_ms)

    def _ask(self, plan: Plan, rule: Rule, moment_ms: int) -> None:
        if rule.asks_zones:
            self.zone_label = self.situation.zone_label
        if isinstance(rule, SettledRule):
            self._settle(rule, rule.answer(self.situation, moment_ms))
        elif isinstance(rule, LimitingRule):
            limits = rule.limits(self.situation, moment_ms)
            if isinstance(limits, tuple):
                self._settle(rule, limits)
            else:
                self._leave(plan, rule, limits)
        elif isinstance(rule, HearingRule):
            if rule.kind == CONSENT and not rule.is_shadow:
                self.contact_flags |= NEEDED_CONSENT
            self.steps.append(HearingStep(len(self.entries), rule))
            self.entries.append((rule.number, PASSED))

    def _settle(self, rule: Rule, answer: Answer) -> None:
        reason, end_ms, numbers = answer
        if not rule.is_shadow:
            if reason != PASSED:
                self.denying.append(rule)
                if self.denied_at == NOWHERE:
                    self.denied_at, self.reason = len(self.entries), reason
            elif end_ms <= self.valid_until_ms:
                self.valid_until_ms = end_ms - 1
        self.entries.append((rule.number, reason, *numbers))

    def _leave(self, plan: Plan, rule: LimitingRule, limits: list[Limit]) -> None:
        counting, room = rule.counting, None
        if isinstance(rule, CapRule) and not rule.is_shadow:
            is_counted = not plan.contact_flags & UNCOUNTED
            room = rule.limit - (1 if is_counted and counting.counts_own(plan.pair, self.situation.tag) else 0)
        self.steps.append(LimitingStep(len(self.entries), rule, room, limits))
        self.entries.append((rule.number, PASSED))

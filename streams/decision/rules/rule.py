"""What every kind of rule has in common.

Rules of this module
1. A rule answers two questions and remembers nothing: may this be sent at a moment, and when is the first moment from
   which it may. The second is exact: one millisecond earlier the first says no.
2. There are three families of rules by what the first answer rests on: the request and the moment alone
   (`ContextRule`), how many contacts were counted (`CountingRule`), or what the customer said (`PreferenceRule`). What
   the first two need of request and moment is worked out once for all intents alike: `settle` gives the answer where
   nothing is left to ask, else the step that is (`evaluation_plan.py`).
3. What a plan or a policy must know of a rule, the rule says here: nobody asks of which kind it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

from streams.decision.answer import PASS, Answer
from streams.decision.counting import Counting
from streams.decision.evaluation_context import EvaluationContext
from streams.decision.reasons import PASSED, REASON_NUMBERS
from streams.decision.request_context import RequestContext
from streams.decision.specification import RuleSpecification, Selector
from streams.decision.tables import NEVER

_CLOSING: Final = REASON_NUMBERS["closing"]


class Rule(ABC):
    """A compiled rule. `number` is its place in the policy's rule table."""

    kind: ClassVar[str]
    # What is noted on the contact of an approval that such a rule was asked for.
    contact_flags: ClassVar[int] = 0
    __slots__ = ("asks_zones", "is_shadow", "is_timed", "number", "rule_id", "specification")

    def __init__(self, number: int, specification: RuleSpecification) -> None:
        self.number = number
        self.rule_id = specification.rule_id
        self.is_shadow = specification.state == "shadow"
        self.specification = specification
        # Whether it looks at the recipient's zones.
        self.asks_zones = False
        # Whether what `settle` says changes with the moment.
        self.is_timed = False

    @abstractmethod
    def settle(self, place: int, request: RequestContext, moment_ms: int) -> Answer | Step:
        """The answer to intents in this request at the moment, or what is to be asked of each, at its place in the
        explanation.
        """

    @abstractmethod
    def earliest(self, context: EvaluationContext, moment_ms: int) -> int | None:
        """The first moment ≥ `moment_ms` at which the rule passes, the ledger being as it is; None if there is none."""

    def selectors(self) -> list[Selector]:
        """What names the words that the rule tells apart, beside the intents it applies to."""
        return []

    def senders(self) -> frozenset[str] | None:
        """The senders that the rule tells apart from others and from none; None: it does not look at the sender."""
        return None

    def counts_for_life(self) -> Counting | None:
        """What the rule counts beyond the history, if it does."""
        return None


class Step(ABC):
    """A rule left to ask, and its place in the explanation.

    `room`: where an approval says how much the rule leaves, how many contacts it leaves room for beside those it counts
    (the first number of its answer), once the intent itself is approved; else None.
    """

    __slots__ = ("place", "room", "rule")

    def __init__(self, place: int, rule: Rule, room: int | None) -> None:
        self.place = place
        self.rule = rule
        self.room = room

    @abstractmethod
    def answer(self, context: EvaluationContext, moment_ms: int) -> Answer:
        """The rule's answer."""


class ContextRule(Rule):
    """A rule whose answer rests on the request and the moment."""

    __slots__ = ()

    def settle(self, place: int, request: RequestContext, moment_ms: int) -> Answer | Step:  # noqa: ARG002
        """The answer."""
        return self.answer(request, moment_ms)

    @abstractmethod
    def answer(self, request: RequestContext, moment_ms: int) -> Answer:
        """May an intent in this request be sent at the moment, as far as this rule goes?"""


class PreferenceRule(Rule):
    """A rule whose answer rests on what the customer said."""

    __slots__ = ()

    def settle(self, place: int, request: RequestContext, moment_ms: int) -> Answer | Step:  # noqa: ARG002
        """The step."""
        return PreferenceStep(place, self)

    @abstractmethod
    def ask(self, context: EvaluationContext, moment_ms: int) -> Answer:
        """May the intent be sent at the moment, as far as this rule goes?"""


class PreferenceStep(Step):
    """To ask what the customer said."""

    __slots__ = ("_asked",)

    def __init__(self, place: int, rule: PreferenceRule) -> None:
        super().__init__(place, rule, None)
        self._asked = rule

    def answer(self, context: EvaluationContext, moment_ms: int) -> Answer:
        """The rule's own."""
        return self._asked.ask(context, moment_ms)


@dataclass(frozen=True, slots=True)
class Limit:
    """Fewer than `most` counted contacts whose latest moment lies less than `back_ms` back, or ever."""

    most: int
    back_ms: int
    is_ever: bool = False
    # What the explanation says behind the count.
    numbers: tuple[int, ...] = ()
    # Until when a pass holds.
    end_ms: int = NEVER
    # Whether that is too soon for a pass.
    is_closing: bool = False


class CountingRule(Rule):
    """A rule that counts contacts. `reason` is the number of what it says when there are too many."""

    __slots__ = ("counting", "reason")

    def __init__(self, number: int, specification: RuleSpecification, counting: Counting, reason: str) -> None:
        super().__init__(number, specification)
        self.counting = counting
        self.reason = REASON_NUMBERS[reason]

    def settle(self, place: int, request: RequestContext, moment_ms: int) -> Answer | Step:
        """The step, if there is anything to count."""
        limits = self.limits(request, moment_ms)
        if isinstance(limits, tuple):
            return limits
        return CountingStep(place, self, None if self.is_shadow else self.room(request), limits)

    @abstractmethod
    def limits(self, request: RequestContext, moment_ms: int) -> Answer | list[Limit]:
        """The limits an intent in this request has to keep at the moment, one or more, all with a count in the
        explanation; or the answer, where there is nothing to count.
        """

    def room(self, request: RequestContext) -> int | None:  # noqa: ARG002 - of rules that have some
        """How many contacts it leaves room for beside those counted, once an intent in this request is approved; None
        if approvals do not say so.
        """
        return None

    def selectors(self) -> list[Selector]:
        """What names the words of the contacts it counts."""
        return self.counting.selectors()


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

"""What every kind of rule has in common.

Rules of this module
1. A rule answers two questions and remembers nothing: may this be sent at a moment, and when is the first moment from
   which it may. The second is exact: one millisecond earlier the first says no.
2. There are three kinds of rule by what the first answer rests on: the request and the moment alone (settled), how
   many contacts were counted (limiting), or what the customer said (hearing). What the first two need of request and
   moment is worked out once for all intents alike (`timed_plan.py`).
3. An answer is a plain tuple: the reason's number (0 = passed), the moment at which a pass ends (or NEVER), and the
   numbers of the explanation, relative to the moment (docs/semantics.md, 7).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

from streams.decision.counting import Counting
from streams.decision.evaluation_context import EvaluationContext
from streams.decision.reasons import PASSED, REASON_NUMBERS
from streams.decision.request_context import RequestContext
from streams.decision.specification import RuleSpecification
from streams.decision.tables import NEVER

Answer = tuple[int, int, tuple[int, ...]]

PASS: Final[Answer] = (PASSED, NEVER, ())

# Nothing is approved that its gateway could not reach in time.
VALIDITY_MIN_MS: Final = 2_000
# A later promise would rest on calendars nobody has published.
NEXT_ELIGIBLE_HORIZON_MS: Final = 366 * 86_400_000


def too_short(end_ms: int, moment_ms: int) -> bool:
    """Whether what ends at `end_ms` (exclusive) leaves less than the minimal validity at the moment."""
    return end_ms - 1 - moment_ms < VALIDITY_MIN_MS


def denial(reason: str, *numbers: int) -> Answer:
    """A denial with its reason."""
    return REASON_NUMBERS[reason], NEVER, numbers


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


class Rule(ABC):
    """A compiled rule. `number` is its place in the policy's rule table."""

    kind: ClassVar[str]
    __slots__ = ("asks_zones", "is_shadow", "is_timed", "number", "rule_id", "specification")

    def __init__(self, number: int, specification: RuleSpecification) -> None:
        self.number = number
        self.rule_id = specification.rule_id
        self.is_shadow = specification.state == "shadow"
        self.specification = specification
        # Whether it looks at the recipient's zones.
        self.asks_zones = False
        # Whether its answer or its limits change with the moment, the ledger being as it is.
        self.is_timed = False

    @abstractmethod
    def earliest(self, context: EvaluationContext, moment_ms: int) -> int | None:
        """The first moment ≥ `moment_ms` at which the rule passes, the ledger being as it is; None if there is none."""


class ContextRule(Rule):
    """A rule whose answer rests on the request and the moment."""

    __slots__ = ()

    @abstractmethod
    def answer(self, request: RequestContext, moment_ms: int) -> Answer:
        """May an intent in this request be sent at the moment, as far as this rule goes?"""


class CountingRule(Rule):
    """A rule that counts contacts. `reason` is the number of what it says when there are too many."""

    __slots__ = ("counting", "reason")

    def __init__(self, number: int, specification: RuleSpecification, counting: Counting, reason: str) -> None:
        super().__init__(number, specification)
        self.counting = counting
        self.reason = REASON_NUMBERS[reason]

    @abstractmethod
    def limits(self, request: RequestContext, moment_ms: int) -> Answer | list[Limit]:
        """The limits an intent in this request has to keep at the moment, one or more, all with a count in the
        explanation; or the answer, where there is nothing to count.
        """


class PreferenceRule(Rule):
    """A rule whose answer rests on what the customer said."""

    __slots__ = ()

    @abstractmethod
    def ask(self, context: EvaluationContext, moment_ms: int) -> Answer:
        """May the intent be sent at the moment, as far as this rule goes?"""

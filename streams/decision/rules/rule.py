"""What every kind of rule has in common.

Rules of this module
1. A rule answers two questions and remembers nothing: may this be sent at a moment, and when is the first moment from
   which it may. The second is exact: one millisecond earlier the first says no.
2. An answer is a plain tuple: the reason's number (0 = passed), the moment at which a pass ends (or NEVER), and the
   numbers of the explanation, relative to the moment (docs/semantics.md, 7).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final

from streams.decision.question import Question
from streams.decision.reasons import PASSED, REASON_NUMBERS
from streams.decision.specification import RuleSpecification
from streams.decision.tables import NEVER

Answer = tuple[int, int, tuple[int | None, ...]]

PASS: Final[Answer] = (PASSED, NEVER, ())

# Nothing is approved that its gateway could not reach in time.
VALIDITY_MIN_MS: Final = 2_000
# A later promise would rest on calendars nobody has published.
NEXT_ELIGIBLE_HORIZON_MS: Final = 366 * 86_400_000


def too_short(end_ms: int, moment_ms: int) -> bool:
    """Whether what ends at `end_ms` (exclusive) leaves less than the minimal validity at the moment."""
    return end_ms - 1 - moment_ms < VALIDITY_MIN_MS


def denial(reason: str, *numbers: int | None) -> Answer:
    """A denial with its reason."""
    return REASON_NUMBERS[reason], NEVER, numbers


class Rule(ABC):
    """A compiled rule. `number` is its place in the policy's rule table."""

    kind: ClassVar[str]
    __slots__ = ("is_shadow", "number", "rule_id", "specification")

    def __init__(self, number: int, specification: RuleSpecification) -> None:
        self.number = number
        self.rule_id = specification.rule_id
        self.is_shadow = specification.state == "shadow"
        self.specification = specification

    @abstractmethod
    def ask(self, question: Question, moment_ms: int) -> Answer:
        """May the intent be sent at the moment, as far as this rule goes?"""

    @abstractmethod
    def earliest(self, question: Question, moment_ms: int) -> int | None:
        """The first moment ≥ `moment_ms` at which the rule passes, the ledger being as it is; None if there is none."""

    def remaining(self, answer: Answer, question: Question, *, is_counted: bool) -> int | None:  # noqa: ARG002
        """How many more contacts fit after the approval this answer led to; None of what limits no number."""
        return None

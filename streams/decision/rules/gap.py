"""A minimum time since the last contact in a scope, whatever else allows it."""

from __future__ import annotations

from streams.decision.counting import Counting
from streams.decision.question import Question
from streams.decision.reasons import PASSED
from streams.decision.rules.rule import Answer, Rule, denial
from streams.decision.specification import GapSpecification
from streams.decision.tables import NEVER


class GapRule(Rule):
    """Denies while a counted contact may lie less than `minimum_ms` back."""

    kind = "gap"
    __slots__ = ("_minimum_ms", "counting")

    def __init__(self, number: int, specification: GapSpecification, counting: Counting) -> None:
        super().__init__(number, specification)
        self._minimum_ms = specification.minimum_ms
        self.counting = counting

    def ask(self, question: Question, moment_ms: int) -> Answer:
        """Number: how many contacts lie inside the gap."""
        count = self.counting.count_after(question, moment_ms - self._minimum_ms)
        return denial("gap", count) if count else (PASSED, NEVER, (0,))

    def earliest(self, question: Question, moment_ms: int) -> int | None:
        """The end of the gap after the newest counted contact."""
        newest_ms = self.counting.greatest(question, 1)
        return moment_ms if newest_ms is None else max(moment_ms, newest_ms + self._minimum_ms)

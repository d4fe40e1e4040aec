"""A minimum time since the last contact in a scope, whatever else allows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.decision.answer import Answer
from streams.decision.counting import Counting
from streams.decision.evaluation_context import EvaluationContext
from streams.decision.request_context import RequestContext
from streams.decision.rules.kind import Compilation, Kind
from streams.decision.rules.rule import CountingRule, Limit
from streams.decision.specification import CountingSpecification


@dataclass(frozen=True, slots=True, kw_only=True)
class GapSpecification(CountingSpecification):
    """At least `minimum_ms` since the last contact in the scope."""

    minimum_ms: int

    @property
    def reach_ms(self) -> int:
        """The gap."""
        return self.minimum_ms


class GapRule(CountingRule):
    """Denies while a counted contact may lie less than `minimum_ms` back."""

    kind = "gap"
    __slots__ = ("_minimum_ms",)

    def __init__(self, number: int, specification: GapSpecification, counting: Counting) -> None:
        super().__init__(number, specification, counting, "gap")
        self._minimum_ms = specification.minimum_ms

    def limits(self, request: RequestContext, moment_ms: int) -> Answer | list[Limit]:  # noqa: ARG002 - ever the same
        """Not one contact inside the gap."""
        return [Limit(1, self._minimum_ms)]

    def earliest(self, context: EvaluationContext, moment_ms: int) -> int | None:
        """The end of the gap after the newest counted contact."""
        newest_ms = self.counting.greatest(context, 1)
        return moment_ms if newest_ms is None else max(moment_ms, newest_ms + self._minimum_ms)


def _compiled(number: int, specification: GapSpecification, compilation: Compilation) -> GapRule:
    return GapRule(number, specification, compilation.counting(specification))


KIND: Final[Kind] = Kind(GapRule.kind, GapSpecification, _compiled)

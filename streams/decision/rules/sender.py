"""Only declared senders: a number, address or agent the policy does not list on a channel sends nothing there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.decision.answer import PASS, Answer, denial
from streams.decision.evaluation_context import EvaluationContext
from streams.decision.reasons import PASSED
from streams.decision.request_context import RequestContext
from streams.decision.rules.kind import Compilation, Kind
from streams.decision.rules.rule import ContextRule
from streams.decision.specification import OnMissing, RuleSpecification


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSpecification(RuleSpecification):
    """Only declared sender ids."""

    allowed: frozenset[str]
    on_missing: OnMissing = "deny"


class SenderRule(ContextRule):
    """Passes if the intent's sender is declared."""

    kind = "sender"
    __slots__ = ("_allowed", "_when_missing")

    def __init__(self, number: int, specification: SenderSpecification) -> None:
        super().__init__(number, specification)
        self._allowed = specification.allowed
        self._when_missing = PASS if specification.on_missing == "allow" else denial("sender_missing")

    def answer(self, request: RequestContext, moment_ms: int) -> Answer:  # noqa: ARG002 - true at every moment or none
        """Passes or denies."""
        sender = request.label_set.sender
        if sender is None:
            return self._when_missing
        return PASS if sender in self._allowed else denial("sender_not_allowed")

    def earliest(self, context: EvaluationContext, moment_ms: int) -> int | None:
        """Now or never."""
        return moment_ms if self.answer(context.request, moment_ms)[0] == PASSED else None

    def senders(self) -> frozenset[str] | None:
        """Those it allows."""
        return self._allowed


def _compiled(number: int, specification: SenderSpecification, _: Compilation) -> SenderRule:
    return SenderRule(number, specification)


KIND: Final[Kind] = Kind(SenderRule.kind, SenderSpecification, _compiled)

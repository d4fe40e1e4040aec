"""Only declared senders: a number, address or agent the policy does not list on a channel sends nothing there."""

from __future__ import annotations

from streams.decision.question import Question
from streams.decision.reasons import PASSED
from streams.decision.rules.rule import PASS, Answer, Rule, denial
from streams.decision.specification import SenderSpecification


class SenderRule(Rule):
    """Passes if the intent's sender is declared."""

    kind = "sender"
    __slots__ = ("_allowed", "_when_missing")

    def __init__(self, number: int, specification: SenderSpecification) -> None:
        super().__init__(number, specification)
        self._allowed = specification.allowed
        self._when_missing = PASS if specification.on_missing == "allow" else denial("sender_missing")

    def ask(self, question: Question, moment_ms: int) -> Answer:  # noqa: ARG002 - true at every moment or none
        """Passes or denies."""
        sender = question.tag.sender
        if sender is None:
            return self._when_missing
        return PASS if sender in self._allowed else denial("sender_not_allowed")

    def earliest(self, question: Question, moment_ms: int) -> int | None:
        """Now or never."""
        return moment_ms if self.ask(question, moment_ms)[0] == PASSED else None

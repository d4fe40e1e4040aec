"""Only declared senders: a number, address or agent the policy does not list on a channel sends nothing there."""

from __future__ import annotations

from streams.decision.question import Question
from streams.decision.reasons import PASSED
from streams.decision.rules.rule import PASS, Answer, SettledRule, denial
from streams.decision.situation import Situation
from streams.decision.specification import SenderSpecification


class SenderRule(SettledRule):
    """Passes if the intent's sender is declared."""

    kind = "sender"
    __slots__ = ("_when_missing", "allowed")

    def __init__(self, number: int, specification: SenderSpecification) -> None:
        super().__init__(number, specification)
        self.allowed = specification.allowed
        self._when_missing = PASS if specification.on_missing == "allow" else denial("sender_missing")

    def answer(self, situation: Situation, moment_ms: int) -> Answer:  # noqa: ARG002 - true at every moment or none
        """Passes or denies."""
        sender = situation.tag.sender
        if sender is None:
            return self._when_missing
        return PASS if sender in self.allowed else denial("sender_not_allowed")

    def earliest(self, question: Question, moment_ms: int) -> int | None:
        """Now or never."""
        return moment_ms if self.answer(question.situation, moment_ms)[0] == PASSED else None

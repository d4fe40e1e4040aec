"""The rule that every policy has although no file contains it, in words."""

from __future__ import annotations

from streams.decision.rules.opt_out import KIND, OptOutSpecification
from streams.policy.kinds.kind import Answer, RuleKind


class OptOut(RuleKind[OptOutSpecification]):
    """No means no."""

    kind = KIND
    exempted_as = "opt-outs"
    passed_sentence = "The customer has not opted out of it."

    def sentence(self, rule: OptOutSpecification) -> str:  # noqa: ARG002 - it is always the same
        """After what nobody is contacted."""
        return (
            "Nobody is contacted after an opt-out, an objection, a pause or a restriction, or after an event that "
            "could not be read."
        )

    def answer_in_words(self, answer: Answer) -> str:
        """Numbers if it denies: since when the no stands, and until when if it ends."""
        if answer.first is None:
            return answer.sentence
        until = answer.numbers[1] if len(answer.numbers) > 1 else None
        since = f"{answer.sentence} Since {answer.moment_in_words(answer.first)}"
        return since + (f", until {answer.moment_in_words(until)}." if until is not None else ".")

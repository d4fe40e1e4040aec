"""The built-in checks in words. Every intent is asked them, whatever its policy says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.policy.kinds.kind import Answer, ExplanationWords

if TYPE_CHECKING:
    from collections.abc import Mapping


class Check(ExplanationWords):
    """A built-in check. `failed_sentence` is what is said if it failed, instead of the sentence of the reason."""

    def __init__(self, passed_sentence: str, failed_sentence: str = "") -> None:
        self.passed_sentence = passed_sentence
        self.failed_sentence = failed_sentence

    def answer_in_words(self, answer: Answer) -> str:
        """There are no numbers."""
        return answer.sentence if answer.has_passed else self.failed_sentence or answer.sentence


class Deadline(Check):
    """Whether the intent's own deadline has passed."""

    def answer_in_words(self, answer: Answer) -> str:
        """Number: the deadline."""
        if answer.first is None:
            return answer.sentence
        when = answer.moment_in_words(answer.first)
        return f"Its deadline: {when}." if answer.has_passed else f"{self.failed_sentence} That was {when}."


# By the name that the check has in explanations.
CHECKS: Final[Mapping[str, Check]] = {
    "expired:horizon": Check(
        "Recent enough for the gate to remember whether it was answered before.",
        "Created before the time from which the gate remembers what it answered.",
    ),
    "expired:erasure": Check("Not created before an erasure.", "Created before the customer asked to be erased."),
    "expired:deadline": Deadline("It has no deadline.", "Too late for its own deadline."),
    "duplicate": Check("Not answered before."),
    "vocabulary": Check("The policy knows the channel and the purpose."),
    "ledger_full": Check("There is room in the customer's ledger."),
}

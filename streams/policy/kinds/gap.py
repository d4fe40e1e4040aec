"""Gaps in the policy file and in words: at least so long since the last contact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.decision.rules.gap import KIND, GapSpecification
from streams.policy.horizons import HISTORY
from streams.policy.kinds.counting import (
    COUNTING_DEFINITIONS,
    COUNTING_FIELDS,
    advise_on_counting,
    contacts_in_words,
    counted_in_words,
    has_count,
    read_counting,
    scope_in_words,
)
from streams.policy.kinds.kind import Advice, Answer, Data, DemandingKind
from streams.policy.notation import duration_in_words, duration_text
from streams.policy.schema_parts import Schema, definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.policy.context import Context
    from streams.policy.document import Path


class Gap(DemandingKind[GapSpecification]):
    """At least `minimum` since the last contact in the scope."""

    kind = KIND
    exempted_as = "gaps"
    passed_sentence = "The last contact was long enough ago."
    description = "At least `minimum` since the last contact in the scope."
    required = ("minimum",)
    look_back_field = "minimum"

    def fields(self) -> Schema:
        """The JSON Schema of its own fields."""
        return {
            **COUNTING_FIELDS,
            "minimum": definition("duration", "Least time between two contacts, 400d at most."),
        }

    def definitions(self) -> Schema:
        """What its fields refer to."""
        return COUNTING_DEFINITIONS

    def read(self, context: Context, path: Path, data: Data, common: Data) -> GapSpecification:
        """The minimum, no longer than a history can be."""
        minimum = context.duration((*path, "minimum"), data["minimum"], HISTORY.most_ms)
        return GapSpecification(**common, **read_counting(context, path, data), minimum_ms=minimum)

    def advise_in_context(self, rule: GapSpecification, context: Context) -> Iterator[Advice]:  # noqa: ARG002 - needs none
        """Whether more is left out of the count than the exception says."""
        yield from advise_on_counting(rule)

    def condition(self, rule: GapSpecification) -> str:
        """How long since which contact."""
        least = duration_text(rule.minimum_ms)
        return f"at least {least} since the last contact{scope_in_words(rule)}{counted_in_words(rule)}"

    def limit_in_words(self, rule: GapSpecification) -> tuple[int | None, str]:
        """One contact is too many within the minimum."""
        return 1, duration_in_words(rule.minimum_ms)

    def answer_in_words(self, answer: Answer) -> str:
        """Number: how many contacts there are within the minimum."""
        if not has_count(answer):
            return answer.sentence
        window = f"the last {answer.window}" if answer.window else "the required time"
        return f"{contacts_in_words(answer.first)} in {window}." if answer.first else f"No contact in {window}."

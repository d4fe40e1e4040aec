"""Consent in the policy file and in words: nothing without a consent that covers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.decision.rules.consent import KIND, ConsentSpecification
from streams.decision.tables import DAY_MS
from streams.policy.kinds.kind import Answer, Data, DemandingKind
from streams.policy.notation import duration_text
from streams.policy.phrases import or_if
from streams.policy.schema_parts import Schema, definition

if TYPE_CHECKING:
    from streams.policy.context import Context
    from streams.policy.document import Path

# No law that was read lets a consent last longer than it was given for. More than ten years is a typing error.
CONSENT_AGE_MAX_MS: Final = 3_650 * DAY_MS


class Consent(DemandingKind[ConsentSpecification]):
    """A consent that covers the intent is required."""

    kind = KIND
    exempted_as = "consent rules"
    passed_sentence = "There is a consent."
    description = "A consent that covers the intent is required."
    required = ()

    def fields(self) -> Schema:
        """The JSON Schema of its own fields."""
        return {
            "evidence": {
                "enum": ["required", "optional"],
                "description": "required (default): only consents with an evidence_ref count; optional.",
            },
            "max_age": definition("duration", "A consent older than this has expired, 3650d at most."),
            "on_missing": definition("on_missing_two"),
        }

    def read(self, context: Context, path: Path, data: Data, common: Data) -> ConsentSpecification:
        """Evidence and age."""
        fields: Data = {"evidence_required": data.get("evidence", "required") == "required"}
        if "max_age" in data:
            fields["max_age_ms"] = context.duration((*path, "max_age"), data["max_age"], CONSENT_AGE_MAX_MS)
        if "on_missing" in data:
            fields["on_missing"] = data["on_missing"]
        return ConsentSpecification(**common, **fields)

    def condition(self, rule: ConsentSpecification) -> str:
        """Which consent."""
        proof = " with evidence" if rule.evidence_required else ""
        age = f", not older than {duration_text(rule.max_age_ms)}" if rule.max_age_ms is not None else ""
        return f"only with consent{proof}{age}{or_if(rule.on_missing, 'no consent is known')}"

    def answer_in_words(self, answer: Answer) -> str:
        """Number: when the consent ends."""
        if answer.first is None:
            return answer.sentence
        return f"There is a consent, which ends {answer.moment_in_words(answer.first)}."

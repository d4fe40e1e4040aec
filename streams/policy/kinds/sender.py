"""Senders in the policy file and in words: only declared sender ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.decision.rules.sender import KIND, SenderSpecification
from streams.policy.kinds.kind import Data, DemandingKind
from streams.policy.phrases import any_of, or_if
from streams.policy.schema_parts import Schema, definition, texts

if TYPE_CHECKING:
    from streams.policy.context import Context
    from streams.policy.document import Path


class Sender(DemandingKind[SenderSpecification]):
    """Only sender ids that the rule names."""

    kind = KIND
    exempted_as = "sender rules"
    passed_sentence = "The policy allows the sender."
    description = "Only declared sender ids."
    required = ("allowed",)

    def fields(self) -> Schema:
        """The JSON Schema of its own fields."""
        return {
            "allowed": texts("Sender ids that may be used."),
            "on_missing": definition("on_missing_two"),
        }

    def read(self, context: Context, path: Path, data: Data, common: Data) -> SenderSpecification:  # noqa: ARG002 - no references
        """The sender ids, as intents name them."""
        fields: Data = {"on_missing": data["on_missing"]} if "on_missing" in data else {}
        return SenderSpecification(**common, **fields, allowed=frozenset(data["allowed"]))

    def condition(self, rule: SenderSpecification) -> str:
        """Which senders."""
        return f"only from {any_of(rule.allowed)}{or_if(rule.on_missing, 'no sender is named')}"

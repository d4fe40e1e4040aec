"""Campaign rules in the policy file and in words: campaigns switched off, or decided in shadow only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.decision.rules.campaign import KIND, CampaignSpecification
from streams.decision.specification import Selector
from streams.policy.kinds.kind import Data, FileKind
from streams.policy.phrases import all_of
from streams.policy.schema_parts import Schema, texts

if TYPE_CHECKING:
    from streams.policy.context import Context
    from streams.policy.document import Path

_SWITCHES: Final = {"off": "switched off", "shadow_only": "decided in shadow only, and nothing is sent"}


class Campaign(FileKind[CampaignSpecification]):
    """Campaigns that are switched off, or decided in shadow only."""

    kind = KIND
    exempted_as = "switched-off campaigns"
    passed_sentence = "The campaign is not switched off."
    description = "Campaigns switched off, or decided in shadow only."
    required = ("campaigns", "switch")
    has_selectors = False

    def fields(self) -> Schema:
        """The JSON Schema of its own fields."""
        return {
            "campaigns": texts("The campaigns."),
            "switch": {
                "enum": list(_SWITCHES),
                "description": "off, or shadow_only: decided and listed, nothing sent.",
            },
        }

    def read(self, context: Context, path: Path, data: Data, common: Data) -> CampaignSpecification:  # noqa: ARG002 - no references
        """The campaigns become what the rule applies to."""
        applies_to = Selector(campaigns=frozenset(data["campaigns"]))
        return CampaignSpecification(**common, applies_to=applies_to, switch=data["switch"])

    def sentence(self, rule: CampaignSpecification) -> str:
        """Which campaigns, and what happens to their intents."""
        names = rule.applies_to.campaigns or ()
        return f"{'Campaign' if len(names) == 1 else 'Campaigns'} {all_of(names)}: {_SWITCHES[rule.switch]}."

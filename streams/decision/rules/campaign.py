"""Campaigns switched off, or decided in shadow only. Their contacts keep counting: nothing is forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from streams.decision.answer import Answer, denial
from streams.decision.evaluation_context import EvaluationContext
from streams.decision.request_context import RequestContext
from streams.decision.rules.kind import Compilation, Kind
from streams.decision.rules.rule import ContextRule
from streams.decision.specification import RuleSpecification


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSpecification(RuleSpecification):
    """Campaigns switched off, or decided in shadow only. `applies_to.campaigns` holds the list."""

    switch: Literal["off", "shadow_only"]


class CampaignRule(ContextRule):
    """Denies every intent of its campaigns; which intents those are, its condition has already said."""

    kind = "campaign"
    __slots__ = ("_denial",)

    def __init__(self, number: int, specification: CampaignSpecification) -> None:
        super().__init__(number, specification)
        self._denial = denial("campaign_off" if specification.switch == "off" else "campaign_shadow")

    def answer(self, request: RequestContext, moment_ms: int) -> Answer:  # noqa: ARG002 - whatever is asked, it is off
        """Denies."""
        return self._denial

    def earliest(self, context: EvaluationContext, moment_ms: int) -> int | None:  # noqa: ARG002 - no date switches it on
        """None."""
        return None


def _compiled(number: int, specification: CampaignSpecification, _: Compilation) -> CampaignRule:
    return CampaignRule(number, specification)


KIND: Final[Kind] = Kind(CampaignRule.kind, CampaignSpecification, _compiled)

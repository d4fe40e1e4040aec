"""Outcomes: what became of an approved send, as the gateway reports it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from streams.decision.intent import Identifier, Moment, Word

OutcomeType = Literal[
    "sent",
    "delivered",
    "read",
    "clicked",
    "failed",
    "bounced",
    "answered",
    "no_answer",
    "conversation",
    "refusal",
    "reply",
    "complaint",
    "expired",
]

# An expired approval was never sent: it says nothing about when the contact happened.
NOT_CONFIRMING: Final = frozenset({"expired"})

# 24 hexadecimal digits, see docs/semantics.md, 6.
DecisionId = Annotated[str, Meta(pattern=r"^[0-9a-f]{24}\Z")]


class Outcome(Struct, kw_only=True, gc=False):
    """One outcome. `decision_id` is required except for an unsolicited `reply`, which then needs `channel`."""

    customer_id: Identifier
    type: OutcomeType
    occurred_at: Moment
    decision_id: DecisionId | None = None
    channel: Word | None = None
    detail: Word | None = None

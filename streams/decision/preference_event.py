"""Preference events: anything a customer says about being contacted.

Rules of this module
1. An event carries no moment of arrival: its order is min(`effective_at`, the record's timestamp), see
   docs/semantics.md, 1.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from msgspec import Struct

from streams.decision.intent import Attributes, Country, Identifier, Moment, Region, Word, ZoneName

PreferenceType = Literal[
    "opt_out",
    "opt_in",
    "pause",
    "resume",
    "consent_granted",
    "consent_withdrawn",
    "objection",
    "restriction",
    "restriction_lifted",
    "clarification",
    "profile",
    "erasure",
]

# Never on the wire: what is made of a record that nobody can read and that may have been a no.
UNREAD: Final = "unread"

# Types of which a ledger keeps the latest event; the others change it and leave no event behind.
STANDING: Final = frozenset((*get_args(PreferenceType), UNREAD)) - {"profile", "erasure"}

RESTRICTIVE: Final = frozenset({"opt_out", "objection", "pause", "restriction", "consent_withdrawn", UNREAD, "erasure"})


class PreferenceEvent(Struct, kw_only=True, gc=False):
    """One preference event. The scope is any of channel, purpose, topic, brand, sender; none = everything."""

    event_id: Identifier
    customer_id: Identifier
    type: PreferenceType | Literal["unread"]
    channel: Word | None = None
    purpose: Word | None = None
    topic: Word | None = None
    brand: Word | None = None
    sender_id: Word | None = None
    effective_at: Moment | None = None
    until: Moment | None = None
    source: Word | None = None
    evidence_ref: Word | None = None
    expires_at: Moment | None = None
    # The producer's own; no rule reads them.
    attributes: Attributes | None = None
    # `profile` only:
    timezone: ZoneName | None = None
    country: Country | None = None
    region: Region | None = None
    minor: bool | None = None

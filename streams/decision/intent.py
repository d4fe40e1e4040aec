"""The intent: one wish to contact one customer once on one channel.

Times are integer milliseconds since the epoch. Limits are part of the contract (`schemas/intent.schema.json`).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

# Long enough for any id or name seen in practice (UUIDs are 36), short enough that 1 000 contacts stay a small record.
TEXT_CHARACTERS_MAX = 128
# IANA names are at most 32 characters today ("America/Argentina/Rio_Gallegos"); room to grow.
ZONE_CHARACTERS_MAX = 64
# `attributes` are given back in every approval: a small map, not a payload.
ATTRIBUTES_MAX = 16
ATTRIBUTE_CHARACTERS_MAX = 256
# 9999-12-31T23:59:59.999Z, the last moment RFC 3339 can write.
MOMENT_MAX_MS = 253_402_300_799_999
# What absent says of the two fields that have a value of their own then; null says it too.
PRIORITY_DEFAULT: Final = 50
ON_SUPPRESS_DEFAULT: Final = "drop"

Identifier = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS_MAX)]
Word = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS_MAX)]
Moment = Annotated[int, Meta(ge=0, le=MOMENT_MAX_MS)]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
Region = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,3}\Z")]
ZoneName = Annotated[str, Meta(min_length=1, max_length=ZONE_CHARACTERS_MAX)]
AttributeValue = Annotated[str, Meta(max_length=ATTRIBUTE_CHARACTERS_MAX)] | int | float | bool | None
Attributes = Annotated[dict[Word, AttributeValue], Meta(max_length=ATTRIBUTES_MAX)]


class Intent(Struct, kw_only=True, gc=False):
    """One intent. `(customer_id, intent_id)` is its identity; absent fields have the default shown."""

    intent_id: Identifier
    customer_id: Identifier
    channel: Word
    created_at: Moment
    expires_at: Moment | None = None
    purpose: Word | None = None
    topic: Word | None = None
    brand: Word | None = None
    campaign_id: Word | None = None
    template_id: Word | None = None
    priority: Annotated[int, Meta(ge=0, le=100)] | None = PRIORITY_DEFAULT
    country: Country | None = None
    region: Region | None = None
    timezone: ZoneName | None = None
    holiday_calendar: Word | None = None
    address_hash: Word | None = None
    sender_id: Word | None = None
    automated: bool | None = None
    consent_ref: Word | None = None
    on_suppress: Literal["drop", "hold"] | None = ON_SUPPRESS_DEFAULT
    collapse_key: Word | None = None
    retry_of: Word | None = None
    attributes: Attributes | None = None

"""The policy as it is published, so that any decision can be explained later by its policy's hash.

Rules of this module
1. The record is whole: text, rule table, reasons, versions of what it was resolved with, and the resolved calendars.
   Nothing outside it is needed to print an explanation in words.
2. The same policy gives the same bytes. A record, once written under its hash, never changes.
3. A record of a newer format is refused, never read as far as it can be. One without a format is of the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
import orjson
from msgspec import Struct

# The table of reasons (`schemas/reasons.json`) by which verdict numbers are read; a new number is a new minor version.
REASONS_TABLE: Final = "urn:mesura:schema:reasons:1"


POLICY_FORMAT: Final = 1
"""Grows when a reader of the previous format would misunderstand the record."""


class PolicyFromLaterVersion(msgspec.DecodeError):
    """A policy record is of a newer format than this version reads. The message says what to run."""


class PolicyRule(Struct, kw_only=True, frozen=True):
    """One line of the rule table. Its place in the table is its number in explanations."""

    id: str
    kind: str
    state: Literal["on", "off", "shadow"] = "on"
    limit: int | None = None
    """What the counted number is compared with: of a cap, how many contacts; of a gap, one. None for other kinds."""
    window: str | None = None
    """The rolling window or calendar bucket, or the length of a gap, as the policy writes it."""
    because: str | None = None


class PolicyRecord(Struct, kw_only=True, frozen=True):
    """One policy as published on the control topic: `schemas/policy-record.schema.json`."""

    type: Literal["policy"] = "policy"
    format: int = POLICY_FORMAT
    name: str
    version: str
    hash: str
    text: str
    rules: Sequence[PolicyRule]
    reasons: str = REASONS_TABLE
    versions: Mapping[str, str]
    """Of the data the policy was resolved with: `tzdata`, `holidays`."""
    calendars: Mapping[str, Sequence[str]]
    """Holiday calendars by name: the dates, as YYYY-MM-DD, in order."""


class _Beginning(Struct):
    """What a record of any format has."""

    format: int = POLICY_FORMAT


_decode_beginning = msgspec.json.Decoder(_Beginning).decode
_decode = msgspec.json.Decoder(PolicyRecord).decode


def encode_policy(policy: PolicyRecord) -> bytes:
    """The record's value."""
    return orjson.dumps(
        {
            "type": policy.type,
            "format": policy.format,
            "name": policy.name,
            "version": policy.version,
            "hash": policy.hash,
            "text": policy.text,
            "rules": [msgspec.to_builtins(rule) for rule in policy.rules],
            "reasons": policy.reasons,
            "versions": dict(sorted(policy.versions.items())),
            "calendars": {name: sorted(dates) for name, dates in sorted(policy.calendars.items())},
        }
    )


def decode_policy(value: bytes) -> PolicyRecord:
    """The policy a record's value holds. Fields of a later version are skipped.

    Raises:
        PolicyFromLaterVersion: it is of a newer format.
        msgspec.DecodeError: it is no policy record. (A defect or somebody else's record; never a customer's.)
    """
    try:
        found = _decode_beginning(value).format
        if found > POLICY_FORMAT:
            raise PolicyFromLaterVersion(
                f"A published policy is of format {found}, and this version reads format {POLICY_FORMAT}. Run the "
                "version that published it, or a later one."
            )
        return _decode(value)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None

"""What a rule of the policy file says: the fields that every kind has, typed, and not yet compiled for speed.

Rules of this module
1. Names are the file's names (docs/policy.md), with units. The fields of a kind of its own are in `rules/<kind>.py`.
2. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

State = Literal["on", "off", "shadow"]
OnMissing = Literal["deny", "hold", "allow"]
CountryUnknown = Literal["deny", "apply", "skip"]
ScopeField = Literal["channel", "channel_group", "purpose", "topic", "campaign", "brand"]


@dataclass(frozen=True, slots=True)
class Selector:
    """Which intents (or contacts) a rule is about. None = any; an empty set matches nothing."""

    channels: frozenset[str] | None = None
    groups: frozenset[str] | None = None
    purposes: frozenset[str] | None = None
    topics: frozenset[str] | None = None
    brands: frozenset[str] | None = None
    campaigns: frozenset[str] | None = None
    countries: frozenset[str] | None = None
    automated: bool | None = None


CONTACT_FIELDS: Final = ("channels", "groups", "purposes", "topics", "brands", "campaigns")
"""What of a selector a contact can tell. Whatever is not listed is known of the intent alone, and a selector that asks
for it leaves no contact uncounted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSpecification:
    """What every rule has."""

    rule_id: str
    state: State = "on"
    because: str = ""
    source: Mapping[str, str] = field(default_factory=dict)
    applies_to: Selector = Selector()
    excepting: Selector | None = None
    country_unknown: CountryUnknown = "deny"

    @property
    def reach_ms(self) -> int:
        """How far back the rule looks at contacts."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CountingSpecification(RuleSpecification):
    """What every rule that counts contacts has."""

    scope: tuple[ScopeField, ...] = ()
    counts: Selector | None = None  # None: the rule's own applies_to
    counts_excepting: Selector | None = None

"""The policy as written: checked and typed, durations in milliseconds, not yet compiled for speed.

Rules of this module
1. One dataclass per kind of rule of the policy file (docs/policy.md); names are the file's names, with units.
2. Nothing here decides anything; `policy.py` compiles it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from streams.decision.tables import HolidayCalendar, ZoneTable

State = Literal["on", "off", "shadow"]
OnMissing = Literal["deny", "hold", "allow"]
CountryUnknown = Literal["deny", "apply", "skip"]
ScopeField = Literal["channel", "channel_group", "purpose", "topic", "campaign", "brand"]
Period = Literal["day", "week", "month"]
Interval = tuple[int, int]  # wall time, milliseconds since midnight, half-open

KINDS = ("campaign", "opt_out", "sender", "consent", "window", "cap", "gap")
DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CapSpecification(RuleSpecification):
    """At most `limit` contacts per window and scope. Exactly one of rolling_ms, calendar, lifetime."""

    limit: int
    rolling_ms: int | None = None
    calendar: Period | None = None
    calendar_zone: str = "recipient"  # recipient, policy, or a zone's name
    lifetime: bool = False
    scope: tuple[ScopeField, ...] = ()
    counts: Selector | None = None  # None: the rule's own applies_to
    counts_excepting: Selector | None = None
    on_missing: OnMissing = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class GapSpecification(RuleSpecification):
    """At least `minimum_ms` since the last contact in the scope."""

    minimum_ms: int
    scope: tuple[ScopeField, ...] = ()
    counts: Selector | None = None
    counts_excepting: Selector | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSpecification(RuleSpecification):
    """Allowed hours. `hours` keys: mon…sun, workday, saturday, sunday, holiday, day_before_holiday."""

    hours: Mapping[str, tuple[Interval, ...]]
    zone: str = "recipient"  # recipient, policy, or a zone's name
    holidays: str = "none"  # recipient, none, or a calendar's name
    on_missing: OnMissing = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentSpecification(RuleSpecification):
    """Consent is required."""

    evidence_required: bool = True
    max_age_ms: int | None = None
    on_missing: OnMissing = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSpecification(RuleSpecification):
    """Only declared sender ids."""

    allowed: frozenset[str]
    on_missing: OnMissing = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSpecification(RuleSpecification):
    """Campaigns switched off, or decided in shadow only. `applies_to.campaigns` holds the list."""

    switch: Literal["off", "shadow_only"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExemptSpecification(RuleSpecification):
    """Purposes freed from kinds of rule. Never asked as a rule of its own."""

    purposes: frozenset[str]
    kinds: frozenset[str]  # of KINDS; `opt_out` only where the file says `even_if_opted_out: true`
    still_counts: bool


@dataclass(frozen=True, slots=True)
class Obligation:
    """What the sender must do, named in every approval it applies to."""

    obligation_id: str
    applies_to: Selector
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySpecification:
    """A whole policy, checked, with the zones and calendars it needs resolved into tables.

    `zones` holds every zone name there is (intents may name any); names of one and the same clock share one table
    object.
    `country_zones` maps a country code to its zones' names; `regions` a declared `CC-RR` to its zones' names.
    """

    name: str
    version: str
    content_hash: str
    zone: str
    recipient_zone: str | None
    time_to_live_ms: int
    history_ms: int
    identities_ms: int
    default_purpose: str
    channels: Mapping[str, str | None]  # channel to its group
    purposes: frozenset[str]
    rules: tuple[RuleSpecification, ...]
    obligations: tuple[Obligation, ...]
    zones: Mapping[str, ZoneTable]
    country_zones: Mapping[str, tuple[str, ...]]
    regions: Mapping[str, tuple[str, ...]]
    calendars: Mapping[str, HolidayCalendar]
    # By field of a scope, the word that each other name stands for.
    other_names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # Of each country of which the policy names a region: its regions and provinces (ISO 3166-2), each with the region
    # of the first level it lies in or is.
    subdivisions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

"""A whole policy as written: checked and typed, durations in milliseconds, not yet compiled for speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.decision.specification import RuleSpecification, Selector
from streams.decision.tables import HolidayCalendar, ZoneTable


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


def named_places(specification: PolicySpecification) -> frozenset[str]:
    """Every `CC` and `CC-RR` that the policy's rules, obligations, regions and calendars name."""
    selectors = [rule.applies_to for rule in specification.rules]
    selectors += [rule.excepting for rule in specification.rules if rule.excepting is not None]
    selectors += [obligation.applies_to for obligation in specification.obligations]
    return frozenset((*specification.regions, *specification.calendars)).union(*map(_countries, selectors))


def _countries(selector: Selector) -> frozenset[str]:
    return selector.countries or frozenset()

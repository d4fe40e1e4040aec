"""Selectors, compiled: which intents a rule is for, and which contacts it counts.

Rules of this module (docs/semantics.md, 3)
1. What channel and purpose alone decide is decided when the policy is compiled; the rest is a `Condition` asked
   per intent.
2. A missing topic, brand or campaign matches no list; a missing `automated` matches where it restricts and not where it
   frees; where it cannot be told whether the recipient is in one of the countries, nothing matches, and it says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from streams.decision.ledger.state import LabelSet
from streams.decision.places import Place, countries_in_part
from streams.decision.request_context import RequestContext
from streams.decision.specification import CountryUnknown, RuleSpecification, Selector

NO: Final = 0
YES: Final = 1
COUNTRY_UNKNOWN: Final = 2
_ANY: Final = Selector()
_WITHOUT_COUNTRY: Final = {"deny": COUNTRY_UNKNOWN, "apply": YES, "skip": NO}


@dataclass(frozen=True, slots=True)
class Condition:
    """What remains to be asked of an intent once its channel and purpose are known to match."""

    applies_to: Selector  # without countries
    countries: frozenset[str] | None
    # Those of which regions are listed and not the whole.
    countries_in_part: frozenset[str]
    excepting: Selector | None
    country_unknown: CountryUnknown
    asks_more: bool  # whether `applies_to` names anything at all

    def selectors(self) -> list[Selector]:
        """What names the words it tells apart."""
        return [self.applies_to] if self.excepting is None else [self.applies_to, self.excepting]

    def holds(self, request: RequestContext) -> int:
        """NO, YES, or COUNTRY_UNKNOWN where the rule is to deny for want of a country."""
        excepting = self.excepting
        if excepting is not None and _matches(excepting, request, missing_automated=False):
            return NO
        if self.asks_more and not _matches(self.applies_to, request, missing_automated=True):
            return NO
        countries = self.countries
        if countries is None:
            return YES
        place = request.place
        if _is_in(countries, place):
            return YES
        if place.country is None or (place.region is None and place.country in self.countries_in_part):
            return _WITHOUT_COUNTRY[self.country_unknown]
        return NO


def condition(rule: RuleSpecification, channel: str, group: str, purpose: str) -> tuple[bool, Condition | None]:
    """Whether the rule may apply to intents of this channel and purpose, and what is left to ask of each."""
    applies = _rest(rule.applies_to, channel, group, purpose)
    if applies is None:
        return False, None
    excepting = None if rule.excepting is None else _rest(rule.excepting, channel, group, purpose)
    if excepting == _ANY:
        return False, None
    if applies == _ANY and excepting is None:
        return True, None
    more = replace(applies, countries=None)
    in_part = countries_in_part(applies.countries or frozenset())
    return True, Condition(more, applies.countries, in_part, excepting, rule.country_unknown, more != _ANY)


def _rest(selector: Selector, channel: str, group: str, purpose: str) -> Selector | None:
    """The selector without what channel and purpose have decided, or None if they do not match."""
    if selector.channels is not None and channel not in selector.channels:
        return None
    if selector.groups is not None and group not in selector.groups:
        return None
    if selector.purposes is not None and purpose not in selector.purposes:
        return None
    return replace(selector, channels=None, groups=None, purposes=None)


def _matches(selector: Selector, request: RequestContext, *, missing_automated: bool) -> bool:
    label_set = request.label_set
    if not _labels_match(selector, label_set):
        return False
    if selector.automated is not None:
        automated = request.automated
        if not missing_automated if automated is None else automated != selector.automated:
            return False
    return selector.countries is None or _is_in(selector.countries, request.place)


def _is_in(countries: frozenset[str], place: Place) -> bool:
    return place.country in countries or (bool(place.region) and f"{place.country}-{place.region}" in countries)


def _labels_match(selector: Selector, label_set: LabelSet) -> bool:
    return (
        (selector.topics is None or label_set.topic in selector.topics)
        and (selector.brands is None or label_set.brand in selector.brands)
        and (selector.campaigns is None or label_set.campaign in selector.campaigns)
    )


def contact_matches(selector: Selector, label_set: LabelSet, groups: Mapping[str, str]) -> bool:
    """Whether contacts with these label sets match the selector (which names no country and no `automated`)."""
    return (
        (selector.channels is None or label_set.channel in selector.channels)
        and (selector.groups is None or groups.get(label_set.channel, label_set.channel) in selector.groups)
        and (selector.purposes is None or label_set.purpose in selector.purposes)
        and _labels_match(selector, label_set)
    )

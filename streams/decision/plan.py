"""A plan: what intents of one channel and purpose are asked, and what is kept of it between intents.

Rules of this module
1. What cannot apply to an intent of the channel and purpose is left out when the policy is compiled.
2. Intents that no rule of the plan can tell apart share a request, which is made of their key alone. What only says
   that a word is none of those the policy names is not kept, so there are as many requests as the policy can tell
   apart, not as there are words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from streams.decision.evaluation_plan import Asked, PlanRules, StaticPlan, TimedPlan
from streams.decision.intent import Intent
from streams.decision.ledger.state import LabelSet, Ledger
from streams.decision.location import LocationTables
from streams.decision.places import country_and_region
from streams.decision.request_context import UNNAMED, ChannelPurpose, RequestContext, RequestKey

# Requests a plan keeps something for: the zones and regions of a continent. Beyond it only time is lost; each takes
# 4 kB.
REQUESTS_KEPT_MAX: Final = 512


class Plan:
    """What intents of one channel and purpose are asked.

    Args:
        channel_purpose: the two.
        rules: what is asked.
        location: where recipients may be.
        time_to_live_ms: how long an approval lasts at most.
    """

    __slots__ = (
        "_brands",
        "_campaigns",
        "_channel_purpose",
        "_location",
        "_senders",
        "_static_plans",
        "_time_to_live_ms",
        "_timed_plans",
        "_topics",
        "rules",
    )

    def __init__(
        self, channel_purpose: ChannelPurpose, rules: PlanRules, location: LocationTables, time_to_live_ms: int
    ) -> None:
        self._channel_purpose = channel_purpose
        self.rules = rules
        self._location = location
        self._time_to_live_ms = time_to_live_ms
        conditions = [each.condition for each in rules.asked] + [condition for _, condition in rules.obligations]
        selectors = [selector for each in conditions if each is not None for selector in each.selectors()]
        for each in rules.asked:
            selectors += each.rule.selectors()
        self._topics = _known(selector.topics for selector in selectors)
        self._brands = _known(selector.brands for selector in selectors)
        self._campaigns = _known(selector.campaigns for selector in selectors)
        self._senders = _known_senders(rules.asked)
        self._static_plans: dict[RequestKey, StaticPlan] = {}
        # The timed plan of the latest moment asked about, by request.
        self._timed_plans: dict[RequestKey, tuple[int, TimedPlan]] = {}

    @property
    def requests_kept(self) -> int:
        """How many requests are kept now."""
        return len(self._static_plans)

    def timed_plan(self, intent: Intent, label_set: LabelSet, ledger: Ledger, now: int) -> TimedPlan:
        """What an intent with this label set is asked now."""
        key = self._key(intent, label_set, ledger)
        kept = self._timed_plans.get(key)
        if kept is not None and kept[0] == now:
            return kept[1]
        static_plan = self._static_plans.get(key)
        if static_plan is None:
            if len(self._static_plans) >= REQUESTS_KEPT_MAX:
                self._static_plans.clear()
                self._timed_plans.clear()
            request = RequestContext(self._channel_purpose, key, self._location)
            static_plan = self._static_plans[key] = StaticPlan(self.rules, request, now)
        timed_plan = TimedPlan(static_plan, now, now + self._time_to_live_ms)
        self._timed_plans[key] = now, timed_plan
        return timed_plan

    def _key(self, intent: Intent, label_set: LabelSet, ledger: Ledger) -> RequestKey:
        """What of the intent and the profile the rules of this plan can tell apart."""
        location = self._location
        country, region, zone, calendar = intent.country, intent.region, intent.timezone, intent.holiday_calendar
        profile, source = ledger.profile, "intent"
        if profile is not None:
            country, region = country_and_region(intent, profile)
            if zone is None and profile.timezone is not None:
                zone, source = str(profile.timezone.value), "ledger"
        if region is not None:
            region = None if country is None else location.places.token(country, region)
        return (
            self._topics.get(label_set.topic),
            self._brands.get(label_set.brand),
            self._campaigns.get(label_set.campaign),
            self._senders.get(label_set.sender, UNNAMED),
            intent.automated,
            country,
            region,
            location.zone_names.get(zone, UNNAMED),
            source,
            location.calendar_names.get(calendar, UNNAMED),
        )


def _known(named: Iterable[frozenset[str] | None]) -> dict[str | None, str]:
    """The words that are named at all. A missing word matches no list, as one that is not named."""
    return {word: word for words in named if words is not None for word in words}


def _known_senders(asked: Iterable[Asked]) -> dict[str | None, str | None]:
    """Senders are told apart from missing ones, too, but only where a rule asks for them."""
    known: dict[str | None, str | None] = {}
    for each in asked:
        senders = each.rule.senders()
        if senders is not None:
            known[None] = None
            known.update((sender, sender) for sender in senders)
    return known

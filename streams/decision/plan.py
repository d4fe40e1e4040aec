"""A plan: what intents of one channel and purpose are asked, and what is kept of it between intents.

Rules of this module
1. What cannot apply to an intent of the channel and purpose is left out when the policy is compiled.
2. Intents that no rule of the plan can tell apart share a request, which is made of their key alone. What only says
   that a word is none of those the policy names is not kept, so there are as many requests as the policy can tell
   apart, not as there are words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streams.decision.decision import Entry
from streams.decision.evaluation_plan import StaticPlan, TimedPlan
from streams.decision.ledger.state import LabelSet
from streams.decision.places import country_and_region
from streams.decision.request_context import UNNAMED, RequestContext, RequestKey
from streams.decision.rules.rule import CountingRule, Rule
from streams.decision.rules.sender import SenderRule
from streams.decision.selection import Condition

if TYPE_CHECKING:
    from streams.decision.intent import Intent
    from streams.decision.ledger.state import Ledger
    from streams.decision.policy import Policy

# Requests a plan keeps something for: the zones and regions of a continent. Beyond it only time is lost; each takes
# 4 kB.
REQUESTS_KEPT_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class Asked:
    """A rule in a plan: what is left to ask of the intent, and whether its purpose is exempt from it."""

    rule: Rule
    condition: Condition | None
    is_exempt: bool


class Plan:
    """What intents of one channel and purpose are asked. `contact_flags` go onto the contacts it approves, `pair` is
    the number of the two.
    """

    __slots__ = (
        "_brands",
        "_campaigns",
        "_senders",
        "_static_plans",
        "_timed_plans",
        "_topics",
        "asked",
        "channel",
        "checks_passed",
        "contact_flags",
        "obligations",
        "pair",
        "purpose",
    )

    def __init__(
        self,
        channel: str,
        purpose: str,
        pair: int,
        asked: tuple[Asked, ...],
        obligations: tuple[tuple[str, Condition | None], ...],
        contact_flags: int,
        checks_passed: tuple[Entry, ...],
    ) -> None:
        self.channel = channel
        self.purpose = purpose
        self.pair = pair
        self.asked = asked
        self.obligations = obligations
        self.contact_flags = contact_flags
        # The explanation of an intent that has passed the built-in checks.
        self.checks_passed = checks_passed
        conditions = [each.condition for each in asked] + [condition for _, condition in obligations]
        selectors = [selector for each in conditions if each is not None for selector in each.selectors()]
        for each in asked:
            if isinstance(each.rule, CountingRule):
                selectors += each.rule.counting.selectors()
        self._topics = _known(selector.topics for selector in selectors)
        self._brands = _known(selector.brands for selector in selectors)
        self._campaigns = _known(selector.campaigns for selector in selectors)
        self._senders = _known_senders(asked)
        self._static_plans: dict[RequestKey, StaticPlan] = {}
        # The timed plan of the latest moment asked about, by request.
        self._timed_plans: dict[RequestKey, tuple[int, TimedPlan]] = {}

    @property
    def requests_kept(self) -> int:
        """How many requests are kept now."""
        return len(self._static_plans)

    def timed_plan(self, intent: Intent, label_set: LabelSet, ledger: Ledger, policy: Policy, now: int) -> TimedPlan:
        """What an intent with this label set is asked now."""
        key = self._key(intent, label_set, ledger, policy)
        kept = self._timed_plans.get(key)
        if kept is not None and kept[0] == now:
            return kept[1]
        static_plan = self._static_plans.get(key)
        if static_plan is None:
            if len(self._static_plans) >= REQUESTS_KEPT_MAX:
                self._static_plans.clear()
                self._timed_plans.clear()
            static_plan = self._static_plans[key] = StaticPlan(
                self, RequestContext(self.channel, self.purpose, key, policy), now
            )
        timed_plan = TimedPlan(static_plan, now, now + policy.specification.time_to_live_ms)
        self._timed_plans[key] = now, timed_plan
        return timed_plan

    def _key(self, intent: Intent, label_set: LabelSet, ledger: Ledger, policy: Policy) -> RequestKey:
        """What of the intent and the profile the rules of this plan can tell apart."""
        country, region, zone, calendar = intent.country, intent.region, intent.timezone, intent.holiday_calendar
        profile, source = ledger.profile, "intent"
        if profile is not None:
            country, region = country_and_region(intent, profile)
            if zone is None and profile.timezone is not None:
                zone, source = str(profile.timezone.value), "ledger"
        if region is not None:
            region = None if country is None else policy.places.token(country, region)
        return (
            self._topics.get(label_set.topic),
            self._brands.get(label_set.brand),
            self._campaigns.get(label_set.campaign),
            self._senders.get(label_set.sender, UNNAMED),
            intent.automated,
            country,
            region,
            None if zone is None else zone if policy.zone_by_name(zone) else UNNAMED,
            source,
            None if calendar is None else calendar if calendar in policy.calendars else UNNAMED,
        )


def _known(named: Iterable[frozenset[str] | None]) -> dict[str | None, str]:
    """The words that are named at all. A missing word matches no list, as one that is not named."""
    return {word: word for words in named if words is not None for word in words}


def _known_senders(asked: Iterable[Asked]) -> dict[str | None, str | None]:
    """Senders are told apart from missing ones, too, but only where a rule asks for them."""
    allowed = [each.rule.allowed for each in asked if isinstance(each.rule, SenderRule)]
    return {None: None, **{sender: sender for senders in allowed for sender in senders}} if allowed else {}

"""One intent put to the rules: what they may look at, resolved at most once.

Rules of this module
1. Nothing is guessed: a zone, country or calendar is known or it is not, and where it came from is part of the answer.
2. What depends on the ledger or the intent alone is worked out on first use and kept; what depends on the moment
   is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.decision.ledger import Preference
from streams.decision.preferences import covering_by_track
from streams.decision.tables import DAY_MS, HolidayCalendar, ZoneTable

if TYPE_CHECKING:
    from streams.decision.intent import Intent
    from streams.decision.ledger import Ledger, Tag
    from streams.decision.policy import Policy

# "Not looked up yet", where None and () are answers.
_UNASKED: Final = ((), "?", "?")
Zones = tuple[ZoneTable, ...]
_NOTHING_SAID: Final[list[Preference]] = []


class Question:
    """An intent, its customer's ledger and the policy."""

    __slots__ = ("_covering", "_local", "_zones", "intent", "ledger", "place", "policy", "tag")

    def __init__(self, intent: Intent, tag: Tag, ledger: Ledger, policy: Policy) -> None:
        self.intent = intent
        self.tag = tag
        self.ledger = ledger
        self.policy = policy
        self._zones: tuple[Zones, str, str] = _UNASKED
        self._covering: dict[str, list[Preference]] | None = None
        self._local: tuple[ZoneTable | None, int, tuple[int, int, int]] = (None, 0, (0, 0, 0))
        self.place = self._place()

    def _place(self) -> tuple[str | None, str | None]:
        """Country and region: the intent's, else the profile's; the region goes with the country it came with."""
        if self.intent.country is not None:
            return self.intent.country, self.intent.region
        profile = self.ledger.profile
        if profile is None or profile.country is None:
            return None, None
        country, region = profile.country, profile.region
        if region is None or region.order_ms < country.order_ms:
            return str(country.value), None
        return str(country.value), str(region.value)

    def recipient_zones(self) -> Zones:
        """The zones the recipient may be in, by name; empty if unknown."""
        if self._zones is _UNASKED:
            self._zones = self._recipient_zones()
        return self._zones[0]

    def zone_label(self) -> tuple[str, str] | None:
        """Name and source of the recipient's zones, if a rule asked for them and they are known."""
        zones, name, source = self._zones
        return (name, source) if zones else None

    def _recipient_zones(self) -> tuple[Zones, str, str]:
        policy = self.policy
        name = self.intent.timezone
        if name is not None:
            return policy.zone_by_name(name), name, "intent"
        profile = self.ledger.profile
        if profile is not None and profile.timezone is not None:
            name = str(profile.timezone.value)
            return policy.zone_by_name(name), name, "ledger"
        country, region = self.place
        if country is not None:
            if region is not None:
                key = f"{country}-{region}"
                zones = policy.regions.get(key)
                if zones is not None:
                    return zones, key, "region"
            return policy.country_zones.get(country, ()), country, "country"
        if policy.recipient_zone is not None:
            return (policy.recipient_zone,), policy.recipient_zone.name, "policy"
        return (), "", ""

    def recipient_calendar(self) -> HolidayCalendar | None:
        """The holidays where the recipient is, or None if the policy has none for that place."""
        calendars = self.policy.calendars
        named = self.intent.holiday_calendar
        if named is not None:
            return calendars.get(named)
        country, region = self.place
        if country is None:
            return None
        if region is not None:
            regional = calendars.get(f"{country}-{region}")
            if regional is not None:
                return regional
        return calendars.get(country)

    def covering(self, track: str) -> list[Preference]:
        """The customer's preference events of a track that are about contacts like this one."""
        if self._covering is None:
            self._covering = covering_by_track(self.ledger.preferences, self.tag)
        return self._covering.get(track, _NOTHING_SAID)

    def local(self, zone: ZoneTable, moment_ms: int) -> tuple[int, int, int]:
        """Local day, local time of day, and until when the zone's offset holds. The last answer is kept."""
        asked = self._local
        if asked[0] is zone and asked[1] == moment_ms:
            return asked[2]
        offset_ms, until_ms = zone.segment(moment_ms)
        day, time_of_day = divmod(moment_ms + offset_ms, DAY_MS)
        found = day, time_of_day, until_ms
        self._local = zone, moment_ms, found
        return found

"""One intent put to the rules: what they may look at, resolved at most once.

Rules of this module
1. Nothing is guessed: a zone, country or calendar is known or it is not, and where it came from is part of the answer.
2. What depends on the ledger or the intent alone is worked out on first use and kept; what depends on the moment
   is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.decision.ledger import UNCOUNTED, WORDS_PER_TAG, Preference
from streams.decision.preferences import covering_by_track
from streams.decision.tables import DAY_MS, NEVER, HolidayCalendar, ZoneTable

if TYPE_CHECKING:
    from streams.decision.intent import Intent
    from streams.decision.ledger import Ledger, Tag
    from streams.decision.policy import Policy

Zones = tuple[ZoneTable, ...]
_NOTHING_SAID: Final[list[Preference]] = []

# Pairs of channel and purpose with a number of their own: a byte, of which one value is taken. Policies with a larger
# vocabulary count by looking at tags.
PAIRS_NUMBERED_MAX: Final = 255
# The number of what counts for nobody.
UNCOUNTED_PAIR: Final = 255
_UNCOUNTED_FLAGS: Final = bytes(1 if flags & UNCOUNTED else 0 for flags in range(256))


class Question:
    """An intent, its customer's ledger and the policy."""

    __slots__ = (
        "_after_ms",
        "_after_places",
        "_are_zones_known",
        "_covering",
        "_local",
        "_pairs",
        "_pairs_known",
        "_zones",
        "intent",
        "ledger",
        "pair",
        "place",
        "policy",
        "tag",
    )

    def __init__(self, intent: Intent, tag: Tag, pair: int, ledger: Ledger, policy: Policy) -> None:
        self.intent = intent
        self.tag = tag
        # The number of the intent's channel and purpose.
        self.pair = pair
        self.ledger = ledger
        self.policy = policy
        self._are_zones_known = False
        self._zones: tuple[Zones, str, str] = ((), "", "")
        self._pairs_known = False
        self._pairs: bytes | None = None
        self._after_ms = NEVER
        self._after_places = 0
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
        if not self._are_zones_known:
            self._zones = self._recipient_zones()
            self._are_zones_known = True
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

    def contacts_after(self, after_ms: int) -> int:
        """How many contacts have a latest moment > `after_ms`; they are the first. The last answer is kept."""
        if after_ms != self._after_ms:
            after, places = after_ms - self.ledger.base_ms, 0
            for latest in self.ledger.latest:
                if latest <= after:
                    break
                places += 1
            self._after_ms, self._after_places = after_ms, places
        return self._after_places

    def contact_pairs(self) -> bytes | None:
        """The number of channel and purpose of every contact, `UNCOUNTED_PAIR` for those that count for nobody.

        None if there are contacts with a pair the policy does not declare, or too many pairs to number.
        """
        if not self._pairs_known:
            self._pairs = self._contact_pairs()
            self._pairs_known = True
        return self._pairs

    def _contact_pairs(self) -> bytes | None:
        ledger, numbers = self.ledger, self.policy.pair_numbers
        words, tag_words = ledger.words, ledger.tag_words
        by_tag: list[int] = []
        for place in range(0, len(tag_words), WORDS_PER_TAG):
            number = numbers.get((words[tag_words[place] - 1], words[tag_words[place + 1] - 1]))
            if number is None or number >= PAIRS_NUMBERED_MAX:
                return None
            by_tag.append(number)
        pairs = ledger.tag_numbers.translate(bytes(by_tag).ljust(256, b"\0"))
        uncounted = ledger.flags.translate(_UNCOUNTED_FLAGS)
        if 1 in uncounted:
            return bytes([UNCOUNTED_PAIR if uncounted[n] else pair for n, pair in enumerate(pairs)])
        return pairs

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

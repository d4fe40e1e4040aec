"""Random policies as text, with rules of every kind.

Rules of this module
1. It shares no code with any version of the gate: what a policy may say comes from docs/policy.md.
2. Every policy it writes is one that a gate takes; one that is refused ends the campaign.
3. A rule's id begins with its kind, so that an answer tells which kind has given it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.versions.choice import Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ZONES: Final = (
    "America/Bogota",
    "Europe/Madrid",
    "America/New_York",
    "America/Santiago",  # clocks are set at midnight
    "Australia/Lord_Howe",  # by half an hour
    "Antarctica/Troll",  # by two hours
    "Africa/Casablanca",  # around Ramadan
    "Pacific/Kiritimati",
    "Asia/Kathmandu",
    "UTC",
)
CHANNELS: Final = {"sms": "text", "whatsapp": "text", "voice": "phone", "email": None, "push": None}
PURPOSES: Final = ("marketing", "service", "collections", "otp")
TOPICS: Final = ("loans", "cards", "home")
BRANDS: Final = ("north", "south")
CAMPAIGNS: Final = ("spring", "autumn", "recall-2026")
SENDERS: Final = ("85785", "acme", "south-desk")
COUNTRIES: Final = ("CO", "ES", "US", "MX", "DE")
REGIONS: Final = {"ES": ("MD", "CN"), "US": ("FL", "NY", "TX"), "DE": ("BY",)}
REGION_ZONES: Final = {
    "US-FL": ["America/New_York", "America/Chicago"],
    "US-NY": ["America/New_York"],
    "ES-MD": ["Europe/Madrid"],
    "ES-CN": ["Atlantic/Canary"],
}
CALENDARS: Final[dict[str, dict[str, Any]]] = {
    "CO": {"country": "CO"},
    "ES": {"country": "ES"},
    "ES-MD": {"country": "ES", "subdivision": "MD"},
    "US": {"country": "US"},
    "US-TX": {"country": "US", "subdivision": "TX"},
    "DE-BY": {"country": "DE", "subdivision": "BY"},
}
OFFICE: Final = "office"
OTHER_NAMES: Final[dict[str, dict[str, list[str]]]] = {
    "channels": {"sms": ["text message", "SMS-MT"], "text": ["messages"]},
    "purposes": {"marketing": ["promotions", "Werbung"]},
    "topics": {"cards": ["credit cards"]},
    "brands": {"north": ["the north"]},
    "senders": {"acme": ["ACME Inc."]},
}
KINDS: Final = ("cap", "gap", "window", "consent", "sender", "campaign", "exempt")
EXEMPTED: Final = ("campaign", "sender", "consent", "window", "cap", "gap")

_HOURS: Final[tuple[list[str], ...]] = (
    ["08:00-20:00"],
    ["08:00-12:00", "14:00-18:30"],
    ["00:00-24:00"],
    ["00:00-02:30", "21:00-24:00"],
    ["06:00-22:00"],
    ["09:00-13:00"],
    [],
)
_DURATIONS: Final = ("30s", "10m", "1h", "4h", "12h", "1d", "3d", "7d", "30d")
_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def milliseconds(duration: str) -> int:
    """`7d`, as a policy says it."""
    return int(duration[:-1]) * _UNITS[duration[-1]]


class Policy:
    """A policy under construction: the words it declares, then its text."""

    def __init__(self, choice: Choice, number: int) -> None:
        self._choice = choice
        names = sorted(CHANNELS) if choice.chance(0.6) else choice.some_of(sorted(CHANNELS), 4)
        self.channels = {name: CHANNELS[name] if choice.chance(0.9) else None for name in names}
        self.groups = sorted({group or name for name, group in self.channels.items()})
        self.purposes = list(PURPOSES) if choice.chance(0.6) else choice.some_of(PURPOSES, 3)
        self.calendars = choice.some_of(sorted(CALENDARS), 4) if choice.chance(0.7) else []
        self.has_office = bool(self.calendars) and choice.chance(0.6)
        self.time_to_live = "5m"
        self.durations: list[str] = []
        """Of rolling windows and gaps: answers change when one of them is over."""
        self.text = self._written(number)

    def _written(self, number: int) -> str:
        choice = self._choice
        head: dict[str, Any] = {
            "mesura": 1,
            "name": f"random-{number}",
            "version": f"{choice.between(1, 99)}.{choice.between(0, 9)}",
            "zone": choice.one_of(ZONES),
            "default_purpose": choice.one_of(self.purposes),
            "channels": {name: {"group": group} if group else None for name, group in self.channels.items()},
            "purposes": self.purposes,
        }
        if choice.chance(0.5):
            head["recipient_zone"] = choice.one_of(ZONES)
        if choice.chance(0.6):
            head["time_to_live"] = self.time_to_live = choice.one_of(("3s", "90s", "5m", "1h", "6h", "24h"))
        if choice.chance(0.5):
            head["history"] = choice.one_of(("7d", "14d", "35d", "90d", "400d"))
            head["identities"] = choice.one_of(("1m", "2h", "1d", "7d"))
        if choice.chance(0.6):
            head["other_names"] = self._other_names()
        if choice.chance(0.7):
            head["regions"] = {name: REGION_ZONES[name] for name in choice.some_of(sorted(REGION_ZONES), 4)}
        if self.calendars:
            head["holidays"] = self._holidays()
        if choice.chance(0.5):
            head["obligations"] = [
                {"id": f"obligation-{place}", "text": f"Say number {place}.", "applies_to": self._selector(0.4)}
                for place in range(choice.between(1, 3))
            ]
        lines = [f"{name}: {json.dumps(content)}" for name, content in head.items()]
        rules = [f"  - {json.dumps(rule)}" for rule in self._rules()]
        return "\n".join([*lines, "rules:" if rules else "rules: []", *rules]) + "\n"

    def _other_names(self) -> dict[str, Any]:
        known = {"channels": {*self.channels, *self.groups}, "purposes": {*self.purposes}}
        found = {
            field: {word: names for word, names in words.items() if word in known.get(field, words)}
            for field, words in OTHER_NAMES.items()
        }
        return {field: words for field, words in found.items() if words}

    def _holidays(self) -> dict[str, Any]:
        years = [2026, 2027] if self._choice.chance(0.2) else [2025, 2026, 2027, 2028, 2029]
        calendars = {name: CALENDARS[name] for name in self.calendars}
        if self.has_office:
            calendars[OFFICE] = {"add": ["2026-12-24", "2027-03-01"], "because": "The office's own days."}
        return {"years": years, "calendars": calendars}

    # ---- rules ------------------------------------------------------------------------------------------------------

    def _rules(self) -> list[dict[str, Any]]:
        choice = self._choice
        makers: dict[str, Callable[[], dict[str, Any]]] = {
            "cap": self._cap,
            "gap": self._gap,
            "window": self._window,
            "consent": self._consent,
            "sender": self._sender,
            "campaign": self._campaign,
            "exempt": self._exempt,
        }
        # Caps twice: there are three kinds of them. Each kind at most a few times, so that much is approved, too.
        kinds = [choice.one_of((*KINDS, "cap", "window")) for _ in range(choice.between(1, 9))]
        rules = []
        for place, kind in enumerate(kinds):
            rule = {"id": f"{kind}-{place}", "kind": kind, **makers[kind]()}
            state = choice.random()
            if state < 0.06 and kind != "exempt":
                rule["state"] = "shadow"
            elif state < 0.12:
                rule["state"] = "off"
            if choice.chance(0.2):
                rule["because"] = "For a reason."
            if choice.chance(0.1):
                rule["source"] = {"text": "House rule", "confidence": "house"}
            rules.append(rule)
        return rules

    def _selector(self, share: float, *, places: bool = True) -> dict[str, Any]:
        choice = self._choice
        found: dict[str, Any] = {}
        if choice.chance(share):
            found["channels"] = choice.some_of(list(self.channels), 2)
        elif choice.chance(share / 3):
            found["groups"] = choice.some_of(self.groups, 2)
        if choice.chance(share):
            found["purposes"] = choice.some_of(self.purposes, 2)
        for name, words in (("topics", TOPICS), ("brands", BRANDS), ("campaigns", CAMPAIGNS)):
            if choice.chance(share / 5):
                found[name] = choice.some_of(words, 2)
        if places and choice.chance(share / 2):
            regions = [f"{country}-{region}" for country, each in REGIONS.items() for region in each]
            found["countries"] = choice.some_of([*COUNTRIES, *regions], 3)
        if places and choice.chance(share / 6):
            found["automated"] = choice.chance(0.5)
        return found

    def _about(self, share: float = 0.5) -> dict[str, Any]:
        """`applies_to`, `except` and what goes with them."""
        choice = self._choice
        applies_to = self._selector(share)
        found: dict[str, Any] = {"applies_to": applies_to} if applies_to else {}
        if "countries" in applies_to and choice.chance(0.6):
            found["country_unknown"] = choice.one_of(("deny", "apply", "skip"))
        if choice.chance(0.15):
            excepted = self._selector(0.5)
            if excepted:
                found["except"] = excepted
        return found

    def _counts(self) -> dict[str, Any]:
        choice = self._choice
        found: dict[str, Any] = {}
        if choice.chance(0.6):
            found["scope"] = choice.some_of(("channel", "channel_group", "purpose", "topic", "campaign", "brand"), 2)
        if choice.chance(0.3):
            found["counts"] = self._selector(0.4, places=False)
        if choice.chance(0.1):
            excepted = self._selector(0.5, places=False)
            if excepted:
                found["counts_except"] = excepted
        return found

    def _cap(self) -> dict[str, Any]:
        choice = self._choice
        kind = choice.random()
        limit = 0 if choice.chance(0.03) else choice.between(1, 5)
        rule: dict[str, Any] = {**self._about(), **self._counts(), "limit": limit}
        if kind < 0.5:
            rule["window"] = {"rolling": self._duration(_DURATIONS)}
        elif kind < 0.9:
            zone = choice.one_of(("recipient", "recipient", "policy", choice.one_of(ZONES)))
            rule["window"] = {"calendar": choice.one_of(("day", "week", "month")), "zone": zone}
            if zone == "recipient" and choice.chance(0.6):
                rule["on_missing"] = choice.one_of(("deny", "hold", "allow"))
        else:
            rule |= {"window": {"lifetime": True}, "limit": choice.between(3, 12)}
        return rule

    def _gap(self) -> dict[str, Any]:
        return {**self._about(), **self._counts(), "minimum": self._duration(_DURATIONS[:6])}

    def _duration(self, durations: Sequence[str]) -> str:
        found = self._choice.one_of(durations)
        self.durations.append(found)
        return found

    def _window(self) -> dict[str, Any]:
        choice = self._choice
        hours: dict[str, Any] = {"workday": choice.one_of(_HOURS[:6])}
        for day, share in (("saturday", 0.7), ("sunday", 0.5), ("fri", 0.15), ("mon", 0.1), ("sun", 0.1)):
            if choice.chance(share):
                hours[day] = choice.one_of(_HOURS)
        rule: dict[str, Any] = {**self._about(), "hours": hours}
        if choice.chance(0.4):
            rule["zone"] = choice.one_of(("recipient", "policy", choice.one_of(ZONES)))
        if self.calendars and choice.chance(0.5):
            if choice.chance(0.8):
                hours["holiday"] = choice.one_of(_HOURS)
            if "holiday" not in hours or choice.chance(0.3):
                hours["day_before_holiday"] = choice.one_of(_HOURS[:6])
            named = [*self.calendars, *([OFFICE] if self.has_office else [])]
            rule["holidays"] = choice.one_of(("recipient", "recipient", choice.one_of(named)))
        if choice.chance(0.5):
            rule["on_missing"] = choice.one_of(("deny", "hold", "allow"))
        return rule

    def _consent(self) -> dict[str, Any]:
        choice = self._choice
        rule: dict[str, Any] = self._about(0.8)
        if choice.chance(0.5):
            rule["evidence"] = choice.one_of(("required", "optional"))
        if choice.chance(0.4):
            rule["max_age"] = choice.one_of(("1h", "7d", "90d"))
        if choice.chance(0.4):
            rule["on_missing"] = choice.one_of(("deny", "allow"))
        return rule

    def _sender(self) -> dict[str, Any]:
        rule: dict[str, Any] = {**self._about(0.6), "allowed": self._choice.some_of(SENDERS, 2)}
        if self._choice.chance(0.7):
            rule["on_missing"] = self._choice.one_of(("deny", "allow", "allow"))
        return rule

    def _campaign(self) -> dict[str, Any]:
        choice = self._choice
        return {"campaigns": choice.some_of(CAMPAIGNS, 2), "switch": choice.one_of(("off", "shadow_only"))}

    def _exempt(self) -> dict[str, Any]:
        choice = self._choice
        exempted = choice.some_of(EXEMPTED, 4)
        rule: dict[str, Any] = {
            "purposes": choice.some_of(self.purposes, 2),
            "from": exempted,
            "still_counts": choice.chance(0.5),
        }
        if choice.chance(0.3):
            rule |= {"from": [*exempted, "opt_out"], "even_if_opted_out": True}
        return rule

"""The parts of a policy that are not rules: horizons, channels, purposes, regions, holiday calendars.

Rules of this module
1. Whatever the schema has already refused is left out here, so nothing is reported twice.
2. References are checked against what is declared. If the declaration itself is broken, they are not checked at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streams.decision.ledger.retention import LONGEST_MEMORY_MS
from streams.decision.tables import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from streams.decision.vocabulary import EVERYTHING, fold
from streams.policy import holidays
from streams.policy.findings import Finding, did_you_mean
from streams.policy.subdivisions import subdivisions
from streams.policy.values import day, duration_ms, duration_text
from streams.policy.zones import distinct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from streams.policy.document import Document, Path
    from streams.policy.holidays import Calendar
    from streams.policy.zones import Zones


class Limits(NamedTuple):
    """The least value (exclusive if `is_open`), the greatest, and the default."""

    least_ms: int
    most_ms: int
    default_ms: int
    is_open: bool = False


# Nothing is approved with under 2 seconds left, so a shorter life could never be approved; beyond a day an approval is
# no longer about now.
TIME_TO_LIVE: Final = Limits(2 * SECOND_MS, 24 * HOUR_MS, 5 * MINUTE_MS, is_open=True)
# A ledger is held in memory: a year and a month covers "once a year" rules, and more contacts than a person should get.
HISTORY: Final = Limits(DAY_MS, LONGEST_MEMORY_MS, 35 * DAY_MS)
# A calendar of this name is found by a recipient's country and region.
REGION: Final = re.compile("[A-Z]{2}-[A-Z0-9]{1,3}")
# Sections of `other_names`, and the fields of a scope whose words they are about.
FIELD_OF_NAMES: Final = {
    "channels": "channel",
    "purposes": "purpose",
    "topics": "topic",
    "brands": "brand",
    "senders": "sender_id",
}
# Intents older than this are expired: under a minute, an ordinary restart would expire everything that waited.
IDENTITIES: Final = Limits(MINUTE_MS, HISTORY.most_ms, 7 * DAY_MS)


@dataclass(slots=True)
class Context:
    """What rules may refer to. A field is None if its declaration is broken, so that references cannot be checked."""

    document: Document
    zones: Zones
    broken: frozenset[Path]
    findings: list[Finding] = field(default_factory=list)
    channels: Mapping[str, str | None] | None = None
    purposes: frozenset[str] | None = None
    calendars: Mapping[str, Calendar] | None = None

    def report(self, path: Path, message: str, fix: str) -> None:
        """Add a finding about the thing at a path."""
        self.findings.append(Finding(self.document.line(path), self.document.rule_id(path), message, fix))

    def is_sound(self, *path: str | int) -> bool:
        """Whether the schema found nothing wrong at or below the path."""
        return not any(found[: len(path)] == path for found in self.broken)

    @property
    def groups(self) -> frozenset[str] | None:
        """The groups of channels. A channel without a group is its own group."""
        if self.channels is None:
            return None
        return frozenset(group or channel for channel, group in self.channels.items())

    def zone(self, path: Path, name: str, *, besides: tuple[str, ...] = ()) -> str:
        """Check that a zone exists."""
        if name not in self.zones.by_name and name not in besides:
            known = [*self.zones.by_name, *besides]
            city = name.replace(" ", "_").casefold()
            cities = [zone for zone in self.zones.by_name if zone.rsplit("/", 1)[-1].casefold() == city]
            otherwise = "Use a name of the IANA time zone database, such as America/Bogota."
            fix = f"Did you mean {cities[0]}?" if cities else did_you_mean(name, known, otherwise)
            self.report(path, f"There is no time zone `{name}`.", fix)
        return name

    def place(self, path: Path, code: str) -> None:
        """Check `CO` or `US-FL`: the country, and that the region is one of its regions of the first level."""
        country, region = code[:2], code[3:]
        if country not in self.zones.countries:
            fix = "Did you mean GB?" if country == "UK" else "Use a code of ISO 3166, such as CO."
            self.report(path, f"There is no country `{country}`.", fix)
            return
        known = subdivisions(country)
        if region and region not in known:
            self.report(path, f"There is no region `{code}`.", self.region_fix(country, region))
        elif region and known[region] != region:
            within = f"{country}-{known[region]}"
            self.report(
                path, f"`{code}` lies in `{within}`, and policies name regions of the first level.", f"Write {within}."
            )

    def region_fix(self, country: str, region: str) -> str:
        """What to write instead of a region that does not exist."""
        known = [f"{country}-{code}" for code, first in subdivisions(country).items() if code == first]
        return did_you_mean(f"{country}-{region}", known, "Use a code of ISO 3166-2, such as US-FL.")

    def known(self, path: Path, what: str, names: Iterable[str], declared: Iterable[str] | None) -> None:
        """Check a list of names against what is declared."""
        if declared is None:
            return
        words = set(declared)
        for index, name in enumerate(names):
            if name not in words:
                self.report((*path, index), f"The {what} `{name}` is not declared.", did_you_mean(name, words))


@dataclass(frozen=True, slots=True)
class Header:
    """The correct parts of a policy's head, named as in `PolicySpecification`."""

    name: str
    version: str
    zone: str
    recipient_zone: str | None
    time_to_live_ms: int
    history_ms: int
    identities_ms: int | None
    default_purpose: str
    regions: Mapping[str, tuple[str, ...]]
    other_names: Mapping[str, Mapping[str, str]]


def read_header(context: Context) -> Header:
    """Check everything above the rules, and record in the context what rules may refer to."""
    data = context.document.data
    _channels(context, data)
    _purposes(context, data)
    regions = _regions(context, data)
    _calendars(context, data)
    for key in ("zone", "recipient_zone"):
        if key in data and context.is_sound(key):
            context.zone((key,), data[key])
    history = _horizon(context, data, "history", HISTORY)
    identities = _horizon(context, data, "identities", IDENTITIES)
    return Header(
        name=str(data.get("name")),
        version=str(data.get("version")),
        zone=str(data.get("zone")),
        recipient_zone=data.get("recipient_zone"),
        time_to_live_ms=_horizon(context, data, "time_to_live", TIME_TO_LIVE),
        history_ms=history,
        identities_ms=identities if "identities" in data else None,
        default_purpose=str(data.get("default_purpose")),
        regions=regions,
        other_names=_other_names(context, data),
    )


def _horizon(context: Context, data: Mapping[str, Any], key: str, limits: Limits) -> int:
    if key not in data or not context.is_sound(key):
        return limits.default_ms
    value = duration_ms(data[key])
    too_short = value <= limits.least_ms if limits.is_open else value < limits.least_ms
    if too_short or value > limits.most_ms:
        least = "more than" if limits.is_open else "at least"
        fix = f"Write {least} {duration_text(limits.least_ms)} and at most {duration_text(limits.most_ms)}."
        context.report((key,), f"`{key}` is {data[key]}, which is too {'short' if too_short else 'long'}.", fix)
        return limits.default_ms
    return value


def _channels(context: Context, data: Mapping[str, Any]) -> None:
    if "channels" not in data or not context.is_sound("channels"):
        return
    channels = {channel: (entry or {}).get("group") for channel, entry in data["channels"].items()}
    for channel, group in channels.items():
        if group is not None and group != channel and group in channels and channels[group] != group:
            message = f"The group `{group}` has the name of a channel that is not in it."
            context.report(("channels", channel, "group"), message, "Give the group another name.")
    context.channels = channels


def _purposes(context: Context, data: Mapping[str, Any]) -> None:
    if "purposes" not in data or not context.is_sound("purposes"):
        return
    context.purposes = frozenset(data["purposes"])
    if "default_purpose" in data and context.is_sound("default_purpose"):
        name = data["default_purpose"]
        if name not in context.purposes:
            fix = did_you_mean(name, context.purposes)
            context.report(("default_purpose",), f"The purpose `{name}` is not declared.", fix)


def _regions(context: Context, data: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    if "regions" not in data or not context.is_sound("regions"):
        return {}
    regions: dict[str, tuple[str, ...]] = {}
    tables = context.zones.by_name
    for region, names in data["regions"].items():
        path: Path = ("regions", region)
        context.place(path, region)
        for index, name in enumerate(names):
            context.zone((*path, index), name)
        regions[region] = distinct(tables, [name for name in names if name in tables])
    return regions


def _other_names(context: Context, data: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """By field of a scope: the word that each other name stands for."""
    if "other_names" not in data or not context.is_sound("other_names"):
        return {}
    found: dict[str, dict[str, str]] = {}
    for section, words in data["other_names"].items():
        declared = _declared_words(context, section, words)
        names = found[FIELD_OF_NAMES[section]] = dict[str, str]()
        taken = {fold(word): word for word in declared}
        for word, others in words.items():
            path: Path = ("other_names", section, word)
            if word not in declared:
                message = f"`{word}` is not declared, so it has no other names."
                context.report(path, message, did_you_mean(word, declared))
            for index, other in enumerate(others):
                folded = fold(other)
                if folded in EVERYTHING:
                    message = f"`{other}` is what people write when they mean everything, so it cannot mean one thing."
                    context.report((*path, index), message, "Remove it. It will still cover everything.")
                elif taken.get(folded, word) != word or folded in names:
                    message = f"`{other}` already means `{taken[folded]}`."
                    context.report((*path, index), message, "Give each name to one word.")
                elif folded in taken:
                    message = f"`{other}` is `{word}` itself, because letter case and blanks do not matter."
                    context.report((*path, index), message, "Remove it.")
                else:
                    names[folded] = taken[folded] = word
    return found


def _declared_words(context: Context, section: str, words: Mapping[str, Any]) -> frozenset[str]:
    """What may have other names: what is declared, or, of words the policy does not declare, whatever is named."""
    if section == "channels" and context.channels is not None:
        return frozenset(context.channels) | (context.groups or frozenset())
    if section == "purposes" and context.purposes is not None:
        return context.purposes
    return frozenset(words)


def _calendars(context: Context, data: Mapping[str, Any]) -> None:
    if "holidays" not in data:
        context.calendars = {}
        return
    if not context.is_sound("holidays"):
        return
    years = sorted(data["holidays"]["years"])
    if years != list(range(years[0], years[-1] + 1)):
        missing = next(year for year in range(years[0], years[-1]) if year not in years)
        message = f"The years are not consecutive: {missing} is missing."
        context.report(("holidays", "years"), message, f"Add {missing}.")
        return
    calendars = {}
    before = len(context.findings)
    for name, entry in data["holidays"]["calendars"].items():
        calendar = _calendar(context, name, entry, years)
        if calendar is not None:
            calendars[name] = calendar
    context.calendars = calendars if len(context.findings) == before else None


def _calendar(context: Context, name: str, entry: Mapping[str, Any], years: list[int]) -> Calendar | None:
    path: Path = ("holidays", "calendars", name)
    before = len(context.findings)
    code, subdivision = entry.get("country"), entry.get("subdivision")
    categories = entry.get("categories", ["public"])
    if REGION.fullmatch(name) and name[:2] in context.zones.countries and name[3:] not in subdivisions(name[:2]):
        message = f"No recipient can be in `{name}`, because there is no such region."
        context.report(path, message, context.region_fix(name[:2], name[3:]))
    if name in {"recipient", "none"}:
        context.report(
            path, f"A calendar cannot be called `{name}`, because rules use that word.", "Give it another name."
        )
    if code is not None:
        _check_country(context, path, code, subdivision, categories)
    add, remove = (_dates(context, (*path, key), entry.get(key, []), years) for key in ("add", "remove"))
    if (add or remove) and not entry.get("because"):
        message = f"The calendar `{name}` adds or removes days without `because`."
        context.report(path, message, "Say why, for the reader.")
    if code is None and not add:
        context.report(path, f"The calendar `{name}` has neither a country nor days.", "Give it `country` or `add`.")
    if len(context.findings) > before:
        return None
    calendar = holidays.resolve(name, years, code, subdivision, categories, add, ())
    for index, date_removed in enumerate(remove):
        if date_removed not in calendar.days:
            message = f"{date_removed.isoformat()} is not a holiday in the calendar `{name}`."
            context.report((*path, "remove", index), message, "Remove the line, because it would hide a mistake.")
    if len(context.findings) > before:
        return None
    return holidays.resolve(name, years, code, subdivision, categories, add, remove)


def _check_country(context: Context, path: Path, code: str, subdivision: str | None, categories: Iterable[str]) -> None:
    if code not in holidays.countries():
        fix = did_you_mean(code, holidays.countries(), "Leave `country` out and `add` the days.")
        context.report((*path, "country"), f"No holidays are known for the country `{code}`.", fix)
        return
    known = holidays.country(code)
    if subdivision is not None and subdivision not in known.subdivisions:
        otherwise = "Leave it out." if not known.subdivisions else ""
        fix = did_you_mean(subdivision, known.subdivisions, otherwise)
        context.report((*path, "subdivision"), f"`{code}` has no subdivision `{subdivision}`.", fix)
    for index, category in enumerate(categories):
        if category not in known.categories:
            message = f"`{code}` has no holidays of category `{category}`."
            context.report((*path, "categories", index), message, did_you_mean(category, known.categories))


def _dates(context: Context, path: Path, texts: Iterable[str], years: list[int]) -> list[date]:
    dates = []
    for index, text in enumerate(texts):
        try:
            value = day(text)
        except ValueError:
            context.report((*path, index), f"There is no day {text}.", "Write a date, such as 2026-12-24.")
            continue
        if value.year not in years:
            message = f"{text} is outside the years {years[0]} to {years[-1]}."
            context.report((*path, index), message, "Add the year, or remove the date.")
        dates.append(value)
    return dates

"""What the parts of a policy file may refer to, and the findings about them.

Rules of this module
1. References are checked against what is declared. If the declaration itself is broken, they are not checked at all.
2. Whatever the schema has already refused is left out, so nothing is reported twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from streams.decision.specification import Selector
from streams.decision.tables import DAY_MS
from streams.policy.findings import Finding, did_you_mean
from streams.policy.notation import duration_ms
from streams.policy.subdivisions import subdivisions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.policy.document import Document, Path
    from streams.policy.holidays import Calendar
    from streams.policy.zones import Zones

# A calendar of this name is found by a recipient's country and region.
REGION: Final = re.compile("[A-Z]{2}-[A-Z0-9]{1,3}")
# The fields of a selector that are lists.
SELECTOR_LISTS: Final = ("channels", "groups", "purposes", "topics", "brands", "campaigns", "countries")


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

    def selector(self, path: Path, data: Mapping[str, Any]) -> Selector:
        """A selector, with its references checked."""
        self.known((*path, "channels"), "channel", data.get("channels", ()), self.channels)
        self.known((*path, "groups"), "group", data.get("groups", ()), self.groups)
        self.known((*path, "purposes"), "purpose", data.get("purposes", ()), self.purposes)
        for index, code in enumerate(data.get("countries", ())):
            self.place((*path, "countries", index), code)
        fields: dict[str, Any] = {name: frozenset(data[name]) for name in SELECTOR_LISTS if name in data}
        return Selector(**fields, automated=data.get("automated"))

    def duration(self, path: Path, text: str, most_ms: int) -> int:
        """A duration in milliseconds, at most `most_ms`. A longer one is reported."""
        value = duration_ms(text)
        if value > most_ms:
            most = f"{most_ms // DAY_MS}d"
            self.report(path, f"`{path[-1]}` is {text}, which is too long.", f"Write at most {most}.")
            return most_ms
        return value

"""All time zones, from the pinned `tzdata` package and nowhere else, as plain tables.

Rules of this module
1. The system's zone files are never read, so two workers with the same packages have the same clocks.
2. Each name has a table, because the name is shown. Names of the same clock share the tuples inside.
3. The zones of a country or region are sorted and contain each clock once, under the first of its names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from streams.decision.tables import NEVER, SECOND_MS, ZoneTable
from streams.policy.tzif import Transitions, read_offsets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.resources.abc import Traversable

# Ledgers reach back 400 days at most and replays some years, so nothing asks about a moment before 2015.
FIRST_YEAR: Final = 2015
# Rules of summer time are enacted a few years ahead at most; what is written beyond is a projection, and 2045 outlives
# every approval, consent and next moment a policy of today can compute. Later moments have the last offset known.
LAST_YEAR: Final = 2045
# "Factory" is tzdata's name for a clock that nobody has set.
NOT_ZONES: Final = frozenset({"Factory"})

Clock = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Zones:
    """Every zone by name, and the names of every country's zones."""

    version: str
    by_name: Mapping[str, ZoneTable]
    by_country: Mapping[str, tuple[str, ...]]
    countries: frozenset[str]
    """All ISO 3166 codes tzdata knows, those without zones included."""


@cache
def load_zones() -> Zones:
    """Read and compile every zone of the `tzdata` package. Done once per process; a tenth of a second or two."""
    package = files("tzdata")
    root = package / "zoneinfo"
    names = [name for name in (package / "zones").read_text("utf-8").split() if name not in NOT_ZONES]
    compiled: dict[bytes, Clock] = {}
    shared: dict[Clock, Clock] = {}
    first = int(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
    horizon = int(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp())
    tables: dict[str, ZoneTable] = {}
    for name in sorted(names):
        content = root.joinpath(*name.split("/")).read_bytes()
        if content not in compiled:
            clock = _table(*read_offsets(content, first, horizon))
            compiled[content] = shared.setdefault(clock, clock)
        tables[name] = ZoneTable(name, *compiled[content])
    by_country = {code: distinct(tables, found) for code, found in sorted(_zone_tab(root, tables).items())}
    return Zones(version("tzdata"), tables, by_country, _countries(root))


def distinct(tables: Mapping[str, ZoneTable], names: Iterable[str]) -> tuple[str, ...]:
    """The names sorted, each clock once."""
    seen: dict[Clock, str] = {}
    for name in sorted(names):
        seen.setdefault((tables[name].starts_ms, tables[name].offsets_ms), name)
    return tuple(seen.values())


def _table(offset: int, transitions: Transitions) -> Clock:
    starts = (-NEVER, *(moment * SECOND_MS for moment, _ in transitions))
    return starts, (offset * SECOND_MS, *(new * SECOND_MS for _, new in transitions))


def _rows(root: Traversable, name: str) -> list[list[str]]:
    text = (root / name).read_text("utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]


def _zone_tab(root: Traversable, tables: Mapping[str, ZoneTable]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for code, _, name, *_ in _rows(root, "zone.tab"):
        if name in tables:
            found.setdefault(code, []).append(name)
    return found


def _countries(root: Traversable) -> frozenset[str]:
    return frozenset(row[0] for row in _rows(root, "iso3166.tab"))

"""Zone tables against zoneinfo, at random moments and at every change, in every zone."""

from __future__ import annotations

import random
import time
import zoneinfo
from datetime import UTC, datetime
from importlib.resources import files

import pytest

from streams.policy import zones
from streams.policy.tzif import read_offsets
from streams.policy.zones import FIRST_YEAR, LAST_YEAR, load_zones

FIRST = int(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
HORIZON = int(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp())
ROOT = files("tzdata") / "zoneinfo"


def pinned(name: str) -> zoneinfo.ZoneInfo:
    """zoneinfo's own reading of the same file, whatever the machine has."""
    with ROOT.joinpath(*name.split("/")).open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key=name)


def test_all_zones_agree_with_zoneinfo() -> None:
    rng = random.Random(20_261_121)
    moments = [rng.randrange(FIRST, HORIZON) for _ in range(40)]
    for name, table in load_zones().by_name.items():
        zone = pinned(name)
        changes = [start // 1000 for start in table.starts_ms[1:]]
        for moment in [*moments, *changes, *(change - 1 for change in changes)]:
            offset = datetime.fromtimestamp(moment, zone).utcoffset()
            assert offset is not None
            assert table.offset_ms(moment * 1000) == offset.total_seconds() * 1000, (name, moment)


def test_every_name_of_the_package_but_factory() -> None:
    names = set((files("tzdata") / "zones").read_text("utf-8").split())
    assert set(load_zones().by_name) == names - {"Factory"}
    assert {name for name, table in load_zones().by_name.items() if table.name != name} == set()


def test_countries() -> None:
    by_country = load_zones().by_country
    assert by_country["CO"] == ("America/Bogota",)
    assert by_country["ES"] == ("Africa/Ceuta", "Atlantic/Canary"), "Madrid tells Ceuta's time"
    assert by_country["EC"] == ("America/Guayaquil", "Pacific/Galapagos")
    assert "America/Phoenix" in by_country["US"]
    assert "BV" not in by_country, "an island nobody lives on has no zone"
    assert "BV" in load_zones().countries
    for code, names in by_country.items():
        clocks = {(load_zones().by_name[n].starts_ms, load_zones().by_name[n].offsets_ms) for n in names}
        assert len(clocks) == len(names), code
        assert list(names) == sorted(names)


def test_equal_clocks_share_their_tuples() -> None:
    by_name = load_zones().by_name
    assert by_name["Europe/Madrid"].starts_ms is by_name["Africa/Ceuta"].starts_ms


def test_known_changes_of_clock() -> None:
    new_york = load_zones().by_name["America/New_York"]
    spring = datetime(2026, 3, 8, 7, tzinfo=UTC)
    assert new_york.offset_ms(int(spring.timestamp()) * 1000) == -4 * 3_600_000
    assert new_york.offset_ms(int(spring.timestamp()) * 1000 - 1) == -5 * 3_600_000
    bogota = load_zones().by_name["America/Bogota"]
    assert bogota.offsets_ms == (-5 * 3_600_000,)


def test_compiled_within_a_second() -> None:
    load_zones.cache_clear()
    began = time.process_time()
    load_zones()
    assert time.process_time() - began < 1.0


def test_the_machine_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "ZoneInfo", None)
    monkeypatch.setenv("PYTHONTZPATH", "/nowhere")
    load_zones.cache_clear()
    assert load_zones().by_name["Asia/Kathmandu"].offsets_ms == (20_700_000,)


def _tzif(footer: str) -> bytes:
    header = b"TZif2" + b"\0" * 15
    empty = b"".join(count.to_bytes(4, "big") for count in (0, 0, 0, 0, 1, 4))
    kind = (0).to_bytes(4, "big", signed=True) + b"\0\0UTC\0"
    return (header + empty + kind) * 2 + f"\n{footer}\n".encode()


@pytest.mark.parametrize(
    ("footer", "summer", "winter"),
    [
        ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -3600, -7200),
        ("EST5EDT,M3.2.0,M11.1.0", -14_400, -18_000),
        ("AAA3BBB,J60/0,J300/26", -7200, -10_800),
        ("IST-1GMT0,M10.5.0,M3.5.0/1", 3600, 0),
    ],
)
def test_rules_at_the_end_of_a_file(footer: str, summer: int, winter: int, tmp_path) -> None:  # noqa: ANN001
    content = _tzif(footer)
    path = tmp_path / "zone"
    path.write_bytes(content)
    with path.open("rb") as file:
        zone = zoneinfo.ZoneInfo.from_file(file)
    first, changes = read_offsets(content, FIRST, HORIZON)
    for moment, offset in changes:
        assert datetime.fromtimestamp(moment, zone).utcoffset().total_seconds() == offset  # type: ignore[union-attr]
        before = datetime.fromtimestamp(moment - 1, zone).utcoffset().total_seconds()  # type: ignore[union-attr]
        assert before != offset
    assert len(changes) == 2 * (LAST_YEAR - FIRST_YEAR + 1)
    assert {offset for _, offset in changes} == {summer, winter}
    assert first == datetime.fromtimestamp(FIRST, zone).utcoffset().total_seconds()  # type: ignore[union-attr]


def test_days_of_the_year_from_zero() -> None:
    """Asserted against POSIX itself: zoneinfo reads this form, which no zone uses today, a day too early."""
    _, changes = read_offsets(_tzif("AAA-3:30BBB-5,59,299/2:30"), FIRST, HORIZON)
    local = [datetime.fromtimestamp(moment + 12_600, UTC).isoformat() for moment, offset in changes if offset == 18_000]
    assert local[:2] == ["2015-03-01T02:00:00+00:00", "2016-02-29T02:00:00+00:00"]


def test_no_rule_and_no_transition() -> None:
    assert read_offsets(_tzif("<+0545>-5:45"), FIRST, HORIZON) == (20_700, ())
    assert read_offsets(_tzif(""), FIRST, HORIZON) == (0, ())


def test_what_is_no_zone_file() -> None:
    with pytest.raises(ValueError, match="not a TZif file"):
        read_offsets(b"PK" + b"\0" * 60, FIRST, HORIZON)
    with pytest.raises(ValueError, match="unreadable rule"):
        read_offsets(_tzif("nonsense"), FIRST, HORIZON)


def test_distinct_keeps_the_first_name() -> None:
    by_name = load_zones().by_name
    assert zones.distinct(by_name, ["US/Eastern", "America/New_York", "America/Chicago"]) == (
        "America/Chicago",
        "America/New_York",
    )

"""Bytes of compiled zone files to offsets.

What must hold beside "refused or read": moments ascend and stand inside what was asked for, and no transition changes
nothing. The offset at the beginning is that of the file, or the footer's.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from streams.policy import tzif
from streams.policy.zones import FIRST_YEAR, LAST_YEAR

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.fuzz.mutators import Bytewise

FIRST: Final = int(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
HORIZON: Final = int(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp())
NAMES: Final = (
    *("UTC", "America/Bogota", "Europe/Madrid", "America/Santiago", "Africa/Casablanca", "Asia/Kathmandu"),
    *("Antarctica/Troll", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Kiritimati", "Asia/Tehran"),
)
KEPT_FOOTERS_MAX: Final = 1_000
"""The reader keeps what it wrote out of every footer, of which tzdata has a hundred and the fuzzer any number."""

_FOOTERS: Final = (
    *("UTC0", "<-05>5", "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0", "IST-2IDT,M3.4.4/26,M10.5.0"),
    *("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "A1B,J60,J365", "A1B,0,365/24", "A1B2,59/0:30:15,J1/-167", "", "X", "A25"),
    *("A1B,M13.1.0,M0.5.6", "A1B,J366,400", "A999", "A1B,M2.5.1,M12.5.6", "<+0330>-3:30"),
)
_HEADER: Final = struct.Struct(">4sc15x6I")


def zone_file(data: bytes) -> None:
    """The target."""
    if tzif._written_out.cache_info().currsize > KEPT_FOOTERS_MAX:
        tzif._written_out.cache_clear()
    try:
        at_first, transitions = tzif.read_offsets(data, FIRST, HORIZON)
    except ValueError:
        return
    before = at_first
    last = FIRST
    for moment, offset in transitions:
        assert last <= moment < HORIZON, "moments do not ascend"
        assert offset != before, "a transition that changes nothing"
        last, before = moment, offset


def built(
    moments: list[int],
    kinds: list[int],
    types: list[int],
    footer: str,
    *,
    version: bytes = b"2",
    letters: bytes = b"A\0",
) -> bytes:
    """A zone file of these parts; they need not fit together."""

    def block(size: str, times: list[int]) -> bytes:
        counts = (0, 0, 0, len(times), len(types), len(letters))
        rows = b"".join(struct.pack(">iBB", offset, 0, 0) for offset in types)
        return (
            _HEADER.pack(b"TZif", version, *counts)
            + struct.pack(f">{len(times)}{size}", *times)
            + bytes(kinds[: len(times)])
            + rows
            + letters
        )

    return block("i", []) + block("q", moments) + b"\n" + footer.encode() + b"\n"


def mutate(data: bytes, chance: random.Random, bytewise: Bytewise) -> bytes:
    """Another footer, a file of chosen parts, or other bytes."""
    match chance.randrange(5):
        case 0:
            end = data[:-1].rfind(b"\n")
            return data[: end + 1] + _footer(chance).encode() + b"\n" if end > 0 else bytewise(data)
        case 1:
            types = [chance.choice((0, 3_600, -18_000, 20_700, 2**31 - 1)) for _ in range(chance.randrange(4))]
            count = chance.randrange(5)
            start, step = FIRST - chance.choice((0, 1, 86_400, 10**9)), chance.choice((1, 86_400, 10**8, -5))
            moments = [start + number * step for number in range(count)]
            kinds = [chance.randrange(4) for _ in range(chance.choice((count, count, 0)))]
            return built(moments, kinds, types, _footer(chance), version=chance.choice((b"2", b"3", b"4", b"\0")))
        case _:
            return bytewise(data)


def _footer(chance: random.Random) -> str:
    footer = chance.choice(_FOOTERS)
    if footer and chance.random() < 0.4:
        at = chance.randrange(len(footer))
        footer = footer[:at] + chance.choice("0123456789,./:-+MJ<>Az") + footer[at + chance.randrange(2) :]
    return footer


def seeds() -> Iterator[bytes]:
    """Zones of every style of clock, and small files with every style of footer."""
    root = files("tzdata") / "zoneinfo"
    for name in NAMES:
        yield root.joinpath(*name.split("/")).read_bytes()
    for footer in _FOOTERS:
        yield built([FIRST - 9, FIRST + 9], [0, 1], [0, 3_600], footer)
        yield built([], [], [0], footer)
    yield built([], [], [0], "UTC0", version=b"1")
    yield b"TZif"

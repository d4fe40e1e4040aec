"""Reads the offsets of local time from one compiled zone file (TZif, RFC 9636).

Rules of this module
1. This module reads bytes. It knows no files and no names.
2. After the file's last transition the footer's POSIX rule holds. It is expanded up to the horizon.
3. A transition that does not change the offset (only a name or the summer-time flag) is ignored.
"""

from __future__ import annotations

import re
import struct
from datetime import UTC, date, datetime
from functools import cache
from typing import Final

_HEADER: Final = struct.Struct(">4sc15x6I")
_TYPE: Final = struct.Struct(">iBB")
_NAME: Final = r"(?:<[A-Za-z0-9+-]+>|[A-Za-z]+)"
_TIME: Final = r"[+-]?\d{1,3}(?::\d{2}){0,2}"
_DATE: Final = r"(?:M\d{1,2}\.[1-5]\.[0-6]|J\d{1,3}|\d{1,3})"
_POSIX: Final = re.compile(
    rf"{_NAME}(?P<standard>{_TIME})(?:{_NAME}(?P<summer>{_TIME})?"
    rf",(?P<start>{_DATE})(?:/(?P<start_time>{_TIME}))?,(?P<end>{_DATE})(?:/(?P<end_time>{_TIME}))?)?"
)
_EPOCH: Final = date(1970, 1, 1).toordinal()
_DAY_SECONDS: Final = 86_400
_LONG_AGO: Final = -(1 << 62)

Transitions = tuple[tuple[int, int], ...]


def read_offsets(content: bytes, first: int, horizon: int) -> tuple[int, Transitions]:
    """Offset in seconds at `first`, and the (moment, new offset) after it and before `horizon`, all in epoch seconds.

    Raises `ValueError` if the bytes are not a TZif file of version 2 or later.
    """
    try:
        moments, offsets, initial, footer = _read(content)
    except (struct.error, IndexError) as error:
        raise ValueError(f"a damaged TZif file: {error}") from None
    if list(moments) != sorted(set(moments)):
        raise ValueError("a damaged TZif file: its transitions do not ascend")
    changes = list(zip(moments, offsets, strict=True))
    last = moments[-1] if moments else _LONG_AGO
    changes += [change for change in _written_out(footer, first, horizon) if change[0] > last]
    offset = initial
    kept: list[tuple[int, int]] = []
    at_first = initial
    for moment, new in changes:
        if moment >= horizon:
            break
        if moment <= first:
            at_first = offset = new
        elif new != offset:
            kept.append((moment, new))
            offset = new
    return at_first, tuple(kept)


def _read(content: bytes) -> tuple[tuple[int, ...], list[int], int, str]:
    magic, version, *counts = _HEADER.unpack_from(content, 0)
    if magic != b"TZif" or version < b"2":
        raise ValueError("not a TZif file of version 2 or later")
    isut, isstd, leaps, times, types, letters = counts
    at = _HEADER.size + times * 5 + types * 6 + letters + leaps * 8 + isstd + isut
    _, _, isut, isstd, leaps, times, types, letters = _HEADER.unpack_from(content, at)
    at += _HEADER.size
    moments = struct.unpack_from(f">{times}q", content, at)
    kinds = content[at + times * 8 : at + times * 9]
    at += times * 9
    known = [_TYPE.unpack_from(content, at + 6 * index)[0] for index in range(types)]
    at += types * 6 + letters + leaps * 12 + isstd + isut
    footer = content[at:].split(b"\n")[1].decode("ascii")
    offsets = [known[kind] for kind in kinds]
    initial = known[0]
    if not moments and footer:  # without any transition the footer always holds
        initial = _seconds(_parts(footer)["standard"]) * -1
    return moments, offsets, initial, footer


@cache
def _written_out(footer: str, first: int, horizon: int) -> Transitions:
    """The footer's rule as transitions, from the year before `first` to the horizon."""
    if not footer:
        return ()
    parts = _parts(footer)
    standard = -_seconds(parts["standard"])
    start, end = parts["start"], parts["end"]
    if start is None or end is None:
        return ((first - _DAY_SECONDS, standard),)
    summer = -_seconds(parts["summer"]) if parts["summer"] else standard + 3_600
    changes: list[tuple[int, int]] = []
    for year in range(_year(first) - 1, _year(horizon) + 1):
        starts = _day(start, year) + _seconds(parts["start_time"], "2") - standard
        ends = _day(end, year) + _seconds(parts["end_time"], "2") - summer
        changes += [(starts, summer), (ends, standard)]
    return tuple(sorted(changes))


def _parts(footer: str) -> dict[str, str | None]:
    found = _POSIX.fullmatch(footer)
    if found is None:
        raise ValueError(f"unreadable rule {footer!r} at the end of a TZif file")
    return found.groupdict()


def _seconds(text: str | None, default: str = "0") -> int:
    text = text or default
    sign = -1 if text.startswith("-") else 1
    hours, minutes, seconds = [*text.lstrip("+-").split(":"), "0", "0"][:3]
    return sign * (int(hours) * 3_600 + int(minutes) * 60 + int(seconds))


def _year(moment: int) -> int:
    return datetime.fromtimestamp(moment, UTC).year


def _day(rule: str, year: int) -> int:
    """Midnight, in epoch seconds of a local clock, of the day a POSIX rule names in a year."""
    if rule.startswith("M"):
        month, week, weekday = map(int, rule[1:].split("."))
        first = date(year, month, 1)
        day = first.toordinal() + (weekday - first.isoweekday()) % 7 + (week - 1) * 7
        after = date(year + month // 12, month % 12 + 1, 1).toordinal()
        while day >= after:
            day -= 7
    elif rule.startswith("J"):  # 1 to 365, 29 February never counted
        number = int(rule[1:])
        leap = date(year, 12, 31).timetuple().tm_yday == 366
        day = date(year, 1, 1).toordinal() + number - 1 + (1 if leap and number >= 60 else 0)
    else:  # 0 to 365
        day = date(year, 1, 1).toordinal() + int(rule)
    return (day - _EPOCH) * _DAY_SECONDS

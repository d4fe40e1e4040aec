"""Small SVG pictures: bars with their spread, percentiles on a logarithmic line, curves over a growing number.

Rules of this module
1. The same figures give the same bytes: coordinates are rounded, nothing is named by chance.
2. No background, and colours that change with the reader's preference for light or dark; every value is also written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 760
LABEL_WIDTH: Final = 250
RIGHT: Final = 110
"""Room for a value behind the longest bar."""

BAR_HEIGHT: Final = 20
ROW_HEIGHT: Final = 34
TOP: Final = 44
BOTTOM: Final = 28
TICK_ROOM: Final = 20
PANEL_WIDTH: Final = 340
PANEL_HEIGHT: Final = 170

STYLE: Final = """<style>
text{font:13px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#24292f}
.title{font-weight:600;font-size:15px}.note{fill:#57606a;font-size:12px}
.grid{stroke:#d0d7de;stroke-width:1}.ours{fill:#0969da}.other{fill:#8c959f}
.spread{stroke:#24292f;stroke-width:1.5;fill:none}.line{stroke:#0969da;stroke-width:2;fill:none}
.p50{fill:#1a7f37}.p90{fill:#bf8700}.p99{fill:#cf222e}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9da7b3}.grid{stroke:#30363d}
.ours{fill:#58a6ff}.other{fill:#6e7681}.spread{stroke:#e6edf3}.line{stroke:#58a6ff}
.p50{fill:#3fb950}.p90{fill:#d29922}.p99{fill:#f85149}}
</style>"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One contender's figure: the median of its rounds, and the smallest and largest."""

    label: str
    median: float
    low: float
    high: float
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Percentiles:
    """One contender's milliseconds."""

    label: str
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True, slots=True)
class Panel:
    """One curve over a number that is multiplied from point to point: x, y, and the smallest and largest y."""

    title: str
    points: Sequence[tuple[float, float, float, float]]


def bars(title: str, note: str, rows: Sequence[Bar]) -> str:
    """A bar for each, from zero; a whisker from its smallest to its largest."""
    most = max(row.high for row in rows)
    across = WIDTH - LABEL_WIDTH - RIGHT
    body = [_text(0, 18, title, "title"), _text(0, TOP + ROW_HEIGHT * len(rows) + 16, note, "note")]
    for number, row in enumerate(rows):
        y = TOP + ROW_HEIGHT * number
        middle = y + BAR_HEIGHT / 2
        end, low, high = (LABEL_WIDTH + across * value / most for value in (row.median, row.low, row.high))
        body.append(_text(LABEL_WIDTH - 10, middle + 5, row.label, anchor="end"))
        kind = "ours" if row.is_ours else "other"
        body.append(_rectangle(LABEL_WIDTH, y, end - LABEL_WIDTH, BAR_HEIGHT, kind))
        body.append(_path([(low, middle), (high, middle)], "spread"))
        body += [_path([(x, middle - 5), (x, middle + 5)], "spread") for x in (low, high)]
        body.append(_text(max(end, high) + 8, middle + 5, f"{row.median:,.0f}"))
    return _svg(WIDTH, TOP + ROW_HEIGHT * len(rows) + BOTTOM, title, body)


def percentile_lines(title: str, note: str, rows: Sequence[Percentiles]) -> str:
    """Three points for each, on one logarithmic line of milliseconds."""
    top = TOP + TICK_ROOM
    low = 10 ** math.floor(math.log10(min(row.p50 for row in rows)))
    high = 10 ** math.ceil(math.log10(max(row.p99 for row in rows)))
    height = top + ROW_HEIGHT * len(rows)

    def place(value: float) -> float:
        share = math.log10(value / low) / math.log10(high / low)
        return LABEL_WIDTH + (WIDTH - LABEL_WIDTH - RIGHT) * share

    body = [_text(0, 18, title, "title"), _text(0, height + 20, note, "note")]
    for tick in _decades(low, high):
        body.append(_path([(place(tick), top - 12), (place(tick), height - 6)], "grid"))
        body.append(_text(place(tick), top - 16, f"{tick:,.0f} ms", "note", anchor="middle"))
    for number, row in enumerate(rows):
        y = top + 6 + ROW_HEIGHT * number
        body.append(_text(LABEL_WIDTH - 16, y + 5, row.label, anchor="end"))
        body.append(_path([(place(row.p50), y), (place(row.p99), y)], "spread"))
        for kind, value in (("p50", row.p50), ("p90", row.p90), ("p99", row.p99)):
            body.append(f'<circle class="{kind}" cx="{place(value):.1f}" cy="{y:.1f}" r="5"/>')
        body.append(_text(place(row.p99) + 10, y + 5, f"{_short(row.p50)} / {_short(row.p99)}"))
    return _svg(WIDTH, height + BOTTOM, title, body)


def panels(title: str, note: str, rows: Sequence[Panel]) -> str:
    """Curves from zero, two beside each other."""
    lines = math.ceil(len(rows) / 2)
    height = TOP + lines * (PANEL_HEIGHT + 60)
    body = [_text(0, 18, title, "title"), _text(0, height + 12, note, "note")]
    for number, panel in enumerate(rows):
        left, top = (number % 2) * (PANEL_WIDTH + 60) + 10, TOP + (number // 2) * (PANEL_HEIGHT + 60) + 10
        body += _panel(panel, left, top)
    return _svg(WIDTH, height + BOTTOM, title, body)


def _panel(panel: Panel, left: float, top: float) -> Iterator[str]:
    first, last = (math.log10(panel.points[place][0]) for place in (0, -1))
    most = max(high for _, _, _, high in panel.points)
    inner = PANEL_WIDTH - 70

    def across(x: float) -> float:
        return left + 20 + inner * ((math.log10(x) - first) / (last - first) if last > first else 0.5)

    def up(y: float) -> float:
        return top + 30 + (PANEL_HEIGHT - 50) * (1 - y / most)

    yield _text(left, top + 4, panel.title)
    yield _path([(left, up(0)), (left + PANEL_WIDTH - 20, up(0))], "grid")
    yield _path([(across(x), up(y)) for x, y, _, _ in panel.points], "line")
    for x, y, low, high in panel.points:
        yield _path([(across(x), up(low)), (across(x), up(high))], "spread")
        yield f'<circle class="ours" cx="{across(x):.1f}" cy="{up(y):.1f}" r="4"/>'
        yield _text(across(x), up(high) - 8, _short(y), anchor="middle")
        yield _text(across(x), up(0) + 17, f"{x:,.0f}", "note", anchor="middle")


def _decades(low: float, high: float) -> Iterator[float]:
    value = low
    while value <= high * 1.001:
        yield value
        value *= 10


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _rectangle(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'


def _path(points: Sequence[tuple[float, float]], kind: str) -> str:
    return f'<path class="{kind}" d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}"/>'


def _svg(width: float, height: float, title: str, body: Iterable[str]) -> str:
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(title)}">'
    )
    return "\n".join([opening, STYLE, *body, "</svg>"]) + "\n"

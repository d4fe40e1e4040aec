"""The rules of `deploy/prometheus`, with every length of time divided by one factor, and nothing else changed.

Rules of this module
1. Lengths of time are what Prometheus takes for such: `for`, ranges in brackets and offsets. What rules compare with,
   seconds among it, stays: a lag of 60 s is one of 60 s.
2. A rule that looks back for a day or longer is drilled with a larger factor, or it would take days of a session. Which
   rules these are follows from the rules.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

RULES: Final = Path(__file__).parents[2] / "deploy/prometheus/rules"

DAY_SECONDS: Final = 86_400
SECONDS_OF: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": DAY_SECONDS, "w": 7 * DAY_SECONDS}

_RANGE: Final = re.compile(r"(?P<before>\[|\boffset\s+)(?P<number>\d+)(?P<unit>ms|[smhdw])\b")
_DURATION: Final = re.compile(r"(?P<number>\d+)(?P<unit>ms|[smhdw])")
_RECORDED: Final = re.compile(r"\b[a-z_]+:\w+:\w+")


class Clock(NamedTuple):
    """How fast time passes in the rules, and how often Prometheus looks."""

    name: str
    factor: int
    scrape_seconds: float


HOURS: Final = Clock("hours", 20, 2.5)
"""A minute lasts 3 s. Scrapes wait for 2 s, because that is how long a supervisor waits for a process that does not
answer, and the shortest range, of 5 minutes, must still hold several."""

DAYS: Final = Clock("days", 1_440, 0.5)
"""A day lasts a minute."""

CLOCKS: Final = (HOURS, DAYS)


@functools.cache
def rules(name: str) -> list[dict[str, Any]]:
    """The groups of one of the files."""
    groups: list[dict[str, Any]] = yaml.safe_load((RULES / name).read_text(encoding="utf-8"))["groups"]
    return groups


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert, by name."""
    return {rule["alert"]: rule for group in rules("alerts.yml") for rule in group["rules"]}


def seconds_of(duration: str) -> float:
    """What a duration of the rules is in seconds."""
    match = _DURATION.fullmatch(duration)
    assert match is not None, duration
    return int(match["number"]) * SECONDS_OF[match["unit"]]


def shortened(duration: str, factor: int) -> str:
    """The duration, divided; to the millisecond, which is how exactly Prometheus takes it."""
    return f"{max(1, round(seconds_of(duration) * 1_000 / factor))}ms"


def shortened_groups(groups: list[dict[str, Any]], factor: int) -> list[dict[str, Any]]:
    """The groups, with every length of time divided."""

    def divide(match: re.Match[str]) -> str:
        return match["before"] + shortened(match["number"] + match["unit"], factor)

    return [
        {
            **group,
            "rules": [
                {
                    **rule,
                    "expr": _RANGE.sub(divide, rule["expr"]),
                    **({"for": shortened(rule["for"], factor)} if "for" in rule else {}),
                }
                for rule in group["rules"]
            ],
        }
        for group in groups
    ]


def write_shortened(directory: Path, factor: int) -> list[Path]:
    """Write the rules for Prometheus; returns the files."""
    written = []
    for path in sorted(RULES.glob("*.yml")):
        target = directory / path.name
        groups = shortened_groups(rules(path.name), factor)
        target.write_text(yaml.safe_dump({"groups": groups}, sort_keys=False, width=1_000), encoding="utf-8")
        written.append(target)
    return written


def clock_of(alert: str) -> Clock:
    """The clock by which an alert is drilled."""
    return DAYS if longest_look_seconds(alerts()[alert]["expr"]) >= DAY_SECONDS else HOURS


def longest_look_seconds(expression: str) -> float:
    """How far back an expression looks, in itself and in what was recorded for it."""
    recorded = {rule["record"]: rule["expr"] for group in rules("recording.yml") for rule in group["rules"]}
    own = [seconds_of(match["number"] + match["unit"]) for match in _RANGE.finditer(expression)]
    return max(
        [*own, *(longest_look_seconds(recorded[name]) for name in _RECORDED.findall(expression) if name in recorded)],
        default=0.0,
    )

"""What a campaign of races showed: races.md for people, races.json for machines."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.races.campaign import Answered, Outcome

PERCENTILES = (50, 90, 99, 100)


def write_report(directory: Path, barrier_on: Outcome, barrier_off: Outcome) -> bool:
    """Write both files; returns whether the campaign shows what it must.

    It must show enough races in time, enough of them during a rebalance, no approval of any race with the barrier,
    whether it counts or not, and approvals of races that count without.
    """
    figures = {"barrier on": _figures(barrier_on), "barrier off": _figures(barrier_off)}
    plan = barrier_on.plan
    is_shown = (
        len(barrier_on.counted) >= plan.counted_min
        and sum(race.trial.is_rebalancing for race in barrier_on.counted) >= plan.rebalancing_min
        and {(race.verdict, race.reason) for race in barrier_on.answered} == {("suppressed", "opt_out")}
        and barrier_on.audit.is_clean
        and any(race.verdict == "approved" for race in barrier_off.counted)
    )
    (directory / "races.json").write_text(json.dumps({"shown": is_shown, **figures}, indent=1) + "\n", "utf-8")
    (directory / "races.md").write_text(_markdown(figures, is_shown=is_shown), "utf-8")
    return is_shown


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Named p50, p90, p99 and p100 (the largest)."""
    ordered = sorted(values)
    return {f"p{share}": round(ordered[(len(ordered) - 1) * share // 100], 1) for share in PERCENTILES}


def _figures(outcome: Outcome) -> dict[str, Any]:
    counted = outcome.counted
    during = [race for race in counted if race.trial.is_rebalancing]
    summary, load = outcome.summary, outcome.load
    return {
        "races": len(outcome.answered),
        "counted": len(counted),
        "counted during a rebalance": len(during),
        "counted, by opt-out": sum(not race.trial.is_stop for race in counted),
        "counted, by STOP in a reply": sum(race.trial.is_stop for race in counted),
        "approved": len(outcome.approved),
        "approved of those counted": _approved(counted),
        "approved of those counted during a rebalance": _approved(during),
        "answers": dict(Counter(f"{race.verdict} {race.reason or ''}".strip() for race in outcome.answered)),
        "acknowledgement to send, us, all races": percentiles([_microseconds(race) for race in outcome.answered]),
        "acknowledgement to send, us, counted": percentiles([_microseconds(race) for race in counted]),
        "sent to decided, ms": percentiles([_waited_ms(race) for race in outcome.answered]),
        "sent to decided, ms, during a rebalance": percentiles([_waited_ms(race) for race in during]) if during else {},
        "seconds": round(summary.seconds, 1),
        "rebalances": summary.rebalances,
        "seconds in a rebalance": round(summary.unstable_seconds, 1),
        "questions to the coordinator": summary.group_questions,
        "times the third worker came": outcome.joins,
        "other intents per second": round(load["intents"] / load["seconds"]),
        "other preference events per second": round(load["preferences"] / load["seconds"]),
        "audit: looked at": dict(outcome.audit.counts),
        "audit: broken promises": dict(outcome.audit.found),
    }


def _approved(races: Sequence[Answered]) -> int:
    return sum(race.verdict == "approved" for race in races)


def _microseconds(race: Answered) -> float:
    return (race.trial.sent_ns - race.trial.acknowledged_ns) / 1_000


def _waited_ms(race: Answered) -> float:
    return race.decided_ms - race.trial.sent_ns / 1_000_000


HEAD = """\
# Opt-out races

Made by `make races`, on Apache Kafka (one node), broker, two workers, load and racer on one machine. {verdict}

A race: an opt-out (every fifth time a STOP in a reply) is sent with `acks=all`; its acknowledgement arrives; the intent
of the same customer, who would be approved otherwise, is sent on another connection. Each customer races once.

- **Acknowledgement to send** is from the moment the kernel received the acknowledgement (its own time stamp) to the
  moment it had taken the intent. Only races of at most 1 ms count; all races are judged.
- **During a rebalance**: the group's coordinator (DescribeGroups, asked over and over) answered `PreparingRebalance` or
  `CompletingRebalance` in the last answer before the acknowledgement and in the first that was asked for after the
  send. A third worker joins and leaves in a loop meanwhile.
- **Barrier off**: the same run with workers of the tests' own, whose barrier answers "nothing to wait for". The product
  has no such switch.
- **Audit**: everything published and committed, load included, judged by `mesura audit`'s own check, which is told when
  each raced opt-out was acknowledged.

"""


def _markdown(figures: dict[str, dict[str, Any]], *, is_shown: bool) -> str:
    on, off = figures.values()
    lines = [HEAD.format(verdict="It shows what it must." if is_shown else "**It does not show what it must.**")]
    lines += ["| | barrier on | barrier off |", "|---|---|---|"]
    lines += [f"| {name} | {_cell(on[name])} | {_cell(off[name])} |" for name in on]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(one)}" for name, one in value.items()) or "–"
    return f"{value:,}".replace(",", " ")

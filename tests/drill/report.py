"""The report of the drill, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.drill.drills import FAULTS, acts, not_drilled
from tests.drill.shortened import CLOCKS, alerts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drill.act import Seen
    from tests.drill.campaign import Findings


def as_markdown(findings: Findings) -> str:
    """All of it."""
    return "\n".join(_lines(findings)) + "\n"


def _lines(findings: Findings) -> Iterator[str]:
    yield "# Every alert, provoked"
    yield ""
    yield "Written by `make alerts`: Apache Kafka, `mesura run` with two processes, Prometheus and Alertmanager as"
    yield "Debian ships them, and a receiver of pages, all on one machine. The rules are those of `deploy/prometheus`,"
    yield "with every `for`, range and offset divided by one factor and nothing else changed:"
    yield ""
    yield "| clock | factor | a minute lasts | scraped every | for |"
    yield "|---|---|---|---|---|"
    for clock in CLOCKS:
        which = "rules that look back for a day or longer" if clock is CLOCKS[1] else "all other rules"
        yield (f"| {clock.name} | {clock.factor} | {60 / clock.factor:.3g} s | {clock.scrape_seconds:g} s | {which} |")
    yield ""
    yield "The supervisor's longest pause between two starts, and the time after which a failure counts as past, are"
    yield "divided as the rules are. What else the gate waits for, and what rules compare with (a lag of 60 s), is not."
    yield ""
    yield f"{findings.machine}."
    yield ""
    yield "*Fires*: from the fault to the receiver of pages; of that the rule's own `for`. *Over*: from the mending to"
    yield "the receiver; where nobody mends anything, from the firing."
    yield ""
    yield "| alert | fault | fires | of that `for` | mended by | over | runbook |"
    yield "|---|---|---|---|---|---|---|"
    order = {name: number for number, name in enumerate(alerts())}
    seen = sorted(findings.seen, key=lambda row: (order.get(row.alert, len(order)), row.act))
    for row in seen:
        yield _row(row)
    for alert in not_drilled():
        yield f"| {alert} | **no drill** | | | | | |"
    seen_alerts = {row.alert for row in seen}
    for fault in FAULTS:
        for alert in fault.alerts:
            if alert not in seen_alerts:
                yield f"| {alert} | {fault.what} | **not seen yet** | | | | |"
    played = {row.act for row in findings.seen}
    if missing := [act for act in acts() if act not in played]:
        yield from ("", f"Not played: {', '.join(missing)}.")
    yield from ("", "## What the runbook's commands and panels showed", "")
    yield "While the alert fired. Everything that the part *What to check* of its section names was looked at."
    for row in seen:
        yield from ("", f"### {row.alert}: {row.fault}", "")
        yield from (f"- {_cell(each)}" for each in row.shown)
    if findings.queries:
        empty = [query for query, points in findings.queries.items() if not points]
        yield from ("", "## The dashboard", "")
        yield f"{len(findings.queries)} queries of panels and annotations, asked of the same Prometheus over the whole"
        yield f"drill: {len(findings.queries) - len(empty)} returned data."
        yield from ("", *(f"- no data: `{query}`" for query in empty))
    yield from ("", "## What else fired", "")
    yield "A fault raises more than the alert that it was meant for."
    yield ""
    for act, names in findings.also.items():
        yield f"- {act}: {', '.join(names) or 'nothing'}"
    for what, failure in [*((row.alert, row.failure) for row in seen if row.failure), *findings.failures.items()]:
        yield from ("", f"## Failed: {what}", "", "```", failure.rstrip(), "```")


def _row(row: Seen) -> str:
    link = f"[section](../../docs/operations.md#{row.alert.lower()})"
    failed = " **failed**" if row.failure else ""
    clock = " (days)" if row.clock != CLOCKS[0].name else ""
    return (
        f"| {row.alert}{clock} | {row.fault} | {_seconds(row.fired_seconds)} | {row.held_seconds:.3g} s "
        f"| {row.mended} | {_seconds(row.resolved_seconds)}{failed} | {link} |"
    )


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f} s"


def _cell(text: str) -> str:
    """Nothing in it is taken for markup of the page."""
    return text.replace("<", "&lt;").replace("|", "\\|")

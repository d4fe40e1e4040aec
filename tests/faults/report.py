"""The report of a campaign, for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.system.aging import as_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.faults.campaign import Findings

PARTS = {
    "kills": "kill -9 of the worker",
    "frozen": "a frozen worker",
    "stop": "SIGTERM",
    "broker": "kill -9 of the broker",
}


COUNTED = ("decisions", "approved", "withdrawals", "ledgers")


def as_markdown(findings: Findings) -> str:
    """All of it."""
    return "\n".join(_lines(findings)) + "\n"


def states(transactions: Mapping[str, object]) -> str:
    """The broker's state of each transactional id, the ids by their last part."""
    return "; ".join(f"{name[-5:]} {found}" for name, found in sorted(transactions.items())) or "–"


def _lines(findings: Findings) -> Iterator[str]:
    yield "# Faults"
    yield ""
    yield "Written by `make faults`: Apache Kafka, the starter policy with its hours opened, one lane a worker. Each"
    yield "part runs on topics of its own and is judged from them: every record left one trace; every decision,"
    yield "withdrawal and dead letter is the independent model's; every ledger in the changelog is that of a replay"
    yield "of the committed decisions; no acknowledged opt-out went unheeded."
    yield ""
    yield f"Seed {findings.seed}. {findings.machine}. Offered: {findings.rate} intents a second while faults happen."
    yield ""
    yield "| part | minutes | intents | offered a second | decided | approved | withdrawn | ledgers | verdict |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for part, title in PARTS.items():
        yield _part(findings, part, title)
    for part, failure in findings.failures.items():
        yield from ("", f"## Failed: {part}", "", "```", failure.rstrip(), "```")
    for part, verdict in findings.verdicts.items():
        yield from ("", f"## As time goes by: {PARTS[part]}", "", *as_rows(verdict.stages))
    yield from _kills(findings)
    yield from _frozen(findings)
    yield from _broker(findings)
    yield from _stopped(findings)


def _part(findings: Findings, part: str, title: str) -> str:
    minutes = f"{findings.seconds.get(part, 0.0) / 60:.1f}"
    load, verdict = findings.loads.get(part), findings.verdicts.get(part)
    offered = (f"{load['intents']:.0f}", f"{load['intents_per_second']:.0f}") if load else ("–", "–")
    if verdict is None:
        state = "**failed**" if part in findings.failures else "not run"
        return f"| {title} | {minutes} | {offered[0]} | {offered[1]} | – | – | – | – | {state} |"
    counted = (verdict.counts.get(what, 0) for what in COUNTED)
    return f"| {title} | {minutes} | {offered[0]} | {offered[1]} | {' | '.join(map(str, counted))} | clean |"


def _kills(findings: Findings) -> Iterator[str]:
    if not findings.killed:
        return
    yield from ("", "## kill -9 of the worker", "", "| killed | times |", "|---|---|")
    for point, times in sorted(Counter(killed.point for killed in findings.killed).items()):
        yield f"| {point} | {times} |"
    yield ""
    yield "The broker's transaction state: while the worker stood at its point, right after the kill, and how what was"
    yield "open then ended. A worker has two transactional ids, used in turn."
    yield ""
    yield "| # | s | killed | standing there | right after | ended as |"
    yield "|---|---|---|---|---|---|"
    for number, killed in enumerate(findings.killed, start=1):
        held, after, ended = map(states, (killed.held, killed.after, killed.ended))
        yield f"| {number} | {killed.at_seconds:.0f} | {killed.point} | {held} | {after} | {ended} |"


def _frozen(findings: Findings) -> Iterator[str]:
    if not findings.frozen:
        return
    yield from ("", "## A frozen worker", "")
    yield "`…0-0-n` are the frozen worker's transactional ids, `…1-0-n` those of the one that took over. States as"
    yield "polled every few milliseconds, from the freeze on."
    for frozen in findings.frozen:
        end = (
            "went on as a member of the new generation"
            if frozen.exit_code == 0
            else f"ended, exit code {frozen.exit_code}"
        )
        yield from ("", f"### Frozen {frozen.case.name}", "")
        seconds, ended, followed = frozen.case.transaction_seconds, frozen.ended_at_seconds, frozen.followed_at_seconds
        yield f"Transaction timeout {seconds:.0f} s. The frozen worker's transaction was {frozen.case.ends}"
        yield f"{ended:.2f} s after the freeze. Behind it, another stood in each of its partitions at {followed:.2f} s."
        yield f"Thawed, the first worker {end}."
        yield from ("", "```", *frozen.story, "```")


def _broker(findings: Findings) -> Iterator[str]:
    if not findings.broker:
        return
    yield from ("", "## kill -9 of the broker", "")
    yield from (
        "| worker was | broker had, after its return | next batch committed after | worker restarts |",
        "|---|---|---|---|",
    )
    for killed in findings.broker:
        yield f"| {killed.how} | {states(killed.after)} | {killed.deciding_after_seconds:.1f} s | {killed.restarts} |"


def _stopped(findings: Findings) -> Iterator[str]:
    if not findings.stopped:
        return
    yield from (
        "",
        "## SIGTERM under load",
        "",
        "| asked | open transactions then | seconds | exit code |",
        "|---|---|---|---|",
    )
    for stopped in findings.stopped:
        yield f"| {stopped.how} | {len(stopped.open_before)} | {stopped.seconds:.2f} | {stopped.exit_code} |"

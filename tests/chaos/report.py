"""The report of a campaign, for people."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from tests.chaos.plan import KINDS
from tests.system.aging import as_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.campaign import Findings

COUNTED = ("intents", "decisions", "approved", "withdrawals", "preferences", "outcomes", "dead_letters", "forwarded")
COUNTED_TOO = ("batches", "customers", "ledgers")


def as_markdown(findings: Findings) -> str:
    """All of it."""
    return "\n".join(_lines(findings)) + "\n"


def _lines(findings: Findings) -> Iterator[str]:
    yield "# Chaos"
    yield ""
    yield "Written by `make chaos`: Apache Kafka, three workers and at times a fourth, two of them behind a proxy, the"
    yield "starter policy with its hours opened in three versions, skewed customers. Everything comes from one seed."
    yield ""
    brokers = "one broker" if findings.brokers == 1 else f"{findings.brokers} brokers"
    yield f"Seed {findings.seed}, {findings.minutes:g} minutes, {findings.rate} intents a second, {brokers}."
    yield f"{findings.machine}."
    yield ""
    yield f"**{'Clean: every promise was kept.' if findings.is_clean else 'Not clean.'}**"
    yield from _numbers(findings)
    yield from _faults(findings)
    yield from _ends(findings)
    yield from _clocks(findings)
    for failure in findings.failures:
        yield from ("", "## Wrong", "", "```", failure.rstrip(), "```")


def _numbers(findings: Findings) -> Iterator[str]:
    verdict = findings.verdict
    if verdict is None:
        return
    yield from ("", "| looked at | |", "|---|---|")
    yield f"| faults, kinds of them | {len(findings.survived)}, {len({each.kind for each in findings.survived})} |"
    for name in (*COUNTED, *COUNTED_TOO):
        yield f"| {name.replace('_', ' ')} | {verdict.counts.get(name, 0)} |"
    yield f"| noes whose acknowledgement was seen | {verdict.noes_acknowledged} |"
    yield f"| seconds until all was decided, after the last fault | {findings.settled_seconds:.1f} |"
    yield f"| seconds the audit took | {verdict.audit_seconds:.0f} |"
    yield from ("", "## As time goes by", "")
    yield "The same topics, audited again: once the broker had compacted whatever is compacted, after a restore from"
    yield "what that left, and without the first third of the input records."
    yield from ("", *as_rows(verdict.stages))


def _faults(findings: Findings) -> Iterator[str]:
    yield from ("", "## Faults survived", "")
    yield "Deciding again: from the end of a fault (the kill, the heal, the broker's answer) until every partition had"
    yield "committed another batch, whatever other faults came meanwhile."
    yield ""
    yield "| fault | times | deciding again, median s | longest s | seen |"
    yield "|---|---|---|---|---|"
    for kind in KINDS:
        found = [each for each in findings.survived if each.kind == kind.name]
        seconds = [each.deciding_after_seconds for each in found] or [0.0]
        seen = Counter(each.seen for each in found if each.seen)
        told = "; ".join(f"{what} {times}" for what, times in sorted(seen.items())) or "–"
        yield f"| {kind.name} | {len(found)} | {median(seconds):.1f} | {max(seconds):.1f} | {told} |"


def _ends(findings: Findings) -> Iterator[str]:
    yield from ("", "## Ends of worker processes", "", "Each was started again at once, under its slot.", "")
    yield "| exit code | explained by | reason it gave | times |"
    yield "|---|---|---|---|"
    ends = Counter(
        (ended.exit_code, ended.explained_by or "**nothing**", _short(ended.said) if ended.exit_code > 0 else "–")
        for ended in findings.ended
    )
    for (code, explained_by, said), times in sorted(ends.items()):
        yield f"| {code} | {explained_by} | {said} | {times} |"


def _short(said: str) -> str:
    return said.replace("|", "/").replace("\n", " ")[:120]


def _clocks(findings: Findings) -> Iterator[str]:
    yield from ("", "## Clocks", "")
    yield "Of every committed batch its moment, by the worker's clock, against the broker's time of its meta record:"
    yield f"at most {findings.ahead_ms_max} ms ahead and {findings.behind_ms_max} ms behind. The limit is 5 s, and 2 s"
    yield "more behind for the age at which a batch is given up."

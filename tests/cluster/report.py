"""The report of a campaign on three brokers, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.cluster.strikes import STRIKES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.campaign import Findings

COUNTED: Final = {
    "intents": "intents acknowledged to the load and the races",
    "decisions": "decisions",
    "dead_letters": "dead letters of intents",
    "lost": "intents lost",
    "doubled": "intents answered twice",
    "races": "intents sent after an acknowledged no",
    "approved_after_no": "of those approved",
    "approved_silent": "approved of customers who said nothing",
}


def as_markdown(findings: Findings) -> str:
    """All of it."""
    return "\n".join(_lines(findings)) + "\n"


def _lines(findings: Findings) -> Iterator[str]:
    sides = list(findings.counts) or sorted({side for each in findings.struck for side in each.audits})
    yield "# Three brokers"
    yield ""
    yield "Written by `make clusters`: three brokers of Apache Kafka (KRaft, three replicas,"
    yield "`min.insync.replicas=2`) and on them two gates of two worker processes each, one that connects in plaintext,"
    yield "one over SASL_SSL (an authority of its own, host names checked, SCRAM-SHA-512, the brokers' authorizer with"
    yield "what `mesura topics acls` grants). Every strike hits both at once, under load. After each, all is decided,"
    yield "and `mesura audit` is run over the gate's own way in. Brokers and controllers speak plaintext to each other."
    yield ""
    minutes = f"{findings.seconds / 60:.1f} minutes"
    yield f"{findings.machine}. Offered: {findings.rate} intents a second to each gate. {minutes}."
    yield ""
    yield f"| strike | seen | {' | '.join(f'{side}: decides again, audit' for side in sides)} |"
    yield f"|---|---|{'---|' * len(sides)}"
    for each in findings.struck:
        cells = []
        for side in sides:
            after = each.decides_after_seconds.get(side)
            said = each.audits.get(side, "not reached")
            audit = f"{said}, {each.audited[side]} decisions" if said == "clean" else "**not clean**"
            cells.append("–" if after is None else f"after {after:.1f} s; {audit}")
        yield f"| {each.name} | {each.seen or '–'} | {' | '.join(cells)} |"
    for name in STRIKES:
        if name not in {each.name for each in findings.struck}:
            yield f"| {name} | not run |{' – |' * len(sides)}"
    yield ""
    yield "Decides again: from the end of the strike (the broker is back, the worker goes on) until every partition has"
    yield "committed once more; while one broker is away it decides too. The audit's decisions are all since the start."
    if findings.counts:
        yield from ("", f"| counted from the topics | {' | '.join(sides)} |", f"|---|{'---|' * len(sides)}")
        for name, what in COUNTED.items():
            yield f"| {what} | {' | '.join(str(getattr(findings.counts[side], name)) for side in sides)} |"
    for failure in findings.failures:
        yield from ("", "## Failed", "", "```", failure.rstrip(), "```")

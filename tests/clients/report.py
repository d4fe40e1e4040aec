"""What the clients' runs showed: clients.md for people, clients.json for machines."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.report import machine, table
from streams.testing.kafka_installation import install_kafka
from tests.clients.plan import CLIENTS
from tests.clients.programs import versions_of
from tests.clients.rules import records
from tests.clients.secured import MECHANISM
from tests.system.aging import as_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.clients.campaign import Findings
    from tests.clients.example_runs import Published, Served
    from tests.clients.verdict import Counts

INTRODUCTION: Final = """\
Made by `{command}`, on Apache Kafka {kafka} (one node), clients and gate on one machine. {verdict}

Each team publishes with its own client: the noes of twenty customers (opt-outs, and STOPs in replies), then, once all
are acknowledged, an intent for each of them and for customers who said nothing. With transactions the intents of twenty
customers are one, and every third is aborted; noes never are in one.

- **Answered**: by exactly one decision. **Dead letters**: one each, as planned (times that name no moment, values cut
  short). What is not committed has neither.
- **Forwarded**: intents and noes that were not on their customer's partition.
- **After a no**: intents sent after the acknowledgement, that could be read. Where a no was hashed otherwise than by
  murmur2 some of them are approved, because nobody looks for it where it lies; each of these was **withdrawn**."""

EXAMPLES: Final = """\
The programs of `examples/`, on the same gate: each producer in each envelope, twice with the same customers, then each
gateway, for everything that was approved of its language's customers. Each gateway was killed once in the middle of a
send and started again; the provider, which knows no repetition, got every message at most once, and every other one was
reported once."""


def write_report(directory: Path, clients: Sequence[str], findings: Findings, share: float) -> None:
    """Write both files."""
    versions = {client: versions_of(client) for client in clients}
    document = {
        "shown": not findings.wrong,
        "wrong": findings.wrong,
        "share": share,
        "versions": versions,
        "runs": msgspec.to_builtins(findings.counts),
        "examples": {
            "producers": msgspec.to_builtins(findings.published),
            "gateways": msgspec.to_builtins(findings.served),
            "rules": findings.rules,
            "connected": findings.connected,
        },
        "audits": [asdict(stage) for stage in findings.stages],
        "once more": dict(findings.again),
        "seconds": {what: round(seconds, 1) for what, seconds in findings.seconds.items()},
        "machine": machine(),
    }
    (directory / "clients.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    (directory / "clients.md").write_text(_markdown(findings, versions, share), "utf-8")


def _markdown(findings: Findings, versions: dict[str, dict[str, str]], share: float) -> str:
    command = "make clients" if share == 1 else f'make clients ARGS="--share {share}"'
    verdict = "**Something is wrong, see the end.**" if findings.wrong else "Every promise was kept."
    sections = [
        "# Clients of other languages",
        INTRODUCTION.format(command=command, kafka=install_kafka().version, verdict=verdict),
        table([{"client": name, "versions": _pairs(found)} for name, found in versions.items()]),
        "## Together",
        table([_row(client, "", _sum(findings.counts, client)) for client in versions]),
        "## The examples",
        EXAMPLES,
        table([_producer_row(each) for each in findings.published]),
        table([_gateway_row(each) for each in findings.served]),
        _kept(findings),
        "## The outside check",
        "\n".join(as_rows(findings.stages)),
        f"One more intent for everybody who had said no, decided from what compaction left: {_pairs(findings.again)}.",
        "## Run by run",
        table([_row(counts.client, _title(counts), counts) for counts in findings.counts]),
    ]
    if findings.wrong:
        sections += ["## Wrong", "\n".join(f"- {what}" for what in findings.wrong)]
    return "\n\n".join(sections) + "\n"


def _row(client: str, run: str, counts: Counts) -> dict[str, Any]:
    return {
        "client": client,
        **({"run": run, "partitioner": counts.partitioners} if run else {}),
        "noes": counts.noes,
        "published": counts.published,
        "committed": counts.committed,
        "answered": counts.answered,
        "dead letters": _pairs(counts.dead_letters) or 0,
        "forwarded": counts.forwarded,
        "after a no": counts.after_no,
        "approved of those": counts.approved_after_no,
        "withdrawn": counts.withdrawn,
    }


def _title(counts: Counts) -> str:
    return counts.run if counts.run.startswith(counts.library) else f"{counts.library}: {counts.run}"


def _sum(counts: Sequence[Counts], client: str) -> Counts:
    found = [each for each in counts if each.client == client]
    names = ("noes", "published", "committed", "answered", "forwarded", "after_no", "approved_after_no", "withdrawn")
    letters: Counter[str] = Counter()
    for each in found:
        letters.update(each.dead_letters)
    return type(found[0])(
        client=client,
        run="",
        library=CLIENTS[client].library,
        partitioners="",
        dead_letters=dict(letters),
        **{name: sum(getattr(each, name) for each in found) for name in names},
    )


def _producer_row(found: Published) -> dict[str, Any]:
    return {
        "producer": found.language,
        "CloudEvents": found.envelope,
        "intents": found.customers,
        "of who had said no": found.said_no,
        "answers": _pairs(found.answers),
        "to the same, sent again": _pairs(found.again),
    }


def _gateway_row(found: Served) -> dict[str, Any]:
    return {
        "gateway": found.language,
        "approvals": found.approved,
        "sent": found.sent,
        "reported": _pairs(found.reported),
        "killed while it sent": found.killed,
    }


def _kept(findings: Findings) -> str:
    rules = _languages(language for language, wrong in findings.rules.items() if not wrong)
    connected = _languages(language for language, did in findings.connected.items() if did)
    return (
        f"Kept every rule of docs/gateway.md, asked by {len(records())} approvals and withdrawals: {rules}. "
        f"Connected with TLS and {MECHANISM}: {connected}."
    )


def _languages(found: Iterable[str]) -> str:
    return ", ".join(found) or "none"


def _pairs(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items())

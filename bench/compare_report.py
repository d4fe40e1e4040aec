"""What a comparison found, for people: one Markdown page, three pictures, and what the figures do not say.

Rules of this module
1. A figure is the median of its rounds and the smallest and largest of them; all runs are in the JSON.
2. Everything is made from the JSON alone: the same figures give the same page and pictures, byte for byte.
"""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bench.peers.installation import kafka_streams_version, quix_versions
from bench.peers.roster import EVERYBODY, FAUST, JAVA_HEAP, MESURA, PARTITIONS
from bench.plots import Bar, Panel, Percentiles, bars, panels, percentile_lines
from bench.report import RESULTS, table
from streams.testing.kafka_installation import install_kafka

Row = dict[str, Any]

IN_MEMORY: Final = {entrant.name for entrant in EVERYBODY if entrant.keeps_state == "memory"}
MANY: Final = 50_000
"""Customers. With fewer, what a process grows by anyway would be divided among them."""

EXACTNESS: Final = {
    FAUST.name: "at least once",
}
"""Everybody else is exactly once."""

FAVOURS: Final = f"""\
**The peers do less.** They know opt-outs by channel and nothing else that a customer may say, have no consent, zone,
window of the day or law, answer with a verdict and a reason, and forget nothing on request. mesura writes with every
answer its explanation (each rule asked, its count, its limit, its bounds), what remains, how long the approval is
valid and which policy said so, with the small policy too; it bounds every decision's age, sets unreadable records
aside, and waits before each batch until everything customers had said by then has been heard. No peer has such a
barrier: an opt-out that the broker has acknowledged may be overtaken by the intent it bars. The conformance stream
gives them time; of the backlog they may decide the first intents too early, and approve a few that mesura does not.

**Kafka Streams** runs compiled by a JIT; what it decides before 40 % of its backlog are not counted, so a cold start
is not held against it, and neither is it charged for its compiling; its latency counts after {{warming}} s of the
same load. One process with two threads and {JAVA_HEAP} of heap, RocksDB off the heap, state in a compact binary of
its own, no record cache (the default of its Processor API). By default it commits every 100 ms under exactly-once,
which is most of its latency; the line with 10 ms commits shows the other end.

**Quix Streams** makes a checkpoint every 5 s by default, and under exactly-once nothing can be read before: that is
its latency, and good for its throughput. The line with 0.1 s shows the other end. Two topics that share state must be
concatenated, as its documentation says, and it then buffers and aligns them by time. Its state is JSON in RocksDB.
Two processes; on fewer intents.

**Faust** is written plainly: an agent, a table of dictionaries in memory, one event at a time. It is at least once,
and its outputs, table and offsets can disagree after a crash; no exactness is paid for here. It is started before its
backlog is published, because a first start on a backlog loses records. Two processes; on fewer intents.

**Why mesura is not faster beside Kafka Streams**: `profile.md` (`make bench-profile`) says where its time goes. Most of
it is the decision itself, in an interpreter: the rules, reading and writing the ledger, and the gate around them; the
client, the transactions and the event loop take about a fifth. What the interpreter costs shows in the lines of the
compiled core, which compiles the rules and not the objects they work on. Tried beside it, and not kept: ledgers of
fixed width, other compression. Kept: ledgers in columns, counting by translating bytes, answers that are built from
prepared pieces, and asking once a batch what depends on the request and the moment alone.

**mesura** keeps its state in memory alone: a restore reads all of it, and memory bounds the number of customers,
where RocksDB may grow beyond it. It decides in batches, one transaction each, which suits a backlog. The workload,
the policy and the peers were written by its authors; whoever knows a peer better may well make it faster. Its
compiled core is the same source built with mypyc: an option (`make compiled`), not what the image runs.

**Everybody** shares {{cores}} cores with the broker and, for latency, with the client: what a contender asks of the
broker it takes from itself. One broker without replicas on loopback makes transactions and acknowledgements cheap,
which favours those with many of them. A restore starts on an empty disk, as on another machine; who keeps state on
disk and was ended in good order starts on its own machine sooner than this. Session timeouts are alike, and waited
out before it. Rates are of a backlog, in which batches are large; under a light load everybody needs more processor
time for each."""


def versions() -> dict[str, str]:
    """Of everything that was measured, and of what it was measured with."""
    kafka = install_kafka()
    java = subprocess.run([kafka.java, "-version"], capture_output=True, text=True, check=True)
    quix = quix_versions()
    return {
        "mesura": version("mesura"),
        "Faust": f"faust-streaming {version('faust-streaming')}, aiokafka {version('aiokafka')}",
        "Quix Streams": f"{quix['quixstreams']}, confluent-kafka {quix['confluent-kafka']}, "
        f"rocksdict {quix['rocksdict']}",
        "Kafka Streams": kafka_streams_version(),
        "Apache Kafka": kafka.version,
        "Java": java.stderr.splitlines()[1].strip(),
        "client": f"confluent-kafka {version('confluent-kafka')}",
    }


def hardware() -> dict[str, Any]:
    """Of this machine."""
    processor = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = [line.split(":", 1)[1].strip() for line in processor.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"processor": next(iter(models), "unknown"), "memory_gigabytes": round(memory / 1e9)}


def write(name: str, document: dict[str, Any]) -> None:
    """`results/NAME.md` and its pictures."""
    pictures = {
        "throughput": _throughput_picture(document),
        "latency": _latency_picture(document),
        "growth": _growth_picture(document),
    }
    for kind, picture in pictures.items():
        (RESULTS / f"{name}-{kind}.svg").write_text(picture, encoding="utf-8")
    text = "\n".join(_page(name, document)) + "\n"
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    print(text, flush=True)


def _page(name: str, document: dict[str, Any]) -> Iterator[str]:
    asked, machine = document["parameters"], document["machine"]
    yield from ("# The gate beside its peers", "")
    yield (
        f"One run of {document['minutes']} minutes (`make bench-compare`): everybody in turn, round after round, on "
        f"one Apache Kafka and {machine['cores_used']} cores which all share with it; {PARTITIONS} partitions, one "
        f"workload (seed {asked['seed']}). Medians of the rounds, in brackets the smallest and the largest. The small "
        "policy: opt-outs, three contacts a channel and five in all in seven days. Before anything was measured "
        f"{', '.join(row['who'] for row in document['conformance'])} decided the conformance stream as expected."
    )
    yield from ("", "## Throughput", "", f"![Decisions a second]({name}-throughput.svg)", "")
    yield (
        f"A backlog of {asked['intents']:,} intents of {asked['customers']:,} customers ({asked['quix_intents']:,} for "
        f"Quix Streams and {asked['faust_intents']:,} for Faust, with as many for each customer), {asked['rounds']} "
        "rounds, by committed offsets. CPU is the kernel's count for each decision."
    )
    yield from ("", table(list(_throughput_rows(document))))
    yield from ("", "## Latency", "", f"![Latency]({name}-latency.svg)", "")
    yield (
        f"From the acknowledgement of an intent to its decision being readable under `read_committed`, at a fixed rate "
        f"for {asked['latency_seconds']:.0f} s, {asked['latency_rounds']} rounds. Who cannot decide "
        f"{asked['per_second']:,} a second with room to spare gets {asked['slow_per_second']}."
    )
    yield from ("", table(list(_latency_rows(document))))
    yield from ("", "## Restore and memory", "")
    yield (
        "Killed after its backlog; then, its sessions over, started on an empty disk until it has called an intent of "
        "each partition a duplicate. Forgotten: partitions in which it did not. Memory per customer: what it then "
        f"holds beyond what it holds knowing nobody; not for fewer than {MANY:,} customers, of whom nothing could be "
        "told, nor where the state is RocksDB's and memory is caches and heaps, "
        "which take what they are allowed. State per customer: the last value in the changelog."
    )
    yield from ("", table(list(_restore_rows(document))))
    yield from ("", "## Growth", "", f"![Growth]({name}-growth.svg)", "")
    yield (
        f"mesura, {asked['growth_rounds']} rounds. With more customers, {asked['growth_intents']:,} intents, starter "
        "policy: they are in its changelog, with five contacts each, when it starts, and the first decision "
        f"waits for the restore. With more rules, {asked['rules_intents']:,} intents: caps over all that a customer "
        "was sent, all of them counted for every intent, of which only the first ever denies."
    )
    yield from ("", table(list(_grown(document["customers"], "customers known"))))
    yield from ("", _per_customer(document["customers"]))
    yield from ("", table(list(_grown(document["rules"], "rules"))))
    yield from (
        "",
        "## What favours whom",
        "",
        FAVOURS.format(cores=machine["cores_used"], warming=f"{asked['warming_seconds']:.0f}"),
    )
    yield from ("", "## What was measured on what", "")
    rows = [{"what": what, "version": found} for what, found in document["versions"].items()]
    rows.append({"what": "Python", "version": machine["python"]})
    hardware = f"{machine['processor']}, {machine['cores_used']} cores, {machine['memory_gigabytes']} GB"
    rows.append({"what": "machine", "version": f"{hardware}, {machine['system']}"})
    yield table(rows)


def _throughput_rows(document: dict[str, Any]) -> Iterator[Row]:
    ours = _middle(_of(document["throughput"], MESURA.name), "decisions/s")
    for who, rows in _grouped(document["throughput"], "who"):
        rate = _middle(rows, "decisions/s")
        yield {
            "who": who,
            "decisions/s": _spread(rows, "decisions/s"),
            "beside mesura": f"{rate / ours:.2g} ×",
            "CPU µs each": _spread(rows, "CPU µs each"),
            "broker µs each": _spread(rows, "broker µs each"),
            "resident MB": _spread(rows, "resident MB"),
            "approved %": next((str(row["approved %"]) for row in rows if "approved %" in row), ""),
            "guarantee": EXACTNESS.get(who, "exactly once"),
        }


def _latency_rows(document: dict[str, Any]) -> Iterator[Row]:
    for who, rows in _grouped(document["latency"], "who"):
        kept = [row for row in rows if "p50 ms" in row]
        yield {
            "who": who,
            "intents/s": f"{rows[0]['intents/s']:,.0f}",
            **{column: _spread(kept, column) if kept else "fell behind" for column in ("p50 ms", "p90 ms", "p99 ms")},
            "CPU %": _spread(kept, "CPU %") if kept else "",
        }


def _restore_rows(document: dict[str, Any]) -> Iterator[Row]:
    idle = {who: _middle(rows, "idle MB") for who, rows in _grouped(document["latency"], "who")}
    for who, rows in _grouped(document["restore"], "who"):
        customers = _middle(rows, "customers")
        each = (_middle(rows, "resident MB") - idle[who]) * 1e6 / customers
        yield {
            "who": who,
            "customers": f"{customers:,.0f}",
            "changelog records": f"{_middle(rows, 'changelog records'):,.0f}",
            "decides after s": _spread(rows, "decides after s"),
            "forgotten": str(max(row["forgotten"] for row in rows)),
            "knowing nobody MB": f"{idle[who]:,.0f}",
            "knowing them MB": _spread(rows, "resident MB"),
            "memory per customer": f"{each:,.0f} bytes" if who in IN_MEMORY and customers >= MANY else "",
            "state per customer": f"{_middle(rows, 'state bytes per customer'):,.0f} bytes",
        }


def _grown(rows: Sequence[Row], column: str) -> Iterator[Row]:
    for number, found in _grouped(rows, column):
        kinds = ("decisions/s", "CPU µs each", "resident MB", "first decided after s")
        yield {column: f"{number:,}", **{kind: _spread(found, kind) for kind in kinds}}


def _per_customer(rows: Sequence[Row]) -> str:
    """From the fewest to the most, so that what a process takes anyway does not count."""
    (few, first), *_, (many, last) = _grouped(rows, "customers known")
    megabytes = _middle(last, "resident MB") - _middle(first, "resident MB")
    return f"From {few:,} to {many:,} customers each takes {megabytes * 1e6 / (many - few):,.0f} bytes of memory."


def _throughput_picture(document: dict[str, Any]) -> str:
    rows = []
    for who, found in _grouped(document["throughput"], "who"):
        rates = [row["decisions/s"] for row in found]
        ours = who.startswith(MESURA.name)
        rows.append(Bar(who, statistics.median(rates), min(rates), max(rates), ours))
    note = "Small policy, except where said. Bars: medians of rounds; lines: smallest to largest."
    return bars(f"Decisions a second, {document['machine']['cores_used']} cores with the broker", note, rows)


def _latency_picture(document: dict[str, Any]) -> str:
    rows = []
    for who, found in _grouped(document["latency"], "who"):
        kept = [row for row in found if "p50 ms" in row]
        if kept:
            label = who if kept[0]["intents/s"] == document["parameters"]["per_second"] else f"{who}, slower"
            rows.append(Percentiles(label, *(max(0.1, _middle(kept, f"p{share} ms")) for share in (50, 90, 99))))
    asked = document["parameters"]
    title = f"Milliseconds from acknowledged to readable, at {asked['per_second']:,} a second"
    note = f"p50, p90 and p99, medians of rounds; slower: at {asked['slow_per_second']} a second."
    return percentile_lines(title, note, rows)


def _growth_picture(document: dict[str, Any]) -> str:
    customers, rules = document["customers"], document["rules"]
    rows = [
        _curve("Decisions a second, by customers known", customers, "customers known", "decisions/s"),
        _curve("Resident MB, by customers known", customers, "customers known", "resident MB"),
        _curve("Decisions a second, by rules", rules, "rules", "decisions/s"),
        _curve("CPU µs a decision, by rules", rules, "rules", "CPU µs each"),
    ]
    return panels("mesura as it grows", "Medians of rounds; lines: smallest to largest.", rows)


def _curve(title: str, rows: Sequence[Row], across: str, up: str) -> Panel:
    points = []
    for number, found in _grouped(rows, across):
        values = [row[up] for row in found]
        points.append((float(number), statistics.median(values), min(values), max(values)))
    return Panel(title, points)


def _grouped(rows: Iterable[Row], column: str) -> list[tuple[Any, list[Row]]]:
    """In the order of first appearance."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return list(found.items())


def _of(rows: Iterable[Row], who: str) -> list[Row]:
    return [row for row in rows if row["who"] == who]


def _middle(rows: Iterable[Row], column: str) -> float:
    return float(statistics.median(row[column] for row in rows))


def _spread(rows: Sequence[Row], column: str) -> str:
    values = [row[column] for row in rows]
    middle = _shown(statistics.median(values))
    return middle if len(values) < 2 else f"{middle} ({_shown(min(values))}–{_shown(max(values))})"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

"""Writes the figures that `mesura capacity` reckons with, out of bench/results, into the package.

    python -m bench.capacity

A test compares them, so a bench that was run again is followed by this. Of several runs the least and the most count:
a busy machine is what operators have too.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from bench.report import RESULTS
from streams.capacity import figures as shipped

FILE: Final = Path(shipped.__file__).with_name(shipped.FIGURES_FILE)

STARTER: Final = ("mesura starter", "mesura, starter policy")
WORKERS: Final = 2
"""In every run that is read here."""

MEGABYTE: Final = 1_000_000
RULES_OF_STARTER: Final = 20


def measured(results: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """By the name of each figure its least and its most, its unit and where it stands."""
    throughput, compare, tls, restore, decision, latency, log_bytes = (
        json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("throughput", "compare", "tls", "restore", "decision", "latency", "log-bytes")
    )
    starter = [
        *(row for row in (*throughput["runs"], *compare["throughput"]) if row["who"] in STARTER),
        *(row for row in tls["decided"] if row["who"] == "plaintext"),
    ]
    rates = "throughput.json, compare.json (throughput), tls.json: starter policy"
    beyond_key = [row["bytes per customer"] - restore["ledger_bytes"] for row in restore["runs"]]
    busy = [
        _busy_bytes(row.get("memory MB") or row["resident MB"], customers, restore)
        for rows, customers in (
            (throughput["runs"], throughput["parameters"]["customers"]),
            (compare["throughput"], compare["parameters"]["customers"]),
        )
        for row in rows
        if row["who"] in STARTER
    ]
    without, slope = _line(log_bytes["ledgers"])
    per_contact = [slope, (decision["ledger_bytes"] - without) / decision["contacts_per_ledger"]]
    loads = "log-bytes.json: a backlog, and evenly"
    return {
        "worker_decisions_per_second": _figure([row["decisions/s"] / WORKERS for row in starter], "1/s", rates),
        "decision_cpu_microseconds": _figure([row["CPU µs each"] for row in starter], "µs", rates),
        "even_decision_cpu_microseconds": _figure(
            [
                row["CPU % per worker"] / 100 * row["processes"] / latency["parameters"]["per_second"] * 1e6
                for row in latency["runs"]
                if row["who"] == "mesura starter"
            ],
            "µs",
            "latency.json: starter policy, 2,000 a second",
        ),
        **{
            f"rules_factor_{rules}": _figure(
                _factors(compare["rules"], rules), "", f"compare.json: {rules} rules by 20"
            )
            for rules in (1, 5, 50)
        },
        "tls_factor": _figure(
            [
                row["ratio, median"]
                for row in tls["compared"]
                if row[""] in {"tls, CPU µs each", "tls, login, CPU µs each"}
            ],
            "",
            "tls.json: processor time with TLS, and with TLS and a login",
        ),
        "idle_worker_bytes": _figure([restore["empty_worker_megabytes"] * MEGABYTE], "B", "restore.json"),
        "busy_worker_bytes": _figure(busy, "B", "throughput.json, compare.json: memory, less the ledgers"),
        "ledger_bytes_without_contacts": _figure([without], "B", "log-bytes.json: ledgers"),
        "ledger_bytes_per_contact": _figure(per_contact, "B", "log-bytes.json: alike contacts; decision.json: various"),
        "customer_bytes_beside_ledger": _figure(beyond_key, "B", "restore.json: memory of a customer, less the ledger"),
        "restore_microseconds_per_customer": _figure(
            [row["ready after s"] / restore["customers"] * 1e6 for row in restore["runs"]], "µs", "restore.json"
        ),
        **{
            f"{name}_log_bytes": _figure([row[topic] for row in log_bytes["loads"]], "B", f"{loads}, {topic}")
            for name, topic in (
                ("intent", "outbound-intent"),
                ("approved", "approved-send"),
                ("suppressed", "suppressed"),
                ("batches", "mesura-batches"),
                ("ledger", "mesura-ledger"),
            )
        },
        "ledger_record_overhead_bytes": _figure(
            [row["log bytes beside key and value of a ledger"] + restore["key_bytes"] for row in log_bytes["loads"]],
            "B",
            f"{loads}; restore.json: the key",
        ),
    }


def _figure(values: Iterable[float], unit: str, source: str) -> dict[str, Any]:
    several = list(values)
    return {"low": round(min(several), 4), "high": round(max(several), 4), "unit": unit, "source": source}


def _busy_bytes(megabytes: float, customers: int, restore: dict[str, Any]) -> float:
    ledgers = customers * statistics.mean(row["bytes per customer"] for row in restore["runs"])
    return (megabytes * MEGABYTE - ledgers) / WORKERS


def _factors(rows: Iterable[dict[str, Any]], rules: int) -> list[float]:
    """Rounds are compared within themselves, because machines drift."""
    times = {(row["round"], row["rules"]): row["CPU µs each"] for row in rows if row.get("who", "mesura") == "mesura"}
    rounds = {number for number, _ in times}
    return [times[number, rules] / times[number, RULES_OF_STARTER] for number in rounds]


def _line(ledgers: list[dict[str, Any]]) -> tuple[float, float]:
    """Bytes of a ledger without contacts, and of each contact: the least squares through what was measured."""
    found = statistics.linear_regression(
        [each["contacts"] for each in ledgers], [each["ledger bytes"] for each in ledgers]
    )
    return found.intercept, found.slope


def main() -> None:
    """Write them."""
    FILE.write_text(json.dumps(measured(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()

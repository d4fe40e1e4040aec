"""What TLS and a login cost: the same gate on the same broker, in the clear and secured, in turn in one run.

    make bench-tls
    python -m bench.tls --intents 100000 --rounds 1     quicker

    plaintext    neither encrypted nor logged in
    tls          SSL; the broker has a certificate (P-256), both sides check checksums as always
    tls, login   SASL_SSL with SCRAM-SHA-512

First a backlog of intents, decided to its end by two workers (as bench.throughput); then a steady rate to one worker
(as bench.latency). Upstream and whoever reads are in the clear each time: only the gate's connections differ.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import latency, meter, throughput
from bench.contenders import IN_THE_CLEAR, Connected
from bench.report import keep, table
from bench.workload import Workload
from tests.connection.secured_kafka import PASSWORD, USER, SecuredKafka, secured_kafka

if TYPE_CHECKING:
    from collections.abc import Sequence

POLICY: Final = "starter"
CLEAR: Final = "plaintext"


def ways(secured: SecuredKafka, directory: Path) -> dict[str, Connected]:
    """How the gate connects, by name."""
    trusted = directory / "trusted.pem"
    trusted.write_text(secured.authority.pem)
    tls = f"ssl.truststore.location={trusted}\n"
    password = directory / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD)
    login = f"sasl.mechanism=SCRAM-SHA-512\nsasl.username={USER}\nsasl.password=${{directory:{directory}:password}}\n"

    def described(name: str, text: str) -> str:
        path = directory / f"{name}.properties"
        path.write_text(text)
        return str(path)

    return {
        CLEAR: IN_THE_CLEAR,
        "tls": Connected(secured.addresses["SSL"], described("tls", f"security.protocol=SSL\n{tls}"), "-tls"),
        "tls, login": Connected(
            secured.addresses["SASLSSL"], described("login", f"security.protocol=SASL_SSL\n{tls}{login}"), "-login"
        ),
    }


def against_the_clear(rows: Sequence[dict[str, Any]], figures: Sequence[str]) -> list[dict[str, Any]]:
    """Each figure as a ratio to that in the clear of the same round: the median, and the range."""
    by_round: dict[int, dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_round.setdefault(row["round"], {})[row["who"]] = row
    found = []
    for who in dict.fromkeys(row["who"] for row in rows if row["who"] != CLEAR):
        whole = [runs for runs in by_round.values() if {who, CLEAR} <= runs.keys()]
        for figure in figures:
            each = [runs[who][figure] / runs[CLEAR][figure] for runs in whole]
            spread = f"{min(each):.2f}-{max(each):.2f}"
            found.append({"": f"{who}, {figure}", "ratio, median": statistics.median(each), "range": spread})
    return found


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intents", type=int, default=200_000)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--per-second", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    meter.use_two_cores()
    decided: list[dict[str, Any]] = []
    waited: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mesura-bench-") as name:
        directory = Path(name)
        with secured_kafka(directory, heap_megabytes=throughput.BROKER_HEAP_MEGABYTES, java_options=()) as secured:
            connected = ways(secured, directory)
            rate = throughput.Bench(
                kafka=secured.kafka,
                workload=Workload.now(arguments.intents, arguments.customers),
                prefix=f"bench-{os.getpid()}",
                processes=2,
                lanes=1,
                directory=directory,
                is_audited=True,
            )
            rate.fill()
            steady = latency.Bench(
                kafka=secured.kafka,
                prefix=f"steady-{os.getpid()}",
                customers=arguments.customers,
                per_second=arguments.per_second,
                seconds=arguments.seconds,
                idle_seconds=2.0,
                lanes=1,
                directory=directory,
            )
            for number in range(1, arguments.rounds + 1):
                for who, how in connected.items():
                    decided.append({**rate.run_workers(POLICY, number, connected=how), "who": who})
                    waited.append({**steady.run_workers(POLICY, 1, number, how), "who": who})
                    print(decided[-1], waited[-1], flush=True)
    compared = against_the_clear(decided, ["decisions/s", "CPU µs each", "broker µs each"])
    compared += against_the_clear(waited, ["p50 ms", "p99 ms"])
    title = (
        f"{arguments.intents:,} intents, starter policy, two workers and the broker on {meter.CORES} cores, in turn in "
        "one run. Audited."
    )
    keep(
        "tls",
        "What TLS and a login cost",
        [
            (title, table(decided)),
            (f"{arguments.per_second:,} intents a second to one worker.", table(waited)),
            ("Against plaintext of the same round:", table(compared)),
        ],
        {"parameters": vars(arguments), "decided": decided, "waited": waited, "compared": compared},
    )


if __name__ == "__main__":
    main()

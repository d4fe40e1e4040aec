"""What becomes due among a million customers: the index against a walk over all of them.

    python -m bench.due_work
    python -m bench.due_work --customers 100000      quicker

One partition of a million customers, whose ledgers come out of the gate (`bench.restore`), of whom ten become due
within the hour. Measured is processor time, in one process without a broker: making the index, two hours of looks at
it, and what a walk over the store would have asked of every ledger, as lanes did before they had an index. Memory is
what Python allocates for the index.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any, Final

from bench.report import keep, table
from bench.restore import TEMPLATES, ledger_values
from bench.workload import DAY_MS, customer_id
from streams.contracts.dead_letters import VALUE_BYTES_MAX
from streams.decision.ledger.codec import decode_ledger
from streams.decision.ledger.retention import retained
from streams.decision.policy import compile_policy
from streams.exactly_once.changelog import customer_key
from streams.exactly_once.due_work import DueWork
from streams.exactly_once.interfaces import NOTHING_DUE, BatchResult
from streams.exactly_once.partition import PartitionState
from streams.gate import Gate, GateSettings
from streams.policy.loader import load_policy
from streams.testing.policies import open_all_hours
from streams.topics import TopicNames

DUE: Final = 10
HOUR_MS: Final = 3_600_000


class _Time:
    """A clock that stands still but for the steps, so that an hour of looks is measured without the waiting."""

    def __init__(self, now_ms: int) -> None:
        self.began_ms = now_ms
        self.seconds = 0.0

    def now_ms(self) -> int:
        return self.began_ms + int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


class _Counts:
    """The observer: what was looked at, and whether the round over all keys is over."""

    examined_keys = 0
    looks = 0
    is_filed = False

    def examined(self, keys: int) -> None:
        self.examined_keys += keys
        self.looks += 1

    def round_finished(self, seconds: float) -> None:  # noqa: ARG002 - of a time that does not pass
        self.is_filed = True


def measure(customers: int, directory: Path) -> dict[str, Any]:
    """All of it, once."""
    now = int(time.time() * 1000)
    policy_path = open_all_hours("starter", directory)
    policy = compile_policy(load_policy(policy_path).specification)
    gate = Gate(policy, GateSettings(TopicNames(), 1, bytes(32), False, VALUE_BYTES_MAX))
    # Contacted in the last days, so that nothing of them is past any horizon; ten begin six days earlier.
    recent = [values[-1] for values in ledger_values(policy_path, now)]
    past_ms = policy.specification.identities_ms - HOUR_MS // 2 - 4 * DAY_MS
    early = [values[-1] for values in ledger_values(policy_path, now - past_ms)[:DUE]]
    store = {
        customer_key(customer_id(n).encode()): early[n] if n < DUE else recent[n % TEMPLATES] for n in range(customers)
    }
    clock, counts = _Time(now), _Counts()
    state = PartitionState(0, [], store, now)
    work = DueWork(clock, counts, look_seconds=1.0, monotonic=clock.monotonic)  # type: ignore[arg-type]
    work.restart([state])

    tracemalloc.start()
    before_bytes, _ = tracemalloc.get_traced_memory()
    while not counts.is_filed:
        clock.seconds += work.seconds_to_next()
        work.step(gate)
    index_bytes = tracemalloc.get_traced_memory()[0] - before_bytes
    tracemalloc.stop()

    state.due_index, counts.is_filed = None, False
    work.restart([state])
    began, began_at = time.process_time(), clock.seconds
    while not counts.is_filed:
        clock.seconds += work.seconds_to_next()
        work.step(gate)
    filing_seconds, filing_span = time.process_time() - began, clock.seconds - began_at

    counts.examined_keys = counts.looks = 0
    found, until, looking_seconds = 0, clock.seconds + 7_200, 0.0
    while clock.seconds < until:
        clock.seconds += work.seconds_to_next()
        began = time.process_time()
        work.step(gate)
        looking_seconds += time.process_time() - began
        if state.due.keys:
            found += len(state.due.keys)
            batch = state.partition_batch([], [], {}, state.due.keys, clock.now_ms())
            result = gate.apply(batch.as_batch(), store)
            state.merge(batch, BatchResult(changes=result.changes, due_at_ms=result.due_at_ms))
            state.due = NOTHING_DUE

    then, walked = clock.now_ms(), 0
    began = time.process_time()
    for value in store.values():
        ledger = decode_ledger(value)
        walked += retained(policy.retention, ledger, then) is not ledger
    walking_seconds = time.process_time() - began
    return {
        "customers": customers,
        "found": found,
        "rows": [
            {
                "": "index, two hours of looks",
                "keys looked at": counts.examined_keys,
                "CPU s": round(looking_seconds, 3),
                "of it a look at nothing us": round(looking_seconds / counts.looks * 1e6, 1),
            },
            {"": "walk, one round", "keys looked at": customers, "CPU s": round(walking_seconds, 2),
             "of it a look at nothing us": "-"},
        ],
        "index": [
            {
                "making it, CPU s": round(filing_seconds, 2),
                "spread over s": round(filing_span, 1),
                "bytes a customer": round(index_bytes / customers, 1),
            }
        ],
    }  # fmt: skip


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mesura-bench-") as directory:
        document = measure(arguments.customers, Path(directory))
    title = f"One partition of {document['customers']:,} customers of five contacts, {document['found']} of them due."
    parts = [(title, table(document["rows"])), ("The index itself.", table(document["index"]))]
    keep("due-index", "Due work", parts, document)


if __name__ == "__main__":
    main()

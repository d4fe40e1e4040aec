# ruff: noqa: ANN401
"""A small domain for engine tests, and an oracle that judges a run from what is in the topics alone.

The domain: a key may be said hello to until it said stop. Every intent gets one answer, which carries
the number of answers the key has had and whether it was allowed, so that a lost, doubled or reordered record shows in
every later one. An intent whose value is `hold` is answered later, when its time has come and no record asks for it.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from streams.exactly_once.changelog import HOLD_PREFIX, customer_key, hold_key
from streams.exactly_once.interfaces import Batch, BatchResult
from streams.exactly_once.key_kinds import KeyKind, kind_of
from streams.exactly_once.settings import EngineSettings
from streams.records import InputRecord, OutputRecord
from streams.topics import input_topics

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

ANSWERS = "answers"


@dataclass(frozen=True)
class Topics:
    """The topics of one test, so that tests can share a broker."""

    prefix: str

    @property
    def intents(self) -> str:
        return f"{self.prefix}-intents"

    @property
    def opt_outs(self) -> str:
        return f"{self.prefix}-opt-outs"

    @property
    def outcomes(self) -> str:
        return f"{self.prefix}-outcomes"

    @property
    def rerouted(self) -> str:
        return f"{self.prefix}-rerouted"

    @property
    def answers(self) -> str:
        return f"{self.prefix}-answers"

    @property
    def ledger(self) -> str:
        return f"{self.prefix}-ledger"

    @property
    def batches(self) -> str:
        return f"{self.prefix}-batches"

    @property
    def control(self) -> str:
        return f"{self.prefix}-control"

    @property
    def partitioned(self) -> tuple[str, ...]:
        return (self.intents, self.opt_outs, self.outcomes, self.rerouted, self.answers, self.ledger, self.batches)

    def settings(self, bootstrap_servers: str, **changes: Any) -> EngineSettings:
        """Settings with short session, for tests."""
        values: dict[str, Any] = {
            "bootstrap_servers": bootstrap_servers,
            "application_id": self.prefix,
            "input_topics": input_topics(
                intents=(self.intents,), opt_out=self.opt_outs, outcome=self.outcomes, rerouted=self.rerouted
            ),
            "changelog_topic": self.ledger,
            "batches_topic": self.batches,
            "output_topics": (self.answers,),
            "control_topic": self.control,
            "session_timeout_ms": 3_000,
            "heartbeat_interval_ms": 500,
        }
        return EngineSettings(**(values | changes))


class Greeter:
    """The toy state machine. Held intents are answered `hold_ms` after they came."""

    def __init__(self, topics: Topics, word: str = "hello", hold_ms: int = 0) -> None:
        self.topics = topics
        self.answers = topics.answers
        self.word = word
        self.hold_ms = hold_ms

    due_horizons: Hashable = None
    approving_kinds = frozenset({KeyKind.HOLD})

    def due_at(self, key: bytes, value: bytes) -> int | None:
        return int(value) if kind_of(key) is KeyKind.HOLD else None

    def apply(self, batch: Batch, store: Mapping[bytes, bytes]) -> BatchResult:
        result = BatchResult(tally=len(batch.records))
        changes: dict[bytes, bytes | None] = result.changes
        for record, now_ms in zip(batch.records, batch.moments_ms, strict=True):
            key = customer_key(record.key or b"")
            count, stopped = parse(changes.get(key) or store.get(key))
            if record.topic == self.topics.intents and record.value == b"forward":
                result.outputs.append(OutputRecord(self.topics.rerouted, record.key, b"x", (("from", b"here"),), 0))
                continue
            if record.topic == self.topics.intents and record.value == b"hold":
                held = hold_key(record.key or b"")
                changes[held] = b"%d" % (now_ms + self.hold_ms)
                result.due_at_ms[held] = now_ms + self.hold_ms
                continue
            if record.topic in (self.topics.intents, self.topics.rerouted):
                count += 1
                answer = {"o": record.offset, "n": count, "ok": not stopped, "now": now_ms, "w": self.word}
                value = orjson.dumps(answer)
                if record.value and record.value.startswith(b"pad "):
                    value += b" " * int(record.value[4:])
                result.outputs.append(OutputRecord(self.answers, record.key, value))
            elif record.topic == self.topics.opt_outs:
                stopped = True
            changes[key] = b"%d %d" % (count, stopped)
        for held in batch.due:
            if held.startswith(HOLD_PREFIX) and held in store:
                customer = held.removeprefix(HOLD_PREFIX)
                known = customer_key(customer)
                _, stopped = parse(changes.get(known) or store.get(known))
                answer = {"released": True, "ok": not stopped, "now": batch.due_ms}
                result.outputs.append(OutputRecord(self.answers, customer, orjson.dumps(answer)))
                changes[held] = None
        return result


def parse(value: bytes | None) -> tuple[int, bool]:
    if value is None:
        return 0, False
    count, stopped = value.split()
    return int(count), stopped == b"1"


@dataclass
class Recorder:
    """An observer that remembers."""

    commits: int = 0
    decided: int = 0
    aborted: Counter[str] = field(default_factory=Counter)
    missing: list[tuple[str, int, int]] = field(default_factory=list)
    partitions: frozenset[int] = frozenset()
    is_ready: bool = False
    why: str = ""
    unanswered: int = 0
    lags: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)
    restored: Counter[int] = field(default_factory=Counter)
    differences: list[float] = field(default_factory=list)
    commit_delays_ms: list[int] = field(default_factory=list)
    examined_keys: int = 0
    looks: int = 0
    """At what has become due; with few of the keys, or none."""
    rounds: int = 0
    """Over all keys, to note when each becomes due."""

    def committed(self, partition: int, tally: Any, *, decided_at_ms: int, committed_at_ms: int) -> None:
        self.commits += 1
        self.decided += tally
        self.commit_delays_ms.append(committed_at_ms - decided_at_ms)

    def batch_aborted(self, reason: str) -> None:
        self.aborted[reason] += 1

    def barrier_waited(self, seconds: float) -> None: ...

    def commit_unanswered(self, seconds: float) -> None: ...

    def barrier_unanswered(self, seconds: float) -> None:
        self.unanswered += 1

    def restore_progress(self, partition: int, restored_records: int, remaining_records: int) -> None:
        self.restored[partition] = restored_records

    def assigned(self, partitions: frozenset[int]) -> None:
        self.partitions = partitions

    def ready(self, is_ready: bool, why: str) -> None:
        self.is_ready, self.why = is_ready, why

    def lag(self, topic: str, partition: int, records: int, seconds: float) -> None:
        self.lags[topic, partition] = (records, seconds)

    def records_missing(self, topic: str, partition: int, count: int) -> None:
        self.missing.append((topic, partition, count))

    def clock_difference(self, seconds: float) -> None:
        self.differences.append(seconds)

    def examined(self, keys: int) -> None:
        self.examined_keys += keys
        self.looks += 1

    def round_finished(self, seconds: float) -> None:
        self.rounds += 1


class Clock:
    """Wall time, shifted."""

    def __init__(self, shift_ms: int = 0) -> None:
        self.shift_ms = shift_ms

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.shift_ms


def judge(
    intents: Mapping[int, Sequence[InputRecord]], answers: Mapping[int, Sequence[InputRecord]], *, complete: bool = True
) -> None:
    """Every intent has one answer on its partition, numbered per key in the order of the intents."""
    for partition, asked in intents.items():
        given = [orjson.loads(record.value or b"{}") for record in answers.get(partition, ())]
        offsets = [answer["o"] for answer in given]
        doubled = [offset for offset, times in Counter(offsets).items() if times > 1]
        assert not doubled, f"partition {partition}: {len(doubled)} intents answered twice, first at {doubled[0]}"
        if complete:
            assert len(offsets) == len(asked), f"partition {partition}: {len(asked)} intents, {len(offsets)} answers"
        assert offsets == [record.offset for record in asked][: len(offsets)], f"partition {partition}: out of order"
        numbers: Counter[bytes | None] = Counter()
        for record, answer in zip(asked, given, strict=False):
            numbers[record.key] += 1
            assert answer["n"] == numbers[record.key], f"partition {partition}, offset {record.offset}: wrong count"

"""The demonstration's input decided without a broker: the gate itself, partition by partition, by the record clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

import streams.policy.packs
from streams.contracts.header_names import ERROR_REASON
from streams.decision.policy import compile_policy
from streams.exactly_once.interfaces import Batch
from streams.gate import Gate, GateSettings
from streams.policy.loader import load_policy
from streams.records import InputRecord
from streams.topics import TopicNames

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.demo.records import DemoRecord

BATCH_RECORDS = 1_000
STARTER = Path(next(iter(streams.policy.packs.__path__))) / "starter.yaml"


@dataclass
class Answers:
    """What the gate said."""

    approved: int = 0
    withdrawn: Counter[str] = field(default_factory=Counter)
    suppressed: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    matched: Counter[bool] = field(default_factory=Counter)
    rules_asked: int = 0
    policy_rules_asked: int = 0
    kinds_decided: Counter[tuple[str, str]] = field(default_factory=Counter)
    bytes_out: Counter[tuple[str, int]] = field(default_factory=Counter)

    @property
    def decided(self) -> int:
        return self.approved + self.suppressed.total()


@cache
def starter() -> Gate:
    policy = compile_policy(load_policy(STARTER).specification)
    return Gate(policy, GateSettings(TopicNames(), 8, b"k" * 32, is_bounded=True, dead_letter_bytes_max=1_000_000))


def decide_all(records: Iterable[DemoRecord], partitions: int = 8, now_ms: int | None = None) -> Answers:
    """Every record applied in the order given. `now_ms`: of every record; None: the running maximum of timestamps."""
    gate, topics = starter(), TopicNames()
    names = {"intents": topics.intents[0], "preferences": topics.preferences, "outcomes": topics.outcomes}
    rows: list[list[InputRecord]] = [[] for _ in range(partitions)]
    for record in records:
        row = rows[record.partition_of(partitions)]
        topic = names[record.kind]
        row.append(InputRecord(topic, len(row), record.timestamp_ms, record.key, record.value, record.headers))
    answers = Answers()
    for partition, row in enumerate(rows):
        store: dict[bytes, bytes] = {}
        latest = 0
        for start in range(0, len(row), BATCH_RECORDS):
            batch = row[start : start + BATCH_RECORDS]
            moments = []
            for each in batch:
                latest = max(latest, each.timestamp_ms if now_ms is None else max(now_ms, each.timestamp_ms))
                moments.append(latest)
            result = gate.apply(Batch(partition, batch, moments, {}), store)
            for key, value in result.changes.items():
                if value is None:
                    store.pop(key, None)
                else:
                    store[key] = value
                answers.bytes_out["ledger", partition] += len(value or b"") + len(key)
            for (_, matched), count in result.tally.outcomes.items():
                answers.matched[matched] += count
            _count(answers, partition, result.outputs)
    return answers


def _count(answers: Answers, partition: int, outputs: Iterable[Any]) -> None:
    for output in outputs:
        headers = sum(len(name) + len(value) for name, value in output.headers)
        answers.bytes_out[output.topic, partition] += len(output.value or b"") + len(output.key or b"") + headers
        if output.topic == "mesura-dead-letter":
            answers.dead_letters[dict(output.headers)[ERROR_REASON].decode()] += 1
            continue
        answer = orjson.loads(output.value)
        if answer["type"] == "withdrawn":
            answers.withdrawn[answer["reason"]] += 1
            continue
        asked = [entry[0] for entry in answer["explanation"]["rules"]]
        answers.rules_asked += len(asked)
        answers.policy_rules_asked += sum(number >= 6 for number in asked)
        if answer["type"] == "approved":
            answers.approved += 1
        else:
            answers.suppressed[answer["reason"]] += 1

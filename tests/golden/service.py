"""The gate as it runs, without a broker: from a record's bytes to the records that go out and to a scrape."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams.contracts.errors import REFUSALS
from streams.contracts.header_names import ERROR_REASON
from streams.exactly_once.interfaces import Batch, BatchResult
from streams.gate import Gate, GateSettings
from streams.records import InputRecord, OutputRecord
from streams.telemetry.metrics import Telemetry
from streams.topics import TopicNames
from tests.golden.raw import Raw, ordered, raw_of
from tests.golden.sides import compiled

if TYPE_CHECKING:
    from tests.golden.sides import Answer, Applied, Event

TOPICS = TopicNames()
TOPIC_OF = {"preference": TOPICS.preferences, "outcome": TOPICS.outcomes, "intent": TOPICS.intents[0]}
SETTINGS = GateSettings(TOPICS, 1, b"k" * 32, is_bounded=False, dead_letter_bytes_max=1_000_000)
SAID = (
    *("reason", "rule", "decision_id", "duplicate_of", "valid_until", "next_eligible_at"),
    *("remaining", "obligations"),
)
"""Of an answer, under the same names as in the model's."""
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""By name and labels of the series."""


class Service:
    """One partition of a gate, its store, and the metrics of its process."""

    name = "service"

    def __init__(self, policy_text: str) -> None:
        self._store: dict[bytes, bytes] = {}
        self._offset = 0
        self._telemetry = Telemetry(version="0", process_metrics=False)
        self._telemetry.declare_dead_letter_reasons(REFUSALS)
        self._telemetry.declare_topics([*TOPIC_OF.values(), TOPICS.rerouted])
        self._gate = Gate(compiled(policy_text), SETTINGS)

    def samples(self) -> Samples:
        """What a scrape shows now, as far as it is not 0."""
        text = generate_latest(self._telemetry.registry).decode()
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.value
        }

    def preference(self, event: Event, recorded_ms: int, now: int) -> Applied:
        return self._applied("preference", raw_of(event), recorded_ms, now)

    def outcome(self, event: Event, recorded_ms: int, now: int) -> Applied:
        return self._applied("outcome", raw_of(event), recorded_ms, now)

    def record(self, kind: str, raw: Raw, recorded_ms: int, now: int) -> Any:  # noqa: ANN401 - see taken_by_model
        if kind == "intent":
            return self._answer(raw, now)
        return self._applied(kind, raw, recorded_ms, now)

    def intent(self, event: Event, now: int) -> Answer:
        return self._answer(raw_of(event), now)

    def approves(self, event: Event, now: int) -> bool:
        return bool(self.copied().intent(event, now)["verdict"] == "approved")

    def rule_ids(self) -> list[str]:
        return list(self._gate.policy.rule_table)

    def copied(self) -> Service:
        other = copy.copy(self)
        other._store = dict(self._store)
        return other

    def under(self, policy_text: str) -> Service:
        other = copy.copy(self)
        other._gate = Gate(compiled(policy_text), SETTINGS)
        return other

    def _applied(self, kind: str, raw: Raw, recorded_ms: int, now: int) -> Applied:
        result = self._take(TOPIC_OF[kind], raw, recorded_ms, now)
        outputs = result.outputs
        values = [json.loads(output.value or b"") for output in outputs if output.topic == TOPICS.approved]
        withdrawals = ordered([{name: value[name] for name in ("decision_id", "reason")} for value in values])
        letters = _reasons(outputs)
        if not letters:
            return withdrawals
        # Only what nobody could read, and what was heard as a no all the same, takes anything back.
        is_heard = "event" in result.tally.not_understood
        return {"dead_letter": letters[0]} | ({"withdrawals": withdrawals} if is_heard else {})

    def _answer(self, raw: Raw, now: int) -> Answer:
        outputs = self._take(TOPIC_OF["intent"], raw, now, now).outputs
        if letters := _reasons(outputs):
            return {"dead_letter": letters[0]}
        (output,) = outputs
        found = json.loads(output.value or b"")
        return {
            "verdict": found["type"],
            "explanation": found["explanation"]["rules"],
            "zone": found["explanation"].get("zone"),
            **{name: found.get(name) for name in SAID},
        }

    def _take(self, topic: str, raw: Raw, recorded_ms: int, now: int) -> BatchResult:
        """What comes of a record, after it has been forwarded if it is not under its customer's key."""
        record = InputRecord(topic, self._offset, recorded_ms, raw.key, raw.value, raw.headers)
        self._offset += 1
        result = self._gate.apply(Batch(0, [record], [now], {}), self._store)
        for key, value in result.changes.items():
            if value is None:
                self._store.pop(key, None)
            else:
                self._store[key] = value
        self._telemetry.count(result.tally, decided_at_ms=now, committed_at_ms=now)
        forwarded = [output for output in result.outputs if output.topic == TOPICS.rerouted]
        if forwarded:
            (again,) = forwarded
            return self._take(again.topic, Raw(again.value, tuple(again.headers), again.key), now, now)
        return result


def _reasons(outputs: list[OutputRecord]) -> list[str]:
    letters = [output for output in outputs if output.topic == TOPICS.dead_letter]
    return [dict(letter.headers)[ERROR_REASON].decode() for letter in letters]

"""The demonstration as it happens, by the wall clock: the account, the model, the headers, the metrics, the silence."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import orjson
import pytest

from streams.audit.events import RESTRICTIVE_TYPES, BadRecord, read_event
from streams.contracts.header_names import APPLIED_PREFIX, ERROR_REASON
from tests.system.harness import STARTER, Place, header, origin, place_of, read_at, value_of
from tests.system.replay import ModelReplay, Step, by_batches

if TYPE_CHECKING:
    from streams.testing.broker import Broker
    from streams.testing.kafka_io import StoredRecord
    from tests.system.conftest import Runs, ServiceRun

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def run(broker: Broker, runs: Runs) -> ServiceRun:
    return runs.service(broker)


def test_every_answer_is_the_independent_models(run: ServiceRun) -> None:
    steps = by_batches(run.world, run.account, run.progress)
    assert len(steps) == len(run.account.inputs) + len(run.account.rerouted)
    judgement = ModelReplay(STARTER).judge(run.account, steps)
    assert not judgement.differences, f"{len(judgement.differences)} differences\n" + "\n".join(
        judgement.differences[:10]
    )
    assert judgement.decisions == len(run.account.decisions) > 2_500
    assert judgement.withdrawals == run.account.counts()["withdrawals"] > 0


def test_the_headers_tell_the_order_in_which_everything_was_applied(run: ServiceRun) -> None:
    """With them and `decided_at` an auditor repeats a decision without our ledger."""
    names = run.world.names
    applied: dict[int, dict[str, int]] = defaultdict(lambda: {names.preferences: 0, names.outcomes: 0})
    checked = 0
    for step in by_batches(run.world, run.account, run.progress):
        so_far = applied[step.record.partition]
        for output in _outputs(run, step):
            checked += 1
            said = {topic: int(header(output, APPLIED_PREFIX + topic) or -1) for topic in so_far}
            assert said == so_far, f"{place_of(output)}: {said}, applied were {so_far}"
            assert value_of(output)["decided_at"] == step.now
        if step.record.topic in so_far:
            so_far[step.record.topic] = step.record.offset + 1
    assert checked == len(run.account.decisions) + run.account.counts()["withdrawals"]


def _outputs(run: ServiceRun, step: Step) -> list[StoredRecord]:
    decision = run.account.decisions.get(step.place)
    return run.account.withdrawals.get(step.place, []) if decision is None else [decision]


def test_what_was_misplaced_is_decided_where_it_belongs(run: ServiceRun) -> None:
    rerouted = [record for place, record in run.account.decisions.items() if place in run.account.rerouted]
    assert len(run.account.forwarded) > 10
    assert len(rerouted) > 5
    for record in rerouted:
        assert origin(record) in run.account.inputs
        assert read_at(record).partition == record.partition
    for forwarded in run.account.rerouted.values():
        source = run.account.inputs[origin(forwarded)]
        assert forwarded.value == source.value
        assert forwarded.headers[: len(source.headers)] == source.headers


def test_dead_letters_keep_everything(run: ServiceRun) -> None:
    assert len(run.account.dead_letters) > 10
    for place, record in run.account.dead_letters.items():
        source = run.account.inputs.get(place) or run.account.rerouted[place]
        assert (record.key, record.value) == (source.key, source.value)
        assert record.headers[: len(source.headers)] == source.headers


def test_the_metrics_are_what_was_committed(run: ServiceRun) -> None:
    account, topics = run.account, run.world.names
    decisions: Counter[tuple[str, str, str]] = Counter()
    declared = {"voice", "sms", "whatsapp", "email", "push", "chat"}
    for record in account.decisions.values():
        answer = value_of(record)
        channel = answer["channel"] if answer["channel"] in declared else "other"
        decisions[channel, answer["type"], answer.get("reason", "none")] += 1
    assert _counted(run, "decisions_total", "channel", "verdict", "reason") == decisions
    refused = Counter(
        (_kind(run, place), header(record, ERROR_REASON)) for place, record in account.dead_letters.items()
    )
    assert _counted(run, "dead_letters_total", "topic", "reason") == refused
    assert _counted(run, "rerouted_records_total", "topic") == Counter((place.topic,) for place in account.forwarded)
    withdrawn = [value_of(record)["reason"] for records in account.withdrawals.values() for record in records]
    assert _counted(run, "withdrawals_total", "reason") == Counter((reason,) for reason in withdrawn)
    duplicates = sum(count for (_, _, reason), count in decisions.items() if reason == "duplicate")
    assert _counted(run, "duplicates_total") == ({(): duplicates} if duplicates else {})
    applied = Counter(_kind(run, place) for place in account.applied)
    assert sum(_counted(run, "preference_events_total", "type").values()) == applied[topics.preferences]
    assert sum(_counted(run, "outcomes_total", "type", "matched").values()) == applied[topics.outcomes]
    unreadable, permissions = _refused_preferences(run)
    assert _counted(run, "unreadable_opt_outs_total") == {(): unreadable}
    assert _counted(run, "permissions_refused_total") == {(): permissions}
    unreadable = sum(count for (topic, _), count in refused.items() if topic == topics.outcomes)
    assert _counted(run, "unreadable_outcomes_total") == ({(): unreadable} if unreadable else {})
    assert run.metrics["mesura_decision_latency_seconds_count"][()] == len(account.decisions)


def _kind(run: ServiceRun, place: Place) -> str:
    """The topic it was first sent to."""
    forwarded = run.account.rerouted.get(place)
    return place.topic if forwarded is None else origin(forwarded).topic


def _refused_preferences(run: ServiceRun) -> tuple[int, int]:
    """How many dead letters of the preference topic may be a no, and how many only meant to permit something."""
    unreadable = permissions = 0
    for place, letter in run.account.dead_letters.items():
        if place.topic != run.world.names.preferences:
            continue
        try:
            event = read_event("preference", letter.value, letter.headers, letter.key)
            permits = event["type"] not in RESTRICTIVE_TYPES  # else it stands where it does not belong
        except BadRecord as bad:
            permits = bad.unread is None and bad.reason != "no_value" and letter.key is not None
        permissions += permits
        unreadable += not permits
    return unreadable, permissions


def _counted(run: ServiceRun, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """What a counter says, without what never happened."""
    samples = run.metrics[f"mesura_{name}"].items()
    return {tuple(dict(where)[label] for label in labels): value for where, value in samples if value}


def test_nobody_is_named_in_logs_or_metrics(run: ServiceRun) -> None:
    shown = run.said + run.exposition
    customers = {record.key.decode() for record in run.records if record.key is not None}
    intents = {value_of(record)["intent_id"] for record in run.account.decisions.values()}
    assert len(customers) > 100
    named = [one for one in customers | intents if one in shown]
    assert not named, f"{len(named)} ids stand in what the worker said"
    for word in ("evidence_ref", "template-", "brand-a", "Traceback"):
        assert word not in shown


def test_the_policy_was_published_before_the_first_decision(run: ServiceRun) -> None:
    control = {record.key: record for record in run.world.read(run.world.names.control)}
    in_force = control[b"policy"]
    digest = (in_force.value or b"").decode()
    published = orjson.loads(control[f"policy:{digest}".encode()].value or b"")
    assert published["text"] == STARTER.read_text(encoding="utf-8")
    hashes = {value_of(record)["policy"]["hash"] for record in run.account.decisions.values()}
    assert hashes == {digest}
    assert in_force.timestamp_ms <= min(value_of(record)["decided_at"] for record in run.account.decisions.values())
    assert int(control[b"partitions"].value or 0) == run.world.partitions

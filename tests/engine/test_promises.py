# ruff: noqa: ANN401
"""What the engine promises beyond one answer: the barrier, aborts, refusals, missing records, the record clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiokafka
import orjson
import pytest

from streams.exactly_once.changelog import META_KEY, decode_meta, erased_key
from streams.exactly_once.control import PARTITIONS_KEY, ControlTopic
from streams.exactly_once.errors import RecordsMissingError, StartupRefusedError, TransactionRefusedError
from streams.exactly_once.settings import ClockMode
from streams.exactly_once.transaction import DECISION_TO_COMMIT_MAX_MS
from streams.exit_codes import ExitCode
from streams.topics import input_topics
from tests.engine.harness import (
    COMPACTED,
    DEADLINE_SECONDS,
    PARTITIONS,
    Running,
    create,
    judged,
    keys,
    load,
    publish,
    read,
    running,
)
from tests.engine.toy import Clock, Greeter, Topics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.exactly_once.interfaces import Batch, BatchResult
    from streams.testing.broker import Broker
    from streams.testing.embedded_broker import EmbeddedBroker

RACES = 300


async def test_what_was_said_before_an_intent_is_always_applied_first(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    raced = [b"race-%d" % number for number in range(RACES)]
    async with load(broker) as preferences, load(broker) as intents, running(broker, topics) as worker:
        await publish(intents, topics.intents, keys(1))
        await worker.until_decided(1)
        racers = asyncio.Semaphore(20)

        async def race(key: bytes) -> None:
            async with racers:
                await preferences.send_and_wait(topics.opt_outs, b"stop", key)
                await intents.send_and_wait(topics.intents, b"x", key)

        await asyncio.gather(*(race(key) for key in raced))
        await worker.until_decided(1 + 2 * RACES)
    answers = [
        orjson.loads(record.value or b"")["ok"]
        for records in (await read(broker, topics.answers)).values()
        for record in records
        if record.key in raced
    ]
    assert answers == [False] * RACES
    await judged(broker, topics)


async def test_a_backlog_of_preferences_is_applied_before_the_first_decision(broker: Broker, topics: Topics) -> None:
    create(broker, topics, partitions=1)
    async with load(broker) as producer:
        await publish(producer, topics.opt_outs, keys(30_000, 30_000))
        await publish(producer, topics.intents, [b"key-29999", b"key-0"])
    async with running(broker, topics) as worker:
        await worker.until_decided(30_002)
    assert [orjson.loads(r.value or b"")["ok"] for r in (await read(broker, topics.answers))[0]] == [False, False]


@pytest.mark.kafka
async def test_a_refused_output_takes_its_whole_transaction_with_it(real_kafka: Broker, topics: Topics) -> None:
    create(real_kafka, topics, 1, **{"max.message.bytes": "100000"})
    async with load(real_kafka) as producer:
        await publish(producer, topics.intents, keys(10))
        await producer.send_and_wait(topics.intents, b"pad 200000", b"key-1")
    worker = Running(real_kafka, topics)
    end = await worker.ended()
    assert end.exit_code == ExitCode.START_AGAIN
    assert isinstance(end.error, TransactionRefusedError)
    assert f"{topics.answers}-0" in end.reason
    assert worker.observer.aborted["too_large"] == 3
    assert worker.observer.decided == 0
    assert await read(real_kafka, topics.answers) == {}
    assert await read(real_kafka, topics.ledger) == {}


class _SlowFor(Greeter):
    """Takes longer than a commit may, for batches above a size."""

    def __init__(self, topics: Topics, clock: Clock, largest: int) -> None:
        super().__init__(topics)
        self._clock = clock
        self._largest = largest

    def apply(self, batch: Batch, store: Mapping[bytes, bytes]) -> BatchResult:
        if len(batch.records) > self._largest:
            self._clock.shift_ms += DECISION_TO_COMMIT_MAX_MS + 1
        return super().apply(batch, store)


@pytest.mark.kafka  # the embedded broker shows what was aborted
async def test_decisions_too_old_are_made_again_in_smaller_batches(real_kafka: Broker, topics: Topics) -> None:
    create(real_kafka, topics, 1)
    async with load(real_kafka) as producer:
        await publish(producer, topics.intents, keys(1_000))
    clock = Clock()
    # Far below the first batch: halved once, it is still too large, however fast this machine commits.
    machine = _SlowFor(topics, clock, largest=100)
    limits = {"max_batch_records": 1_000, "clock_difference_limit_seconds": 60.0}
    async with running(real_kafka, topics, machine, clock, **limits) as worker:
        await worker.until_decided(1_000)
    assert worker.observer.aborted["late"] >= 2
    assert max(worker.observer.commit_delays_ms) <= DECISION_TO_COMMIT_MAX_MS
    await judged(real_kafka, topics)


@pytest.mark.kafka
async def test_nothing_is_decided_while_the_clocks_differ(real_kafka: Broker, topics: Topics) -> None:
    create(real_kafka, topics, 1)
    async with load(real_kafka) as producer:
        await publish(producer, topics.intents, keys(10))
    async with running(real_kafka, topics, None, Clock(60_000)) as worker:
        await worker.until(lambda: worker.observer.aborted["clock"], "a comparison")
        assert not worker.observer.is_ready
        assert "clock" in worker.observer.why
        assert worker.observer.decided == 0
        assert worker.observer.differences[-1] == pytest.approx(60, abs=1)
        worker.clock.shift_ms = 0
        await worker.until_decided(10)
        assert worker.observer.is_ready


async def test_nothing_is_decided_far_ahead_of_the_clock(broker: Broker, topics: Topics) -> None:
    create(broker, topics, 1)
    generous = {"clock_difference_limit_seconds": 3600.0}
    async with load(broker) as producer:
        await publish(producer, topics.intents, keys(10))
        async with running(broker, topics, None, Clock(600_000), **generous) as worker:
            await worker.until_decided(10)  # as by a worker whose clock was ten minutes fast
        await publish(producer, topics.intents, keys(10))
        async with running(broker, topics) as worker:
            await worker.until(lambda: worker.observer.differences and not worker.observer.is_ready, "the report")
            assert worker.observer.differences[-1] == pytest.approx(600, abs=DEADLINE_SECONDS)
            assert "clock" in worker.observer.why
            assert worker.observer.decided == 0
        async with running(broker, topics, None, Clock(600_000), **generous) as worker:  # ten minutes later
            await worker.until_decided(10)
            assert worker.observer.is_ready
    await judged(broker, topics)


async def test_missing_records_end_the_worker_for_good(embedded_broker: EmbeddedBroker, topics: Topics) -> None:
    await _decide_then_lose(embedded_broker, topics)
    end = await Running(embedded_broker, topics).ended()
    assert end.exit_code == ExitCode.REFUSED  # somebody has to find out what they were
    assert isinstance(end.error, RecordsMissingError)
    assert end.reason.startswith(f"50 records of {topics.intents}-0 from offset 100 on are gone")
    assert (end.error.topic, end.error.offset, end.error.count) == (topics.intents, 100, 50)


async def test_missing_records_are_counted_where_they_are_accepted(
    embedded_broker: EmbeddedBroker, topics: Topics
) -> None:
    await _decide_then_lose(embedded_broker, topics)
    async with running(embedded_broker, topics, accept_missing_records=True) as worker:
        await worker.until_decided(50)
    assert worker.observer.missing == [(topics.intents, 0, 50)]
    answered = [orjson.loads(r.value or b"")["o"] for r in (await read(embedded_broker, topics.answers))[0]]
    assert answered == [*range(100), *range(150, 200)]


async def _decide_then_lose(broker: EmbeddedBroker, topics: Topics) -> None:
    """Decide 100 intents, publish 100 more, lose 50 of those."""
    create(broker, topics, 1)
    async with load(broker) as producer:
        await publish(producer, topics.intents, keys(100))
        async with running(broker, topics) as worker:
            await worker.until_decided(100)
        await publish(producer, topics.intents, keys(50))
        await publish(producer, topics.intents, keys(50))
    broker.delete_records(topics.intents, 0, before_offset=150)


async def test_it_refuses_topics_that_do_not_exist(broker: Broker, topics: Topics) -> None:
    assert "do not exist" in await _refusal(broker, topics)


async def test_it_refuses_unequal_partition_counts(broker: Broker, topics: Topics) -> None:
    for name in topics.partitioned:
        broker.create_topics([name], partitions=3 if name == topics.opt_outs else 4, config=COMPACTED)
    broker.create_topics([topics.control], partitions=1, config=COMPACTED)
    assert "unequal partition counts" in await _refusal(broker, topics)


async def test_it_refuses_another_partition_count_than_recorded(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    async with ControlTopic(topics.settings(broker.bootstrap_servers), topics.control) as control:
        await control.put(PARTITIONS_KEY, b"8")
    assert "started with 8" in await _refusal(broker, topics)


@pytest.mark.kafka
async def test_it_refuses_a_changelog_that_is_not_compacted(real_kafka: Broker, topics: Topics) -> None:
    real_kafka.create_topics(topics.partitioned, partitions=2)
    real_kafka.create_topics([topics.control], partitions=1, config=COMPACTED)
    assert "Set cleanup.policy=compact" in await _refusal(real_kafka, topics)


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("setting", "value"), [("message.timestamp.type", "CreateTime"), ("max.message.bytes", "1048588")]
)
async def test_it_refuses_a_changelog_that_cannot_do_its_work(
    real_kafka: Broker, topics: Topics, setting: str, value: str
) -> None:
    create(real_kafka, topics)
    other = f"{topics.prefix}-other"
    real_kafka.create_topics([other], partitions=PARTITIONS, config=COMPACTED | {setting: value})
    assert f"{other} has {setting}={value}" in await _refusal(real_kafka, topics, changelog_topic=other)


class _Heavy(Greeter):
    """Also keeps something large."""

    VALUE = bytes(range(256)) * 8_000

    def apply(self, batch: Batch, store: Mapping[bytes, bytes]) -> BatchResult:
        result = super().apply(batch, store)
        result.changes |= {erased_key(b"%d" % number): self.VALUE for number in range(3)}
        return result


@pytest.mark.kafka
async def test_changelog_records_of_two_megabytes_commit_and_come_back(real_kafka: Broker, topics: Topics) -> None:
    create(real_kafka, topics, 1)
    async with load(real_kafka) as producer:
        await publish(producer, topics.intents, keys(10))
        async with running(real_kafka, topics, _Heavy(topics)) as worker:
            await worker.until_decided(10)
        await publish(producer, topics.intents, keys(10))
        async with running(real_kafka, topics) as worker:
            await worker.until_decided(10)
            store = worker.worker.committed_store(0) or {}
            assert [store[erased_key(b"%d" % number)] for number in range(3)] == [_Heavy.VALUE] * 3
    await judged(real_kafka, topics)


@pytest.mark.kafka  # the embedded broker forgets offsets committed in transactions
async def test_it_refuses_when_the_changelog_has_lost_state(real_kafka: Broker, topics: Topics) -> None:
    broker = real_kafka
    create(broker, topics)
    async with load(broker) as producer:
        await publish(producer, topics.intents, keys(100))
    async with running(broker, topics) as worker:
        await worker.until_decided(100)
    other = f"{topics.prefix}-emptied"
    broker.create_topics([other], partitions=PARTITIONS, config=COMPACTED)
    assert "lost state" in await _refusal(broker, topics, changelog_topic=other)


async def _refusal(broker: Broker, topics: Topics, **changes: Any) -> str:
    end = await Running(broker, topics, **changes).ended()
    assert end.exit_code == ExitCode.REFUSED, end
    assert isinstance(end.error, StartupRefusedError)
    return end.reason


async def test_positions_come_from_the_changelog_not_from_the_group(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    async with load(broker) as producer:
        await publish(producer, topics.intents, keys(500))
        async with running(broker, topics) as worker:
            await worker.until_decided(500)
        # A group nobody has heard of, as if its offsets had expired.
        await publish(producer, topics.intents, keys(500))
        async with running(broker, topics, application_id=f"{topics.prefix}-forgotten") as worker:
            await worker.until_decided(500)
    assert worker.observer.decided == 500
    await judged(broker, topics)


async def test_positions_of_a_topic_that_a_run_does_not_read_are_kept(broker: Broker, topics: Topics) -> None:
    create(broker, topics, 1)
    without = input_topics(intents=(topics.intents,), opt_out=topics.opt_outs, outcome=topics.outcomes, rerouted=None)
    async with load(broker) as producer:
        await publish(producer, topics.intents, keys(10))
        await publish(producer, topics.rerouted, keys(10))
        async with running(broker, topics) as worker:
            await worker.until_decided(20)
        await publish(producer, topics.intents, keys(10))
        async with running(broker, topics, input_topics=without) as worker:
            await worker.until_decided(10)
        await publish(producer, topics.rerouted, keys(5))
        async with running(broker, topics) as worker:
            await worker.until_decided(5)
            assert worker.observer.decided == 5
    metas = [decode_meta(r.value or b"") for r in (await read(broker, topics.ledger))[0] if r.key == META_KEY]
    assert metas[-1].positions.items() >= {topics.intents: 20, topics.rerouted: 15}.items()
    assert len((await read(broker, topics.answers))[0]) == 35


async def test_the_control_topic_keeps_the_latest_value_of_each_key(broker: Broker, topics: Topics) -> None:
    broker.create_topics([topics.control], partitions=1, config=COMPACTED)
    settings = topics.settings(broker.bootstrap_servers)
    async with ControlTopic(settings, topics.control) as first, ControlTopic(settings, topics.control) as second:
        await first.put(b"policy", b"old")
        await first.put(b"policy", b"new")
        await first.put(b"policy:1", b"text")
        assert second.get(b"policy") is None
        await second.refresh()
        for control in (first, second):
            assert (control.get(b"policy"), control.get(b"policy:1")) == (b"new", b"text")


async def test_a_run_with_the_record_clock_repeats_to_the_byte(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    began_at_ms = Clock(-3_600_000).now_ms()  # older records would be deleted by retention, sooner or later
    async with load(broker) as producer:
        for second in range(40):
            at_ms = began_at_ms + second * 1_000
            await publish(producer, topics.intents, keys(50, 20), timestamp_ms=at_ms)
            await publish(producer, topics.opt_outs, [b"key-%d" % (second % 20)], timestamp_ms=at_ms - 1_500)
    runs = []
    for limit in (8_000, 7):
        of_run = Topics(f"{topics.prefix}-{limit}")
        broker.create_topics([of_run.answers], partitions=PARTITIONS)
        broker.create_topics([of_run.ledger], partitions=PARTITIONS, config=COMPACTED)
        runs.append(await _recorded_run(broker, topics, of_run, limit))
    assert runs[0] == runs[1]
    assert sum(len(values) for values in runs[0].values()) == 2_000


async def _recorded_run(broker: Broker, topics: Topics, of_run: Topics, limit: int) -> dict[int, list[bytes | None]]:
    machine = Greeter(topics)
    machine.answers = of_run.answers
    worker = Running(
        broker,
        topics,
        machine,
        application_id=of_run.prefix,
        input_topics=input_topics(
            intents=(topics.intents,), opt_out=topics.opt_outs, outcome=topics.outcomes, rerouted=None
        ),
        changelog_topic=of_run.ledger,
        output_topics=(of_run.answers,),
        control_topic=None,
        clock_mode=ClockMode.RECORD,
        max_batch_records=limit,
        max_batch_bytes=1_000_000,
    )
    end = await worker.ended()  # by itself
    assert end.exit_code == ExitCode.DONE, end
    return {p: [r.value for r in records] for p, records in (await read(broker, of_run.answers)).items()}


async def test_a_worker_survives_a_broker_that_is_away_for_a_moment(
    embedded_broker: EmbeddedBroker, topics: Topics
) -> None:
    create(embedded_broker, topics)
    async with load(embedded_broker) as producer, running(embedded_broker, topics) as worker:
        await publish(producer, topics.intents, keys(100))
        await worker.until_decided(100)
        embedded_broker.set_round_trip(200)
        await publish(producer, topics.intents, keys(100))
        await worker.until_decided(200)
        embedded_broker.set_round_trip(0)
        await publish(producer, topics.intents, keys(100))
        await worker.until_decided(300)
    await judged(embedded_broker, topics)


@pytest.mark.kafka
async def test_an_open_transaction_of_somebody_else_holds_up_decisions_and_is_reported(
    real_kafka: Broker, topics: Topics
) -> None:
    create(real_kafka, topics, 1)
    async with load(real_kafka) as producer, running(real_kafka, topics) as worker:
        await publish(producer, topics.intents, keys(1))
        await worker.until_decided(1)
        wrong = aiokafka.AIOKafkaProducer(
            bootstrap_servers=real_kafka.bootstrap_servers, transactional_id=f"{topics.prefix}-wrong"
        )
        await wrong.start()
        try:
            await wrong.begin_transaction()
            await wrong.send_and_wait(topics.opt_outs, b"stop", b"key-0")
            await publish(producer, topics.intents, keys(1))
            await worker.until(lambda: worker.observer.unanswered, "the report")
            assert worker.observer.decided == 1
            await wrong.commit_transaction()
            await worker.until_decided(3)
        finally:
            await wrong.stop()
    assert [orjson.loads(r.value or b"")["ok"] for r in (await read(real_kafka, topics.answers))[0]] == [True, False]
    assert META_KEY in {r.key for r in (await read(real_kafka, topics.ledger))[0]}

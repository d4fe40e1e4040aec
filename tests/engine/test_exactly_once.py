"""One answer per record, whatever happens to the workers. An oracle judges from the topics alone."""

from __future__ import annotations

import re
import time

import aiokafka
import orjson
import pytest
import structlog

from streams.exactly_once.changelog import META_KEY, customer_key, decode_meta
from streams.exactly_once.clients import KafkaClients
from streams.exactly_once.errors import RestoreStalledError
from streams.exactly_once.input_queue import InputQueue
from streams.exactly_once.restore import restore
from streams.exactly_once.transport import FetchedRecordsConsumerThread
from streams.exit_codes import ExitCode
from streams.telemetry.logs import ALLOWED_KEYS
from streams.testing.broker import Broker
from streams.testing.waiting import wait_until_async
from tests.engine.harness import (
    DEADLINE_SECONDS,
    PARTITIONS,
    Running,
    WorkerProcess,
    count,
    create,
    judged,
    keys,
    load,
    publish,
    read,
    running,
)
from tests.engine.toy import Greeter, Recorder, Topics, parse

SESSION_NOBODY_WAITS_FOR_MS = int(10 * DEADLINE_SECONDS * 1000)
SECRET = "what a customer wrote"


async def test_a_first_start_decides_the_whole_backlog(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    async with load(broker) as producer:
        await publish(producer, topics.intents, keys(20_000, 500))
    async with running(broker, topics) as worker:
        await worker.until_decided(20_000)
        assert worker.observer.is_ready
        assert worker.observer.partitions == frozenset(range(PARTITIONS))
    assert (await worker.ended()).exit_code == ExitCode.DONE
    await judged(broker, topics)
    assert worker.observer.decided == 20_000
    assert not worker.observer.missing


async def test_a_restart_continues_from_the_committed_state(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    async with load(broker) as producer:
        for _ in range(3):
            await publish(producer, topics.intents, keys(1_000))
            await publish(producer, topics.opt_outs, keys(1))
            async with running(broker, topics) as worker:
                await worker.until_decided(1_001)
            assert (await worker.ended()).exit_code == ExitCode.DONE
            assert worker.observer.decided == 1_001
    await judged(broker, topics)
    assert sum(worker.observer.restored.values()) > 0


async def test_the_committed_store_can_be_read(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    async with load(broker) as producer:
        await publish(producer, topics.intents, [b"key-0"] * 3)
        async with running(broker, topics) as worker:
            assert worker.worker.committed_store(0) is None
            await worker.until_decided(3)
            stores = [worker.worker.committed_store(partition) or {} for partition in range(PARTITIONS)]
            assert [parse(store.get(customer_key(b"key-0"))) for store in stores if store] == [(3, False)]
        assert worker.worker.committed_store(0) is None


async def test_every_transaction_records_positions_and_the_latest_moment(broker: Broker, topics: Topics) -> None:
    create(broker, topics, partitions=1)
    async with load(broker) as producer:
        await publish(producer, topics.intents, keys(100))
        await publish(producer, topics.opt_outs, keys(10))
    async with running(broker, topics) as worker:
        await worker.until_decided(110)
    metas = [decode_meta(r.value or b"") for r in (await read(broker, topics.ledger))[0] if r.key == META_KEY]
    answers = [orjson.loads(r.value or b"") for r in (await read(broker, topics.answers))[0]]
    assert metas[-1].positions == {topics.intents: 100, topics.opt_outs: 10, topics.outcomes: 0, topics.rerouted: 0}
    assert metas[-1].latest_ms >= max(answer["now"] for answer in answers)


async def test_now_never_goes_back_when_the_clock_does(broker: Broker, topics: Topics) -> None:
    create(broker, topics, partitions=1)
    async with load(broker) as producer:
        await publish(producer, topics.intents, keys(10))
        async with running(broker, topics) as worker:
            await worker.until_decided(10)
            worker.clock.shift_ms = -3_000
            await publish(producer, topics.intents, keys(10))
            await worker.until_decided(20)
    moments = [orjson.loads(r.value or b"")["now"] for r in (await read(broker, topics.answers))[0]]
    assert moments == sorted(moments)
    assert len(moments) == 20


@pytest.mark.kafka
async def test_killed_workers_lose_and_double_nothing(real_kafka: Broker, topics: Topics) -> None:
    create(real_kafka, topics)
    async with load(real_kafka) as producer:
        worker = WorkerProcess(real_kafka, topics)
        try:
            published = 0
            for _ in range(3):
                before = await count(real_kafka, topics.answers)
                deadline = time.monotonic() + DEADLINE_SECONDS
                while await count(real_kafka, topics.answers) <= before + 500:  # it works, and is in the middle of it
                    assert time.monotonic() < deadline
                    await publish(producer, topics.intents, keys(3_000))
                    published += 3_000
                worker.kill()
                worker = WorkerProcess(real_kafka, topics)
            await _until_answered(real_kafka, topics, published)
        finally:
            worker.kill()
    await judged(real_kafka, topics)


@pytest.mark.kafka
async def test_a_worker_that_was_frozen_past_its_session_changes_nothing_when_it_wakes(
    real_kafka: Broker, topics: Topics
) -> None:
    create(real_kafka, topics)
    async with load(real_kafka) as producer:
        frozen = WorkerProcess(real_kafka, topics, "frozen", session_timeout_ms=1_500)
        try:
            await publish(producer, topics.intents, keys(2_000))
            await _until_answered(real_kafka, topics, 1)
            await publish(producer, topics.intents, keys(5_000))
            frozen.freeze()
            async with running(real_kafka, topics, worker_slot="other") as other:
                await other.until(lambda: len(other.observer.partitions) == PARTITIONS, "all partitions")
                await publish(producer, topics.intents, keys(2_000))
                await _until_answered(real_kafka, topics, 9_000)
                frozen.thaw()
                await publish(producer, topics.intents, keys(2_000))
                await _until_answered(real_kafka, topics, 11_000)
        finally:
            frozen.kill()
    await judged(real_kafka, topics)


async def test_two_workers_share_the_partitions_and_hand_them_to_each_other(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    async with load(broker) as producer, running(broker, topics, worker_slot="a") as first:
        await publish(producer, topics.intents, keys(2_000))
        await first.until_decided(2_000)
        async with running(broker, topics, worker_slot="b") as second:
            await second.until(lambda: second.observer.is_ready and second.observer.partitions, "partitions")
            await first.until(
                lambda: first.observer.is_ready and len(first.observer.partitions) < PARTITIONS, "a share"
            )
            assert first.observer.partitions | second.observer.partitions == frozenset(range(PARTITIONS))
            await publish(producer, topics.intents, keys(2_000))
            await first.until(lambda: first.observer.decided + second.observer.decided >= 4_000, "4000 decided")
            assert second.observer.decided > 0
        await first.until(lambda: len(first.observer.partitions) == PARTITIONS, "everything again")
        await publish(producer, topics.intents, keys(2_000))
        await first.until(lambda: first.observer.decided + second.observer.decided >= 6_000, "6000 decided")
    assert (await first.ended()).exit_code == ExitCode.DONE
    await judged(broker, topics)


@pytest.mark.kafka
async def test_a_worker_asked_to_stop_leaves_in_time_and_hands_over_cleanly(real_kafka: Broker, topics: Topics) -> None:
    broker = real_kafka  # the embedded one lets members go only when their session is over
    create(broker, topics)
    async with load(broker) as producer:
        worker = WorkerProcess(broker, topics, session_timeout_ms=SESSION_NOBODY_WAITS_FOR_MS)
        try:
            await publish(producer, topics.intents, keys(5_000))
            await wait_until_async(lambda: _answered(broker, topics), DEADLINE_SECONDS, "some answers")
            worker.terminate()
            await wait_until_async(lambda: worker.exit_code is not None, DEADLINE_SECONDS, "the end of the worker")
            assert worker.exit_code == ExitCode.DONE  # a worker that takes too long ends with another
        finally:
            worker.kill()
        # Only a worker that has left the group can be followed before its session is over.
        async with running(broker, topics, worker_slot="other") as follower:
            await follower.until(lambda: len(follower.observer.partitions) == PARTITIONS, "all partitions")
            await _until_answered(broker, topics, 5_000)
    await judged(broker, topics)


async def test_a_state_machine_can_be_replaced_between_batches(broker: Broker, topics: Topics) -> None:
    create(broker, topics, partitions=1)
    async with load(broker) as producer, running(broker, topics) as worker:
        await publish(producer, topics.intents, keys(10))
        await worker.until_decided(10)
        worker.worker.replace_state_machine(Greeter(topics, "goodbye"))
        await publish(producer, topics.intents, keys(10))
        await worker.until_decided(20)
    words = [orjson.loads(r.value or b"")["w"] for r in (await read(broker, topics.answers))[0]]
    assert words == ["hello"] * 10 + ["goodbye"] * 10


@pytest.mark.kafka
async def test_two_lanes_share_a_worker(real_kafka: Broker, topics: Topics) -> None:
    create(real_kafka, topics)
    async with load(real_kafka) as producer, running(real_kafka, topics, lanes=2) as worker:
        await publish(producer, topics.intents, keys(5_000))
        await worker.until_decided(5_000)
    await judged(real_kafka, topics)


@pytest.mark.kafka
async def test_records_forwarded_in_transactions_arrive_past_markers_and_aborts(
    real_kafka: Broker, topics: Topics
) -> None:
    create(real_kafka, topics, partitions=2)
    wrong = aiokafka.AIOKafkaProducer(
        bootstrap_servers=real_kafka.bootstrap_servers, transactional_id=f"{topics.prefix}-wrong"
    )
    await wrong.start()
    async with load(real_kafka) as producer, running(real_kafka, topics) as worker:
        for turn in range(5):
            await publish(producer, topics.intents, keys(10), b"forward")
            await worker.until_decided(20 * (turn + 1))
            await wrong.begin_transaction()
            await wrong.send_and_wait(topics.rerouted, b"never seen", b"k", partition=0)
            await wrong.abort_transaction()
        assert worker.observer.decided == 100
        await worker.until(lambda: (worker.worker.committed_store(0) or {}).get(customer_key(b"key-9")), "the last one")
    await wrong.stop()
    assert len((await read(real_kafka, topics.answers))[0]) == 50
    assert not worker.observer.missing


@pytest.mark.parametrize("where", ["apply", "arrived"])
async def test_anything_unforeseen_ends_the_worker_without_quoting_values(
    embedded_broker: Broker,
    topics: Topics,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise ValueError(SECRET)

    create(embedded_broker, topics)
    machine = Greeter(topics)
    if where == "apply":
        monkeypatch.setattr(machine, "apply", fail)
    else:
        monkeypatch.setattr(InputQueue, "add", fail)
    async with load(embedded_broker) as producer:
        await publish(producer, topics.intents, keys(1))
    with structlog.testing.capture_logs() as said:
        end = await Running(embedded_broker, topics, machine).ended()
    assert end.exit_code == ExitCode.START_AGAIN
    assert "ValueError" in end.reason
    assert SECRET not in end.reason + caplog.text + "".join(capsys.readouterr()) + str(said)
    [diagnosed] = [line for line in said if line.get("error") == "builtins.ValueError"]
    assert diagnosed["error_at"][-1].partition(":")[0] == __file__
    assert "error_message" not in diagnosed
    [ended] = [line for line in said if line["event"] == "the engine cannot go on"]
    assert ended["error_message"] == end.reason
    assert {key for line in said for key in line} - {"log_level"} <= ALLOWED_KEYS
    assert await read(embedded_broker, topics.answers) == {}


async def test_a_crash_of_the_framework_ends_the_worker(
    embedded_broker: Broker, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError(SECRET)

    create(embedded_broker, topics)
    monkeypatch.setattr(FetchedRecordsConsumerThread, "_fetch_records", fail)
    with structlog.testing.capture_logs() as said:
        end = await Running(embedded_broker, topics).ended()
    assert end.exit_code == ExitCode.START_AGAIN
    assert SECRET not in end.reason + str(said)
    assert "builtins.RuntimeError" in {line.get("error") for line in said} | {line.get("why") for line in said}


async def _answered(broker: Broker, topics: Topics) -> bool:
    return await count(broker, topics.answers) > 0


async def _until_answered(broker: Broker, topics: Topics, published: int) -> None:
    async def all_answered() -> bool:
        return await count(broker, topics.answers) >= published

    await wait_until_async(all_answered, DEADLINE_SECONDS, f"{published} answers")


@pytest.mark.kafka
async def test_a_restore_without_progress_ends_the_worker_and_says_where(real_kafka: Broker, topics: Topics) -> None:
    create(real_kafka, topics, partitions=2)
    holding = aiokafka.AIOKafkaProducer(
        bootstrap_servers=real_kafka.bootstrap_servers,
        transactional_id=f"{topics.prefix}-holding",
        transaction_timeout_ms=60_000,
    )
    await holding.start()
    await holding.begin_transaction()
    await holding.send_and_wait(topics.ledger, b"v", b"k", partition=1)
    settings = topics.settings(real_kafka.bootstrap_servers, transaction_timeout_ms=200)
    with pytest.raises(RestoreStalledError, match=rf"^Nothing of {re.escape(topics.ledger)}-1 has arrived for 1 s"):
        await restore(settings, KafkaClients(settings), {0: 0, 1: 1}, Recorder())
    await holding.commit_transaction()
    restored = await restore(settings, KafkaClients(settings), {0: 0, 1: 1}, Recorder())
    await holding.stop()
    assert (restored[0].store, restored[1].store) == ({}, {b"k": b"v"})

"""A lane's transaction as the broker has it, asked with the fault tests' own eyes."""

from __future__ import annotations

import pytest

from streams.exactly_once.fencing import FencedProducer
from streams.exactly_once.interfaces import InputTopic
from streams.exactly_once.settings import EngineSettings
from streams.testing.broker import Broker
from streams.testing.waiting import wait_until_async
from tests.engine.harness import DEADLINE_SECONDS, create
from tests.engine.toy import Topics
from tests.faults.broker_view import ABORTED, EMPTY, OPEN, BrokerView

pytestmark = pytest.mark.kafka


async def test_the_group_is_part_of_a_transaction_before_there_are_offsets(real_kafka: Broker, topics: Topics) -> None:
    create(real_kafka, topics)
    settings = EngineSettings(
        bootstrap_servers=real_kafka.bootstrap_servers,
        application_id=topics.prefix,
        input_topics=(InputTopic(topics.intents, rank=0, barrier=False),),
    )
    lane = f"{topics.prefix}-lane"
    producer = FencedProducer(settings, lane)
    await producer.start()
    try:
        with BrokerView(real_kafka.bootstrap_servers) as view:
            await producer.begin_transaction()
            assert view.describe([lane])[lane].state == EMPTY
            await producer.send_and_wait(topics.intents, b"a record", partition=0)
            await wait_until_async(
                lambda: view.describe([lane])[lane].holds_group, DEADLINE_SECONDS, "the group in the transaction"
            )
            assert view.describe([lane])[lane].state == OPEN
            await producer.abort_transaction()
            await wait_until_async(
                lambda: view.describe([lane])[lane].state == ABORTED, DEADLINE_SECONDS, "the end of the transaction"
            )
    finally:
        await producer.stop()

"""What one would write first: a Faust agent with a Table around the same `decide`, policy, ledger and outputs.

    BOOTSTRAP=… GID=… INTENTS=… PREFERENCES=… APPROVED=… SUPPRESSED=… POLICY=… NP=8 \
        python -m bench.peers.faust_table worker -l warn --web-port 7001

With the settings Faust's documentation recommends for throughput: `take`, the in-memory store, no standby replicas, no
leader topic, larger producer batches with a linger, sends that are not awaited one by one, waiting on nothing at
rebalances. It is not exact: outputs, table and offsets are three different things, and no opt-out is waited for.
`use_partitioner`, because after `take` the current event is the last of the batch, whatever its partition.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import faust
from faust import StreamT, TopicT

from streams.contracts.decode import decode_intent, decode_preference
from streams.contracts.encode import policy_fragment
from streams.decision.decide import decide
from streams.decision.ledger.codec import decode_ledger, encode_ledger
from streams.decision.ledger.preferences import apply_preference
from streams.decision.ledger.state import EMPTY_LEDGER, Ledger
from streams.decision.policy import compile_policy
from streams.gate import encode_decision
from streams.policy.loader import load_policy

TAKE = 1_000
WITHIN_SECONDS = 0.05
PARTITIONS = int(os.environ["NP"])

specification = load_policy(Path(os.environ["POLICY"])).specification
policy = compile_policy(specification)
policy_name = policy_fragment(specification.name, specification.version, specification.content_hash)

app = faust.App(
    os.environ["GID"],
    broker=f"kafka://{os.environ['BOOTSTRAP']}",
    store="memory://",
    datadir=os.environ["DATADIR"],
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    topic_disable_leader=True,
    table_standby_replicas=0,
    stream_wait_empty=False,
    stream_buffer_maxsize=4 * TAKE,
    stream_recovery_delay=0.0,
    producer_linger=0.02,
    producer_max_batch_size=1 << 18,
)


RAW = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}


def _topic(variable: str) -> TopicT:
    return app.topic(os.environ[variable], **RAW)


intents, preferences = _topic("INTENTS"), _topic("PREFERENCES")
approved, suppressed = _topic("APPROVED"), _topic("SUPPRESSED")
ledgers = app.Table(
    "ledger",
    partitions=PARTITIONS,
    use_partitioner=True,
    key_type=bytes,
    value_type=bytes,
)


def _ledger(customer: bytes) -> Ledger:
    value = ledgers.get(customer)
    return EMPTY_LEDGER if value is None else decode_ledger(value)


def _keep(customer: bytes, ledger: Ledger, now: int) -> None:
    ledgers[customer] = encode_ledger(policy.retention.prune(ledger, now))


@app.agent(intents)
async def gate(stream: StreamT[bytes]) -> AsyncIterator[None]:
    """Decide."""
    async for values in stream.take(TAKE, within=WITHIN_SECONDS):
        now = time.time_ns() // 1_000_000
        for value in values:
            intent, _ = decode_intent(value)
            customer = intent.customer_id.encode()
            decision = decide(intent, _ledger(customer), policy, now)
            _keep(customer, decision.ledger, now)
            to = approved if decision.is_approved else suppressed
            await to.send(key=customer, value=encode_decision(intent, decision, policy_name, now))


@app.agent(preferences)
async def listen(stream: StreamT[bytes]) -> AsyncIterator[None]:
    """Hear what customers say."""
    async for values in stream.take(TAKE, within=WITHIN_SECONDS):
        now = time.time_ns() // 1_000_000
        for value in values:
            event = decode_preference(value).event
            if event is None:
                continue
            customer = event.customer_id.encode()
            result = apply_preference(event, _ledger(customer), recorded_ms=now, now=now, vocabulary=policy.vocabulary)
            _keep(customer, result.ledger, now)


if __name__ == "__main__":
    app.main()

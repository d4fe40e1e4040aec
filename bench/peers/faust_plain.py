"""A straightforward Faust agent with a Table: what Faust's documentation shows, around the small policy.

    BOOTSTRAP=… GID=… INTENTS=… PREFERENCES=… APPROVED=… SUPPRESSED=… NP=8 DATADIR=… \
        python -m bench.peers.faust_plain worker -l warn --web-port 7001

Records, a table of dictionaries, one event at a time, a send for each: defaults but for four. No standby replicas and
no leader topic, which cost time and do nothing here; one replica, because there is one broker; the session timeout
that every contender has. It is not exact: outputs, table and offsets are three different things.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import faust
from faust import StreamT

from bench.peers.small_policy import decide, hear, nobody

PARTITIONS = int(os.environ["NP"])

app = faust.App(
    os.environ["GID"],
    broker=f"kafka://{os.environ['BOOTSTRAP']}",
    store="memory://",
    datadir=os.environ["DATADIR"],
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    topic_disable_leader=True,
    table_standby_replicas=0,
    broker_session_timeout=float(os.environ["SESSION_SECONDS"]),
)


class Intent(faust.Record, serializer="json"):
    """The fields of an intent that the small policy asks for."""

    intent_id: str
    customer_id: str
    channel: str


class Preference(faust.Record, serializer="json"):
    """A customer's no."""

    customer_id: str
    type: str
    channel: str | None = None


class Decision(faust.Record, serializer="json"):
    """The answer."""

    intent_id: str
    customer_id: str
    channel: str
    verdict: str
    reason: str | None
    decided_at: int


intents = app.topic(os.environ["INTENTS"], key_type=str, value_type=Intent)
preferences = app.topic(os.environ["PREFERENCES"], key_type=str, value_type=Preference)
approved = app.topic(os.environ["APPROVED"], key_type=str, value_type=Decision)
suppressed = app.topic(os.environ["SUPPRESSED"], key_type=str, value_type=Decision)
customers = app.Table("customers", default=nobody, partitions=PARTITIONS)


@app.agent(intents)
async def gate(stream: StreamT[Intent]) -> AsyncIterator[None]:
    """Decide."""
    async for event in stream.events():
        intent, now = event.value, round(event.message.timestamp * 1000)
        state = customers[intent.customer_id]
        reason = decide(state, intent.intent_id, intent.channel, now)
        customers[intent.customer_id] = state
        decision = Decision(
            intent_id=intent.intent_id,
            customer_id=intent.customer_id,
            channel=intent.channel,
            verdict="suppressed" if reason else "approved",
            reason=reason,
            decided_at=now,
        )
        await (suppressed if reason else approved).send(key=intent.customer_id, value=decision)


@app.agent(preferences)
async def listen(stream: StreamT[Preference]) -> AsyncIterator[None]:
    """Hear what customers refuse."""
    async for preference in stream:
        if preference.type == "opt_out":
            state = customers[preference.customer_id]
            hear(state, preference.channel)
            customers[preference.customer_id] = state


if __name__ == "__main__":
    app.main()

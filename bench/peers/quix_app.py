"""A Quix Streams application with state, exactly once: what its documentation shows, around the small policy.

    BOOTSTRAP=… GID=… INTENTS=… PREFERENCES=… APPROVED=… SUPPRESSED=… DATADIR=… python -m bench.peers.quix_app

Both topics are concatenated into one dataframe, which shares its state and aligns the topics by time; one stateful
function; two branches. Defaults but for the session timeout that every contender has, and COMMIT_SECONDS, where given:
the time between checkpoints, 5 s by default, which under exactly-once is also how long an answer stays invisible.

Runs in an environment of its own (`bench.peers.installation`): this module may import nothing of ours that needs more
than Python.
"""

from __future__ import annotations

import os
from typing import Any

from quixstreams import Application, State

from bench.peers.small_policy import decide, hear, nobody

CUSTOMER = "customer"


def step(
    value: dict[str, Any],
    _key: bytes,
    timestamp_ms: int,
    _headers: object,
    state: State,
) -> dict[str, Any] | None:
    """The decision on an intent; nothing for a preference."""
    customer = state.get(CUSTOMER) or nobody()
    if "intent_id" not in value:
        if value["type"] == "opt_out":
            hear(customer, value.get("channel"))
            state.set(CUSTOMER, customer)
        return None
    reason = decide(customer, value["intent_id"], value["channel"], timestamp_ms)
    state.set(CUSTOMER, customer)
    return {
        "intent_id": value["intent_id"],
        "customer_id": value["customer_id"],
        "channel": value["channel"],
        "verdict": "suppressed" if reason else "approved",
        "reason": reason,
        "decided_at": timestamp_ms,
    }


def main() -> None:
    """Run until ended."""
    app = Application(
        broker_address=os.environ["BOOTSTRAP"],
        consumer_group=os.environ["GID"],
        processing_guarantee="exactly-once",
        auto_offset_reset="earliest",
        state_dir=os.environ["DATADIR"],
        commit_interval=float(os.environ.get("COMMIT_SECONDS", "5")),
        consumer_extra_config={"session.timeout.ms": int(float(os.environ["SESSION_SECONDS"]) * 1000)},
        loglevel="WARNING",
    )
    intents = app.topic(os.environ["INTENTS"], value_deserializer="json")
    preferences = app.topic(os.environ["PREFERENCES"], value_deserializer="json")
    approved = app.topic(os.environ["APPROVED"], value_serializer="json")
    suppressed = app.topic(os.environ["SUPPRESSED"], value_serializer="json")

    everything = app.dataframe(intents).concat(app.dataframe(preferences))
    decided = everything.apply(step, stateful=True, metadata=True).filter(lambda decision: decision is not None)
    decided.filter(lambda decision: decision["verdict"] == "approved").to_topic(approved)
    decided.filter(lambda decision: decision["verdict"] == "suppressed").to_topic(suppressed)
    app.run()


if __name__ == "__main__":
    main()

"""The names of the headers that the gate adds. All begin with `mesura.`, except the aliases that other tools know.

Rules of this module
1. Values are UTF-8: topic names, decimal integers, reason codes, our own sentences. No customer, address or content.
2. Headers are added after those that were there. If a name occurs twice, the last one is the gate's own.
"""

from __future__ import annotations

from typing import Final

ORIGIN_TOPIC: Final = "mesura.origin.topic"
ORIGIN_PARTITION: Final = "mesura.origin.partition"
ORIGIN_OFFSET: Final = "mesura.origin.offset"
ORIGIN_TIMESTAMP: Final = "mesura.origin.timestamp"

REROUTED_TOPIC: Final = "mesura.rerouted.topic"
REROUTED_PARTITION: Final = "mesura.rerouted.partition"
REROUTED_OFFSET: Final = "mesura.rerouted.offset"

APPLIED_PREFIX: Final = "mesura.applied."

ERROR_REASON: Final = "mesura.error.reason"
ERROR_DETAIL: Final = "mesura.error.detail"
ERROR_TOPIC: Final = "mesura.error.topic"
ERROR_PARTITION: Final = "mesura.error.partition"
ERROR_OFFSET: Final = "mesura.error.offset"
ERROR_TIMESTAMP: Final = "mesura.error.timestamp"
ERROR_VALUE_BYTES: Final = "mesura.error.value.bytes"
ERROR_VALUE_SHA256: Final = "mesura.error.value.sha256"
ERROR_HEADERS_BYTES: Final = "mesura.error.headers.bytes"
ERROR_KEY_BYTES: Final = "mesura.error.key.bytes"

# What a replay adds to a dead letter's record: how often it was replayed, for which reason it had been refused, where
# the dead letter stands, and when it was replayed.
REPLAY_COUNT: Final = "mesura.replay.count"
REPLAY_REASON: Final = "mesura.replay.reason"
REPLAY_TOPIC: Final = "mesura.replay.topic"
REPLAY_PARTITION: Final = "mesura.replay.partition"
REPLAY_OFFSET: Final = "mesura.replay.offset"
REPLAY_TIMESTAMP: Final = "mesura.replay.timestamp"

# What Kafka Connect's dead-letter queue calls them, so that tools which know those find the place.
CONNECT_TOPIC: Final = "__connect.errors.topic"
CONNECT_PARTITION: Final = "__connect.errors.partition"
CONNECT_OFFSET: Final = "__connect.errors.offset"

"""Metadata and ends of logs with leader epochs, as aiokafka does not ask for them (KIP-320).

A partition's leader epoch grows with every election. So it tells of two leaders which one is the later, and every
replica knows the epoch that it follows.

Rules of this module
1. Only versions that Apache Kafka has known since 2.1 and still knows: Metadata 7, ListOffsets 4.
2. Of several brokers' answers, what the latest epoch says of a partition holds. A broker counts as there if most of
   those who answered list it: one that is cut off from the others goes on listing itself.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Int64, Schema, String

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_ERROR: Final = 0
UNKNOWN_EPOCH: Final = -1
AS_A_CLIENT: Final = -1
READ_UNCOMMITTED: Final = 0

LATEST: Final = -1
"""Asks for the high watermark: where the next record will stand that all replicas in sync have."""

EARLIEST: Final = -2
"""Asks for the log start."""


class _MetadataResponseV7(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
            ),
        ),
    )


class _MetadataRequestV7(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 7
    RESPONSE_TYPE = _MetadataResponseV7
    SCHEMA = Schema(("topics", Array(String("utf-8"))), ("allow_auto_topic_creation", Boolean))


class MetadataRequest(Request[_MetadataRequestV7]):  # type: ignore[misc]
    """Asks for the brokers and for these topics; None: for all. It creates no topic."""

    API_KEY = 3

    def __init__(self, topics: Sequence[str] | None) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestV7]) -> _MetadataRequestV7:
        return request_struct_class(self._topics, False)


class _ListOffsetsResponseV4(Response):  # type: ignore[misc]
    API_KEY = 2
    API_VERSION = 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("timestamp", Int64),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                    ),
                ),
            ),
        ),
    )


class _ListOffsetsRequestV4(RequestStruct):  # type: ignore[misc]
    API_KEY = 2
    API_VERSION = 4
    RESPONSE_TYPE = _ListOffsetsResponseV4
    SCHEMA = Schema(
        ("replica_id", Int32),
        ("isolation_level", Int8),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(("partition", Int32), ("current_leader_epoch", Int32), ("timestamp", Int64)),
                ),
            ),
        ),
    )


class ListOffsetsRequest(Request[_ListOffsetsRequestV4]):  # type: ignore[misc]
    """Asks for `LATEST` or `EARLIEST` by topic: partitions, each with the leader epoch that the asker knows of."""

    API_KEY = 2

    def __init__(self, timestamp: int, topics: Mapping[str, Sequence[tuple[int, int]]]) -> None:
        self._topics = [
            (topic, [(partition, epoch, timestamp) for partition, epoch in partitions])
            for topic, partitions in topics.items()
        ]

    def build(self, request_struct_class: type[_ListOffsetsRequestV4]) -> _ListOffsetsRequestV4:
        return request_struct_class(AS_A_CLIENT, READ_UNCOMMITTED, self._topics)


class MergedMetadata(NamedTuple):
    """What several brokers say together, in the shape of the fifth version, which aiokafka reads.

    `leader_epochs` are by topic and partition. `brokers` is empty if nobody knew any.
    """

    brokers: list[tuple[Any, ...]]
    controller_id: int
    topics: list[tuple[int, str, bool, list[tuple[Any, ...]]]]
    leader_epochs: dict[tuple[str, int], int]
    API_VERSION: int = 5


def merged(answers: Sequence[Any]) -> MergedMetadata:
    """What these answers to one `MetadataRequest` say together (rule 2); at least one."""
    listings = Counter(broker[0] for answer in answers for broker in answer.brokers)
    brokers = {broker[0]: tuple(broker) for answer in answers for broker in answer.brokers}
    known: dict[str, list[Any]] = {}
    for answer in answers:
        for topic in answer.topics:
            known.setdefault(topic[1], []).append(topic)
    epochs: dict[tuple[str, int], int] = {}
    return MergedMetadata(
        brokers=[broker for node, broker in brokers.items() if 2 * listings[node] > len(answers)],
        controller_id=answers[0].controller_id,
        topics=[_merged_topic(name, of_topic, epochs) for name, of_topic in known.items()],
        leader_epochs=epochs,
    )


def _merged_topic(
    name: str, answers: list[Any], epochs: dict[tuple[str, int], int]
) -> tuple[int, str, bool, list[tuple[Any, ...]]]:
    """One topic: what the latest epoch says of each partition. An error counts if most answers have one."""
    heard = [answer for answer in answers if answer[0] == NO_ERROR]
    if 2 * len(heard) < len(answers):
        refusal = next(answer for answer in answers if answer[0] != NO_ERROR)
        return refusal[0], name, bool(refusal[2]), []
    latest: dict[int, Any] = {}
    for _, _, _, partitions in heard:
        for each in partitions:
            partition, epoch = each[1], each[3]
            if partition not in latest or epoch > latest[partition][3]:
                latest[partition] = each
    for partition, each in latest.items():
        epochs[name, partition] = each[3]
    return NO_ERROR, name, bool(heard[0][2]), [(*each[:3], *each[4:]) for each in latest.values()]

"""What dead letters and replays are, read from their topics, and what kind of topics the input topics are.

Rules of this module
1. Of dead letters only committed ones are read. What an open transaction holds back is not waited for: it is not there
   yet.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from streams.dead_letters.assessment import InputTopic
from streams.dead_letters.letter import Place, StoredRecord
from streams.stored_topics import ANSWER_SECONDS, messages_in, refuse_missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streams.connection.cluster import Cluster
    from streams.dead_letters.assessment import Kind
    from streams.stored_topics import Span
    from streams.topics import TopicNames


def read(cluster: Cluster, spans: Mapping[tuple[str, int], Span]) -> Iterator[StoredRecord]:
    """The committed records of these spans, in order within each partition.

    Raises:
        TopicsUnreadable: nothing comes any more.
        KafkaException: the cluster does not answer.
    """
    for message in messages_in(cluster, spans):
        place = Place(intern(message.topic()), message.partition(), message.offset())
        headers = tuple(message.headers() or ())
        yield StoredRecord(place, message.timestamp()[1], message.key(), message.value(), headers)


def headers_in(cluster: Cluster, spans: Mapping[tuple[str, int], Span]) -> Iterator[list[tuple[str, bytes | None]]]:
    """The headers of every record of these spans that has some. Also of what is not committed: an open transaction of
    another producer must not hide what was replayed behind it.

    Raises:
        TopicsUnreadable: nothing comes any more.
        KafkaException: the cluster does not answer.
    """
    for message in messages_in(cluster, spans, "read_uncommitted"):
        if headers := message.headers():
            yield headers


def input_topics(cluster: Cluster, names: TopicNames) -> dict[str, InputTopic]:
    """The topics on which records arrive, by name. Where a broker does not tell whose time a topic has (the embedded
    one), it is taken to be the broker's, which is the cautious side.

    Raises:
        TopicsUnreadable: one does not exist.
        KafkaException: the cluster does not answer.
    """
    kinds: dict[str, Kind] = dict.fromkeys(names.intents, "intents")
    kinds |= {names.preferences: "preferences", names.outcomes: "outcomes"}
    client = AdminClient({**cluster.client_settings(), "log_level": 0})
    existing = client.list_topics(timeout=ANSWER_SECONDS).topics
    refuse_missing(kinds, existing)
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in kinds]
    has_producers_time = dict.fromkeys(kinds, False)
    for resource, future in client.describe_configs(resources, request_timeout=ANSWER_SECONDS).items():
        try:
            kind_of_time = future.result()["message.timestamp.type"].value
        except KafkaException as error:
            if error.args[0].code() != KafkaError._UNSUPPORTED_FEATURE:  # noqa: SLF001  # its public name
                raise
        else:
            has_producers_time[resource.name] = kind_of_time == "CreateTime"
    return {
        topic: InputTopic(topic, kind, len(existing[topic].partitions), has_producers_time[topic])
        for topic, kind in kinds.items()
    }

"""What the embedded broker and Apache Kafka have in common, so that one test can run on both."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from streams.testing.errors import DeadlineError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.topics import TopicPlan

DEFAULT_PARTITIONS: Final = 8

CREATE_SECONDS: Final = 30.0
"""How long creating topics may take until every partition has a leader. Usually well under a second."""


class Broker(Protocol):
    """A running broker."""

    is_embedded: bool
    replication_factor: int
    """Of the topics it creates."""

    @property
    def bootstrap_servers(self) -> str:
        """The `host:port` list to give to clients."""
        ...

    def create_topics(
        self, names: Iterable[str], *, partitions: int | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        """Create topics, ready for use when this returns. The embedded broker ignores `config`: it has none."""
        ...


def create_plan(broker: Broker, plan: TopicPlan) -> None:
    """Create every topic of the plan, with its own number of partitions."""
    for topic in plan.topics():
        broker.create_topics([topic.name], partitions=topic.partitions, config=topic.config)


class KafkaAdmin(ABC):
    """Creates topics on a cluster that knows CreateTopics, with one replica each unless a subclass says otherwise."""

    is_embedded = False
    replication_factor = 1

    @property
    @abstractmethod
    def bootstrap_servers(self) -> str:
        """The `host:port` list to give to clients."""

    def create_topics(
        self, names: Iterable[str], *, partitions: int | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        """Create topics and wait until every partition has a leader.

        Raises:
            RefusedError: the cluster did not create one of them, for instance because it exists.
        """
        wanted = list(names)
        count = partitions or DEFAULT_PARTITIONS
        client = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        futures = client.create_topics(
            [NewTopic(name, count, self.replication_factor, config=dict(config or {})) for name in wanted],
            request_timeout=CREATE_SECONDS,
        )
        for name, future in futures.items():
            try:
                future.result()
            except KafkaException as error:
                raise RefusedError(f"{name}: {error.args[0].str()}") from error
        until = time.monotonic() + CREATE_SECONDS
        while not all(_has_leaders(client, name, count) for name in wanted):
            if time.monotonic() > until:
                raise DeadlineError(f"topics had no leaders after {CREATE_SECONDS} s: {', '.join(wanted)}")
            time.sleep(0.01)


def _has_leaders(client: AdminClient, name: str, partitions: int) -> bool:
    found = client.list_topics(name, timeout=CREATE_SECONDS).topics[name]
    return len(found.partitions) == partitions and all(p.leader >= 0 for p in found.partitions.values())

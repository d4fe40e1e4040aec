"""Until when records stay in the topics, by the settings that the topics have on their brokers.

Rules of this module
1. A deadline is the latest moment, not the likely one. Brokers delete whole segments: one that began with a record may
   take others for `segment.ms`, and goes when the newest of them is older than `retention.ms`.
2. A compacted topic keeps an earlier value until its segment is closed and compacted, and a deletion for
   `delete.retention.ms` beyond that, until it is compacted once more. A segment is closed by the next write, so the
   deadline holds for partitions that are written to.
3. Where a topic has no deadline, that is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.connection.cluster import Cluster
    from streams.topics import TopicNames

ANSWER_SECONDS: Final = 15.0

BROKER_MS: Final = 15 * 60_000
"""What a broker takes beyond that: it looks every five minutes (`log.retention.check.interval.ms`), removes files a
minute later (`file.delete.delay.ms`), and its clock may differ. These are Kafka's defaults; they are the broker's own
settings, which not everybody may read."""

DEADLINE_MAX_MS: Final = 100 * 366 * 86_400_000
"""A hundred years. Longer is no deadline: Kafka's own "never" is some hundred million years."""


class Stay(NamedTuple):
    """Until when something stays in a topic; `until_ms` None: there is no such moment."""

    topic: str
    what: str
    until_ms: int | None
    why: str


def topic_settings(cluster: Cluster, names: TopicNames) -> dict[str, dict[str, str]]:
    """The settings in force of each topic that holds something of customers.

    Raises:
        KafkaException: the cluster does not answer.
    """
    client = AdminClient({**cluster.client_settings(), "log_level": 0})
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in (names.ledger, *_logs(names))]
    futures = client.describe_configs(resources, request_timeout=ANSWER_SECONDS)
    return {
        resource.name: {name: str(entry.value) for name, entry in future.result().items()}
        for resource, future in futures.items()
    }


def stays(names: TopicNames, settings: Mapping[str, Mapping[str, str]], now_ms: int) -> list[Stay]:
    """Until when what was written about a customer up to now stays, topic by topic."""
    logs = [_of_log(topic, settings[topic], now_ms) for topic in _logs(names)]
    return [*_of_ledger(names.ledger, settings[names.ledger], now_ms), *logs]


def _logs(names: TopicNames) -> tuple[str, ...]:
    return (
        *names.intents,
        names.preferences,
        names.outcomes,
        names.rerouted,
        names.approved,
        names.suppressed,
        names.dead_letter,
    )


def _of_log(topic: str, settings: Mapping[str, str], now_ms: int) -> Stay:
    retention, segment = _ms(settings, "retention.ms"), _ms(settings, "segment.ms")
    why = f"retention.ms {settings.get('retention.ms')}, segment.ms {settings.get('segment.ms')}"
    if retention is None or segment is None or "delete" not in settings.get("cleanup.policy", "delete"):
        return Stay(topic, "records", None, f"the topic has no retention that ends ({why})")
    return Stay(topic, "records", now_ms + retention + segment + _ahead_ms(settings) + BROKER_MS, why)


def _ahead_ms(settings: Mapping[str, str]) -> int:
    """How far ahead producers may date a record, which keeps its whole segment. Without a limit of the broker's nobody
    can say; none is counted then (docs/customers.md).
    """
    if settings.get("message.timestamp.type") != "CreateTime":
        return 0
    return _ms(settings, "message.timestamp.after.max.ms") or 0


def _of_ledger(topic: str, settings: Mapping[str, str], now_ms: int) -> Iterable[Stay]:
    lag, segment = _ms(settings, "max.compaction.lag.ms"), _ms(settings, "segment.ms")
    deleted = _ms(settings, "delete.retention.ms")
    why = ", ".join(
        f"{name} {settings.get(name)}" for name in ("segment.ms", "max.compaction.lag.ms", "delete.retention.ms")
    )
    if lag is None or segment is None or deleted is None:
        for what in ("earlier values of the ledger", "the id, as the key of deletions"):
            yield Stay(topic, what, None, f"the broker compacts when it finds it worthwhile ({why})")
        return
    compacted_ms = now_ms + min(segment, lag) + lag + BROKER_MS
    yield Stay(topic, "earlier values of the ledger", compacted_ms, why)
    yield Stay(topic, "the id, as the key of deletions", compacted_ms + deleted + lag + BROKER_MS, why)


def _ms(settings: Mapping[str, str], name: str) -> int | None:
    """A setting in milliseconds; None if it is not told, or means never."""
    text = settings.get(name, "")
    return int(text) if text.isdecimal() and int(text) <= DEADLINE_MAX_MS else None

"""Compares the topics of a cluster with the plan: for `mesura topics` and for `mesura doctor`.

Rules of this module
1. It changes nothing, and names no topic to a broker that does not exist: some brokers would make it.
2. What differs from the plan is a difference. What `mesura run` would refuse is a danger.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from streams.exactly_once.topic_rules import broken_rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.connection.cluster import Cluster
    from streams.topics import PlannedTopic, TopicPlan

ANSWER_SECONDS: Final = 30.0
"""How long the cluster may take for one answer. Creating a thousand partitions on a busy cluster takes seconds."""

CANNOT_TELL: Final = "settings: this broker cannot report them"


class State(Enum):
    """How a topic compares with its plan."""

    CREATED = "created"
    EXISTS = "exists"
    DIFFERS = "differs"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class TopicReport:
    """One topic, and in which ways it is not as planned."""

    topic: PlannedTopic
    state: State
    differences: tuple[str, ...] = ()
    dangers: tuple[str, ...] = ()
    """Those of them for which `mesura run` refuses the topic, one sentence each."""

    @property
    def is_as_planned(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in {State.CREATED, State.EXISTS} and not self.differences


def check_topics(cluster: Cluster, plan: TopicPlan) -> list[TopicReport]:
    """Compare every topic of the plan with the cluster, changing nothing.

    Raises:
        KafkaException: the cluster is not reachable or refused to answer.
    """
    return compare(AdminClient({**cluster.client_settings(), "log_level": 0}), plan)


def compare(client: AdminClient, plan: TopicPlan, *, refused_is_untold: bool = False) -> list[TopicReport]:
    """The same with a client that is there."""
    existing = client.list_topics(timeout=ANSWER_SECONDS).topics
    present = [topic for topic in plan.topics() if topic.name in existing]
    configs = read_configs(client, [topic.name for topic in present], refused_is_untold=refused_is_untold)
    reports = []
    for topic in plan.topics():
        if topic.name not in existing:
            reports.append(TopicReport(topic, State.MISSING))
            continue
        config = configs.get(topic.name)
        differences = differences_of(topic, existing[topic.name].partitions, config)
        dangers = () if config is None else tuple(broken_rules(topic.name, topic.rules, config))
        reports.append(TopicReport(topic, State.DIFFERS if differences else State.EXISTS, differences, dangers))
    return reports


def read_configs(
    client: AdminClient, names: Sequence[str], *, refused_is_untold: bool = False
) -> Mapping[str, Mapping[str, str]]:
    """The settings in force by topic; nothing for a broker that cannot tell.

    `refused_is_untold`: nothing either for a topic whose settings we may not read.

    Raises:
        KafkaException: the brokers did not answer, or refused.
    """
    untold = {KafkaError._UNSUPPORTED_FEATURE}  # noqa: SLF001  # its public name
    if refused_is_untold:
        untold.add(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    if not names:
        return {}
    found: dict[str, Mapping[str, str]] = {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    for resource, future in client.describe_configs(resources, request_timeout=ANSWER_SECONDS).items():
        try:
            found[resource.name] = {key: entry.value for key, entry in future.result().items()}
        except KafkaException as error:
            if error.args[0].code() not in untold:
                raise
    return found


def differences_of(
    topic: PlannedTopic, partitions: Mapping[int, Any], config: Mapping[str, str] | None
) -> tuple[str, ...]:
    """In which ways it is not as planned. `config` is None if the brokers do not tell the settings."""
    found = []
    if len(partitions) != topic.partitions:
        found.append(f"partitions: {len(partitions)}, planned {topic.partitions}")
    copies = min((len(partition.replicas) for partition in partitions.values()), default=0)
    if copies < topic.replication_factor:
        found.append(f"replicas: {copies}, planned {topic.replication_factor}")
    if config is None:
        return (*found, CANNOT_TELL)
    at_least = int(config.get("min.insync.replicas") or 1)
    if 1 < copies <= at_least:
        found.append(
            f"min.insync.replicas: {at_least} of {copies} replicas, so the loss of one broker stops every decision; "
            "add a replica, or ask for one less"
        )
    found += [
        f"{setting.key}: {config.get(setting.key)}, planned {setting.value}, because {setting.reason}"
        for setting in topic.settings
        if config.get(setting.key) != setting.value
    ]
    return tuple(found)

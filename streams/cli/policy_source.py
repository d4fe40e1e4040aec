"""Where the commands get a policy: from a file, from the package by name, or from the control topic by its hash."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from streams.access.permission import Permission
from streams.cli.errors import CommandError, Unreachable, Unreadable
from streams.cli.options import refuse_unpermitted, refuse_unreachable, stopped_answering
from streams.cli.render import PolicyView, view_of_policy, view_of_record
from streams.contracts.control import PolicyFromLaterVersion, PolicyRecord, decode_policy
from streams.decision.policy import Policy, compile_policy
from streams.policy.findings import PolicyRefused
from streams.policy.loader import load_policy
from streams.policy.packs import PACKS, pack_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.connection.cluster import Cluster

READ_SECONDS: Final = 15.0
"""The control topic has one partition and a few records. A broker that takes longer is considered not to answer."""


_POLL_SECONDS: Final = 0.1


def policy_file(name: str) -> Path:
    """The file of that name, or the policy of that name that comes with the package."""
    path = Path(name)
    return pack_path(name) if name in PACKS and not path.exists() else path


def compiled(name: str) -> Policy:
    """The policy of a file, compiled.

    Raises:
        Unreadable: it cannot be read, or is refused.
    """
    try:
        return compile_policy(load_policy(policy_file(name)).specification)
    except OSError as error:
        raise Unreadable(f"The policy {name} cannot be read: {error.strerror}.") from None
    except PolicyRefused as refused:
        count = len(refused.findings)
        findings = f"{count} finding{'s' if count != 1 else ''}"
        raise Unreadable(
            f"The policy {name} is refused, with {findings}. `mesura policy check {name}` lists them."
        ) from None


class PublishedPolicies:
    """The policies of a control topic, read once and by hash."""

    def __init__(self, cluster: Cluster, control_topic: str) -> None:
        self._records = {
            record.hash: record for record in map(_record, read_control(cluster, control_topic).values()) if record
        }
        self._views: dict[str, PolicyView] = {}

    def view(self, policy_hash: str) -> PolicyView:
        """The policy with that hash; without rules if it was never published here."""
        if policy_hash not in self._views:
            record = self._records.get(policy_hash)
            self._views[policy_hash] = PolicyView() if record is None else _view(record)
        return self._views[policy_hash]


def policy_in_force(cluster: Cluster, control_topic: str) -> Policy | None:
    """The policy by which a gate decides now, compiled; None if none was published, or it cannot be compiled here.

    Raises:
        Unreachable: no broker answers.
        CommandError: there is no such topic.
    """
    from streams.exactly_once.control import POLICY_KEY, policy_text_key  # loads aiokafka

    content = read_control(cluster, control_topic)
    policy_hash = content.get(POLICY_KEY, b"").decode("ascii", "replace")
    value = content.get(policy_text_key(policy_hash))
    try:
        return None if value is None else compile_policy(load_policy(decode_policy(value).text).specification)
    except (msgspec.DecodeError, PolicyRefused):
        return None


def read_control(cluster: Cluster, topic: str) -> Mapping[bytes, bytes]:
    """The present content of the control topic, by key.

    Raises:
        Unreachable: no broker answers.
        CommandError: there is no such topic.
    """
    refuse_unreachable(cluster)
    refuse_unpermitted(cluster, [Permission("topic", topic, "Read", "find the policy's text")], "reader")
    consumer = Consumer(
        {
            **cluster.client_settings(),
            "group.id": "mesura-explain",  # required, never used: the partition is assigned by hand
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
    )
    found: dict[bytes, bytes] = {}
    try:
        if topic not in consumer.list_topics(timeout=READ_SECONDS).topics:
            raise CommandError(f"There is no topic {topic}. Give the --prefix of the gate, or the cluster it runs on.")
        first, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=READ_SECONDS)
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        until = time.monotonic() + READ_SECONDS
        while first < end:
            if time.monotonic() > until:
                raise Unreachable(
                    f"The broker at {cluster} stopped answering. Try again. If it keeps failing, look into its log."
                )
            message = consumer.poll(_POLL_SECONDS)
            if message is not None and message.error() is None and message.value() is not None:
                found[message.key()] = message.value()
            # The position also passes over transaction markers, which are not records.
            first = max(first, consumer.position([TopicPartition(topic, 0)])[0].offset)
    except KafkaException as error:
        raise stopped_answering(cluster, error) from None
    finally:
        consumer.close()
    return found


def _record(value: bytes) -> PolicyRecord | None:
    try:
        return decode_policy(value)
    except PolicyFromLaterVersion as later:
        raise CommandError(str(later)) from None
    except msgspec.DecodeError:
        return None  # the partition count or the hash in force, not a policy text


def _view(record: PolicyRecord) -> PolicyView:
    """The policy compiled again, if that still gives the same policy; else what the record itself says."""
    try:
        loaded = load_policy(record.text)
    except PolicyRefused:
        return view_of_record(record)
    if loaded.specification.content_hash != record.hash:
        return view_of_record(record)  # resolved with other versions of zones or holidays
    return view_of_policy(compile_policy(loaded.specification))

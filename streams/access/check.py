"""Asks the brokers what we may do, and says what is missing.

Rules of this module
1. A broker tells what a principal may do on each topic and group (KIP-430). Nothing is tried, nothing is changed.
2. What a broker does not tell is not missing: some (the embedded one, a few services) have no such answer, and a broker
   that does not answer now is a fault of another kind. Transactional ids have no such answer anywhere; a client that
   may not use its own learns it when it begins.
3. A topic that we may not even describe looks to a client as if it did not exist. It is told apart here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, ConfigResource, ResourceType

from streams.access.commands import kafka_acls
from streams.connection.connection import PasswordLogin

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.access.permission import Permission
    from streams.connection.cluster import Cluster

ANSWER_SECONDS: Final = 10.0
"""A broker answers from memory."""

COORDINATOR_SECONDS: Final = 5.0
"""A group's coordinator may just be moving, or being elected for the first time."""

_OPERATIONS: Final = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}
_REFUSED: Final = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED}
_MOVING: Final = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
}


class PermissionsMissing(Exception):
    """The brokers let us in and do not let us do what we are for. The message says what is missing, and how to grant
    it.
    """


def refuse_without(cluster: Cluster, permissions: Sequence[Permission], role: str) -> None:
    """Return if the brokers do not say that one of the permissions is missing.

    Raises:
        PermissionsMissing: one is.
    """
    missing = missing_permissions(cluster, permissions)
    if missing:
        raise PermissionsMissing(sentence(cluster, missing, role))


def sentence(cluster: Cluster, missing: Sequence[Permission], role: str) -> str:
    """What is missing, and the commands that grant it."""
    login = cluster.connection.current().login
    principal = f"User:{login.user}" if isinstance(login, PasswordLogin) else "User:NAME"
    whom = "We" if principal == "User:NAME" else principal
    commands = "; ".join(kafka_acls(missing, principal, cluster.bootstrap_servers))
    what = ", ".join(map(str, missing))
    return (
        f"{whom} may not do what is needed: {what}. Somebody who administers the cluster grants it with `{commands}`; "
        f"`mesura topics acls --role {role}` lists everything that the role needs."
    )


class Told(NamedTuple):
    """What the brokers tell of permissions."""

    missing: list[Permission]
    untold: list[Permission]
    """Of which they tell neither that we have them nor that we do not."""


def missing_permissions(cluster: Cluster, permissions: Sequence[Permission]) -> list[Permission]:
    """Those of them that the brokers say we do not have."""
    return told_of(cluster, permissions).missing


def told_of(cluster: Cluster, permissions: Sequence[Permission]) -> Told:
    """Those of them that the brokers say we do not have, and those of which they say nothing."""
    client = AdminClient({**cluster.client_settings(), "log_level": 0})
    topics = _topics(client, {each.name for each in permissions if each.resource == "topic"})
    groups = _groups(client, {each.name for each in permissions if each.resource == "group"})
    allowed = {"topic": topics, "group": groups}
    told = Told([], [])
    for each in permissions:
        operations = allowed.get(each.resource, {}).get(each.name)
        if operations is None:
            told.untold.append(each)
        elif _OPERATIONS[each.operation] not in operations:
            told.missing.append(each)
    return told


def _topics(client: AdminClient, names: Iterable[str]) -> dict[str, set[AclOperation] | None]:
    try:
        visible = client.list_topics(timeout=ANSWER_SECONDS).topics
    except KafkaException:
        return {}
    wanted = sorted(names)
    found = _described(client, [name for name in wanted if name in visible])
    if found and not any(found.values()):
        # A broker that does not tell. The embedded one, asked for a topic that does not exist, would make it.
        return {}
    found |= _described(client, [name for name in wanted if name not in visible])
    # A topic that we may not describe tells nothing of what else we may do: its settings are asked for apart.
    hidden = [name for name, operations in found.items() if operations is not None and not operations]
    for name, may_see in _settings_seen(client, hidden).items():
        if may_see:
            found[name] = {AclOperation.DESCRIBE_CONFIGS}
    return found


def _described(client: AdminClient, names: Sequence[str]) -> dict[str, set[AclOperation] | None]:
    if not names:
        return {}
    try:
        futures = client.describe_topics(
            TopicCollection(list(names)), include_authorized_operations=True, request_timeout=ANSWER_SECONDS
        )
    except KafkaException:
        return {}
    return {name: _allowed(future) for name, future in futures.items()}


def _settings_seen(client: AdminClient, names: Sequence[str]) -> dict[str, bool]:
    if not names:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    seen = {}
    for resource, future in client.describe_configs(resources, request_timeout=ANSWER_SECONDS).items():
        try:
            future.result()
        except KafkaException:
            seen[resource.name] = False
        else:
            seen[resource.name] = True
    return seen


def _groups(client: AdminClient, names: Iterable[str]) -> dict[str, set[AclOperation] | None]:
    found: dict[str, set[AclOperation] | None] = {}
    for name in sorted(names):
        until = time.monotonic() + COORDINATOR_SECONDS
        while True:
            try:
                futures = client.describe_consumer_groups(
                    [name], include_authorized_operations=True, request_timeout=ANSWER_SECONDS
                )
                found[name] = _allowed(futures[name])
            except _CoordinatorMoves:
                if time.monotonic() < until:
                    time.sleep(0.1)
                    continue
            except KafkaException:
                pass
            break
    return found


class _CoordinatorMoves(Exception):
    """Ask again."""


def _allowed(future: Any) -> set[AclOperation] | None:  # noqa: ANN401  # of whatever the client describes
    """What we may do; None: the broker does not tell."""
    try:
        operations = future.result().authorized_operations
    except KafkaException as error:
        code = error.args[0].code()
        if code in _MOVING:
            raise _CoordinatorMoves from None
        return set() if code in _REFUSED else None
    return set(operations) if operations else None

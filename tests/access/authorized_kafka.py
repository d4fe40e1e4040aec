"""Apache Kafka with its authorizer: who has not been granted something may not do it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from streams.access.check import _OPERATIONS
from streams.access.roles import ROLES
from streams.connection.cluster import Cluster
from streams.connection.source import ConnectionSource
from streams.testing.kafka_directory import free_ports
from streams.testing.real_kafka import SHORT_LIVED, RealKafka
from streams.testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from streams.access.permission import Permission
    from streams.access.roles import Role

USERS: Final = ROLES
"""One for each role, and named like it."""

_RESOURCES: Final = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,
}


@dataclass(frozen=True)
class AuthorizedKafka:
    kafka: RealKafka
    address: str
    """Of the listener with logins. `kafka.bootstrap_servers` is that of whoever may do everything."""
    directory: Path

    def properties(self, user: str) -> Path:
        """The file of client properties with which this user connects."""
        path = self.directory / f"{user}.properties"
        path.touch(mode=0o600)
        path.write_text(
            f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username={user}\nsasl.password={user}-word\n"
        )
        return path

    def cluster(self, user: Role) -> Cluster:
        return Cluster(self.address, ConnectionSource(self.properties(user)))

    def grant(self, user: Role, permissions: Iterable[Permission]) -> None:
        bindings = [_binding(user, each) for each in dict.fromkeys(permissions)]
        admin = self._admin()
        for future in admin.create_acls(bindings).values():
            future.result()

    def take_away(self, user: Role, permissions: Iterable[Permission]) -> None:
        filters = [_filter(user, each) for each in permissions]
        admin = self._admin()
        for future in admin.delete_acls(filters).values():
            assert future.result(), "it had been granted"

    def take_all_away(self) -> None:
        everything = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
        )
        admin = self._admin()
        for future in admin.delete_acls([everything]).values():
            future.result()

    def change_setting(self, topic: str, name: str, value: str) -> None:
        """Change one setting of a topic; returns when the broker tells it."""
        admin = self._admin()
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        changed = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        for future in admin.incremental_alter_configs([changed]).values():
            future.result()

        def told() -> bool:
            resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
            (future,) = admin.describe_configs([resource]).values()
            found: str = future.result()[name].value
            return found == value

        wait_until(told, 10, "the setting is changed")

    def granted(self, user: Role) -> set[tuple[str, str, str, bool]]:
        """What the broker says this user was granted: resource, name, operation, whether the name is a prefix."""
        everything = AclBindingFilter(
            ResourceType.ANY,
            None,
            ResourcePatternType.ANY,
            f"User:{user}",
            None,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        resources = {value: key for key, value in _RESOURCES.items()}
        operations = {value: key for key, value in _OPERATIONS.items()}
        admin = self._admin()
        found = admin.describe_acls(everything).result()
        return {
            (
                resources[binding.restype],
                binding.name,
                operations[binding.operation],
                binding.resource_pattern_type is ResourcePatternType.PREFIXED,
            )
            for binding in found
        }

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.kafka.bootstrap_servers, "log_level": 0})


@contextlib.contextmanager
def authorized_kafka(directory: Path) -> Iterator[AuthorizedKafka]:
    host = "127.0.0.1"
    controller, port = free_ports(2)
    words = " ".join(f'user_{user}="{user}-word"' for user in USERS)
    properties = {
        "listeners": f"PLAINTEXT://{host}:{{port}},CONTROLLER://{host}:{controller},LOGIN://{host}:{port}",
        "advertised.listeners": f"PLAINTEXT://{host}:{{port}},LOGIN://{host}:{port}",
        "controller.quorum.voters": f"1@{host}:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT",
        "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.login.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule "
        f"required {words};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Whoever comes without a login: the brokers themselves, and the tests.
        "super.users": "User:ANONYMOUS",
    }
    with RealKafka(heap_megabytes=256, properties=properties, java_options=SHORT_LIVED) as kafka:
        yield AuthorizedKafka(kafka, f"{host}:{port}", directory)


def _binding(user: str, permission: Permission) -> AclBinding:
    return AclBinding(
        _RESOURCES[permission.resource],
        permission.name,
        ResourcePatternType.PREFIXED if permission.is_prefix else ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        _OPERATIONS[permission.operation],
        AclPermissionType.ALLOW,
    )


def _filter(user: str, permission: Permission) -> AclBindingFilter:
    binding = _binding(user, permission)
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )

"""How clients come into a cluster over SASL_SSL, with the permissions that `mesura topics acls` prints.

    with secured_cluster(directory) as (cluster, entrance):
        Scene(cluster, prefix, directory, ..., entrance=entrance)

Invariants
1. A name and a password for each of `USERS`, by SCRAM-SHA-512. Nobody shares one, and nobody has more than a role's
   permissions: a call that needs more is refused by the brokers.
2. The brokers' certificate is signed by an authority of this cluster's own, and names the host clients connect to.
3. Brokers, controllers and the test itself come in without a login, by listeners of their own.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from streams.access.roles import Role, permissions_of
from streams.testing.kafka_cluster import KafkaCluster
from streams.testing.network import HOST
from tests.access.authorized_kafka import _binding
from tests.connection.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from streams.testing.network import Network
    from streams.topics import TopicNames

LISTENER: Final = "SECURED"
ITERATIONS: Final = 4096

USERS: Final[Mapping[str, tuple[Role, ...]]] = {
    "gate": ("gate",),
    "upstream": ("intents", "preferences", "outcomes"),
    "gateway": ("gateway",),
    "auditor": ("auditor",),
}
"""Who logs in, and the roles whose permissions they have."""

_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclass(frozen=True)
class Secured:
    """Logins on a cluster. `admit` gives them the permissions for one gate's topics."""

    cluster: KafkaCluster
    authority: Path
    """The certificate that clients trust; no other."""
    directory: Path
    passwords: dict[str, str] = field(default_factory=lambda: {user: secrets.token_urlsafe(18) for user in USERS})

    @property
    def address(self) -> str:
        """Of all brokers."""
        return self.cluster.addresses(LISTENER)

    def properties(self, user: str) -> Path:
        """The file of client properties with which this user connects."""
        path = self.directory / f"{user}.properties"
        path.touch(mode=0o600)
        path.write_text(
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n"
            f"sasl.username={user}\nsasl.password={self.passwords[user]}\n"
            f"ssl.truststore.type=PEM\nssl.truststore.location={self.authority}\n"
        )
        return path

    def client_settings(self, user: str) -> dict[str, str]:
        """The same for a client made with librdkafka that shares no code with the product's."""
        return {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": self.passwords[user],
            "ssl.ca.location": str(self.authority),
            "ssl.endpoint.identification.algorithm": "https",
        }

    def make_logins(self) -> None:
        """Make the users known to the cluster."""
        admin = self.cluster.admin()
        changes = [
            UserScramCredentialUpsertion(
                user, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS), password.encode()
            )
            for user, password in self.passwords.items()
        ]
        for future in admin.alter_user_scram_credentials(changes).values():
            future.result()

    def admit(self, names: TopicNames, application_id: str) -> None:
        """Give every user its roles' permissions for a gate's topics, and no others."""
        admin: AdminClient = self.cluster.admin()
        bindings = [
            _binding(user, permission)
            for user, roles in USERS.items()
            for role in roles
            for permission in permissions_of(role, names, application_id)
        ]
        for future in admin.create_acls(list(dict.fromkeys(bindings))).values():
            future.result()


@contextlib.contextmanager
def secured_cluster(
    directory: Path,
    *,
    network: Network | None = None,
    java_options: Sequence[str] = (),
    properties: Mapping[str, str] | None = None,
) -> Iterator[tuple[KafkaCluster, Secured]]:
    """Three brokers with logins, encryption and an authorizer."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = Authority("mesura cluster tests")
    store = authority.issue("broker", HOST, "localhost").store(directory / "broker.pem")
    trusted = directory / "trusted.pem"
    trusted.write_text(authority.pem)
    prefix = f"listener.name.{LISTENER.lower()}"
    secured = {
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(trusted),
        f"{prefix}.ssl.keystore.type": "PEM",
        f"{prefix}.ssl.keystore.location": str(store),
        f"{prefix}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        f"{prefix}.scram-sha-512.sasl.jaas.config": _SCRAM,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Whoever comes without a login: the brokers themselves, and the test that kills them.
        "super.users": "User:ANONYMOUS",
        **(properties or {}),
    }
    with KafkaCluster(
        listeners={LISTENER: "SASL_SSL"}, properties=secured, network=network, java_options=java_options
    ) as cluster:
        entrance = Secured(cluster, trusted, directory)
        entrance.make_logins()
        yield cluster, entrance

"""Apache Kafka with a listener for every way of connecting."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from streams.testing.kafka_directory import free_ports
from streams.testing.real_kafka import SHORT_LIVED, RealKafka
from tests.connection.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

USER: Final = "gate"
PASSWORD: Final = 'plänted-pass,word=1;"2"'
"""With what has a meaning in SCRAM, in a JAAS line and in a file of properties, and a letter beyond ASCII."""

KEY_PASSWORD: Final = "planted-key-password"
REAUTHENTICATION_MS: Final = 2_000
"""How long a login counts on the listener that ends logins: a client that does not log in again is disconnected."""

_SECURED: Final = {
    "SSL": "SSL",
    "MUTUAL": "SSL",
    "EXPIRED": "SSL",
    "ELSEWHERE": "SSL",
    "OTHERCA": "SSL",
    "SASLSSL": "SASL_SSL",
    "SASLPLAIN": "SASL_PLAINTEXT",
    "SHORT": "SASL_SSL",
}
"""Listeners, and how each is secured. EXPIRED has an expired certificate, ELSEWHERE that of another host, OTHERCA one
of another authority; SHORT ends logins."""


@dataclass(frozen=True)
class SecuredKafka:
    kafka: RealKafka
    addresses: dict[str, str]
    authority: Authority
    other_authority: Authority
    clients: Authority
    """Signs the certificates of clients; below `authority`."""
    directory: Path

    def set_password(self, password: str) -> None:
        """For SCRAM: the old one is refused from now on."""
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap_servers, "log_level": 0})
        changes = [
            UserScramCredentialUpsertion(USER, ScramCredentialInfo(mechanism, 4096), password.encode())
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
        ]
        for change in changes:
            for future in admin.alter_user_scram_credentials([change]).values():
                future.result()


@contextlib.contextmanager
def secured_kafka(
    directory: Path, *, heap_megabytes: int = 512, java_options: Sequence[str] = SHORT_LIVED
) -> Iterator[SecuredKafka]:
    authority, other = Authority("mesura tests"), Authority("somebody else")
    clients = Authority("clients of mesura tests", authority)
    host = "127.0.0.1"
    server = authority.issue("broker", host, "localhost").store(directory / "broker.pem")
    stores = {
        "EXPIRED": authority.issue("expired", host, begins=-30, ends=-2).store(directory / "expired.pem"),
        "ELSEWHERE": authority.issue("elsewhere", "kafka.example.com").store(directory / "elsewhere.pem"),
        "OTHERCA": other.issue("other", host).store(directory / "other.pem"),
    }
    trusted = directory / "trusted.pem"
    trusted.write_text(authority.pem)
    controller, *ports = free_ports(1 + len(_SECURED))
    addresses = {name: f"{host}:{port}" for name, port in zip(_SECURED, ports, strict=True)}
    listeners = [f"{name}://{address}" for name, address in addresses.items()]
    properties = {
        "listeners": ",".join([f"PLAINTEXT://{host}:{{port}}", f"CONTROLLER://{host}:{controller}", *listeners]),
        "advertised.listeners": ",".join([f"PLAINTEXT://{host}:{{port}}", *listeners]),
        "controller.quorum.voters": f"1@{host}:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
        + ",".join(f"{name}:{protocol}" for name, protocol in _SECURED.items()),
        # It checks at start that it would trust itself, which is not wanted of every listener here.
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(trusted),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.otherca.ssl.truststore.type": "PEM",
        "listener.name.saslssl.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        "listener.name.saslplain.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        "listener.name.short.sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
        "listener.name.short.connections.max.reauth.ms": str(REAUTHENTICATION_MS),
    }
    for name, protocol in _SECURED.items():
        prefix = f"listener.name.{name.lower()}"
        if protocol.endswith("SSL"):
            properties[f"{prefix}.ssl.keystore.type"] = "PEM"
            properties[f"{prefix}.ssl.keystore.location"] = str(stores.get(name, server))
        if protocol.startswith("SASL"):
            module = "org.apache.kafka.common.security"
            quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
            plain = f'{module}.plain.PlainLoginModule required user_{USER}="{quoted}";'
            properties[f"{prefix}.plain.sasl.jaas.config"] = _escaped(plain)
            for mechanism in ("scram-sha-256", "scram-sha-512"):
                properties[f"{prefix}.{mechanism}.sasl.jaas.config"] = f"{module}.scram.ScramLoginModule required;"
            properties[f"{prefix}.oauthbearer.sasl.jaas.config"] = (
                f"{module}.oauthbearer.OAuthBearerLoginModule required;"
            )
    with RealKafka(heap_megabytes=heap_megabytes, properties=properties, java_options=java_options) as kafka:
        secured = SecuredKafka(kafka, addresses, authority, other, clients, directory)
        secured.set_password(PASSWORD)
        yield secured


def _escaped(value: str) -> str:
    """As it stands in a file that Java reads as properties."""
    return "".join(letter if letter.isascii() else f"\\u{ord(letter):04x}" for letter in value.replace("\\", "\\\\"))

"""The examples' settings for a cluster with TLS and a login, as docs/clients.md has them.

What connects is the same for a producer and for a gateway, so a producer shows it.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from streams.testing.kafka_io import read_topic
from tests.clients.examples import Examples
from tests.connection.secured_kafka import PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.connection.secured_kafka import SecuredKafka

MECHANISM: Final = "SCRAM-SHA-512"
CUSTOMERS: Final = ("c-1", "c-2", "c-3")


def settings(language: str, secured: SecuredKafka, directory: Path) -> Mapping[str, str]:
    """Variables, and the files that they name."""
    trusted = directory / "ca.crt"
    trusted.write_text(secured.authority.pem)
    address = secured.addresses["SASLSSL"]
    if language in {"node", "go"}:
        password = directory / "password"
        password.write_text(PASSWORD + "\n")
        return {
            "KAFKA_BOOTSTRAP_SERVERS": address,
            "KAFKA_SSL_CA_LOCATION": str(trusted),
            "KAFKA_SASL_MECHANISM": MECHANISM,
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD_FILE": str(password),
        }
    own = _of_java(trusted) if language == "java" else _of_librdkafka(trusted)
    lines = {"bootstrap.servers": address, "security.protocol": "SASL_SSL", "sasl.mechanism": MECHANISM, **own}
    properties = directory / f"{language}.properties"
    properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    return {"KAFKA_CONFIG": str(properties)}


def _of_librdkafka(trusted: Path) -> dict[str, str]:
    return {"ssl.ca.location": str(trusted), "sasl.username": USER, "sasl.password": PASSWORD}


def _of_java(trusted: Path) -> dict[str, str]:
    quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"').replace("\\", "\\\\")
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return {
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(trusted),
        "sasl.jaas.config": f'{module} required username="{USER}" password="{quoted}";',
    }


def published(language: str, secured: SecuredKafka, directory: Path) -> bool:
    """Whether the producer of a language connects, logs in and publishes."""
    prefix = f"{uuid.uuid4().hex[:12]}-"
    topic = f"{prefix}outbound-intent"
    secured.kafka.create_topics([topic])
    examples = Examples(language, "127.0.0.1:1", prefix, directory, settings(language, secured, directory))
    examples.publish("secured", CUSTOMERS)
    keys = [(record.key or b"").decode() for record in read_topic(secured.kafka.bootstrap_servers, topic)]
    return sorted(keys) == sorted(CUSTOMERS)

"""One Apache Kafka for every way of connecting; files of client properties for it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streams.connection.source import ConnectionSource
from streams.testing.errors import KafkaNotInstalledError
from tests.connection.secured_kafka import PASSWORD, USER, SecuredKafka, secured_kafka
from tests.connection.token_server import CLIENT_ID, TokenServer

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN_SECRET = "planted-client-secret"


class Properties:
    """Writes the file of one test, and writes it again."""

    def __init__(self, secured: SecuredKafka, tokens: TokenServer, directory: Path) -> None:
        self.secured = secured
        self._tokens = tokens
        self.path = directory / "client.properties"
        self.trusted = directory / "trusted.pem"
        self.trusted.write_text(secured.authority.pem)
        self.source = ConnectionSource(self.path)

    def write(self, **settings: str) -> ConnectionSource:
        """Kafka's names, with two underscores for a dot."""
        text = "".join(f"{name.replace('__', '.')}={_escaped(value)}\n" for name, value in settings.items())
        new = self.path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(text)
        new.rename(self.path)
        return self.source

    def tls(self, **settings: str) -> ConnectionSource:
        values = {"security__protocol": "SSL", "ssl__truststore__type": "PEM"}
        return self.write(**values, ssl__truststore__location=str(self.trusted), **settings)

    def login(self, protocol: str, mechanism: str, password: str = PASSWORD, **settings: str) -> ConnectionSource:
        values = {"security__protocol": protocol, "sasl__mechanism": mechanism}
        if protocol == "SASL_SSL":
            values["ssl__truststore__location"] = str(self.trusted)
        if mechanism == "OAUTHBEARER":
            values["sasl__oauthbearer__token__endpoint__url"] = self._tokens.url
            values["sasl__oauthbearer__client__credentials__client__id"] = CLIENT_ID
            values["sasl__oauthbearer__client__credentials__client__secret"] = TOKEN_SECRET
        else:
            module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
            quoted = password.replace("\\", "\\\\").replace('"', '\\"')
            values["sasl__jaas__config"] = (
                f'org.apache.kafka.common.security.{module} required username="{USER}" password="{quoted}";'
            )
        return self.write(**{**values, **settings})


def _escaped(value: str) -> str:
    doubled = value.replace("\\", "\\\\")
    return "".join(letter if letter.isascii() else f"\\u{ord(letter):04x}" for letter in doubled)


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with ExitStack() as stack:
        try:
            kafka = stack.enter_context(secured_kafka(tmp_path_factory.mktemp("secured")))
        except KafkaNotInstalledError as missing:
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI must run the tests on Apache Kafka: {missing}")
            pytest.skip(str(missing))
        yield kafka


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer(TOKEN_SECRET) as server:
        yield server


@pytest.fixture
def properties(secured: SecuredKafka, tokens: TokenServer, tmp_path: Path) -> Properties:
    return Properties(secured, tokens, tmp_path)

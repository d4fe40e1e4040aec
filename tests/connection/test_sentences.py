"""What is wrong with a connection, said before the engine starts: one sentence with its remedy, without secrets."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from streams.brokers import BrokersNotReached, WrongBrokers, reach_brokers
from streams.connection.errors import ConnectionRefused
from tests.connection.conftest import TOKEN_SECRET
from tests.connection.secured_kafka import KEY_PASSWORD, PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.connection.source import ConnectionSource
    from tests.connection.conftest import Properties
    from tests.connection.secured_kafka import SecuredKafka
    from tests.connection.token_server import TokenServer

WRONG = "wrong-password"

pytestmark = pytest.mark.kafka


def said(address: str, source: ConnectionSource, *, is_certain: bool = True) -> str:
    with pytest.raises((BrokersNotReached, ConnectionRefused)) as caught:
        reach_brokers(address, source)
    text = str(caught.value)
    assert isinstance(caught.value, WrongBrokers | ConnectionRefused) == is_certain, text
    for secret in (PASSWORD, KEY_PASSWORD, TOKEN_SECRET, WRONG):
        assert secret not in text
    assert text.count(address) <= 1
    return text


@pytest.mark.parametrize(
    ("listener", "set_up", "words"),
    [
        ("OTHERCA", lambda p: p.tls(), "trusted.pem vouches for (unable to get local issuer certificate): give the"),
        ("SSL", lambda p: p.write(security__protocol="SSL"), "none of the authorities that this system trusts vouches"),
        ("EXPIRED", lambda p: p.tls(), "has a certificate that expired on 2"),
        ("ELSEWHERE", lambda p: p.tls(), "has a certificate for kafka.example.com, not for 127.0.0.1: connect by a"),
        ("MUTUAL", lambda p: p.tls(), "wants a certificate of ours: give one with ssl.keystore.location"),
        ("SSL", lambda p: p.write(security__protocol="PLAINTEXT"), "is a TLS listener: set security.protocol=SSL (or"),
        ("SASLSSL", lambda p: p.login("SASL_PLAINTEXT", "PLAIN"), "is a TLS listener: set security.protocol=SASL_SSL;"),
        ("SASLPLAIN", lambda p: p.login("SASL_SSL", "PLAIN"), "without TLS: give the address of one with it, or set"),
        ("SASLSSL", lambda p: p.tls(), "wants a password or a token (SASL: "),
        ("SSL", lambda p: p.login("SASL_SSL", "PLAIN"), "takes no login: set security.protocol=SSL"),
        ("SHORT", lambda p: p.login("SASL_SSL", "PLAIN"), "not offer sasl.mechanism=PLAIN, but"),
        (
            "SASLSSL",
            lambda p: p.login("SASL_SSL", "PLAIN", "wrong-password"),
            "refuses the user `gate` by PLAIN: correct",
        ),
        (
            "SASLSSL",
            lambda p: p.login("SASL_SSL", "SCRAM-SHA-256", WRONG),
            "refuses the user `gate` by SCRAM",
        ),
        (
            "SASLPLAIN",
            lambda p: p.login("SASL_PLAINTEXT", "SCRAM-SHA-512", WRONG),
            "correct user or password",
        ),
    ],
)
def test_what_a_listener_says(
    secured: SecuredKafka,
    properties: Properties,
    listener: str,
    set_up: Callable[[Properties], ConnectionSource],
    words: str,
) -> None:
    # What is replaced from time to time may be in the middle of it: a start is tried again.
    is_certain = not any(word in words for word in ("expired", "refuses", "correct user"))
    assert words in said(secured.addresses[listener], set_up(properties), is_certain=is_certain)


def test_mechanisms_that_are_offered_are_named(secured: SecuredKafka, properties: Properties) -> None:
    text = said(secured.addresses["SHORT"], properties.login("SASL_SSL", "PLAIN"))
    assert "SCRAM-SHA-512" in text
    assert "OAUTHBEARER" in text


def test_certificates_of_our_own(secured: SecuredKafka, properties: Properties, tmp_path: Path) -> None:
    address = secured.addresses["MUTUAL"]
    foreign = secured.other_authority.issue("gate").store(tmp_path / "foreign.pem")
    assert "refuses our certificate (" in said(
        address, properties.tls(ssl__keystore__location=str(foreign)), is_certain=False
    )
    expired = secured.clients.issue("gate", begins=-9, ends=-2).store(tmp_path / "old.pem", chain=secured.clients.pem)
    assert f"in {expired} expired on 2" in said(
        address, properties.tls(ssl__keystore__location=str(expired)), is_certain=False
    )
    locked = secured.clients.issue("gate").store(tmp_path / "locked.pem", KEY_PASSWORD, secured.clients.pem)
    wrong = properties.tls(ssl__keystore__location=str(locked), ssl__key__password=WRONG)
    assert "does not open with its password: correct ssl.key.password" in said(address, wrong)


def test_token_endpoints(secured: SecuredKafka, properties: Properties, tokens: TokenServer) -> None:
    def refused(source: ConnectionSource) -> str:
        return said(secured.addresses["SASLSSL"], source, is_certain=False)

    source = properties.login("SASL_SSL", "OAUTHBEARER")
    tokens.secret = "another"
    assert "refuses the client (HTTP 401, invalid_client): correct the client id" in refused(source)
    tokens.answer = (503, b"")
    assert "gives no token (HTTP 503)" in refused(source)
    tokens.answer = (200, b"<html>")
    assert "answers without a token" in refused(source)
    tokens.answer = (302, tokens.url.encode())
    assert "sends us on to another address (HTTP 302)" in refused(source)
    tokens.answer = (200, b'{"access_token": "a.b.c", "expires_in": 60}')
    assert "refuses the token: look into the broker's log" in refused(source)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nowhere = f"http://127.0.0.1:{listener.getsockname()[1]}/token"
    source = properties.login("SASL_SSL", "OAUTHBEARER", sasl__oauthbearer__token__endpoint__url=nowhere)
    text = refused(source)
    assert f"The token endpoint {nowhere} does not answer (Connection refused)" in text


def test_one_good_address_is_enough(secured: SecuredKafka, properties: Properties) -> None:
    reach_brokers(f"127.0.0.1:1,{secured.addresses['SSL']}", properties.tls())

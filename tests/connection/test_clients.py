"""Every way of connecting, by both clients, to Apache Kafka; what is on disk is taken over by clients that live on."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import aiokafka
import pytest
from aiokafka.errors import KafkaConnectionError
from confluent_kafka.admin import AdminClient

from streams.brokers import reach_brokers
from streams.connection.aiokafka_client import aiokafka_options
from streams.connection.cluster import Cluster
from tests.connection.secured_kafka import KEY_PASSWORD, PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.connection.source import ConnectionSource
    from tests.connection.conftest import Properties
    from tests.connection.secured_kafka import SecuredKafka
    from tests.connection.token_server import TokenServer

pytestmark = [
    pytest.mark.kafka,
    # aiokafka leaves the connection of a login that failed to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")


def connects(address: str, source: ConnectionSource) -> None:
    """The start-up check, aiokafka and librdkafka all get in, and see the broker."""
    reach_brokers(address, source)
    assert asyncio.run(_brokers_of_aiokafka(address, source)) == 1
    client = AdminClient({**Cluster(address, source).client_settings(), "log_level": 0})
    assert len(client.list_topics(timeout=10).brokers) == 1


async def _brokers_of_aiokafka(address: str, source: ConnectionSource) -> int:
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=address, **aiokafka_options(source)) as producer:
        await producer.client.fetch_all_metadata()
        return len(producer.client.cluster.brokers())


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(("listener", "protocol"), [("SASLSSL", "SASL_SSL"), ("SASLPLAIN", "SASL_PLAINTEXT")])
def test_every_login(
    secured: SecuredKafka, properties: Properties, listener: str, protocol: str, mechanism: str
) -> None:
    connects(secured.addresses[listener], properties.login(protocol, mechanism))


def test_the_user_and_the_password_under_librdkafkas_names(secured: SecuredKafka, properties: Properties) -> None:
    names = {"sasl__username": USER, "sasl__password": PASSWORD, "sasl__mechanisms": "SCRAM-SHA-512"}
    source = properties.write(security__protocol="SASL_SSL", ssl__ca__location=str(properties.trusted), **names)
    connects(secured.addresses["SASLSSL"], source)


def test_tls_alone(secured: SecuredKafka, properties: Properties) -> None:
    connects(secured.addresses["SSL"], properties.tls())


def test_a_host_name_that_is_not_checked(secured: SecuredKafka, properties: Properties) -> None:
    connects(secured.addresses["ELSEWHERE"], properties.tls(ssl__endpoint__identification__algorithm=""))


def test_a_certificate_of_our_own_in_every_form(secured: SecuredKafka, properties: Properties, tmp_path: Path) -> None:
    issued, between = secured.clients.issue("gate"), secured.clients.pem
    address = secured.addresses["MUTUAL"]
    store = issued.store(tmp_path / "gate.pem", KEY_PASSWORD, between)
    connects(address, properties.tls(ssl__keystore__location=str(store), ssl__key__password=KEY_PASSWORD))
    chain, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    chain.write_text(issued.certificate + between)
    key.touch(mode=0o600)
    key.write_text(issued.key())
    connects(address, properties.tls(ssl__certificate__location=str(chain), ssl__key__location=str(key)))
    one_line = (issued.certificate + between).replace("\n", " ")
    inline = {"ssl__keystore__certificate__chain": one_line, "ssl__keystore__key": issued.key().replace("\n", " ")}
    connects(address, properties.tls(**inline))


# ---- what changes on disk -------------------------------------------------------------------------------------------


@pytest.fixture
def asked(secured: SecuredKafka) -> Iterator[None]:
    """The password is what it was, whatever a test makes of it."""
    yield
    secured.set_password(PASSWORD)


async def _gets_in(address: str, **options: object) -> bool:
    """Whether a new client with these options, which may be older than what is on disk, gets in."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=address, **options)
    try:
        await producer.start()
    except KafkaConnectionError:
        return False
    finally:
        await producer.stop()
        gc.collect()  # here, and not within the next test
    return True


def test_an_authority_that_is_withdrawn_is_trusted_no_more(secured: SecuredKafka, properties: Properties) -> None:
    options = aiokafka_options(properties.tls())
    ours, theirs = secured.addresses["SSL"], secured.addresses["OTHERCA"]
    assert asyncio.run(_gets_in(ours, **options))
    assert not asyncio.run(_gets_in(theirs, **options))
    properties.trusted.write_text(secured.other_authority.pem)
    assert not asyncio.run(_gets_in(ours, **options))
    assert asyncio.run(_gets_in(theirs, **options))
    properties.trusted.write_text("what somebody is just writing")
    assert asyncio.run(_gets_in(theirs, **options))
    properties.trusted.write_text(secured.authority.pem + secured.other_authority.pem)
    assert asyncio.run(_gets_in(ours, **options))
    assert asyncio.run(_gets_in(theirs, **options))


def test_a_certificate_of_our_own_that_is_replaced(
    secured: SecuredKafka, properties: Properties, tmp_path: Path
) -> None:
    store = secured.other_authority.issue("gate").store(tmp_path / "gate.pem")
    options = aiokafka_options(properties.tls(ssl__keystore__location=str(store)))
    address = secured.addresses["MUTUAL"]
    assert not asyncio.run(_gets_in(address, **options))
    secured.clients.issue("gate").store(store, chain=secured.clients.pem)
    assert asyncio.run(_gets_in(address, **options))


@pytest.mark.usefixtures("asked")
def test_a_password_that_is_changed(secured: SecuredKafka, properties: Properties) -> None:
    options = aiokafka_options(properties.login("SASL_SSL", "SCRAM-SHA-512"))
    address = secured.addresses["SASLSSL"]
    assert asyncio.run(_gets_in(address, **options))
    secured.set_password("planted-second-password")
    assert not asyncio.run(_gets_in(address, **options))
    properties.login("SASL_SSL", "SCRAM-SHA-512", "planted-second-password")
    assert asyncio.run(_gets_in(address, **options))


def test_tokens_are_fetched_again_before_they_expire(
    secured: SecuredKafka, properties: Properties, tokens: TokenServer
) -> None:
    options = aiokafka_options(properties.login("SASL_SSL", "OAUTHBEARER", sasl__oauthbearer__scope="kafka"))
    address = secured.addresses["SASLSSL"]
    for _ in range(2):
        assert asyncio.run(_gets_in(address, **options))
    assert tokens.scopes == ["kafka"]
    tokens.lifetime_seconds = 0.0  # what it gives from now on has expired: the token that is there is used on
    assert asyncio.run(_gets_in(address, **options))
    assert tokens.asked == 1

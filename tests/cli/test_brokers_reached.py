"""What stands at the addresses given as brokers: said in one sentence with its remedy, and whether waiting can help."""

from __future__ import annotations

import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from streams import brokers
from streams.addresses import AddressRefused
from streams.brokers import BrokersNotReached, WrongBrokers, reach_brokers
from streams.testing.real_kafka import SHORT_LIVED, RealKafka
from tests.cli.strangers import TLS_ALERT, speaking_kafka, stranger, web_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.testing.embedded_broker import EmbeddedBroker


@pytest.fixture(autouse=True)
def _short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    # Who does not answer at all is waited for: not for long, by servers of this process.
    monkeypatch.setattr(brokers, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(brokers, "SECOND_LOOK_SECONDS", 0.5)


def not_reached(bootstrap: str) -> tuple[str, bool]:
    """What is said, and whether it is certain to stay so."""
    with pytest.raises(BrokersNotReached) as caught:
        reach_brokers(bootstrap)
    return str(caught.value), isinstance(caught.value, WrongBrokers)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_broker_is_reached(broker: EmbeddedBroker) -> None:
    reach_brokers(broker.bootstrap_servers)
    reach_brokers(f"127.0.0.1:{closed_port()}, {broker.bootstrap_servers}")


def test_nothing_listens() -> None:
    said, is_certain = not_reached(f"127.0.0.1:{closed_port()}")
    assert "nothing listens there. Start the broker, or correct the address." in said
    assert not is_certain


def test_a_name_that_does_not_resolve() -> None:
    said, is_certain = not_reached("nowhere.invalid:9092")
    assert "the name does not resolve here. Correct it" in said
    assert not is_certain


def test_what_is_no_address_is_not_looked_at() -> None:
    with pytest.raises(AddressRefused):
        reach_brokers("kafka://a:9092")


def test_a_tls_listener() -> None:
    with stranger(lambda _: TLS_ALERT) as address:
        said, is_certain = not_reached(address)
    assert f"{address} is a TLS listener" in said
    assert "set security.protocol=SSL (or SASL_SSL if it also wants a login)" in said
    assert is_certain


def test_a_listener_that_wants_a_password() -> None:
    with stranger(speaking_kafka(sasl=True)) as address:
        said, is_certain = not_reached(address)
    assert "wants a password or a token (SASL: PLAIN)" in said
    assert "set security.protocol=SASL_PLAINTEXT, sasl.mechanism and the login" in said
    assert is_certain


def test_a_web_server() -> None:
    with stranger(web_server) as address:
        said, is_certain = not_reached(address)
    assert "is a web server (HTTP), not a Kafka broker. Give the address of a Kafka broker" in said
    assert is_certain


def test_another_protocol() -> None:
    with stranger(lambda _: b"SSH-2.0-something\r\n") as address:
        said, is_certain = not_reached(address)
    assert "answers in another protocol. Give the address of a Kafka broker" in said
    assert is_certain


@pytest.mark.parametrize(("answer", "how"), [(None, "the connection was closed"), (b"", "there was no answer within")])
def test_silence_may_be_a_broker_that_is_starting(answer: bytes | None, how: str) -> None:
    with stranger(lambda _: answer) as address:
        said, is_certain = not_reached(address)
    assert how in said
    assert "If it is just starting, try again" in said
    assert not is_certain


def test_an_advertised_address_that_leads_nowhere() -> None:
    port = closed_port()
    with stranger(speaking_kafka(advertised=(("127.0.0.1", port), ("nowhere.invalid", 9092)))) as address:
        said, is_certain = not_reached(address)
    assert f"The broker at {address} sends its clients on" in said
    assert f"127.0.0.1:{port}: nothing listens there" in said
    assert "Correct advertised.listeners" in said
    assert not is_certain


def test_one_advertised_address_that_leads_on_is_enough(broker: EmbeddedBroker) -> None:
    host, port = broker.bootstrap_servers.split(":")
    with stranger(speaking_kafka(advertised=(("nowhere.invalid", 9092), (host, int(port))))) as address:
        reach_brokers(address)


def test_a_broker_that_knows_none_yet() -> None:
    with stranger(speaking_kafka()) as address:
        said, is_certain = not_reached(address)
    assert "it is starting" in said
    assert not is_certain


def test_of_several_each_is_said_and_certain_only_if_all_are() -> None:
    with stranger(lambda _: TLS_ALERT) as tls, stranger(web_server) as web:
        said, is_certain = not_reached(f"{tls},{web}")
        assert f"{tls} is a TLS listener" in said
        assert f"{web} is a web server" in said
        assert is_certain
        assert not not_reached(f"{tls},127.0.0.1:{closed_port()}")[1]


def test_by_ipv6(broker: EmbeddedBroker) -> None:
    host, port = broker.bootstrap_servers.split(":")
    with stranger(speaking_kafka(advertised=((host, int(port)),)), socket.AF_INET6) as address:
        assert address.startswith("[::1]:")
        reach_brokers(address)


# ---- Apache Kafka's own listeners -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listeners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """One broker with a listener of every kind: their addresses by protocol."""
    keytool = shutil.which("keytool")
    if keytool is None:
        pytest.skip("keytool, which comes with Java, is not on the path")
    store = tmp_path_factory.mktemp("keys") / "keys.p12"
    make_key(keytool, store)
    ports = {name: closed_port() for name in ("SSL", "SASL_PLAINTEXT", "SASL_SSL", "ASTRAY")}
    others = [f"{name}://127.0.0.1:{port}" for name, port in ports.items()]
    controller = closed_port()
    astray = f"ASTRAY://127.0.0.1:{closed_port()}"
    properties = {
        "listeners": ",".join(["PLAINTEXT://127.0.0.1:{port}", f"CONTROLLER://127.0.0.1:{controller}", *others]),
        "advertised.listeners": ",".join(["PLAINTEXT://127.0.0.1:{port}", *others[:-1], astray]),
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,ASTRAY:PLAINTEXT,SSL:SSL,"
        "SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
        "ssl.keystore.location": str(store),
        "ssl.keystore.password": "a-test-password",
        "sasl.enabled.mechanisms": "SCRAM-SHA-256",
        "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config": SCRAM,
        "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": SCRAM,
    }
    with RealKafka(properties=properties, java_options=SHORT_LIVED) as kafka:
        addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        yield {**addresses, "PLAINTEXT": kafka.bootstrap_servers, "CONTROLLER": f"127.0.0.1:{controller}"}


SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


def make_key(keytool: str, store: Path) -> None:
    named = ["-alias", "broker", "-dname", "CN=localhost", "-keyalg", "EC", "-validity", "2"]
    kept = ["-keystore", str(store), "-storetype", "PKCS12", "-storepass", "a-test-password"]
    subprocess.run([keytool, "-genkeypair", *named, *kept], check=True, capture_output=True, timeout=60)


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("listener", "words", "is_certain"),
    [
        ("SSL", "is a TLS listener", True),
        ("SASL_SSL", "is a TLS listener", True),
        ("SASL_PLAINTEXT", "wants a password or a token (SASL: SCRAM-SHA-256)", True),
        ("ASTRAY", "sends its clients on to an address that does not lead to a broker", False),
    ],
)
def test_listeners_of_kafka_itself(listeners: dict[str, str], listener: str, words: str, is_certain: bool) -> None:
    said, certain = not_reached(listeners[listener])
    assert words in said
    assert certain == is_certain


@pytest.mark.kafka
def test_kafka_itself_is_reached(listeners: dict[str, str]) -> None:
    reach_brokers(listeners["PLAINTEXT"])


@pytest.mark.kafka
def test_kafkas_controller_is_not_a_broker_for_clients(listeners: dict[str, str]) -> None:
    said, is_certain = not_reached(listeners["CONTROLLER"])
    assert "is the listener of a Kafka controller. Give the address of a Kafka broker" in said
    assert is_certain

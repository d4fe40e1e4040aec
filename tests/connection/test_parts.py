"""The small parts: SCRAM against the examples of its RFCs, certificates' dates, tokens, files that change."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import logging
import pickle
import ssl
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import structlog
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from streams import broker_watch
from streams.broker_watch import BrokerWatch
from streams.brokers import WrongBrokers
from streams.connection.connection import Certificates, PasswordLogin, TokenLogin
from streams.connection.errors import ConnectionRefused, TokenNotGiven
from streams.connection.librdkafka_client import librdkafka_settings
from streams.connection.pem import certificates_in, validity_in, validity_of
from streams.connection.scram import ScramFailed, ScramLogin
from streams.connection.source import ConnectionSource
from streams.connection.tokens import Tokens
from tests.connection.authority import Authority
from tests.connection.token_server import CLIENT_ID, TokenServer

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "planted-secret"


# ---- SCRAM ----------------------------------------------------------------------------------------------------------


def test_the_example_of_rfc_7677() -> None:
    login = ScramLogin("SCRAM-SHA-256", "user", "pencil", nonce="rOprNGfwEbeRWgbNEkqO")
    assert login.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    final = login.final(b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    assert final == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    login.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    with pytest.raises(ScramFailed):
        login.check(b"v=" + base64.b64encode(bytes(32)))


@pytest.mark.parametrize(
    "server_first",
    [
        b"r=another,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"r=mine-theirs,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2000000000",
        b"r=mine-theirs,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
        b"r=mine-theirs,i=4096",
        b"r=mine-theirs,s=%,i=4096",
        b"e=other-error",
        b"\xff",
        b"",
    ],
)
def test_what_no_broker_would_say(server_first: bytes) -> None:
    with pytest.raises(ScramFailed):
        ScramLogin("SCRAM-SHA-512", "user", "pencil", nonce="mine").final(server_first)


def test_what_would_end_the_name_of_a_user() -> None:
    assert ScramLogin("SCRAM-SHA-512", "a=b,c", "x", nonce="n").first() == b"n,,n=a=3Db=2Cc,r=n"


# ---- certificates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("begins", "ends"), [(-9, -2), (-1, 365), (-1, 40_000)])  # 40 000 days: beyond 2049
def test_the_validity_of_a_certificate(begins: int, ends: int) -> None:
    issued = Authority("dates").issue("x", begins=begins, ends=ends)
    read = x509.load_pem_x509_certificate(issued.certificate.encode())
    assert validity_of("Bag Attributes\n" + issued.certificate) == (read.not_valid_before_utc, read.not_valid_after_utc)


@given(st.binary(max_size=200))
def test_any_bytes_have_a_validity_or_none(content: bytes) -> None:
    validity = validity_in(content)
    assert validity is None or isinstance(validity.ends, dt.datetime)


def test_certificates_are_taken_from_between_other_things() -> None:
    issued = Authority("mixed").issue("x")
    assert certificates_in(issued.key() + "subject=x\n" + issued.certificate + issued.key()) == issued.certificate
    assert not certificates_in(issued.key())


# ---- tokens ---------------------------------------------------------------------------------------------------------


def login_at(server: TokenServer, secret: str = SECRET) -> TokenLogin:
    return TokenLogin(endpoint=server.url, client_id=CLIENT_ID, client_secret=secret)


def test_a_token_is_used_for_four_fifths_of_its_time() -> None:
    now = [1_800_000_000.0]
    tokens = Tokens(lambda: now[0])
    with TokenServer(SECRET) as server:
        server.answer = (200, b'{"access_token": "opaque", "expires_in": 100}')
        first = tokens.get(login_at(server))
        assert (first.text, first.expires_at - now[0]) == ("opaque", 100)
        assert SECRET not in repr(first)
        now[0] += 79
        server.answer = (200, b'{"access_token": "second", "expires_in": "100"}')
        assert tokens.get(login_at(server)).text == "opaque"
        now[0] += 2
        assert tokens.get(login_at(server)).text == "second"
        now[0] += 90
        server.answer = (500, b"")
        assert tokens.get(login_at(server)).text == "second"  # it is valid still
        now[0] += 11
        with pytest.raises(TokenNotGiven, match="HTTP 500"):
            tokens.get(login_at(server))


def test_another_secret_gets_another_token() -> None:
    tokens = Tokens()
    with TokenServer(SECRET) as server:
        assert tokens.get(login_at(server)) == tokens.get(login_at(server))
        assert server.asked == 1
        server.secret = "another"
        tokens.get(login_at(server, "another"))
        assert server.asked == 2


def test_a_secret_with_what_has_a_meaning_in_a_header() -> None:
    with TokenServer("a:b+c %/é") as server:
        Tokens().get(login_at(server, "a:b+c %/é"))
        encoded = TokenLogin(
            endpoint=server.url, client_id=CLIENT_ID, client_secret="a:b+c %/é", encodes_credentials=True
        )
        # The server of these tests, as few do, takes both forms; a blank is a plus there, as in a form.
        server.secret = "a:b+c+%/é"
        Tokens().get(encoded)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"access_token": 1}', b'{"access_token": "a\\u0001b"}', b"\xff"])
def test_what_is_no_token(body: bytes) -> None:
    with TokenServer(SECRET) as server:
        server.answer = (200, body)
        with pytest.raises(TokenNotGiven, match="answers without a token"):
            Tokens().get(login_at(server))


def test_an_endpoint_with_an_authority_of_its_own(tmp_path: Path) -> None:
    authority, other = Authority("tokens"), Authority("others")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("login", "127.0.0.1").store(tmp_path / "login.pem"))
    with TokenServer(SECRET, context=context) as server:
        trusting = replace(login_at(server), trusted=Certificates(authority.pem, "ca.crt"))
        assert Tokens().get(trusting).principal == CLIENT_ID
        for trusted in (None, Certificates(other.pem, "other.crt")):
            with pytest.raises(
                TokenNotGiven, match=r"name its authority with https\.ca\.location \(unable to get local"
            ):
                Tokens().get(replace(trusting, trusted=trusted))


# ---- files that change ----------------------------------------------------------------------------------------------


def written(path: Path, password: str) -> None:
    path.touch(mode=0o600)
    path.write_text(
        f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=u\nsasl.password={password}\n"
    )


def test_what_cannot_be_used_does_not_replace_what_could(tmp_path: Path) -> None:
    path = tmp_path / "client.properties"
    source = ConnectionSource(path, log=structlog.get_logger())
    with pytest.raises(ConnectionRefused):
        source.current()
    written(path, SECRET)
    with capture_logs() as logged:
        first = source.current()
        assert first.login == PasswordLogin("u", SECRET)
        path.write_text("nonsense=1\n")
        assert source.current() == first
        assert source.current() == first
        with pytest.raises(ConnectionRefused, match="no setting of Kafka's clients"):
            source.read()
        written(path, "second")
        assert source.current().login == PasswordLogin("u", "second")
    assert [line["log_level"] for line in logged] == ["error", "info"]
    assert "those before them stay in force" in logged[0]["event"]
    assert SECRET not in repr(source) + str(logged)


def test_settings_of_librdkafka_go_to_another_process(tmp_path: Path) -> None:
    """The audit reads with several processes, each with a client of its own."""
    path = tmp_path / "client.properties"
    path.touch(mode=0o600)
    with TokenServer(SECRET) as server:
        path.write_text(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=OAUTHBEARER\n"
            f"sasl.oauthbearer.token.endpoint.url={server.url}\nsasl.oauthbearer.client.id={CLIENT_ID}\n"
            f"sasl.oauthbearer.client.secret={SECRET}\n"
        )
        settings = pickle.loads(pickle.dumps(librdkafka_settings(ConnectionSource(path))))
        token, expires_at, principal, extensions = settings["oauth_cb"]("")
    assert token.count(".") == 2
    assert expires_at > time.time()
    assert (principal, extensions) == (CLIENT_ID, {})


# ---- a gate that cannot connect any more ----------------------------------------------------------------------------


async def test_a_cause_is_said_once_and_that_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["wrong password", "wrong password", "wrong authority"]
    said = asyncio.Event()

    def look(_bootstrap_servers: str, _source: ConnectionSource) -> None:
        if answers:
            raise WrongBrokers(answers.pop(0))

    def heard(_logger: object, _level: str, event: dict[str, object]) -> dict[str, object]:
        logged.append((event["event"], event.get("why")))
        if event.get("why") is None:
            said.set()
        raise structlog.DropEvent

    logged: list[tuple[object, object]] = []
    monkeypatch.setattr(broker_watch, "reach_brokers", look)
    monkeypatch.setattr(broker_watch, "log", structlog.wrap_logger(None, processors=[heard]))
    client = logging.getLogger("aiokafka")
    with BrokerWatch("a:1", ConnectionSource(), look_seconds=0.001).listening():
        client.warning("Heartbeat failed: something else")
        client.error('Unable connect to "%s:%s": %s', "a", 1, "why")
        await asyncio.wait_for(said.wait(), 10)
    refused, again = "The gate cannot connect to the brokers.", "The gate can connect to the brokers again."
    assert logged == [(refused, "wrong password"), (refused, "wrong authority"), (again, None)]

"""`mesura doctor` against every way of connecting: what is wrong is said with its remedy, and no secret is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.connection.secured_kafka import PASSWORD
from tests.doctor.conftest import examined

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.connection.source import ConnectionSource
    from tests.connection.conftest import Properties
    from tests.doctor.conftest import Examined

WRONG = "wrong-password"

pytestmark = pytest.mark.kafka


@pytest.mark.parametrize(
    ("listener", "set_up", "words"),
    [
        ("SSL", lambda p: p.write(security__protocol="PLAINTEXT"), "is a TLS listener: set security.protocol=SSL"),
        ("SASLSSL", lambda p: p.login("SASL_SSL", "SCRAM-SHA-512", WRONG), "refuses the user `gate` by SCRAM-SHA-512"),
        ("OTHERCA", lambda p: p.tls(), "give the authority of the brokers' certificates"),
    ],
    ids=["plaintext client on a TLS port", "wrong password", "wrong authority"],
)
def test_a_connection_that_fails(
    properties: Properties, listener: str, set_up: Callable[[Properties], ConnectionSource], words: str
) -> None:
    set_up(properties)
    found = _examined(properties, listener)
    assert found.result.exit_code == 2
    assert found.failed() == {"connection"}
    assert words in found.sentences("connection")
    assert "docs/connections.md" in found.remedies("connection")
    for secret in (PASSWORD, WRONG):
        assert secret not in found.result.output


def test_every_check_connects_as_it_was_told(properties: Properties) -> None:
    """Over TLS with a login; there are no topics, which every other check says."""
    properties.login("SASL_SSL", "SCRAM-SHA-512")
    found = _examined(properties, "SASLSSL")
    assert found.result.exit_code == 1
    assert found.failed() == {"topics"}, found.findings
    assert found.states("connection") == {"ok"}
    assert PASSWORD not in found.result.output


def _examined(properties: Properties, listener: str) -> Examined:
    address = properties.secured.addresses[listener]
    return examined("--bootstrap", address, "--command-config", str(properties.path), "--prefix", "nowhere-")

"""What the control topic says of its own format, and of the versions that have run on it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from streams.contracts.control import PolicyFromLaterVersion, decode_policy
from streams.exactly_once.control import FORMAT_KEY, ControlFormat, ControlTopic, is_newer, read_format
from streams.exactly_once.errors import StartupRefusedError
from streams.exactly_once.settings import EngineSettings
from streams.topics import input_topics

if TYPE_CHECKING:
    from streams.testing.embedded_broker import EmbeddedBroker


def test_without_a_format_it_is_the_first() -> None:
    assert read_format("control", None) == ControlFormat(1, "")


def test_a_newer_format_is_refused_with_the_version_to_run() -> None:
    with pytest.raises(StartupRefusedError, match=r"control is of format 2.* reads format 1.*Run version 1\.4\.0 or a"):
        read_format("control", b'{"format": 2, "newest_version": "1.4.0", "more": true}')
    with pytest.raises(StartupRefusedError, match="Run version that wrote it"):
        read_format("control", b'{"format": 2}')


@pytest.mark.parametrize("value", [b"", b"2", b'{"format": "2"}', b"\xff", b"[" * 2_000])
def test_a_format_that_cannot_be_read_is_refused(value: bytes) -> None:
    with pytest.raises(StartupRefusedError, match="cannot be read"):
        read_format("control", value)


@pytest.mark.parametrize(
    ("version", "than"),
    [("0.10.0", "0.9.3"), ("1.0.0", "0.99.99"), ("0.1.1", "0.1.0"), ("0.1.0", ""), ("0.1.0", "unknown")],
)
def test_versions_are_compared_as_numbers(version: str, than: str) -> None:
    assert is_newer(version, than)
    assert not is_newer(than, version)
    assert not is_newer(version, version)


def test_a_policy_of_a_later_format_is_refused_whatever_else_it_holds() -> None:
    with pytest.raises(PolicyFromLaterVersion, match="format 2, and this version reads format 1"):
        decode_policy(b'{"type": "policy-set", "format": 2, "policies": []}')
    with pytest.raises(msgspec.DecodeError) as other:
        decode_policy(b'{"type": "policy-set"}')
    assert not isinstance(other.value, PolicyFromLaterVersion)


def test_a_rollback_leaves_the_newest_version_recorded(embedded_broker: EmbeddedBroker, topic_prefix: str) -> None:
    """So that whoever goes back too far is told where to go forward to."""
    topic = f"{topic_prefix}control"
    embedded_broker.create_topics([topic], partitions=1)

    async def started(version: str) -> ControlFormat:
        settings = EngineSettings(bootstrap_servers=embedded_broker.bootstrap_servers, input_topics=input_topics())
        async with ControlTopic(settings, topic) as control:
            await control.record_version(version)
        async with ControlTopic(settings, topic) as control:
            assert control.get(FORMAT_KEY) is not None
            return control.format()

    versions = [asyncio.run(started(version)).newest_version for version in ("0.9.0", "0.10.0", "0.2.0")]
    assert versions == ["0.9.0", "0.10.0", "0.10.0"]

"""The last good policy takes the place of a file that cannot be used, as the very policy it was or not at all."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from streams.contracts.control import PolicyRecord, encode_policy
from streams.exactly_once.control import POLICY_KEY, policy_text_key
from streams.exactly_once.errors import StartupRefusedError
from streams.policy import loader
from streams.policy.findings import PolicyRefused
from streams.policy.loader import LoadedPolicy, load_policy
from streams.starting_policy import starting_policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES: dict[str, Callable[[Path], object]] = {
    "missing": lambda _path: None,
    "a directory": lambda path: path.mkdir(),
    "empty": lambda path: path.write_text(""),
    "broken": lambda path: path.write_text("mesura: 1\nname: 7\n"),
    "no text": lambda path: path.write_bytes(b"\xff\xfe"),
}


@pytest.fixture
def good(with_rules: Callable[[str], str]) -> LoadedPolicy:
    return load_policy(with_rules("- {id: a, kind: gap, minimum: 1h}\n"))


def control(policy: LoadedPolicy, text: str | None = None) -> dict[bytes, bytes]:
    """What the control topic holds with this policy in force."""
    specification = policy.specification
    record = PolicyRecord(
        name=specification.name,
        version=specification.version,
        hash=specification.content_hash,
        text=policy.text if text is None else text,
        rules=[],
        versions={"tzdata": policy.tzdata_version, "holidays": policy.holidays_version},
        calendars={},
    )
    return {
        POLICY_KEY: record.hash.encode(),
        policy_text_key(record.hash): encode_policy(record),
    }


@pytest.mark.parametrize("kind", FILES)
def test_it_takes_the_place_of_a_file_that_cannot_be_used(tmp_path: Path, good: LoadedPolicy, kind: str) -> None:
    path = tmp_path / "policy.yaml"
    FILES[kind](path)
    policy, fault = starting_policy(path, control(good).get, may_replace=True)
    assert policy.specification.content_hash == good.specification.content_hash
    assert fault is not None


def test_a_file_that_can_be_used_comes_first(
    tmp_path: Path, good: LoadedPolicy, with_rules: Callable[[str], str]
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(with_rules("- {id: b, kind: gap, minimum: 2h}\n"))
    policy, fault = starting_policy(path, control(good).get, may_replace=True)
    assert policy.specification.content_hash != good.specification.content_hash
    assert fault is None


@pytest.mark.parametrize("held", [{}, {POLICY_KEY: b"e313821355c4753272615595d5c79e2e"}])
@pytest.mark.parametrize("kind", FILES)
def test_without_one_the_file_is_refused(tmp_path: Path, held: dict[bytes, bytes], kind: str) -> None:
    path = tmp_path / "policy.yaml"
    FILES[kind](path)
    with pytest.raises((PolicyRefused, StartupRefusedError)) as refused:
        starting_policy(path, held.get, may_replace=True)
    assert "last good policy" not in str(refused.value)


def test_a_bounded_run_decides_by_its_own_policy_or_not_at_all(tmp_path: Path, good: LoadedPolicy) -> None:
    with pytest.raises(StartupRefusedError, match=r"policy\.yaml cannot be read: No such file"):
        starting_policy(tmp_path / "policy.yaml", control(good).get, may_replace=False)


def test_a_record_that_is_none_is_no_policy(tmp_path: Path, good: LoadedPolicy) -> None:
    digest = good.specification.content_hash
    held = {POLICY_KEY: digest.encode(), policy_text_key(digest): b"[]"}
    with pytest.raises(StartupRefusedError, match="cannot be read"):
        starting_policy(tmp_path / "policy.yaml", held.get, may_replace=True)


def test_under_other_time_zones_it_is_another_policy_and_refused(
    tmp_path: Path, good: LoadedPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = control(good)
    zones = dataclasses.replace(loader.load_zones(), version="2031z")
    monkeypatch.setattr(loader, "load_zones", lambda: zones)
    with pytest.raises(StartupRefusedError) as refused:
        starting_policy(tmp_path / "policy.yaml", held.get, may_replace=True)
    said = str(refused.value)
    assert f"tzdata {good.tzdata_version} there, 2031z here" in said
    assert "Put the file back" in said
    assert f"{tmp_path / 'policy.yaml'} cannot be read: No such file" in said


def test_read_differently_by_this_version_it_is_refused(
    tmp_path: Path, good: LoadedPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = control(good)
    monkeypatch.setattr(loader, "MEANING", "another meaning")
    with pytest.raises(StartupRefusedError, match="reads its text differently"):
        starting_policy(tmp_path / "policy.yaml", held.get, may_replace=True)


def test_a_text_that_this_version_refuses_is_refused(tmp_path: Path, good: LoadedPolicy) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("mesura: 1\nname: 7\n")
    with pytest.raises(StartupRefusedError, match="refuses its text") as refused:
        starting_policy(path, control(good, text="mesura: 9\n").get, may_replace=True)
    assert "line 2: `name` is `7`" in str(refused.value)

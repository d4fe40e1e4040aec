"""A short campaign of every target: `make fuzz-bytes` is the long one."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

import pytest

from tests.fuzz import campaign, report
from tests.fuzz.campaign import Found, Fuzzed, Result
from tests.fuzz.minimise import minimised
from tests.fuzz.mutators import blunt
from tests.fuzz.targets import TARGETS, Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What pyproject.toml asks for atheris on. There a missing one is a failure.
has_wheel = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 14)
needs_atheris = pytest.mark.skipif(not has_wheel, reason="atheris has no wheel for this machine")

EXECUTIONS = 3_000
SLOW = {"policy": 600}
SEED = 1


@needs_atheris
@pytest.mark.parametrize("name", TARGETS)
def test_a_short_campaign_finds_nothing(name: str, tmp_path: Path) -> None:
    fuzzed = Fuzzed(name, tmp_path / "cache", tmp_path / "cases")
    fuzzed.prepare(fresh=True)
    executions = SLOW.get(name, EXECUTIONS)
    run, found = fuzzed.run(executions, SEED)
    assert found is None
    assert run.executions >= executions


def _breaks(data: bytes) -> None:
    assert b"BAD" not in data


def _seeds() -> Iterator[bytes]:
    yield b"good"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fuzzed:
    monkeypatch.setitem(TARGETS, "broken", Target(_breaks, _seeds, blunt, ()))
    fuzzed = Fuzzed("broken", tmp_path / "cache", tmp_path / "cases")
    fuzzed.prepare(fresh=True)
    return fuzzed


def test_what_is_found_is_cut_down_and_kept_as_a_case(broken: Fuzzed, tmp_path: Path) -> None:
    artifact = tmp_path / "crash-1"
    artifact.write_bytes(b"much that is BADly needed for nothing")
    found = broken._kept(artifact, is_python=True)
    assert found.error.startswith("AssertionError at test_campaign.py")
    assert found.case is not None
    assert (tmp_path / "cases" / "broken" / found.case).read_bytes() == b"BAD"
    # From then on every campaign begins with it.
    broken.prepare(fresh=True)
    assert found.case in {path.name for path in broken.corpus.iterdir()}


def test_what_ended_the_process_is_not_run_in_another(broken: Fuzzed, tmp_path: Path) -> None:
    artifact = tmp_path / "crash-2"
    artifact.write_bytes(b"BAD")
    assert broken._kept(artifact, is_python=False) == Found("crash-2", None)


def test_what_makes_no_difference_goes() -> None:
    assert minimised(_breaks, b"x" * 1_000 + b"BAD" + b"y" * 999) == b"BAD"
    assert minimised(_breaks, b"good") == b"good"


def test_the_report_says_what_was_reached_and_what_was_not(tmp_path: Path) -> None:
    fuzzed = Fuzzed("settings", tmp_path / "cache", tmp_path / "cases")
    fuzzed.prepare(fresh=True)
    result = Result(runs=[campaign.Run(SEED, 5, 1.0), campaign.Run(SEED, 7, 1.0)], found=[Found("x", "y")])
    fuzzed.replayed(result)
    assert not result.failures
    assert {unit.name: unit.taken for unit in result.units if unit.name == "streams.settings"} == {
        "streams.settings": next(unit.branches for unit in result.units if unit.name == "streams.settings")
    }
    result.units[0].missing.append("1 → 2: `if nobody:`")
    campaign.write({"settings": result}, tmp_path)
    text = (tmp_path / "fuzz.md").read_text()
    assert "| settings | 12 | 2 |" in text
    assert "**Found by settings**: x, case `y`" in text
    assert "`if nobody:`: not reached yet" in text
    assert campaign.earlier(tmp_path) == {"settings": result}
    assert report.line("settings", result).startswith("settings: 12 executions")

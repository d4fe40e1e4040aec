"""`mesura policy`: what it prints and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from streams.cli.policy import policy
from streams.policy.loader import load_policy
from streams.policy.packs import pack_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(policy, arguments)


def test_a_sound_policy(tmp_path: Path, with_rules: Callable[[str], str]) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(with_rules("- {id: a, kind: cap, limit: 0, window: {rolling: 7d}}\n"), encoding="utf-8")
    result = run("check", str(path))
    assert result.exit_code == 0
    assert f"{path}:19: warning: rule a: The limit 0 means never" in result.output
    assert result.output.splitlines()[-1].startswith(f"{path}: no errors. test 1, 1 rules, ")
    assert "warning" not in run("check", "--quiet", str(path)).output


def test_a_refused_policy(tmp_path: Path, with_rules: Callable[[str], str]) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        with_rules("- {id: a, kind: gap, minimun: 1h}\n- {id: a, kind: gap, minimum: 1h}\n"), encoding="utf-8"
    )
    for command in ("check", "show"):
        result = run(command, str(path))
        assert result.exit_code == 1
        assert result.output.splitlines() == [
            f"{path}:19: error: rule a: The rule has no field `minimun`. Did you mean minimum?",
            (
                f"{path}:19: error: rule a: The rule lacks `minimum`. "
                "Expected: Least time between two contacts, 400d at most."
            ),
            (
                f"{path}:20: error: rule a: The id `a` is already used on line 19. "
                "Choose another id, because explanations and metrics use it."
            ),
            f"{path}: refused, with 3 findings.",
        ]


def test_no_such_file() -> None:
    result = run("check", "nowhere.yaml")
    assert result.exit_code == 2
    assert "The policy nowhere.yaml cannot be read: No such file or directory." in result.output


def test_show_says_every_rule() -> None:
    result = run("show", "starter")
    loaded = load_policy(pack_path("starter"))
    assert result.exit_code == 0
    assert loaded.specification.content_hash in result.output
    assert f"tzdata {loaded.tzdata_version}, holidays {loaded.holidays_version}" in result.output
    assert "2025 to 2028" in result.output
    for rule in loaded.specification.rules:
        assert rule.rule_id in result.output
    assert run("show").output == result.output


def test_show_calendars() -> None:
    output = run("show", "starter", "--calendars").output
    assert "CO: 74 holidays" in output
    assert "2026-07-13  Mon  Day of Our Lady" in output


def test_show_says_since_when_lifetime_caps_are_exact(tmp_path: Path, with_rules: Callable[[str], str]) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(with_rules("- {id: once, kind: cap, limit: 1, window: {lifetime: true}}\n"), encoding="utf-8")
    assert "once: since it was switched on" in run("show", str(path)).output


def test_show_json() -> None:
    shown = json.loads(run("show", "small", "--json").output)
    specification = load_policy(pack_path("small")).specification
    assert shown["hash"] == specification.content_hash
    assert [(rule["id"], rule["kind"]) for rule in shown["rules"]] == [("channel-weekly", "cap"), ("all-weekly", "cap")]
    assert shown["rules"][1]["sentence"] == "Everything: at most 5 contacts in any 7d."
    assert shown["calendars"] == {}
    calendars = json.loads(run("show", "starter", "--json", "--calendars").output)["calendars"]
    assert calendars["CO"]["2026-07-13"].startswith("Day of Our Lady")

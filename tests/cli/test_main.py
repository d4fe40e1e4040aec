"""`mesura`: its parts, its version, and how it fails."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import warnings

import click
import pytest
from click.testing import CliRunner

from streams.cli import main as main_module
from streams.cli.main import PARTS, main, mesura
from tests.cli.supervised import REPOSITORY


def test_help_names_every_part_and_imports_none() -> None:
    script = (
        "import sys\nfrom streams.cli.main import main\ntry:\n main(['--help'])\nfinally:\n print(sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    )
    for name, part in PARTS.items():
        assert f"  {name} " in done.stdout
        assert f"'{part.module}'" not in done.stdout
    for heavy in ("'faust'", "'aiokafka'", "'confluent_kafka'", "'rich'"):
        assert heavy not in done.stdout


@pytest.mark.parametrize("name", PARTS)
def test_every_part_has_help(name: str) -> None:
    pytest.importorskip(PARTS[name].module)
    result = CliRunner().invoke(mesura, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage: " in result.output


def test_what_a_part_is_said_to_do_it_does() -> None:
    output = CliRunner().invoke(mesura, ["policy", "--help"]).output
    assert PARTS["policy"].help in output
    assert {"check", "show"} <= set(output.split())
    assert "try" not in output.split()


def test_the_exit_codes_say_what_is_no_failure() -> None:
    text = " ".join(CliRunner().invoke(mesura, ["--help"]).output.split())
    assert "0 done (also: a suppression explained, `run` ended by Ctrl-C)" in text
    assert "130 any other command interrupted by Ctrl-C." in text


def test_version() -> None:
    assert CliRunner().invoke(mesura, ["--version"]).output.startswith("mesura ")


def test_wrong_usage_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nonsense"])
    assert ended.value.code == 2
    assert "No such command" in capsys.readouterr().err


def test_a_missing_part_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(main_module.PARTS, "run", main_module._Part("streams.nowhere", "run", ""))
    with pytest.raises(SystemExit) as ended:
        main(["run"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("Error: this installation is incomplete: streams.nowhere")


@pytest.mark.parametrize("where", ["here", "thread", "unraisable"])
def test_an_unforeseen_error_is_named_without_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("planted-customer")

    def fail() -> None:
        try:
            int("planted-customer")
        except ValueError as error:
            raise RuntimeError("planted-customer") from error

    @click.command()
    def failing() -> None:
        if where == "unraisable":
            Broken()
        elif where == "thread":
            thread = threading.Thread(target=fail)
            thread.start()
            thread.join()
        else:
            fail()

    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    for hook in ("excepthook", "unraisablehook"):
        owner: object = threading if hook == "excepthook" else sys
        monkeypatch.setattr(owner, hook, getattr(owner, hook))
    monkeypatch.setattr(sys, "argv", ["mesura", "failing"])
    monkeypatch.setattr(main_module, "refuse_core_dumps", lambda: None)  # the process is that of all tests
    monkeypatch.setattr(main_module._Parts, "get_command", lambda *_: failing)
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == (2 if where == "here" else 0)
    kind = "builtins.ValueError" if where == "unraisable" else "builtins.RuntimeError"
    assert re.fullmatch(rf"Error: mesura itself failed: {kind} at \S+test_main.py:\d+\. Please report it\. .*\n", said)
    assert "planted" not in said

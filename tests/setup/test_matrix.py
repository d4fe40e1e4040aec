"""The matrix says what it could not try and what failed; that it works is its own result."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.setup import environments, matrix
from tests.setup.environments import OLDEST_PIP, PIPS, THIS, Interpreter, find_interpreter, interpreter, newest_pip

if TYPE_CHECKING:
    from collections.abc import Callable

    Attempt = Callable[[Interpreter, str, Path, matrix.Cell], None]


def fake(series: str) -> Interpreter:
    return Interpreter(Path(f"python{series}"), f"{series}.1")


@pytest.fixture
def run_matrix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[set[str], Attempt], int]:
    """The matrix with these Pythons and this instead of a set-up; its report in `tmp_path`."""

    def run(series: set[str], attempt: Attempt) -> int:
        monkeypatch.setattr(matrix, "RESULTS", tmp_path)
        monkeypatch.setattr(matrix, "find_interpreter", lambda wanted: fake(wanted) if wanted in series else None)
        monkeypatch.setattr(matrix, "set_up", attempt)
        monkeypatch.setattr(matrix, "from_the_wheel", lambda python, folder, cell: None)
        monkeypatch.setattr(sys, "argv", ["matrix"])
        return matrix.main()

    return run


def works(_python: Interpreter, _pip: str, _folder: Path, cell: matrix.Cell) -> None:
    cell.packages = 42


def fails_with_the_newest(_python: Interpreter, pip: str, _folder: Path, _cell: matrix.Cell) -> None:
    if pip == newest_pip():
        raise environments.StepFailedError("said this last")


def test_every_python_is_tried_with_both_pips_and_from_the_wheel(
    run_matrix: Callable[[set[str], Attempt], int], tmp_path: Path
) -> None:
    assert run_matrix(set(OLDEST_PIP), works) == 0
    cells = json.loads((tmp_path / "setup.json").read_text())["cells"]
    wanted = [
        (f"{series}.1", pip) for series, oldest in OLDEST_PIP.items() for pip in (oldest, newest_pip(), matrix.WHEEL)
    ]
    assert [(cell["python"], cell["pip"]) for cell in cells] == wanted
    assert (tmp_path / "setup.md").read_text().count("| works |") == len(wanted)


def test_a_python_that_is_not_here_is_named_and_fails(
    run_matrix: Callable[[set[str], Attempt], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_matrix(set(OLDEST_PIP) - {"3.12"}, works) == 1
    assert "**Python 3.12 was not tried: it is not on that machine.**" in (tmp_path / "setup.md").read_text()
    assert capsys.readouterr().err == "NOT TRIED: Python 3.12 is not on this machine (--python says where it is)\n"
    assert json.loads((tmp_path / "setup.json").read_text())["not_tried"] == ["3.12"]


def test_what_failed_is_shown_and_the_others_run(
    run_matrix: Callable[[set[str], Attempt], int], tmp_path: Path
) -> None:
    assert run_matrix({*OLDEST_PIP}, fails_with_the_newest) == 1
    report = (tmp_path / "setup.md").read_text()
    assert report.count("said this last") == report.count("| **failed** |") == len(OLDEST_PIP)
    assert report.count("| works |") == 2 * len(OLDEST_PIP)


def test_the_list_of_pips_is_what_the_matrix_uses() -> None:
    pinned = [line.split()[0].removeprefix("pip==") for line in PIPS.read_text().splitlines() if line.startswith("pip")]
    assert pinned == [*OLDEST_PIP.values(), newest_pip()]


def test_an_interpreter_is_asked_for_its_version(tmp_path: Path) -> None:
    assert interpreter(Path(sys.executable)) == THIS
    assert interpreter(tmp_path / "none") is None
    shim = tmp_path / f"python{THIS.series}"
    shim.write_text("#!/bin/sh\necho 'not found' >&2; exit 127\n")
    shim.chmod(0o755)
    assert interpreter(shim) is None
    assert find_interpreter("2.0") is None

"""The exit codes are one table: in the package, in docs/operations.md and in `mesura --help`."""

from __future__ import annotations

import re

from streams.cli.main import EPILOG
from streams.exit_codes import ExitCode
from tests.cli.supervised import REPOSITORY

# What scripts and supervisors rely on. It may grow; no number may come to mean something else.
CONTRACT = {"DONE": 0, "ANSWER_IS_NO": 1, "REFUSED": 2, "START_AGAIN": 3, "INTERRUPTED": 130}


def test_the_numbers_are_the_contract() -> None:
    assert {code.name: code.value for code in ExitCode} == CONTRACT


def test_the_operations_page_lists_every_code_with_its_meaning() -> None:
    page = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| exit code \| meaning \|\n\|---\|---\|\n((?:\|.*\|\n)+)", page, re.MULTILINE)
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", table, re.MULTILINE))
    assert rows == {str(code.value): meaning(code) for code in ExitCode}


def test_the_help_of_the_command_names_every_code_it_can_end_with() -> None:
    numbers = {int(number) for number in re.findall(r"(?<=[:;] )(\d+)(?= )", EPILOG)}
    assert numbers == set(ExitCode)


def meaning(code: ExitCode) -> str:
    """The docstring under the member, as the page writes it."""
    source = (REPOSITORY / "streams" / "exit_codes.py").read_text(encoding="utf-8")
    [text] = re.findall(rf"^    {code.name} = \d+\n    \"\"\"(.*?)\"\"\"", source, re.MULTILINE | re.DOTALL)
    sentence = " ".join(text.split()).removesuffix(".")
    return sentence[0].lower() + sentence[1:]

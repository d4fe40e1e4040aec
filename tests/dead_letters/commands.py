"""`mesura dead-letters` as a script would run it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from click.testing import CliRunner

from streams.cli.main import mesura

if TYPE_CHECKING:
    from tests.system.harness import World


class Said(NamedTuple):
    exit_code: int
    output: str
    error: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Of --json: all but the summary."""
        return [json.loads(line) for line in self.output.splitlines()][:-1]

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.output.splitlines()[-1])
        return found

    def fates(self) -> dict[str, str]:
        """By the place of the dead letter: what becomes of it, and why."""
        return {line["dead_letter"]: line["why"] or line["fate"] for line in self.lines}


def arguments(world: World, *words: str) -> list[str]:
    return ["dead-letters", *words, "--bootstrap", world.address, "--prefix", world.prefix]


def dead_letters(world: World, *words: str) -> Said:
    result = CliRunner().invoke(mesura, arguments(world, *words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Said(result.exit_code, result.stdout, result.stderr)

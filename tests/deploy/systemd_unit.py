"""What a unit file of systemd's says."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
UNIT: Final = ROOT / "deploy/systemd/mesura.service"
SETTINGS: Final = ROOT / "deploy/systemd/mesura.env"

VERIFY_SECONDS: Final = 120
"""Many times what it takes; one that hangs must not hang the tests."""


def said(section: str, name: str) -> list[str]:
    """Every value that the section gives this name, in its order."""
    text = UNIT.read_text().partition(f"[{section}]\n")[2].partition("\n[")[0]
    lines = [line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return [value for key, _, value in lines if key == name]


def only(section: str, name: str) -> str:
    """The one value that the section gives this name."""
    (value,) = said(section, name)
    return value


def variables(text: str) -> dict[str, str]:
    """The variables of an environment file."""
    lines = [line.partition("=") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in lines}


def run(*command: str | Path) -> str:
    """What the command says; a complaint fails the test."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=VERIFY_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout

"""promtool and Prometheus, for the tests that need them."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROMTOOL_SECONDS = 120
"""Ten times what the longest run takes on a busy machine; a promtool that hangs must not hang the tests."""


def installed(program: str) -> str:
    """Where the program is. Without it the test is skipped on a developer's machine, and fails under CI=true."""
    path = shutil.which(program)
    if path is None:
        missing = f"{program} is not installed: run deploy/install-test-tools.sh"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return path


@pytest.fixture(scope="session")
def prometheus() -> str:
    """The path of Prometheus."""
    return installed("prometheus")


@pytest.fixture(scope="session")
def promtool() -> Callable[..., str]:
    """Runs promtool and returns what it printed; a complaint of promtool's fails the test."""
    path = installed("promtool")

    def run(*arguments: str | Path, text: str | None = None) -> str:
        done = subprocess.run(
            [path, *map(str, arguments)],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PROMTOOL_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run

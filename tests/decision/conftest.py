"""Policies are compiled once in a run, and anew in the next one of the same process (as mutation testing does)."""

from __future__ import annotations

import pytest

from tests.golden.sides import compiled


@pytest.fixture(scope="session", autouse=True)
def _compiled_anew() -> None:
    compiled.cache_clear()

"""The examples keep the rules they are examples of: Python's here, every language's in `make clients`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.clients.programs import EXAMPLES, ROOT
from tests.clients.rules import Rules

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.broker import Broker


def test_the_gateway_in_python_keeps_every_rule(real_kafka: Broker, topic_prefix: str, tmp_path: Path) -> None:
    assert Rules(real_kafka, "python", topic_prefix, tmp_path).wrong() == []


def test_what_the_example_in_python_asks_pip_for_is_what_is_tested() -> None:
    asked = (EXAMPLES / "python" / "requirements.txt").read_text("utf-8").split()
    tested = (ROOT / "pyproject.toml").read_text("utf-8")
    assert asked
    assert [requirement for requirement in asked if f'"{requirement}"' not in tested] == []

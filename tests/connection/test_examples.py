"""The example in Python connects as docs/clients.md says; every language's does in `make clients`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.secured import published

if TYPE_CHECKING:
    from pathlib import Path

    from tests.connection.secured_kafka import SecuredKafka

pytestmark = pytest.mark.kafka


def test_the_example_in_python_connects_with_tls_and_a_login(secured: SecuredKafka, tmp_path: Path) -> None:
    assert published("python", secured, tmp_path)

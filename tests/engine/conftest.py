"""Topics of one engine test."""

from __future__ import annotations

import pytest

from tests.engine.toy import Topics


@pytest.fixture
def topics(topic_prefix: str) -> Topics:
    return Topics(topic_prefix.rstrip("-"))

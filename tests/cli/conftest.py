"""One embedded broker for the commands' tests; each test has topics of its own behind a prefix."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from streams.testing.broker import create_plan
from streams.testing.embedded_broker import EmbeddedBroker
from streams.topics import TopicNames, TopicPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTITIONS = 4

_prefixes = count()


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(partitions=PARTITIONS) as running:
        yield running


@pytest.fixture
def prefix(broker: EmbeddedBroker) -> str:
    """Topics of one gate under a prefix nobody else has."""
    text = f"t{next(_prefixes)}-"
    create_plan(broker, TopicPlan(TopicNames().with_prefix(text), PARTITIONS, 1))
    return text

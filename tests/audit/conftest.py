"""One sound run on Apache Kafka, recorded once."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.audit.recorded import Recorded, record_run

if TYPE_CHECKING:
    from streams.testing.broker import Broker


@pytest.fixture(scope="session")
def sound(real_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record_run(real_kafka, f"test-{uuid.uuid4().hex[:12]}-", tmp_path_factory.mktemp("sound"))


@pytest.fixture
def run(sound: Recorded) -> Recorded:
    """A copy to plant in."""
    return sound.edited()

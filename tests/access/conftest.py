"""One Apache Kafka with its authorizer."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from streams.testing.errors import KafkaNotInstalledError
from tests.access.authorized_kafka import AuthorizedKafka, authorized_kafka

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def authorized(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthorizedKafka]:
    with ExitStack() as stack:
        try:
            kafka = stack.enter_context(authorized_kafka(tmp_path_factory.mktemp("authorized")))
        except KafkaNotInstalledError as missing:
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI must run the tests on Apache Kafka: {missing}")
            pytest.skip(str(missing))
        yield kafka

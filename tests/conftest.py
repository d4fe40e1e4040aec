"""Brokers for tests. Both are started when a test first asks for them, and neither outlives the run.

- `embedded_broker`: librdkafka's mock cluster, one per test process, 0.2 s.
- `real_kafka`: Apache Kafka, 4 s, one for all processes of a run (pytest-xdist): the first that needs it starts it, the
  last one to finish ends it. `KAFKA_BOOTSTRAP` names a running cluster to use instead.
- `authorized`: Apache Kafka with its authorizer, 4 s, one per test process.
- `broker`: the test runs twice, once on each. Mark what the embedded one cannot do with
  `@pytest.mark.embedded_cannot("why")`: a strict expected failure there.
- `topic_prefix`: brokers are shared, topics are not. Put it before every topic, group and transactional id.

Where Apache Kafka cannot be started its tests are skipped with a plain message; with CI=true they fail instead.
"""

from __future__ import annotations

import gc
import os
import signal
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException
from hypothesis import settings

from streams.testing.embedded_broker import EmbeddedBroker
from streams.testing.errors import KafkaNotInstalledError, TestingError
from streams.testing.shared_kafka import share_kafka
from tests.access.authorized_kafka import AuthorizedKafka, authorized_kafka
from tests.scheduling import TwoCores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.remote import Producer

    from streams.testing.broker import Broker, KafkaAdmin


# How long an example takes says how busy the machine is, nothing about us. All else is as Hypothesis has it, in CI too.
settings.register_profile(
    "however_busy", parent=settings.get_profile(settings.get_current_profile_name()), deadline=None
)
settings.load_profile("however_busy")


# What a broker that is too weak makes of a test. Anything else is a mistake in the test.
_BROKER_FAILURES = (AssertionError, pytest.fail.Exception, TestingError, KafkaError, KafkaException)


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what it puts in the background deaf to Ctrl-C, and children inherit that. Ours must hear it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the same of nohup
    config.addinivalue_line("markers", "embedded_cannot(reason): strict expected failure on the embedded broker")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "real_kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kafka)
        limit = item.get_closest_marker("embedded_cannot")
        callspec = getattr(item, "callspec", None)
        if limit is not None and callspec is not None and callspec.params.get("broker") == "embedded":
            item.add_marker(pytest.mark.xfail(reason=limit.args[0], strict=True, raises=_BROKER_FAILURES))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> TwoCores | None:
    return TwoCores(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Iterator[None]:
    # To show a failure pytest parses the test's source. In CPython 3.11 a garbage collection in the middle of that can
    # end in "SystemError: AST constructor recursion depth mismatch" (gh-106905), which ends the whole run.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def real_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaAdmin]:
    # With xdist every worker has a directory of its own below one that belongs to the run.
    own = tmp_path_factory.getbasetemp()
    directory = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with ExitStack() as stack:
        try:
            kafka = stack.enter_context(share_kafka(directory))
        except KafkaNotInstalledError as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI must run the tests on Apache Kafka: {error}")
            pytest.skip(str(error))
        yield kafka


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


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Broker:
    found: Broker = request.getfixturevalue("embedded_broker" if request.param == "embedded" else "real_kafka")
    return found


@pytest.fixture
def topic_prefix() -> str:
    return f"test-{uuid.uuid4().hex[:12]}-"

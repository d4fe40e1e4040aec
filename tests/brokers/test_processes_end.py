"""No broker process outlives who started it, however that one ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streams.testing.embedded_broker import EmbeddedBroker
from streams.testing.errors import BrokerNotAvailableError, RefusedError
from streams.testing.real_kafka import BOOTSTRAP_VARIABLE, RealKafka
from streams.testing.shared_kafka import share_kafka
from streams.testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[2]
END_SECONDS = 15.0
START_SECONDS = 90.0

EMBEDDED = """
import json, sys, time
from streams.testing.embedded_broker import EmbeddedBroker
with EmbeddedBroker() as broker:
    print(json.dumps({"broker": broker.pid}), flush=True)
    sys.stdin.read()
"""

REAL = """
import json, os, sys
from streams.testing.real_kafka import RealKafka
with RealKafka() as kafka:
    print(json.dumps({"broker": kafka.pid, "directory": str(kafka.data_directory)}), flush=True)
    sys.stdin.read()
"""

SHARED = """
import json, sys
from pathlib import Path
from streams.testing.shared_kafka import share_kafka
with share_kafka(Path(sys.argv[1])) as kafka:
    print(json.dumps({"bootstrap_servers": kafka.bootstrap_servers}), flush=True)
    sys.stdin.read()
"""

FORKED = """
import json, os, sys, time
from streams.testing.embedded_broker import EmbeddedBroker
broker = EmbeddedBroker()
broker.start()
stranger = os.fork()  # keeps our end of the broker's pipe open
if not stranger:
    sys.stdin.read()
    os._exit(0)
print(json.dumps({"broker": broker.pid, "stranger": stranger}), flush=True)
time.sleep(600)
"""


class User:
    """A process that uses a broker, until it is told to end or is killed."""

    def __init__(self, script: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said

    def end(self) -> None:
        self.process.communicate(timeout=END_SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def users() -> Iterator[list[User]]:
    found: list[User] = []
    yield found
    for user in found:
        if user.process.poll() is None:
            user.kill()


def is_alive(process_id: int) -> bool:
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def has_ended(process_id: int) -> bool:
    return not is_alive(process_id)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")


@needs_proc
@pytest.mark.parametrize("ending", [User.end, User.kill])
def test_the_embedded_broker_ends_with_its_user(users: list[User], ending: Callable[[User], None]) -> None:
    users.append(user := User(EMBEDDED))
    broker = user.says()["broker"]
    assert is_alive(broker)
    ending(user)
    wait_until(lambda: has_ended(broker), END_SECONDS, "the broker ends")


@needs_proc
@pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="only Linux tells of the end of a process that is not a child"
)
def test_a_forked_stranger_does_not_keep_the_broker(users: list[User]) -> None:
    users.append(user := User(FORKED))
    said = user.says()
    try:
        user.process.kill()
        user.process.wait()
        wait_until(lambda: has_ended(said["broker"]), END_SECONDS, "the broker ends")
        assert is_alive(said["stranger"])
    finally:
        os.kill(said["stranger"], signal.SIGKILL)
        user.process.communicate()


def test_stop_ends_the_embedded_broker_and_may_be_repeated() -> None:
    broker = EmbeddedBroker(partitions=3)
    with pytest.raises(BrokerNotAvailableError):
        _ = broker.bootstrap_servers
    broker.start()
    process_id = broker.pid
    broker.create_topics(["one"])
    with pytest.raises(RefusedError, match="already exists"):
        broker.create_topics(["one"])
    broker.stop()
    broker.stop()
    assert has_ended(process_id)
    with pytest.raises(BrokerNotAvailableError):
        broker.create_topics(["two"])


def test_two_embedded_brokers_are_two_clusters() -> None:
    with EmbeddedBroker() as one, EmbeddedBroker() as two:
        assert one.bootstrap_servers != two.bootstrap_servers
        one.create_topics(["same"])
        two.create_topics(["same"])


@pytest.mark.parametrize("number", [0, -1])
def test_an_embedded_broker_needs_at_least_one_of_each(number: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        EmbeddedBroker(partitions=number)


@pytest.fixture
def needs_own_kafka(real_kafka: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apache Kafka can be started here (or the test was skipped), and the test starts its own."""
    monkeypatch.delenv(BOOTSTRAP_VARIABLE, raising=False)


@needs_proc
@pytest.mark.kafka
@pytest.mark.usefixtures("needs_own_kafka")
def test_kafka_ends_with_its_killed_user(users: list[User]) -> None:
    users.append(user := User(REAL))
    said = user.says()
    assert is_alive(said["broker"])
    user.kill()
    wait_until(lambda: has_ended(said["broker"]), END_SECONDS, "the broker ends")
    wait_until(lambda: not Path(said["directory"]).exists(), END_SECONDS, "its data is removed")


@needs_proc
@pytest.mark.kafka
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the parent-death signal is Linux's")
@pytest.mark.usefixtures("needs_own_kafka")
def test_kafka_ends_with_its_killed_keeper() -> None:
    kafka = RealKafka()
    kafka.start()
    try:
        broker = kafka.pid
        assert kafka._process is not None
        os.kill(kafka._process.pid, signal.SIGKILL)
        wait_until(lambda: has_ended(broker), END_SECONDS, "the broker ends")
    finally:
        kafka.stop()
    assert kafka._directory is None


@needs_proc
@pytest.mark.kafka
@pytest.mark.usefixtures("needs_own_kafka")
def test_a_shared_kafka_ends_with_the_last_who_shares_it(users: list[User], tmp_path: Path) -> None:
    users.append(first := User(SHARED, str(tmp_path)))
    address = first.says()["bootstrap_servers"]
    with share_kafka(tmp_path) as kafka:
        assert kafka.bootstrap_servers == address
        first.kill()  # who started it
        kafka.create_topics(["still-there"], partitions=1)
        users.append(second := User(SHARED, str(tmp_path)))
        assert second.says()["bootstrap_servers"] == address
    kafka.create_topics(["there-for-the-second"], partitions=1)
    broker = _listener(address)
    second.end()
    wait_until(lambda: has_ended(broker), END_SECONDS, "the broker ends")
    with share_kafka(tmp_path) as kafka:
        kafka.create_topics(["a-new-one"], partitions=1)


def _listener(address: str) -> int:
    """The process whose command names the settings file that names the address."""
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if b"kafka.Kafka" in command and command[-2].endswith(b"server.properties") and command[0].endswith(b"java"):
            settings = Path(command[-2].decode())
            if settings.exists() and f"advertised.listeners=PLAINTEXT://{address}\n" in settings.read_text():
                return int(entry.name)
    raise AssertionError(f"no broker at {address}")


@needs_proc
@pytest.mark.parametrize(
    "module",
    ["streams.testing.embedded_broker", pytest.param("streams.testing.real_kafka", marks=pytest.mark.kafka)],
)
def test_a_broker_in_the_foreground_runs_until_terminated(module: str, request: pytest.FixtureRequest) -> None:
    if module.endswith("real_kafka"):
        request.getfixturevalue("needs_own_kafka")
    process = subprocess.Popen([sys.executable, "-m", module], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    process.terminate()
    process.communicate(timeout=END_SECONDS)
    assert process.returncode == 0
    assert said["bootstrap_servers"].startswith("127.0.0.1:")
    assert has_ended(said.get("pid", process.pid))

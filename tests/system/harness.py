"""What system tests share: the topics, the gate in a process of its own, and the account of what it did.

Everything waits for a condition with a deadline. A process is ended by its own id, whatever happens in the test.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import msgspec
from confluent_kafka import Consumer, TopicPartition

import streams.policy.packs
from streams.cli.supervisor import PAUSE_MAX_SECONDS
from streams.contracts import header_names as names
from streams.exactly_once.changelog import META_KEY, Meta, decode_meta
from streams.exit_codes import ExitCode
from streams.settings import SETTINGS_VARIABLE, WorkerSettings
from streams.telemetry.recurrence import SETTLED_SECONDS
from streams.testing.broker import create_plan
from streams.testing.kafka_io import StoredRecord, publish, read_topic
from streams.testing.records import OutgoingRecord
from streams.testing.waiting import wait_until
from streams.topics import TopicNames, TopicPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from streams.demo.records import DemoRecord
    from streams.testing.broker import Broker

Found = TypeVar("Found")

REPOSITORY = Path(__file__).resolve().parents[2]
STARTER = Path(next(iter(streams.policy.packs.__path__))) / "starter.yaml"
PARTITIONS = 8
START_SECONDS = 60.0
DECIDE_SECONDS = 150.0
STOP_SECONDS = 20.0
READ_BATCH = 5_000
READ_SECONDS = 0.05
POLL_SECONDS = 0.05
"""Between two questions to a gate that is to come to something: to answer takes it time that it needs for that."""
ERASURE_KEY = "5e" * 32
# The demonstration's recorded weeks are in the past: a broker would delete them at once under the usual retention.
TEN_YEARS_MS = 10 * 365 * 86_400_000


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int


def place_of(record: StoredRecord) -> Place:
    return Place(record.topic, record.partition, record.offset)


class World:
    """One gate's topics on a broker."""

    def __init__(
        self,
        broker: Broker,
        prefix: str,
        *,
        partitions: int = PARTITIONS,
        intents: tuple[str, ...] = ("outbound-intent",),
        input_bytes: int | None = None,
        create: bool = True,
        recorded_times: bool = True,
    ) -> None:
        self.broker = broker
        self.prefix = prefix
        self.partitions = partitions
        self.names = TopicNames(intents=intents).with_prefix(prefix)
        self.plan = TopicPlan(
            TopicNames(intents=intents).with_prefix(prefix),
            partitions=partitions,
            replication_factor=broker.replication_factor,
            retention_ms=TEN_YEARS_MS,
            recorded_times=recorded_times,
        )
        if create and input_bytes is None:
            create_plan(broker, self.plan)
        for topic in self.plan.topics() if create and input_bytes is not None else ():
            larger = {"max.message.bytes": str(input_bytes)} if topic.name in self.inputs else {}
            broker.create_topics([topic.name], partitions=topic.partitions, config={**topic.config, **larger})

    @property
    def address(self) -> str:
        return self.broker.bootstrap_servers

    @property
    def inputs(self) -> tuple[str, ...]:
        """What upstream systems write to, by rank."""
        return (self.names.preferences, self.names.outcomes, *self.names.intents)

    def settings(self, policy: Path = STARTER, **changes: object) -> WorkerSettings:
        # Six seconds: the shortest session that two missed heartbeats do not end.
        return msgspec.convert(
            {
                "bootstrap_servers": self.address,
                "policy_path": str(policy),
                "application_id": f"{self.prefix}gate",
                "topics": msgspec.to_builtins(self.names),
                "ops_port": 0,
                "explain": True,
                "session_timeout_seconds": 6.0,
                "transaction_timeout_seconds": 10.0,
                "erasure_key": ERASURE_KEY,
                "check_crcs": not self.broker.is_embedded,
                **changes,
            },
            WorkerSettings,
        )

    def publish(self, records: Iterable[OutgoingRecord], **options: str | int) -> int:
        """Publish records whose topic is a default name, under this world's prefix."""
        prefixed = (record._replace(topic=self.prefix + record.topic) for record in records)
        return publish(self.address, prefixed, options={name.replace("_", "."): o for name, o in options.items()})

    def publish_demo(self, records: Iterable[DemoRecord]) -> int:
        topics = {
            "intents": self.names.intents[0],
            "preferences": self.names.preferences,
            "outcomes": self.names.outcomes,
        }
        return publish(
            self.address,
            (
                OutgoingRecord(
                    topics[record.kind],
                    record.key,
                    record.value,
                    record.timestamp_ms,
                    record.headers,
                    record.partition_of(self.partitions),
                )
                for record in records
            ),
        )

    def read(self, *topics: str) -> list[StoredRecord]:
        """Everything committed of these topics; nothing may be missing from them."""
        compacted = {self.names.ledger, self.names.control}
        return read_topic(self.address, *topics, refuse_gaps=not compacted & set(topics))

    def read_inputs(self) -> list[StoredRecord]:
        return self.read(*self.inputs)

    def read_outputs(self) -> list[StoredRecord]:
        return self.read(self.names.approved, self.names.suppressed)


# ---- the process ----------------------------------------------------------------------------------------------------


class Gate:
    """A worker process, or a supervisor with one. What it says goes to files, to be looked at afterwards."""

    def __init__(
        self,
        settings: WorkerSettings,
        directory: Path,
        *,
        supervised: bool = False,
        processes: int = 1,
        module: str = "streams.worker",
        haste: Haste | None = None,
    ) -> None:
        self.settings = settings
        self._number = len(list(directory.glob("gate-*.out")))
        self._out = directory / f"gate-{self._number}.out"
        self._err = directory / f"gate-{self._number}.err"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MESURA_")}
        environment["PYTHONPATH"] = str(REPOSITORY)
        command = [sys.executable, "-m", module]
        if supervised or processes > 1:
            command = [*supervisor_command(settings, haste), "--processes", str(processes)]
            environment["MESURA_ERASURE_KEY"] = settings.erasure_key
        else:
            environment[SETTINGS_VARIABLE] = settings.to_environment()
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=environment)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def said(self) -> str:
        """Everything it wrote, on both streams."""
        return self._out.read_text() + self._err.read_text()

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def ops(self) -> str:
        """Where the latest worker answers, once it has said so."""
        return self.until(lambda: self.ops_so_far, START_SECONDS, "the address of the operations endpoint")

    @property
    def ops_so_far(self) -> str:
        """The same without waiting: empty while no worker has said it."""
        return self._address("ops")

    def _address(self, which: str) -> str:
        lines = [line for line in self._out.read_text().splitlines() if line.startswith('{"ops"')]
        return str(json.loads(lines[-1]).get(which, "")) if lines else ""

    def until(self, condition: Callable[[], Found], seconds: float, what: str) -> Found:
        """Wait for the condition; fail at once if the process ends before."""

        def either() -> tuple[Found, bool] | None:
            # Asked in this order: a condition that came true before the end counts.
            ended = self.exit_code is not None
            found = condition()
            return (found, ended) if found or ended else None

        answer = wait_until(either, seconds, what, poll_seconds=POLL_SECONDS)
        assert answer is not None
        assert answer[0], f"{what}: the gate ended with {self.exit_code}:\n{self.said[-4000:]}"
        return answer[0]

    def until_ready(self) -> Self:
        self.until(lambda: self.get("/ready")[0] == 200, START_SECONDS, "readiness")
        return self

    def get(self, path: str) -> tuple[int, str]:
        return self._ask(urllib.request.Request(self.ops + path))

    def explain(self, intent: Mapping[str, object]) -> tuple[int, dict[str, Any]]:
        address = self._address("explain") or self.ops  # a worker without a supervisor has one port
        request = urllib.request.Request(address + "/explain", data=json.dumps(intent).encode(), method="POST")
        status, body = self._ask(request)
        return status, json.loads(body)

    def metrics(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """Every sample by name, then by sorted labels."""
        from prometheus_client.parser import text_string_to_metric_families

        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)
        status, text = self.get("/metrics")
        assert status == 200, f"{text}; the process has ended with {self.exit_code}:\n{self.said[-4000:]}"
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
        return dict(found)

    def counted(self, name: str) -> float:
        """The sum over all labels of one counter. Asked again and again, so without a parser of the whole."""
        status, text = self.get("/metrics")
        assert status == 200, f"{text}; the process has ended with {self.exit_code}:\n{self.said[-4000:]}"
        samples = [line for line in text.splitlines() if re.match(rf"mesura_{name}[ {{]", line)]
        assert samples, f"no sample of mesura_{name}"
        return sum(float(line.rpartition(" ")[2]) for line in samples)

    def partitions(self) -> int:
        """How many it decides for; 0 while it does not answer."""
        if self.get("/live")[0] == 0:
            return 0
        return int(self.counted("partitions_assigned"))

    def terminate(self) -> int:
        """Ask it to stop and wait; returns the exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def worker_pid(self) -> int:
        """The process id of a supervisor's worker; 0 while there is none."""
        return next(iter(self.worker_pids().values()), 0)

    def worker_pids(self) -> dict[str, int]:
        """The process ids of a supervisor's workers by slot; those that are being started are not among them yet."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        found: dict[str, int] = {}
        for child in children:
            with suppress(OSError):  # it ended meanwhile
                entries = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
                given = dict(entry.partition(b"=")[::2] for entry in entries)
                # A child has its parent's environment until it runs its own program.
                if (text := given.get(SETTINGS_VARIABLE.encode())) is not None:
                    found[WorkerSettings.from_environment(text.decode()).slot] = int(child)
        return found

    def kill_worker(self) -> None:
        """kill -9 a supervisor's worker, not the supervisor."""
        os.kill(self.worker_pid(), signal.SIGKILL)

    def ended(self, seconds: float = DECIDE_SECONDS) -> int:
        """Wait until it ends by itself."""
        return self._process.wait(seconds)

    def stop(self) -> None:
        """Make sure that it has ended."""
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()

    def _ask(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            return 0, str(error)


class Haste(NamedTuple):
    """How long `mesura run` waits, where a test cannot wait as long as the product does."""

    pause_max_seconds: float = PAUSE_MAX_SECONDS
    """The longest pause between two starts of a worker."""
    settled_seconds: float = SETTLED_SECONDS
    """How long every process must have been deciding before a recurring failure is over."""
    session_timeout_seconds: float = 10.0
    """How long a killed worker is missed before its partitions move."""


HASTY_RUN = """
import functools, sys
import streams.cli.run, streams.telemetry.recurrence, streams.web.merged_ops
from streams.cli.main import main
pause_max_seconds, settled_seconds, session_timeout_seconds = (float(sys.argv.pop(1)) for _ in range(3))
streams.cli.run.Supervisor = functools.partial(streams.cli.run.Supervisor, pause_max_seconds=pause_max_seconds)
streams.cli.run.WorkerSettings = functools.partial(
    streams.cli.run.WorkerSettings, session_timeout_seconds=session_timeout_seconds
)
streams.telemetry.recurrence.SETTLED_SECONDS = streams.web.merged_ops.SETTLED_SECONDS = settled_seconds
main()
"""


def supervisor_command(settings: WorkerSettings, haste: Haste | None = None) -> list[str]:
    """`mesura run` of one process."""
    program = ["-m", "streams.cli.main"] if haste is None else ["-c", HASTY_RUN, *map(str, haste)]
    names = settings.topics
    roles = {
        "opt-out": names.preferences,
        "contact-outcome": names.outcomes,
        "approved-send": names.approved,
        "suppressed": names.suppressed,
        "dead-letter": names.dead_letter,
        "rerouted": names.rerouted,
        "ledger": names.ledger,
        "control": names.control,
    }
    prefix = names.preferences.removesuffix("opt-out")
    assert roles["control"] == f"{prefix}mesura-control"
    return [
        *(sys.executable, *program, "run"),
        *("--bootstrap", settings.bootstrap_servers, "--policy", settings.policy_path),
        *(("--command-config", settings.command_config) if settings.command_config else ()),
        *("--application-id", settings.application_id, "--ops-port", "0", "--prefix", prefix),
        *(("--explain-port", "0") if settings.explain else ()),
        *("--slot", settings.slot, "--check-crcs" if settings.check_crcs else "--no-check-crcs"),
    ]


@contextmanager
def running(
    world: World,
    directory: Path,
    *,
    policy: Path = STARTER,
    supervised: bool = False,
    processes: int = 1,
    ready: bool = True,
    module: str = "streams.worker",
    haste: Haste | None = None,
    **changes: object,
) -> Iterator[Gate]:
    """A gate for as long as the block runs.

    `module`: a worker of a test's own, with one part replaced; `haste`: of a supervisor.
    """
    settings = world.settings(policy, **changes)
    gate = Gate(
        settings,
        directory,
        supervised=supervised,
        processes=processes,
        module=module,
        haste=haste,
    )
    try:
        yield gate.until_ready() if ready else gate
    finally:
        gate.stop()


def decide_all_by_record_clock(world: World, directory: Path, policy: Path = STARTER) -> float:
    """A bounded run over what the topics hold; returns how long it took."""
    began = time.monotonic()
    with running(world, directory, policy=policy, ready=False, clock="record") as gate:
        code = gate.ended()
        assert code == ExitCode.DONE, f"exit code {code}:\n{gate.said[-4000:]}"
    return time.monotonic() - began


# ---- how far it is --------------------------------------------------------------------------------------------------


class Batch(NamedTuple):
    """One committed transaction of one partition, as its meta record says."""

    partition: int
    before: dict[str, int]
    meta: Meta


class Progress:
    """Follows the ledger's meta records: which batches were committed, and how far each partition is."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.batches: dict[int, list[Batch]] = {partition: [] for partition in range(world.partitions)}
        self._consumer = Consumer(
            {
                "bootstrap.servers": world.address,
                "group.id": "mesura-testing-progress",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
                "allow.auto.create.topics": False,
            }
        )
        self._consumer.assign(
            # A number, not "the beginning": that librdkafka asks for only after half a second.
            [TopicPartition(world.names.ledger, partition, 0) for partition in range(world.partitions)]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read(self) -> None:
        """Take in what has come since. Under load there is always more: what waits for an end asks again."""
        full = True
        while full:
            messages = self._consumer.consume(READ_BATCH, READ_SECONDS)
            full = len(messages) == READ_BATCH
            for message in messages:
                assert message.error() is None, str(message.error())
                if message.key() == META_KEY:
                    of_partition = self.batches[message.partition()]
                    before = of_partition[-1].meta.positions if of_partition else {}
                    of_partition.append(Batch(message.partition(), dict(before), decode_meta(message.value())))

    def has_reached(self, ends: dict[tuple[str, int], int]) -> bool:
        """Whether everything before these ends is decided, and everything that was forwarded meanwhile."""
        self.read()
        if not self._is_beyond(ends):
            return False
        rerouted = self.world.names.rerouted
        if not any(ends_of(self.world, rerouted).values()):
            return True
        # What ends a topic written in transactions is a marker, which nobody decides.
        forwarded: dict[tuple[str, int], int] = defaultdict(int)
        for record in read_topic(self.world.address, rerouted):
            key = (record.topic, record.partition)
            forwarded[key] = max(forwarded[key], record.offset + 1)
        self.read()
        return self._is_beyond(forwarded)

    def _is_beyond(self, ends: dict[tuple[str, int], int]) -> bool:
        return all(self._position(topic, partition) >= end for (topic, partition), end in ends.items())

    def _position(self, topic: str, partition: int) -> int:
        batches = self.batches[partition]
        return batches[-1].meta.positions.get(topic, 0) if batches else 0


def ends_of(world: World, *topics: str, isolation_level: str = "read_committed") -> dict[tuple[str, int], int]:
    """Where these topics end now for such a reader; without any named, the input topics."""
    settings = {"bootstrap.servers": world.address, "group.id": "mesura-testing-ends"}
    consumer = Consumer({**settings, "isolation.level": isolation_level})
    try:
        return {
            (topic, partition): consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)[1]
            for topic in topics or world.inputs
            for partition in range(world.partitions)
        }
    finally:
        consumer.close()


def until_nothing_is_open(world: World) -> None:
    """Wait for the end of a killed worker's transaction, which hides whatever others have written behind it."""
    topics = (world.names.approved, world.names.suppressed, world.names.dead_letter)
    wait_until(
        lambda: ends_of(world, *topics) == ends_of(world, *topics, isolation_level="read_uncommitted"),
        DECIDE_SECONDS,
        "no open transaction",
    )


def until_all_decided(gate: Gate, world: World, seconds: float = DECIDE_SECONDS) -> Progress:
    """Wait until the gate has dealt with everything the topics hold now."""
    ends = ends_of(world)
    with Progress(world) as progress:
        gate.until(lambda: progress.has_reached(ends), seconds, "everything decided")
    for batches in progress.batches.values():
        moments = [batch.meta.latest_ms for batch in batches]
        assert moments == sorted(moments), "the clock of a partition went back"
    return progress


# ---- the account ----------------------------------------------------------------------------------------------------


def header(record: StoredRecord, name: str) -> str | None:
    """The last header of that name: the gate's own."""
    found = dict(record.headers).get(name)
    return None if found is None else found.decode()


def _place(record: StoredRecord, topic: str, partition: str, offset: str) -> Place | None:
    found = header(record, topic)
    if found is None:
        return None
    numbers = [header(record, name) or "" for name in (partition, offset)]
    return Place(found, *(int(number) if number.isdecimal() else -1 for number in numbers))


def origin(record: StoredRecord) -> Place:
    """Where the upstream system's record stands."""
    place = _place(record, names.ORIGIN_TOPIC, names.ORIGIN_PARTITION, names.ORIGIN_OFFSET)
    assert place is not None, f"no origin: {place_of(record)}"
    return place


def read_at(record: StoredRecord) -> Place:
    """Where the deciding lane read it: its origin, or the place it was forwarded to."""
    return _place(record, names.REROUTED_TOPIC, names.REROUTED_PARTITION, names.REROUTED_OFFSET) or origin(record)


def origin_of_dead_letter(record: StoredRecord) -> Place:
    """Where the record of a dead letter stands."""
    place = _place(record, names.ERROR_TOPIC, names.ERROR_PARTITION, names.ERROR_OFFSET)
    assert place is not None
    return place


@dataclass
class Account:
    """What became of every input record."""

    inputs: dict[Place, StoredRecord] = field(default_factory=dict)
    rerouted: dict[Place, StoredRecord] = field(default_factory=dict)
    decisions: dict[Place, StoredRecord] = field(default_factory=dict)
    """By the place the lane read the intent at."""
    withdrawals: dict[Place, list[StoredRecord]] = field(default_factory=dict)
    """By the place of the record that caused them."""
    dead_letters: dict[Place, StoredRecord] = field(default_factory=dict)
    strangers: set[Place] = field(default_factory=set)
    """What stands on the rerouting topic and was not put there by the gate."""
    forwarded: dict[Place, Place] = field(default_factory=dict)
    """From the first place to the one in the rerouting topic."""
    applied: set[Place] = field(default_factory=set)

    def counts(self) -> Counter[str]:
        return Counter(
            inputs=len(self.inputs),
            decisions=len(self.decisions),
            withdrawals=sum(map(len, self.withdrawals.values())),
            dead_letters=len(self.dead_letters),
            rerouted=len(self.forwarded),
            applied=len(self.applied),
        )


def value_of(record: StoredRecord) -> dict[str, Any]:
    assert record.value is not None
    answer: dict[str, Any] = json.loads(record.value)
    return answer


def account_for(world: World, *, complete: bool = True) -> Account:
    """Every input record left exactly one trace, on the right topic and partition. Fails where that is not so."""
    account = Account()
    found = world.names
    account.inputs = {place_of(record): record for record in world.read_inputs()}
    account.rerouted = {place_of(record): record for record in world.read(found.rerouted)}
    twice: list[Place] = []
    for record in world.read_outputs():
        read = read_at(record)
        assert record.partition == read.partition, f"on another partition than its record: {place_of(record)}"
        if value_of(record)["type"] == "withdrawn":
            account.withdrawals.setdefault(read, []).append(record)
        elif read in account.decisions:
            twice.append(read)
        else:
            account.decisions[read] = record
    for record in world.read(found.dead_letter):
        place = origin_of_dead_letter(record)
        assert record.partition == place.partition
        if place in account.dead_letters:
            twice.append(place)
        account.dead_letters[place] = record
    for place, record in account.rerouted.items():
        first = _place(record, names.ORIGIN_TOPIC, names.ORIGIN_PARTITION, names.ORIGIN_OFFSET)
        if first not in account.inputs:
            account.strangers.add(place)
            continue
        if first in account.forwarded:
            twice.append(first)
        account.forwarded[first] = place
    assert not twice, f"{len(twice)} answered twice, first {twice[:5]}"
    _judge(world, account, complete=complete)
    return account


def _judge(world: World, account: Account, *, complete: bool) -> None:
    known = account.inputs.keys() | account.rerouted.keys()
    for what in (account.decisions, account.dead_letters, account.withdrawals, account.forwarded):
        strangers = what.keys() - known
        assert not strangers, f"of records that do not exist: {sorted(strangers)[:5]}"
    missing: list[Place] = []
    for place in known:
        topic = place.topic
        if place in account.rerouted:
            assert place not in account.forwarded, f"forwarded twice: {place}"
            topic = topic if place in account.strangers else origin(account.rerouted[place]).topic
        is_intent = topic in world.names.intents or place in account.strangers
        traces = (place in account.decisions, place in account.dead_letters, place in account.forwarded)
        assert sum(traces) <= 1, f"several traces of {place}: {traces}"
        if any(traces):
            assert is_intent or not traces[0], f"decided, though no intent: {place}"
        elif is_intent:
            missing.append(place)
        else:
            account.applied.add(place)
    assert not (complete and missing), f"{len(missing)} intents have no answer, first {sorted(missing)[:5]}"
    for place, record in account.decisions.items():
        source = account.inputs.get(place) or account.rerouted[place]
        expected = origin(source) if place in account.rerouted else place
        assert origin(record) == expected, f"another origin than {expected}"
        assert record.key == value_of(record)["customer_id"].encode()
    for place in account.withdrawals:
        assert place in account.applied, f"a withdrawal caused by what was not applied: {place}"

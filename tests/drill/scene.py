"""What a drill happens to: topics on a real broker, machines with `mesura run`, upstream systems that publish."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, ClassVar, Final, Self

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from streams.cli.supervisor import PAUSE_MAX_SECONDS
from streams.telemetry.recurrence import SETTLED_SECONDS
from streams.testing.kafka_directory import free_ports
from streams.testing.records import OutgoingRecord, intent, outcome, preference
from streams.testing.waiting import wait_until
from tests.drill.shortened import HOURS
from tests.system.harness import REPOSITORY, START_SECONDS, Gate, Haste, World, supervisor_command
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from streams.testing.broker import Broker
    from tests.drill.watch import Watch

HASTE: Final = Haste(pause_max_seconds=PAUSE_MAX_SECONDS / HOURS.factor, settled_seconds=SETTLED_SECONDS / HOURS.factor)
"""The supervisor's waits that alerts count on, divided as the rules are. Whatever else the gate waits for stays."""

UNHURRIED: Final = HASTE._replace(pause_max_seconds=PAUSE_MAX_SECONDS)
"""For processes that are refused: a start takes seconds on any clock, and with a divided pause a refused process would
mostly be starting. The product's pause lets all of several be refused at once."""

APPLICATION_ID: Final = "mesura"
"""It has the name that the documentation uses, as all topics have: the runbook's commands work as they are."""

PARTITIONS: Final = 6
PROCESSES: Final = 2
UNTIL_SECONDS: Final = 1_200.0
"""Longer than three hours and three hours before them, on the shortened clock."""

READY_SECONDS: Final = 300.0
TICK_SECONDS: Final = 0.1
CUSTOMERS: Final = 5_000
HELD_RECORDS_MAX: Final = 100_000


class Machine(Gate):
    """`mesura run` with several processes, at a port that it has again after a restart.

    `module`: workers of a test's own, with one part replaced.
    """

    started: ClassVar[list[Machine]] = []

    def __init__(
        self,
        scene: Scene,
        *,
        slot: str = "0",
        processes: int = PROCESSES,
        port: int = 0,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        policy: Path | None = None,
        haste: Haste = HASTE,
        module: str = "",
    ) -> None:
        self.settings = scene.world.settings(
            policy or scene.policy, slot=slot, explain=False, application_id=APPLICATION_ID
        )
        self.port = port or free_ports(1)[0]
        self._number = scene.numbers()
        self._out = scene.directory / f"gate-{self._number}.out"
        self._err = scene.directory / f"gate-{self._number}.err"
        command = [
            *supervisor_command(self.settings, haste),
            *("--processes", str(processes), "--ops-port", str(self.port), *options),
        ]
        if module:
            program = command.index("-c") + 1
            command[program] = f"import streams.cli.run\nstreams.cli.run.WORKER_MODULE = {module!r}\n{command[program]}"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                command,
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                env={
                    **{name: value for name, value in os.environ.items() if not name.startswith("MESURA_")},
                    "PYTHONPATH": str(REPOSITORY),
                    "MESURA_ERASURE_KEY": self.settings.erasure_key,
                    **(environment or {}),
                },
            )

        self.started.append(self)

    def until_ready(self) -> Self:
        """As a gate's, with the patience of a campaign: several gates start at once on a busy machine."""
        wait_until(
            lambda: self.ops_so_far and self.get("/ready")[0] == 200, READY_SECONDS, "readiness", poll_seconds=0.2
        )
        return self

    @property
    def address(self) -> str:
        """What Prometheus scrapes."""
        return f"127.0.0.1:{self.port}"

    def signal_workers(self, number: signal.Signals, *slots: str) -> None:
        """Send a signal to its workers: those of the slots, or all."""
        for slot, pid in self.worker_pids().items():
            if not slots or slot in slots:
                os.kill(pid, number)


class Upstream:
    """Publishes without end what upstream systems do: intents mostly, now and then a preference or an outcome."""

    def __init__(self, world: World) -> None:
        self.per_second = 10.0
        self.channels: tuple[str, ...] = ("sms", "email")
        self.customer: Callable[[int], str] = lambda number: f"drilled-{number % CUSTOMERS}"
        self.some_say_no = False
        """Whether those say no who have just been asked for: what was approved is withdrawn."""
        self.more: Callable[[int], dict[str, str]] = lambda _: {}
        self._world = world
        self._numbers = itertools.count()
        self._producer = Producer(
            {
                "bootstrap.servers": world.address,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "queue.buffering.max.messages": HELD_RECORDS_MAX,
                "log_level": 0,
            }
        )
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        """Publish from now on. Before a gate runs, what is published is late when it is decided."""
        self._thread.start()

    def end(self) -> None:
        """Publish nothing more."""
        self._ends.set()
        if self._thread.is_alive():
            self._thread.join()
        self._producer.flush(5)

    def publish(self, records: Iterable[OutgoingRecord]) -> None:
        """Publish these as well; returns when they are acknowledged."""
        for record in records:
            self._produce(record)
        assert self._producer.flush(60) == 0

    def _run(self) -> None:
        owed = 0.0
        last = time.monotonic()
        while not self._ends.wait(TICK_SECONDS):
            now = time.monotonic()
            owed += (now - last) * self.per_second
            last = now
            while owed >= 1:
                owed -= 1
                with suppress(BufferError):  # the broker is away
                    self._one(next(self._numbers))
            self._producer.poll(0)

    def _one(self, number: int) -> None:
        now = now_ms()
        customer = self.customer(number)
        channel = self.channels[number % len(self.channels)]
        self._produce(intent(customer, f"i-{number}", channel=channel, created_at=now, **self.more(number)))
        if number % 20 == 7:
            who = customer if self.some_say_no else f"says-{number % 100}"
            self._produce(preference(who, f"e-{number}", channel=channel, at=now))
        if number % 20 == 13:
            self._produce(outcome(customer, None, "reply", channel="email", occurred_at=now))

    def _produce(self, record: OutgoingRecord) -> None:
        optional = {} if record.partition is None else {"partition": record.partition}
        self._producer.produce(
            self._world.prefix + record.topic,
            value=record.value,
            key=record.key,
            timestamp=record.timestamp_ms,
            headers=list(record.headers),
            **optional,
        )


class Scene:
    """One act's topics, machines and upstream, for as long as the block runs.

    `job` is how the act's alerts are told from those of others that run at the same time. `days`: whether rules
    that look back for days are among what is drilled.
    """

    def __init__(
        self, act: str, broker: Broker, watch: Watch, directory: Path, *, job: str = "", days: bool = False
    ) -> None:
        directory.mkdir(parents=True)
        self.act = act
        self.days = days
        self.job = job or f"drill-{act}"
        self.broker = broker
        self.watch = watch
        self.directory = directory
        self.world = World(broker, "", partitions=PARTITIONS, recorded_times=False)
        self.policy = directory / "policy.yaml"
        self.policy.write_text(any_hour(limit=1_000), encoding="utf-8")
        self.upstream = Upstream(self.world)
        self.machines: list[Machine] = []
        self._count = itertools.count()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.callback(self._stop)
        self._stack.callback(self.upstream.end)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def machine(self) -> Machine:
        """The one that was started last."""
        return self.machines[-1]

    def numbers(self) -> int:
        return next(self._count)

    def start(self, *, ready: bool = True, **options: object) -> Machine:
        """Start another machine, and have it watched."""
        machine = Machine(self, **options)  # type: ignore[arg-type]
        self.machines.append(machine)
        self.rewatch()
        return machine.until_ready() if ready else machine

    def rewatch(self) -> None:
        """Scrape the machines of the act."""
        self.watch_only(*dict.fromkeys(machine.address for machine in self.machines))

    def watch_only(self, *addresses: str) -> None:
        """Scrape only these."""
        self.watch.watches(self.job, *addresses, days=self.days)

    def begin(self, **options: object) -> None:
        """A machine that decides what the upstream publishes, seen by Prometheus."""
        self.start(ready=True, **options)
        self.upstream.begin()

    def change_setting(self, topic: str, name: str, value: str) -> None:
        """Change one setting of a topic, as Kafka's tools do."""
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        changed = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        admin = AdminClient({"bootstrap.servers": self.world.address, "log_level": 0})
        for future in admin.incremental_alter_configs([changed]).values():
            future.result()
        query = f'sum(rate(mesura_decisions_total{{job="{self.job}"}}[10s]))'
        wait_until(lambda: self.value(query) > 0, START_SECONDS, f"decisions of {self.job}", poll_seconds=0.5)

    def until(self, query: str, what: str) -> None:
        """Until an expression has a result."""
        wait_until(lambda: self.watch.prometheus.query(query), UNTIL_SECONDS, what, poll_seconds=1.0)

    def value(self, query: str) -> float:
        """What an expression is now; 0 without a result."""
        found = self.watch.prometheus.query(query)
        return float(found[0]["value"][1]) if found else 0.0

    def mesura(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the product."""
        return subprocess.run(
            [sys.executable, "-m", "streams.cli.main", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "MESURA_ERASURE_KEY": self.machine.settings.erasure_key},
        )

    def _stop(self) -> None:
        self.watch_only()
        for machine in self.machines:
            with suppress(ProcessLookupError):
                for pid in machine.worker_pids().values() if machine.exit_code is None else ():
                    os.kill(pid, signal.SIGCONT)
                os.kill(machine.pid, signal.SIGCONT)
            machine.stop()


def now_ms() -> int:
    return time.time_ns() // 1_000_000

"""What the fault scenarios share: topics under load, workers that can be held at a point, and the verdict.

A worker is started again as its supervisor would: under the same slot. Everything is ended by its own process id.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import msgspec

from streams.settings import SETTINGS_VARIABLE
from streams.testing.policies import open_all_hours
from streams.testing.waiting import wait_until
from tests.faults.broker_view import BrokerView, Transaction
from tests.faults.held_worker import VARIABLE, Fault
from tests.faults.load import Order
from tests.system.harness import DECIDE_SECONDS, REPOSITORY, STOP_SECONDS, Gate, Progress, World, ends_of

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import WorkerSettings
    from streams.testing.broker import Broker
    from streams.topics import TopicNames

SESSION_SECONDS: Final = 3.0
"""How long a killed worker is missed before its partitions move: four heartbeats of these workers."""

TRANSACTION_SECONDS: Final = 12.0
POINT_SECONDS: Final = 90.0
TURNS: Final = 2
"""Producers of one lane, used in turn."""


class Entrance(Protocol):
    """How clients of a cluster with logins come in; see `tests.cluster.entrance`."""

    @property
    def address(self) -> str:
        """Where they connect."""
        ...

    def properties(self, user: str) -> Path:
        """The client properties of this user."""
        ...

    def client_settings(self, user: str) -> dict[str, str]:
        """The same, for a client made with librdkafka."""
        ...

    def admit(self, names: TopicNames, application_id: str) -> None:
        """Give every user its permissions on a gate's topics."""
        ...


@dataclass
class Killed:
    """One kill -9, and what the broker had of the worker's transactions then."""

    point: str
    at_seconds: float
    after: dict[str, Transaction]
    """Right after the process was gone."""
    held: dict[str, Transaction] = field(default_factory=dict)
    """While the worker stood at its point; empty: it was killed at once, without asking."""
    ended: dict[str, str] = field(default_factory=dict)
    """What became of those that were open."""

    @property
    def open_after(self) -> list[str]:
        """The transactions the killed worker left open."""
        return [name for name, found in self.after.items() if found.is_open]


class HeldGate(Gate):
    """A worker process that stops at a point of its transactions."""

    def __init__(self, settings: WorkerSettings, directory: Path, fault: Fault) -> None:
        say, told = os.pipe()
        wait, go = os.pipe()
        self.settings = settings
        self._number = len(list(directory.glob("gate-*.out")))
        self._out = directory / f"gate-{self._number}.out"
        self._err = directory / f"gate-{self._number}.err"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MESURA_")}
        environment |= {
            "PYTHONPATH": str(REPOSITORY),
            SETTINGS_VARIABLE: settings.to_environment(),
            VARIABLE: msgspec.json.encode(msgspec.structs.replace(fault, say=told, go=wait)).decode(),
        }
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.held_worker"],
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=(told, wait),
            )
        os.close(told)
        os.close(wait)
        self._say, self._go = say, go

    @property
    def ids(self) -> list[str]:
        """Its transactional ids."""
        return [f"{self.settings.application_id}-{self.settings.slot}-0-{turn}" for turn in range(TURNS)]

    def until_held(self) -> dict[str, Any]:
        """Wait until it says that it has come to its point."""
        readable, _, _ = select.select([self._say], [], [], POINT_SECONDS)
        line = os.read(self._say, 4096) if readable else b""
        assert line, f"the worker did not come to its point (exit code {self.exit_code}):\n{self.said[-3000:]}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def has_said(self) -> bool:
        """Whether it has come to its point; does not wait."""
        return bool(select.select([self._say], [], [], 0)[0])

    def arm(self) -> None:
        """Count passings of its point from now on."""
        os.kill(self.pid, signal.SIGUSR1)

    def release(self) -> None:
        """Let it go on."""
        os.write(self._go, b"g")

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Kill it if it still runs, and forget the pipes."""
        if self.exit_code is None:
            self.kill()
        for descriptor in (self._say, self._go):
            os.close(descriptor)


class Load:
    """The generator's process."""

    def __init__(self, world: World, *, rate: int, customers: int, seed: int, entrance: Entrance | None = None) -> None:
        order = Order(
            address=entrance.address if entrance else world.address,
            prefix=world.prefix,
            rate=rate,
            customers=customers,
            seed=seed,
            client=entrance.client_settings("upstream") if entrance else {},
        )
        self.result: dict[str, float] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.load", msgspec.json.encode(order).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )

    def until_primed(self) -> None:
        """Wait until every consent is acknowledged."""
        assert "primed" in self._read()

    def begin(self) -> None:
        """Publish from now on."""
        self._tell(b"1")

    def pause(self) -> None:
        """Publish nothing until `begin`."""
        self._tell(b"0")

    def end(self) -> dict[str, float]:
        """Publish nothing more; returns what was published once it is acknowledged."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.result = self._read()
        self._process.wait(STOP_SECONDS)
        return self.result

    def close(self) -> None:
        """Make sure that it has ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        self._process.stdout.close()
        self._process.stdin.close()

    def _tell(self, what: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(what)
        self._process.stdin.flush()

    def _read(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the load ended with {self._process.wait()}"
        answer: dict[str, float] = json.loads(line)
        return answer


class Scene:
    """One gate under load, for as long as the block runs.

    `entrance`: by which the load, the workers and the audit come in. Without one: as whoever needs no login.
    """

    def __init__(
        self,
        broker: Broker,
        prefix: str,
        directory: Path,
        *,
        rate: int,
        customers: int,
        seed: int,
        entrance: Entrance | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.world = World(broker, prefix)
        self.directory = directory
        self.policy = open_all_hours("starter", directory)
        self.progress = Progress(self.world)
        self.entrance = entrance
        if entrance is not None:
            entrance.admit(self.world.names, self.world.settings().application_id)
        self.load = Load(self.world, rate=rate, customers=customers, seed=seed, entrance=entrance)
        self.killed: list[Killed] = []
        self._gates: list[Gate] = []
        self._stack = ExitStack()
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.progress)
        self._stack.callback(self.load.close)
        self._stack.callback(self._close_gates)
        self.load.until_primed()
        self._began = time.monotonic()
        return self

    def __exit__(self, *arguments: object) -> None:
        self._stack.__exit__(None, None, None)

    @property
    def seconds(self) -> float:
        """Since the scene began."""
        return time.monotonic() - self._began

    def settings(self, slot: str = "0", **changes: object) -> WorkerSettings:
        """A worker's settings."""
        defaults: dict[str, object] = {
            "session_timeout_seconds": SESSION_SECONDS,
            "transaction_timeout_seconds": TRANSACTION_SECONDS,
        }
        if self.entrance is not None:
            defaults["bootstrap_servers"] = self.entrance.address
            defaults["command_config"] = str(self.entrance.properties("gate"))
        return self.world.settings(self.policy, slot=slot, **{**defaults, **changes})

    def worker(self, fault: Fault | None = None, *, slot: str = "0", **changes: object) -> HeldGate:
        """Start a worker that stops where the fault says; without one, nowhere. It ends what a killed one left open."""
        gate = HeldGate(self.settings(slot, **changes), self.directory, fault or Fault())
        self._gates.append(gate)
        for killed in self.killed:
            if len(killed.ended) < len(killed.open_after):
                self.until_ended(killed)
        return gate

    def supervised(self) -> Gate:
        """`mesura run`, with the worker it keeps."""
        gate = Gate(self.settings(), self.directory, supervised=True)
        self._gates.append(gate)
        return gate

    def view(self) -> BrokerView:
        """A look at the broker's transactions."""
        return BrokerView(self.world.address)

    def kill(self, gate: HeldGate, point: str, *, asks_before: bool = True) -> Killed:
        """kill -9, with the broker's transaction state before and after. The load goes on until it is done."""
        with self.view() as view:
            held = view.describe(gate.ids) if asks_before else {}
            gate.kill()
            killed = Killed(point, self.seconds, view.describe(gate.ids), held)
        self.load.pause()
        self.killed.append(killed)
        self.progress.read()
        return killed

    def until_ended(self, killed: Killed) -> None:
        """Wait until the broker has ended what a killed worker left open, and keep how."""
        with self.view() as view:

            def all_ended() -> bool:
                for name, found in view.describe(killed.open_after).items():
                    before = killed.after[name]
                    if not found.is_open or found[1:3] != before[1:3]:
                        killed.ended.setdefault(name, found.state)
                return len(killed.ended) == len(killed.open_after)

            wait_until(all_ended, POINT_SECONDS, "the end of a transaction left open")

    def until_all_decided(self, gate: Gate, seconds: float = DECIDE_SECONDS) -> None:
        """Wait until the gate has dealt with everything the topics hold now."""
        ends = ends_of(self.world)
        gate.until(lambda: self.progress.has_reached(ends), seconds, "everything decided")

    def _close_gates(self) -> None:
        for gate in self._gates:
            if isinstance(gate, HeldGate):
                gate.close()
            else:
                gate.stop()

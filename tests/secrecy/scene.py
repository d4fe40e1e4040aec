"""A gate and its commands, everything that they write kept, on whatever broker and connection."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import traceback
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from click.testing import CliRunner

from streams.cli.main import mesura
from streams.contracts import header_names
from streams.testing.waiting import wait_until
from tests.hostile.attack import exchange
from tests.secrecy.faulty_worker import DIRECTORY_VARIABLE
from tests.secrecy.inputs import TOPICS
from tests.system.harness import Progress, ends_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.secrecy.evidence import Evidence
    from tests.secrecy.markers import Markers
    from tests.system.harness import World
    from tests.telemetry.collector import Collector

REPOSITORY: Final = Path(__file__).parents[2]
WAIT_SECONDS: Final = 60.0
COMMAND_SECONDS: Final = 90.0
STOP_SECONDS: Final = 20.0

_RUN: Final = """
import sys
import streams.cli.run
from streams.cli.main import main
streams.cli.run.WORKER_MODULE = "tests.secrecy.faulty_worker"
main(sys.argv[1:])
"""


class Scene:
    """One gate's topics, and how to connect to them."""

    def __init__(
        self,
        world: World,
        evidence: Evidence,
        markers: Markers,
        directory: Path,
        *,
        address: str | None = None,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        is_apart: bool = True,
    ) -> None:
        self.world, self.evidence, self.markers, self.directory = world, evidence, markers, directory
        self.address = address or world.address
        self.options = list(options)
        self.is_apart = is_apart
        self.key = os.urandom(32)
        self.key_file = self.secret_file("erasure.key", self.key.hex())
        self.scratch = directory / "scratch"
        self.faults = directory / "faults"
        self.left = directory / "left"
        for each in (self.scratch, self.faults, self.left):
            each.mkdir()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MESURA_")},
            "PYTHONPATH": str(REPOSITORY),
            "TMPDIR": str(self.scratch),
            "MESURA_ERASURE_KEY_FILE": str(self.key_file),
            "MESURA_PREFIX": world.prefix,
            DIRECTORY_VARIABLE: str(self.faults),
            **(environment or {}),
        }
        self.tokens = self._access_directory()

    def secret_file(self, name: str, content: str) -> Path:
        """Readable by us alone."""
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(content)
        return path

    def _access_directory(self) -> dict[str, str]:
        access = self.directory / "access"
        access.mkdir()
        tokens = {role: self.markers.secret(f"secret-token-{role}") for role in ("metrics", "support", "compliance")}
        for role, token in tokens.items():
            self.secret_file(f"access/{role}.tokens", f"{role}-1 {token}\n")
        return tokens

    def command(
        self, *arguments: str, place: str | None = None, text: str = "", connects: bool = True, **environment: str
    ) -> str:
        """What a command prints. All of it is evidence."""
        place = place or " ".join(each for each in arguments[:2] if not each.startswith(("-", "/", "{")))
        connection = ["--bootstrap", self.address, *self.options] if connects else []
        run = self._apart if self.is_apart else self._here
        out, err = run([*arguments, *connection], text, {**self.environment, **environment})
        self.evidence.add(f"{place}: stdout", out)
        self.evidence.add(f"{place}: stderr", err)
        return out

    def _apart(self, arguments: Sequence[str], text: str, environment: Mapping[str, str]) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli.main", *arguments],
            input=text.encode(),
            capture_output=True,
            env=dict(environment),
            cwd=self.left,
            timeout=COMMAND_SECONDS,
            preexec_fn=_with_core_dumps,  # no thread of ours holds a lock there
            check=False,
        )
        return done.stdout.decode(errors="surrogateescape"), done.stderr.decode(errors="surrogateescape")

    def _here(self, arguments: Sequence[str], text: str, environment: Mapping[str, str]) -> tuple[str, str]:
        done = CliRunner().invoke(mesura, list(arguments), input=text, env=dict(environment))
        error = done.exception
        is_own = error is None or isinstance(error, SystemExit)
        return done.stdout, done.stderr + ("" if is_own else "".join(traceback.format_exception(error)))

    @contextlib.contextmanager
    def gate(
        self, *arguments: str, name: str = "gate", is_ready: bool = True, **environment: str
    ) -> Iterator[RunningGate]:
        """`mesura run`, deciding. `is_ready`: it comes to that."""
        gate = RunningGate(self, name, arguments, environment)
        try:
            if is_ready:
                gate.until(gate.is_ready, "readiness")
            yield gate
        finally:
            gate.stop()

    def until_decided(self, gate: RunningGate) -> None:
        ends = ends_of(self.world)
        with Progress(self.world) as progress:
            gate.until(lambda: progress.has_reached(ends), "everything decided")

    def read_topics(self) -> None:
        """Everything that stands on topics, by what it is."""
        names = self.world.names
        mine = {value for name, value in vars(header_names).items() if isinstance(value, str) and name.isupper()}
        for topic in names.all():
            is_input = topic.removeprefix(self.world.prefix) in TOPICS.values()
            plain = "input" if is_input else topic.removeprefix(self.world.prefix)
            for record in self.world.read(topic):
                self.evidence.add(f"topic {plain}: keys", record.key or b"")
                self.evidence.add(f"topic {plain}: values", record.value or b"")
                for header, value in record.headers:
                    whose = "our headers" if header in mine or header.startswith("mesura.") else "producer's headers"
                    self.evidence.add(f"topic {plain}: {whose}", header)
                    self.evidence.add(f"topic {plain}: {whose}", value or b"")

    def keep_exports(self, collector: Collector) -> None:
        """What a collector was sent."""
        for path, body in collector.bodies:
            self.evidence.add(f"OpenTelemetry: {path.rpartition('/')[2]}", body)
        self.evidence.add("OpenTelemetry: headers", "\n".join(collector.headers))

    def keep_files(self) -> None:
        """What processes left in their directories."""
        self.evidence.add_files("files left: temporary directory", self.scratch)
        self.evidence.add_files("files left: working directory", self.left)


def exporting_to(collector: Collector) -> dict[str, str]:
    """The variables with which a gate sends everything to it."""
    return {
        "MESURA_OTEL": "on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "OTEL_TRACES_SAMPLER": "always_on",
    }


def _with_core_dumps() -> None:
    """As on a machine where they are switched on: what crashes leaves its memory in the working directory."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


class RunningGate:
    """`mesura run` in a process of its own, with its output in files."""

    def __init__(self, scene: Scene, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._scene, self._name = scene, name
        self._out, self._err = (scene.directory / f"{name}.{stream}" for stream in ("out", "err"))
        self.access_log = scene.directory / f"{name}-access.log"
        command = [
            *(sys.executable, "-c", _RUN, "run", "--bootstrap", scene.address, *scene.options),
            *("--application-id", f"{scene.world.prefix}gate", "--ops-port", "0", "--explain-port", "0"),
            *("--ops-access", str(scene.directory / "access"), "--access-log", str(self.access_log)),
            *arguments,
        ]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                command,
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                env={**scene.environment, **environment},
                cwd=scene.left,
                preexec_fn=_with_core_dumps,  # noqa: PLW1509  # no thread of ours holds a lock there
            )

    @property
    def said(self) -> str:
        return self._out.read_text() + self._err.read_text()

    def address(self, which: str) -> str:
        """Of `ops` or `explain`, once it has said so."""
        lines = self._out.read_text().splitlines()
        found = [json.loads(line)[which] for line in lines if line.startswith('{"ops"')]
        return str(found[-1]) if found else ""

    def get(self, path: str, role: str | None = None, which: str = "ops", body: bytes | None = None) -> tuple[int, str]:
        headers = {} if role is None else {"Authorization": f"Bearer {self._scene.tokens[role]}"}
        try:
            request = urllib.request.Request(self.address(which) + path, data=body, headers=headers)
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (OSError, ValueError) as error:
            return 0, str(error)

    def is_ready(self) -> bool:
        return self.get("/ready")[0] == 200

    def until(self, condition: Callable[[], Any], what: str) -> None:
        def either() -> bool:
            assert self._process.poll() is None, f"{what}: ended with {self._process.returncode}"
            return bool(condition())

        wait_until(either, WAIT_SECONDS, what, poll_seconds=0.05)

    def look(self) -> None:
        """Take what it shows now as evidence: endpoints, processes."""
        add = self._scene.evidence.add
        for path in ("/live", "/ready", "/", "/report", "/explain"):
            add(f"endpoint {path}", self.get(path)[1])
        status, metrics = self.get("/metrics", "metrics")
        assert status == 200
        assert "mesura_decisions_total" in metrics
        add("endpoint /metrics", metrics)
        for pid in self.processes():
            with contextlib.suppress(OSError):
                add("process arguments", Path(f"/proc/{pid}/cmdline").read_bytes())
                add("process environments", Path(f"/proc/{pid}/environ").read_bytes())
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    add("process arguments", (thread / "comm").read_bytes())

    def processes(self) -> list[int]:
        found = [self._process.pid]
        for pid in found:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    found += [int(each) for each in (thread / "children").read_text().split()]
        return found

    def attack(self) -> None:
        """Requests that no well-meaning client sends; what is answered is evidence."""
        markers, token = self._scene.markers, self._scene.tokens["support"]
        for which in ("ops", "explain"):
            port = int(self.address(which).rpartition(":")[2])
            for number, request in enumerate(_malformed(markers, token)):
                answer = exchange(port, request, is_begun=number % 5 == 0)
                self._scene.evidence.add(f"endpoint, malformed requests ({which})", answer)

    def ended(self) -> int:
        """Wait until it ends by itself."""
        return self._process.wait(WAIT_SECONDS)

    def are_all_ready(self) -> bool:
        """Whether every process decides."""
        states = re.findall(r"(?m)^mesura_process_ready\{[^}]*\} (\S+)", self.get("/metrics", "metrics")[1])
        return bool(states) and all(float(state) == 1 for state in states)

    def kill_worker(self, number: signal.Signals) -> None:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        os.kill(int(children[0]), number)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def keep(self) -> None:
        """Its output and its access log become evidence."""
        add = self._scene.evidence.add
        add(f"{self._name}: stdout", self._out.read_bytes())
        add(f"{self._name}: stderr", self._err.read_bytes())
        add(f"{self._name}: access log", self.access_log.read_bytes() if self.access_log.exists() else b"")


def _malformed(markers: Markers, token: str) -> Iterator[bytes]:
    """Each with markers wherever a client can put something."""

    def body(content: bytes, length: object = None, more: bytes = b"") -> bytes:
        size = len(content) if length is None else length
        head = b"POST /explain HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n" % token.encode()
        return head + more + b"Content-Length: %b\r\n\r\n%b" % (str(size).encode(), content)

    def one(kind: str) -> bytes:
        return markers.word(f"request-{kind}").encode()

    yield b"GET /%b?who=%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % (one("path"), one("query"))
    yield b"GET /%b\r\n\r\n" % one("path")
    yield b"%b /ready HTTP/1.1\r\nHost: localhost\r\n\r\n" % one("method")
    yield b"GET /ready %b\r\n\r\n" % one("version")
    yield b"GET /metrics HTTP/1.1\r\nHost: %b\r\n\r\n" % one("host")
    yield b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://%b\r\n\r\n" % one("origin")
    yield b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n" % one("token")
    yield b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: %b\r\n\r\n" % one("token")
    yield b"GET /ready HTTP/1.1\r\nHost: localhost\r\n%b\r\n\r\n" % one("header")
    yield b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX %b: 1\r\n\r\n" % one("header")
    yield b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX: \x00%b\r\n\r\n" % one("header")
    yield b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX: %b\r\n\r\n" % (one("header") * 2_000)
    yield b"POST /explain HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n" % one("chunk")
    yield body(b"{}", one("length").decode())
    yield body(one("body"))
    yield body(b'{"customer_id": "%b"' % one("body"))
    yield body(b'{"customer_id": "%b", "intent_id": "i", "channel": "%b"}' % (one("customer"), one("channel")))
    yield body(b'{"customer_id": {"%b": 1}, "%b": 2}' % (one("customer"), one("field")))
    yield body(one("body"), more=b"Content-Encoding: %b\r\n" % one("encoding"))
    yield body(one("body"), more=b"Content-Type: %b\r\n" % one("content-type"))
    yield bytes(range(256)) + one("binary") + b"\r\n\r\n"

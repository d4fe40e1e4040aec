"""Sends hostile requests to the endpoint and judges every answer, what it logged, and what it held."""

from __future__ import annotations

import contextlib
import json
import re
import selectors
import socket
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams.testing.waiting import wait_until
from streams.web.listener import CONNECTION_SECONDS, CONNECTIONS_MAX
from tests.hostile.sent import PLANTED, Sent, requests

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY: Final = Path(__file__).resolve().parents[2]
ANSWER_SECONDS: Final = 30.0
DATA: Final = re.compile(rb"decision_id|is_masked|mesura_ready")
"""What only an answer to somebody with the role holds."""


@dataclass
class Judged:
    """What came of it."""

    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def judge(self, sent: Sent, answer: bytes) -> None:
        self.kinds[sent.kind] += 1
        statuses = re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)
        self.statuses[statuses[0].decode() if statuses else "closed"] += 1
        if answer and not answer.startswith(b"HTTP/"):
            self.faults.append(f"{sent.kind}: not HTTP")
        if any(status[:1] == b"5" and status != b"503" for status in statuses):
            self.faults.append(f"{sent.kind}: {statuses}")
        if len(statuses) > 1:
            self.faults.append(f"{sent.kind}: {len(statuses)} answers on one connection")
        if DATA.search(answer) and not sent.may:
            self.faults.append(f"{sent.kind}: data without the role")
        if PLANTED.encode() in answer:
            self.faults.append(f"{sent.kind}: the answer repeats what was sent")


class Target:
    """The endpoint's process."""

    def __init__(self, directory: Path) -> None:
        self._errors = directory / "target.err"
        self.access_log = directory / "access.log"
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.hostile.target", str(directory)],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert self.process.stdout is not None
        self.ports: dict[str, int] = json.loads(self.process.stdout.readline())

    def stop(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(60)

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def memory_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]

    def log(self) -> list[str]:
        return self._errors.read_text(errors="replace").splitlines()

    def is_alive(self) -> bool:
        answer = exchange(self.ports["ops"], b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return answer.startswith(b"HTTP/1.1 200 ")


@contextlib.contextmanager
def target(directory: Path) -> Iterator[Target]:
    started = Target(directory)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        started.process.wait()
        for stream in (started.process.stdin, started.process.stdout):
            assert stream is not None
            stream.close()


def exchange(port: int, content: bytes, *, is_begun: bool = False) -> bytes:
    """Send it and return what comes back until the other side ends the connection."""
    answer = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as client,
    ):
        with contextlib.suppress(OSError):
            client.sendall(content)
            if is_begun:
                client.shutdown(socket.SHUT_WR)
        while received := client.recv(65_536):
            answer += received
    return answer


def send_all(to: Target, count: int, seed: int, *, at_once: int = 8) -> Judged:
    """Send so many requests, a few at once."""
    judged, lock = Judged(), threading.Lock()
    waiting = iter(requests(count, seed))

    def work() -> None:
        while True:
            with lock:
                sent = next(waiting, None)
            if sent is None:
                return
            answer = exchange(to.ports[sent.port], sent.content, is_begun=sent.is_begun)
            with lock:
                judged.judge(sent, answer)

    threads = [threading.Thread(target=work) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return judged


@dataclass(frozen=True)
class Held:
    """What came of connections that were held."""

    opened: int
    most_descriptors: int
    answered_meanwhile: int
    all_ended: bool


def hold_half_requests(to: Target, count: int) -> Held:
    """Open so many connections that never send a whole request, ask for /live meanwhile, and wait for their end."""
    selector, held = selectors.DefaultSelector(), []
    most, answered = 0, 0
    try:
        for number in range(count):
            client = socket.create_connection(("127.0.0.1", to.ports["ops"]), timeout=ANSWER_SECONDS)
            client.sendall((b"GET /ready HTTP/1.1\r\nHost: ", b"", b"POST /explain HTTP/1.1\r\n")[number % 3])
            client.setblocking(False)
            selector.register(client, selectors.EVENT_READ)
            held.append(client)
            if number % 100 == 0:
                most = max(most, to.descriptors())
                answered += to.is_alive()
        open_now = set(held)

        def none_left() -> bool:
            for key, _ in selector.select(0):
                ended = key.fileobj
                assert isinstance(ended, socket.socket)
                with contextlib.suppress(ConnectionResetError):
                    if ended.recv(65_536):
                        continue
                selector.unregister(ended)
                open_now.discard(ended)
            return not open_now

        wait_until(none_left, 6 * CONNECTION_SECONDS, "the end of every half request")
        return Held(count, most, answered, all_ended=not open_now)
    finally:
        selector.close()
        for client in held:
            client.close()


def faults_after(to: Target, memory_before: int, lines_max: int) -> list[str]:
    """What is wrong with what it logged and holds."""
    found = []
    lines = to.log()
    if len(lines) > lines_max:
        found.append(f"{len(lines)} log lines")
    secrets = (PLANTED, "Traceback", "c" * 40, "s" * 40)
    found += [f"{secret[:9]}… is in the log" for secret in secrets if any(secret in line for line in lines)]
    found += ["a line that is no JSON" for line in lines if not line.startswith("{")]
    if to.access_log.exists() and PLANTED in to.access_log.read_text():
        found.append("a customer is in the access log")
    if to.memory_bytes() - memory_before > MEMORY_BYTES_MAX:
        found.append(f"{(to.memory_bytes() - memory_before) >> 20} MiB more than before")
    if not to.is_alive():
        found.append("it does not answer any more")
    return found


MEMORY_BYTES_MAX: Final = 48 * 1024 * 1024
"""More than before. 128 connections with 64 KiB each are 8 MiB; an allocator keeps some of what it had."""

DESCRIPTORS_MAX: Final = 3 * CONNECTIONS_MAX
"""Both ports full, and whatever a process has open."""

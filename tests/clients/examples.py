"""Runs the programs of `examples/` as their users do: by environment variables, standard input and signals.

They are the same in every language (docs/clients.md), so whoever runs them need not know which one it is.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.clients.programs import example

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

ENVELOPES: Final = ("none", "structured", "binary")
"""What `CLOUDEVENTS` may be."""

SESSION_MS: Final = 6_000
"""How soon a gateway that was killed is missed: the shortest that brokers accept."""

ENDED_WELL: Final = {0, 128 + signal.SIGTERM}
"""The second is what a JVM ends with when it has done everything it had to do on SIGTERM; without that it is -15."""

PRODUCER_SECONDS: Final = 120.0
STOP_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Examples:
    """Both examples of one language, on topics with a prefix."""

    language: str
    bootstrap_servers: str
    prefix: str
    directory: Path
    connection: Mapping[str, str] = field(default_factory=dict)
    """Variables that say how to connect; without any, in the clear."""

    def publish(self, campaign: str, customers: Sequence[str], envelope: str = "none") -> str:
        """Run the producer; what it prints."""
        program = example(self.language, "producer")
        done = subprocess.run(
            program.command,
            cwd=program.folder,
            input="".join(f"{customer}\n" for customer in customers),
            env=self._environment(CAMPAIGN=campaign, CLOUDEVENTS=envelope),
            capture_output=True,
            text=True,
            check=False,
            timeout=PRODUCER_SECONDS,
        )
        assert done.returncode == 0, f"the producer in {self.language} failed:\n{(done.stdout + done.stderr)[-4000:]}"
        return done.stdout

    @contextmanager
    def gateway(self, provider_url: str, group: str = "gateway") -> Iterator[RunningGateway]:
        """The gateway for as long as the block runs, with one memory for all groups; then it is told to stop."""
        log = self.directory / f"{self.language}-gateway.log"
        environment = self._environment(
            PROVIDER_URL=provider_url,
            GROUP=f"{self.prefix}{group}",
            MEMORY=str(self.directory / f"{self.language}-memory"),
            SESSION_TIMEOUT_MS=str(SESSION_MS),
        )
        program = example(self.language, "gateway")
        with log.open("ab") as said:
            process = subprocess.Popen(
                program.command,
                cwd=program.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        running = RunningGateway(process, log)
        try:
            yield running
            running.stop()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(STOP_SECONDS)

    def _environment(self, **settings: str) -> dict[str, str]:
        properties = self.directory / "client.properties"
        properties.write_text(f"bootstrap.servers={self.bootstrap_servers}\n")
        return {
            **os.environ,
            "KAFKA_CONFIG": str(properties),
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "INTENT_TOPIC": f"{self.prefix}outbound-intent",
            "APPROVED_TOPIC": f"{self.prefix}approved-send",
            "OUTCOME_TOPIC": f"{self.prefix}contact-outcome",
            **self.connection,
            **settings,
        }


@dataclass
class RunningGateway:
    """A gateway's process."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """The end of what it has written."""
        return self.log.read_text(errors="replace")[-4000:]

    def is_running(self) -> bool:
        """Whether it is; a gateway ends only when told to."""
        assert self.process.poll() in {None, -9}, f"the gateway ended with {self.process.returncode}:\n{self.said}"
        return self.process.returncode is None

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self) -> None:
        """SIGTERM, unless it was killed; it must end well."""
        if self.is_running():
            self.process.terminate()
            ended = self.process.wait(STOP_SECONDS)
            assert ended in ENDED_WELL, f"told to stop, the gateway ended with {ended}:\n{self.said}"

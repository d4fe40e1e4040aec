"""Everybody who is compared: how each is started on which topics, and where each keeps what it knows.

Rules of this module
1. Whoever is named here reads the same records and writes its answers to two topics of its own.
2. Every contender is set up with what its documentation recommends, and with the same session timeout: how long the
   broker waits for the dead is no property of a framework.
3. Two processes for two cores. Kafka Streams is one process with two threads, as its documentation scales within a
   machine: two JVMs would pay twice for what a JVM costs.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from msgspec import structs

from bench.contenders import ERASURE_KEY, ROOT, Contender, free_port, started, workers
from bench.peers.installation import java_peer, quix_python
from streams.settings import WorkerSettings
from streams.testing.broker import KafkaAdmin
from streams.testing.policies import open_all_hours
from streams.topics import TopicNames, TopicPlan

PARTITIONS: Final = 8
SESSION_SECONDS: Final = 10.0
"""The gate's own. Longer than any pause of a process here, and the dead are not waited for long."""

JAVA_HEAP: Final = "1g"
"""Of Kafka Streams: the default, a quarter of the machine, would only measure the machine. RocksDB is outside of it."""

Kind = Literal["mesura", "kafka-streams", "quix", "faust"]


@dataclass(frozen=True, slots=True)
class Place:
    """The topics of one run. `group` is its consumer group and the prefix of everything that is its own."""

    bootstrap_servers: str
    group: str
    intents: str
    preferences: str

    @property
    def names(self) -> TopicNames:
        """As the gate wants them named."""
        own = TopicNames().with_prefix(f"{self.group}-")
        others = {name: getattr(own, name) for name in TopicNames.__slots__ if name not in {"intents", "preferences"}}
        return TopicNames(intents=(self.intents,), preferences=self.preferences, **others)

    @property
    def outputs(self) -> tuple[str, str]:
        """Approvals, then suppressions."""
        return self.names.approved, self.names.suppressed


@dataclass(frozen=True, slots=True)
class Entrant:
    """One who is compared. `members` is how many members its group has when it is complete."""

    name: str
    kind: Kind
    policy: Literal["small", "starter"] = "small"
    members: int = 2
    settings: tuple[tuple[str, str], ...] = ()
    """What its environment says beyond what everybody is told."""

    jit_share: float = 0.1
    """Of a backlog, what is decided before counting begins. A JIT needs some seconds of work to compile what is hot."""

    keeps_state: Literal["memory", "disk"] = "memory"
    starts_before_its_backlog: bool = False
    tree: Path = ROOT
    """Of our own: the sources it runs from."""

    def create_topics(self, kafka: KafkaAdmin, place: Place) -> list[str]:
        """Everything but the inputs; returns their names, those that the contender makes itself not among them."""
        if self.kind != "mesura":
            kafka.create_topics(list(place.outputs), partitions=PARTITIONS, config={"retention.ms": "-1"})
            return list(place.outputs)
        plan = TopicPlan(place.names, partitions=PARTITIONS, replication_factor=1)
        created = [topic for topic in plan.topics() if topic.name not in {place.intents, place.preferences}]
        for topic in created:
            kafka.create_topics([topic.name], partitions=topic.partitions, config=topic.config)
        return [topic.name for topic in created]

    def start(
        self, place: Place, directory: Path, *, clock: Literal["wall", "record"] = "wall", policy: Path | None = None
    ) -> contextlib.AbstractContextManager[Contender]:
        """Its processes, which keep what they store below `directory`.

        Args:
            place: its topics.
            directory: for state and logs.
            clock: only our own knows a bounded run by the records' clock; the peers' moment is always the record's.
            policy: only for our own; instead of the one it is named after.
        """
        if self.kind == "mesura":
            settings = worker_settings(place, policy or open_all_hours(self.policy, directory))
            if clock == "record":
                return workers(_by_record_clock(settings), 1, directory)
            return workers(settings, self.members, directory, self.tree)
        environment = self._environment(place)
        if self.kind == "kafka-streams":
            peer = java_peer()
            own = {**environment, "DATADIR": str(directory / place.group), "THREADS": str(self.members)}
            logging = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
            command = [str(peer.java), f"-Xmx{JAVA_HEAP}", logging, "-cp", peer.class_path, "mesura.peer.ContactGate"]
            return started(command, [own], directory)
        folders = [
            {**environment, "DATADIR": str(directory / f"{place.group}-{number}"), "PORT": str(free_port())}
            for number in range(self.members)
        ]
        if self.kind == "quix":
            return started([str(quix_python()), "-m", "bench.peers.quix_app"], folders, directory)
        return started(
            f'{sys.executable} -m bench.peers.faust_plain worker -l warn --web-port "$PORT"', folders, directory
        )

    def _environment(self, place: Place) -> dict[str, str]:
        return {
            "BOOTSTRAP": place.bootstrap_servers,
            "GID": place.group,
            "INTENTS": place.intents,
            "PREFERENCES": place.preferences,
            "APPROVED": place.outputs[0],
            "SUPPRESSED": place.outputs[1],
            "NP": str(PARTITIONS),
            "SESSION_SECONDS": str(SESSION_SECONDS),
            **dict(self.settings),
        }


def worker_settings(place: Place, policy: Path) -> WorkerSettings:
    """Of our own workers."""
    return WorkerSettings(
        bootstrap_servers=place.bootstrap_servers,
        policy_path=str(policy),
        application_id=place.group,
        topics=place.names,
        ops_port=0,
        erasure_key=ERASURE_KEY,
        session_timeout_seconds=SESSION_SECONDS,
    )


def _by_record_clock(settings: WorkerSettings) -> WorkerSettings:
    return structs.replace(settings, clock="record")


MESURA_STARTER: Final = Entrant("mesura, starter policy", "mesura", "starter")
MESURA: Final = Entrant("mesura", "mesura")
COMPILED_TREE: Final = ROOT / "build" / "compiled"
"""What `make compiled` writes."""

MESURA_COMPILED: Final = Entrant("mesura, compiled core", "mesura", tree=COMPILED_TREE)
MESURA_STARTER_COMPILED: Final = Entrant(
    "mesura, starter policy, compiled core", "mesura", "starter", tree=COMPILED_TREE
)
KAFKA_STREAMS: Final = Entrant("Kafka Streams", "kafka-streams", jit_share=0.4, keeps_state="disk")
KAFKA_STREAMS_10_MS: Final = Entrant(
    "Kafka Streams, 10 ms commits",
    "kafka-streams",
    settings=(("COMMIT_MS", "10"),),
    jit_share=0.4,
    keeps_state="disk",
)
QUIX: Final = Entrant("Quix Streams", "quix", keeps_state="disk")
QUIX_100_MS: Final = Entrant(
    "Quix Streams, 0.1 s checkpoints",
    "quix",
    settings=(("COMMIT_SECONDS", "0.1"),),
    keeps_state="disk",
)
FAUST: Final = Entrant("Faust agent with a Table", "faust", starts_before_its_backlog=True)

PEERS: Final = (KAFKA_STREAMS, QUIX, FAUST)
COMPILED: Final = (MESURA_COMPILED, MESURA_STARTER_COMPILED)
EVERYBODY: Final = (MESURA, KAFKA_STREAMS, MESURA_COMPILED, QUIX, FAUST, MESURA_STARTER, MESURA_STARTER_COMPILED)
"""The order of a round."""

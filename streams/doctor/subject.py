"""What is examined: a gate, as its commands would be told of it, and what its brokers list."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka.admin import AdminClient

from streams.connection.aiokafka_client import aiokafka_options
from streams.doctor.finding import NO_TOPICS, NOT_REACHED, SEE_CONNECTION, SEE_TOPICS, Finding, NotPossible, State
from streams.exactly_once.settings import EngineSettings
from streams.topics import DEFAULT_REPLICATION_FACTOR, input_topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from streams.connection.cluster import Cluster
    from streams.topics import TopicNames

ANSWER_SECONDS: Final = 10.0
"""A broker answers from memory what is asked here."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A gate and its surroundings."""

    cluster: Cluster
    names: TopicNames
    application_id: str
    replication_factor: int = DEFAULT_REPLICATION_FACTOR
    recorded_times: bool = False
    policy: Path | None = None
    erasure_key: str = ""
    """In hexadecimal; empty: none was given."""
    erasure_key_refusal: str = ""
    """Why the key that was given cannot be used."""
    listed: Mapping[str, Any] | None = None
    """The topics that exist and that we may see. None: no broker was reached."""
    now_ms: Callable[[], int] = _now_ms

    @property
    def topics(self) -> Mapping[str, Any]:
        """Of the gate's topics those that exist and that we may see.

        Raises:
            NotPossible: no broker was reached.
        """
        if self.listed is None:
            raise NotPossible(NOT_REACHED, SEE_CONNECTION)
        return {name: self.listed[name] for name in self.names.all() if name in self.listed}

    def unseen(self, check: str, names: Iterable[str]) -> Iterator[Finding]:
        """That some of these topics could not be looked at, if so.

        Raises:
            NotPossible: no broker was reached, or it is so of all of them.
        """
        wanted, seen = set(names), self.topics.keys()
        if not wanted & seen:
            raise NotPossible(NO_TOPICS, SEE_TOPICS)
        missing = sorted(wanted - seen)
        if missing:
            sentence = f"Not looked at, because they do not exist or we may not see them: {', '.join(missing)}."
            yield Finding(check, State.NOT_POSSIBLE, sentence, SEE_TOPICS)

    @property
    def engine(self) -> EngineSettings:
        """The settings with which the engine's own readers connect.

        Raises:
            ConnectionRefused: the connection cannot be used.
        """
        names = self.names
        return EngineSettings(
            bootstrap_servers=self.cluster.bootstrap_servers,
            input_topics=input_topics(
                intents=names.intents, opt_out=names.preferences, outcome=names.outcomes, rerouted=names.rerouted
            ),
            application_id=self.application_id,
            changelog_topic=names.ledger,
            control_topic=names.control,
            client_options=aiokafka_options(self.cluster.connection),
        )

    def admin(self) -> AdminClient:
        """A client for questions."""
        return AdminClient({**self.client_settings(), "log_level": 0})

    def client_settings(self) -> dict[str, object]:
        """For a librdkafka client that says nothing by itself and creates nothing."""
        return {
            **self.cluster.client_settings(),
            "allow.auto.create.topics": False,
            "log_level": 0,
            "error_cb": lambda _: None,
        }

"""Apache Kafka, one broker or three, whose further listeners send their clients through proxies."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Final

from streams.testing import kafka_directory
from streams.testing.kafka_cluster import NODES, KafkaCluster
from streams.testing.kafka_installation import install_kafka
from streams.testing.network import HOST, Link, Network
from streams.testing.real_kafka import RealKafka

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HEAP_MEGABYTES: Final = 768
"""For three million intents and as many answers; the rest of the memory is the page cache's."""

PROPERTIES: Final[Mapping[str, str]] = {
    # After a kill the broker reads again what it has not flushed, and it flushes a segment when it is full: with
    # segments of a gibibyte a start would take longer at the end of a campaign than at its beginning.
    "log.segment.bytes": str(32 * 1024 * 1024),
    # The outside check looks at the moment of every commit: no meta record may be compacted away while a campaign runs.
    "log.cleaner.min.compaction.lag.ms": str(24 * 3_600_000),
}


CLUSTER_HEAP_MEGABYTES: Final = 384
"""Of each of three: half of what one has to itself, because each leads a third of what it led."""


@dataclass(frozen=True)
class Way:
    """From one worker to every broker: what befalls it befalls all its connections."""

    address: str
    links: tuple[Link, ...]

    def set(self, **line: object) -> None:
        """What the line is like from now on."""
        for link in self.links:
            link.set(**line)

    def cut(self, *, refuses: bool) -> None:
        """Reset every connection."""
        for link in self.links:
            link.cut(refuses=refuses)

    def heal(self) -> None:
        """A good line again."""
        for link in self.links:
            link.heal()


class ProxiedKafka(RealKafka):
    """One Kafka node, and so many ways to it."""

    def __init__(self, network: Network, links: int, java_options: Sequence[str] = ()) -> None:
        super().__init__(heap_megabytes=HEAP_MEGABYTES, properties=PROPERTIES, java_options=java_options)
        self._ports = kafka_directory.free_ports(links)
        self.links: list[Link] = [network.link(port) for port in self._ports]
        self.ways = [Way(f"{HOST}:{link.port}", (link,)) for link in self.links]

    def start(self) -> None:
        """As every other; before the first start the listeners are written."""
        if self._directory is None:
            self._directory, self._port = kafka_directory.prepare_directory(install_kafka(), self._properties)
            self._add_listeners()
        super().start()

    def _add_listeners(self) -> None:
        path = self.data_directory / "server.properties"
        settings = dict(line.partition("=")[::2] for line in path.read_text().splitlines())
        for number, (port, link) in enumerate(zip(self._ports, self.links, strict=True)):
            settings["listeners"] += f",LINK{number}://{HOST}:{port}"
            settings["advertised.listeners"] += f",LINK{number}://{HOST}:{link.port}"
            settings["listener.security.protocol.map"] += f",LINK{number}:PLAINTEXT"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))


class ProxiedCluster(KafkaCluster):
    """Three nodes, and so many ways to all of them. `kill` strikes one after the other; `start` brings it back."""

    def __init__(self, network: Network, links: int, java_options: Sequence[str] = ()) -> None:
        names = [f"LINK{number}" for number in range(links)]
        super().__init__(
            heap_megabytes=CLUSTER_HEAP_MEGABYTES,
            listeners=dict.fromkeys(names, "PLAINTEXT"),
            properties=PROPERTIES,
            java_options=java_options,
            proxied=dict.fromkeys(names, network),
        )
        self.ways = [Way(self.addresses(name), tuple(self.links(name))) for name in names]
        self._victims = cycle(self.nodes)

    def kill(self) -> None:
        """kill -9 of the next node."""
        self.nodes[next(self._victims)].kill()


def proxied(brokers: int, network: Network, links: int, java_options: Sequence[str]) -> ProxiedKafka | ProxiedCluster:
    """One broker, or as many as a cluster has."""
    assert brokers in {1, NODES}, f"one broker or {NODES}"
    return (ProxiedKafka if brokers == 1 else ProxiedCluster)(network, links, java_options)

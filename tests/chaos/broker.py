"""Apache Kafka with more listeners: what a client of one of them is told to connect to is a proxy's port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.testing import kafka_directory
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


class ProxiedKafka(RealKafka):
    """One Kafka node, and so many links to it."""

    def __init__(self, network: Network, links: int, java_options: Sequence[str] = ()) -> None:
        super().__init__(heap_megabytes=HEAP_MEGABYTES, properties=PROPERTIES, java_options=java_options)
        self._ports = kafka_directory.free_ports(links)
        self.links: list[Link] = [network.link(port) for port in self._ports]

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

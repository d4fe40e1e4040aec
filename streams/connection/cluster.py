"""A cluster: where its brokers are, and how to connect to them."""

from __future__ import annotations

from dataclasses import dataclass

from streams.connection.librdkafka_client import librdkafka_settings
from streams.connection.source import UNSECURED, ConnectionSource


@dataclass(frozen=True, slots=True)
class Cluster:
    """`bootstrap_servers`: `host:port`, several separated by commas."""

    bootstrap_servers: str
    connection: ConnectionSource = UNSECURED

    def client_settings(self) -> dict[str, object]:
        """What a client made with librdkafka needs to connect. It holds secrets: for the client alone.

        Raises:
            ConnectionRefused: the connection cannot be used.
        """
        return {"bootstrap.servers": self.bootstrap_servers, **librdkafka_settings(self.connection)}

    def __str__(self) -> str:
        return self.bootstrap_servers

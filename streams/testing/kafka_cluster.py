"""Three real Apache Kafka brokers on loopback (KRaft), each of them a controller too.

    with KafkaCluster() as cluster:
        AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
        cluster.nodes[1].kill()
        cluster.nodes[1].start()
    with Network() as network, KafkaCluster(network=network) as cluster:
        cluster.cut_off(2)      # from the other brokers and controllers; clients still reach it
        cluster.heal(2)

Every topic has three replicas, of which two must have a write; so have Kafka's own topics for offsets and transactions.

How brokers are cut off from one another: each node finds the others by name, in a hosts file of its own, which gives
for each of them an address of loopback behind which a proxy stands. So each direction between each two nodes has a
proxy, and none of it needs more than a user's rights. Without a network there are no proxies, and replication costs no
more than it has to.
"""

from __future__ import annotations

import contextlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Self

from confluent_kafka.admin import AdminClient

from streams.testing.broker import KafkaAdmin
from streams.testing.kafka_directory import free_ports, new_cluster_id, prepare_directory
from streams.testing.kafka_installation import install_kafka
from streams.testing.network import HOST
from streams.testing.real_kafka import RealKafka
from streams.testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from streams.testing.network import Link, Network

NODES: Final = 3
MIN_INSYNC: Final = 2

HEAP_MEGABYTES: Final = 224
"""Of each node. 160 is too little for the log cleaner's and the coordinators' buffers together."""

ELECTION_SECONDS: Final = 30.0
"""How long the brokers may take to agree: an election takes one or two, on a busy machine several times that."""

_PROPERTIES: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "default.replication.factor": str(NODES),
    "min.insync.replicas": str(MIN_INSYNC),
    "offsets.topic.replication.factor": str(NODES),
    "transaction.state.log.replication.factor": str(NODES),
    "transaction.state.log.min.isr": str(MIN_INSYNC),
    # A follower that is behind leaves the set of those in sync this soon (30 s by default); three nodes on two cores
    # are late more often than they are gone, so not much sooner.
    "replica.lag.time.max.ms": "4000",
    # A controller that is gone is replaced this soon (1 and 2 s by default): as it is.
    "replica.socket.timeout.ms": "5000",
    # Leaders stay where a test has put them.
    "auto.leader.rebalance.enable": "false",
    # A node that shuts down hands its leaderships over first.
    "controlled.shutdown.enable": "true",
    # Two of three nodes share this machine with whoever is tested.
    "num.network.threads": "1",
    "num.io.threads": "3",
    "log.cleaner.dedupe.buffer.size": "8388608",
}


class ClusterNode(RealKafka):
    """One broker and controller of a cluster."""

    replication_factor = NODES

    def __init__(
        self, number: int, cluster_id: str, settings: Mapping[str, str], heap: int, java: Sequence[str]
    ) -> None:
        super().__init__(heap_megabytes=heap, properties=settings, java_options=java)
        self.number = number
        self._cluster_id = cluster_id
        self._client_port = int(settings["listeners"].partition("PLAINTEXT://")[2].partition(",")[0].rpartition(":")[2])

    def prepare(self) -> None:
        """Format its directory."""
        self._directory, _ = prepare_directory(install_kafka(), self._properties, self._cluster_id)
        self._port = self._client_port

    def quorum_state(self) -> dict[str, Any]:
        """What the node knows of the metadata's quorum."""
        path = self.data_directory / "data" / "__cluster_metadata-0" / "quorum-state"
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    @property
    def is_running(self) -> bool:
        """Whether its process was started and not ended since; frozen ones count."""
        return self._process is not None


class KafkaCluster(KafkaAdmin):
    """Three nodes, for as long as the block runs.

    Args:
        listeners: more of them for clients, by name: the security protocol. See `addresses`.
        properties: of every node; they replace or add to ours.
        network: where the proxies between the nodes stand; without it they cannot be cut off.
        java_options: of every node; see `real_kafka.SHORT_LIVED`.
        proxied: of the listeners, those whose clients come through proxies, and where these stand; see `links`.
    """

    replication_factor = NODES

    def __init__(
        self,
        *,
        heap_megabytes: int = HEAP_MEGABYTES,
        listeners: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        network: Network | None = None,
        java_options: Sequence[str] = (),
        proxied: Mapping[str, Network] | None = None,
    ) -> None:
        self._listeners = {"PLAINTEXT": "PLAINTEXT", **(listeners or {})}
        self._network = network
        self._links: dict[tuple[int, int], list[Link]] = {}
        numbers = range(1, NODES + 1)
        ports = iter(free_ports(NODES * (2 + len(self._listeners))))
        self._inside = {number: (next(ports), next(ports)) for number in numbers}
        """Of each node: the port of replication, and of its controller."""
        self._ports = {name: {number: next(ports) for number in numbers} for name in self._listeners}
        self._proxies = {
            name: {number: through.link(port) for number, port in self._ports[name].items()}
            for name, through in (proxied or {}).items()
        }
        cluster_id = new_cluster_id()
        self.nodes = {
            number: ClusterNode(
                number,
                cluster_id,
                {**_PROPERTIES, **self._own(number), **(properties or {})},
                heap_megabytes,
                list(java_options),
            )
            for number in numbers
        }

    @property
    def bootstrap_servers(self) -> str:
        """Of all nodes, without encryption or login."""
        return self.addresses("PLAINTEXT")

    def addresses(self, listener: str) -> str:
        """Of all nodes: the `host:port` list to give to clients."""
        return ",".join(f"{HOST}:{self._told_port(listener, number)}" for number in self._ports[listener])

    def links(self, listener: str) -> list[Link]:
        """The proxies through which clients of this listener come, one for each node."""
        return list(self._proxies[listener].values())

    def _told_port(self, listener: str, number: int) -> int:
        """Where clients are told to connect."""
        proxies = self._proxies.get(listener)
        return self._ports[listener][number] if proxies is None else proxies[number].port

    def start(self) -> None:
        """Start all that do not run, at once: alone a node does not answer."""
        with ThreadPoolExecutor(NODES) as threads:
            for started in [threads.submit(self._begin, node) for node in self.nodes.values() if not node.is_running]:
                started.result()
        wait_until(lambda: len(self.brokers()) == NODES, ELECTION_SECONDS, "every broker in the metadata")

    def stop(self) -> None:
        """End all nodes and remove their data."""
        with ThreadPoolExecutor(NODES) as threads:
            for ended in [threads.submit(self._end, node) for node in self.nodes.values()]:
                ended.result()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self.stop)
            self._open_links()
            self.start()
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # Who is there, and who leads

    def admin(self) -> AdminClient:
        """A client of those nodes that run."""
        running = [self._ports["PLAINTEXT"][number] for number, node in self.nodes.items() if node.is_running]
        return AdminClient({"bootstrap.servers": ",".join(f"{HOST}:{port}" for port in running), "log_level": 0})

    def brokers(self) -> set[int]:
        """The numbers of the brokers that the controller takes for alive."""
        return set(self.admin().list_topics(timeout=ELECTION_SECONDS).brokers)

    def sees(self, asked: int, number: int) -> bool:
        """Whether one node takes another for alive. Who was cut off still answers, by what it knew before."""
        admin = AdminClient({"bootstrap.servers": f"{HOST}:{self._ports['PLAINTEXT'][asked]}", "log_level": 0})
        return number in admin.list_topics(timeout=ELECTION_SECONDS).brokers

    def controller(self) -> int:
        """The number of the active controller: the leader of the metadata's quorum; -1 during an election.

        Asked of the nodes' own files, because a broker names any other as the controller to its clients (KIP-919).
        """
        states = [node.quorum_state() for node in self.nodes.values() if node.is_running]
        return int(max(states, key=lambda state: state["leaderEpoch"])["leaderId"])

    def leaders(self, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        """The leader of each partition; -1: none."""
        found = self.admin().list_topics(timeout=ELECTION_SECONDS).topics
        return {
            (topic, number): partition.leader
            for topic in topics
            for number, partition in found[topic].partitions.items()
        }

    def wait_in_sync(self) -> None:
        """Until every partition has all its replicas in sync."""
        wait_until(self._is_in_sync, ELECTION_SECONDS * 2, "every replica in sync", poll_seconds=0.1)

    def _is_in_sync(self) -> bool:
        topics = self.admin().list_topics(timeout=ELECTION_SECONDS).topics.values()
        return all(len(each.isrs) == len(each.replicas) for topic in topics for each in topic.partitions.values())

    # Cuts

    def cut_off(self, number: int) -> None:
        """Nothing passes between this node and the others, in neither direction, until `heal`."""
        for link in self._links_of(number):
            link.cut(refuses=True)

    def heal(self, number: int) -> None:
        """After `cut_off`."""
        for link in self._links_of(number):
            link.heal()

    def _links_of(self, number: int) -> Iterator[Link]:
        assert self._network is not None, "a cluster without a network cannot be cut"
        for way, links in self._links.items():
            if number in way:
                yield from links

    def _open_links(self) -> None:
        if self._network is None:
            return
        for source in self._inside:
            for target, ports in self._inside.items():
                if source != target:
                    host = _way(source, target)
                    self._links[source, target] = [self._network.link(port, host, port) for port in ports]

    def _write_hosts(self, node: ClusterNode) -> None:
        """Where the node finds itself and the others."""
        direct = self._network is None
        lines = [
            f"{HOST if direct or target == node.number else _way(node.number, target)} {_name(target)}"
            for target in self._inside
        ]
        names = {"localhost", socket.gethostname()}
        path = node.data_directory / "hosts"
        path.write_text("\n".join([*lines, *(f"{HOST} {name}" for name in names)]) + "\n")
        node._java_options.append(f"-Djdk.net.hosts.file={path}")  # noqa: SLF001

    def _own(self, number: int) -> dict[str, str]:
        """What differs from node to node."""
        replication, controller = self._inside[number]
        clients = [f"{name}://{HOST}:{ports[number]}" for name, ports in self._ports.items()]
        told = [f"{name}://{HOST}:{self._told_port(name, number)}" for name in self._ports]
        return {
            "node.id": str(number),
            "controller.quorum.voters": ",".join(f"{n}@{_name(n)}:{port}" for n, (_, port) in self._inside.items()),
            "listeners": ",".join(
                [*clients, f"REPLICATION://{HOST}:{replication}", f"CONTROLLER://{HOST}:{controller}"]
            ),
            "advertised.listeners": ",".join(
                [*told, f"REPLICATION://{_name(number)}:{replication}", f"CONTROLLER://{_name(number)}:{controller}"]
            ),
            "listener.security.protocol.map": ",".join(
                [
                    *(f"{name}:{protocol}" for name, protocol in self._listeners.items()),
                    "REPLICATION:PLAINTEXT",
                    "CONTROLLER:PLAINTEXT",
                ]
            ),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "REPLICATION",
        }

    def _begin(self, node: ClusterNode) -> None:
        if node._directory is None:  # noqa: SLF001
            node.prepare()
            self._write_hosts(node)
        node.start()

    @staticmethod
    def _end(node: ClusterNode) -> None:
        # In good order a node would first hand over to others that are ending too.
        if node.is_running:
            with contextlib.suppress(Exception):
                node.thaw()
            with contextlib.suppress(Exception):
                node.kill()
        node.stop()


def _name(number: int) -> str:
    return f"node-{number}.test"


def _way(source: int, target: int) -> str:
    """The address under which one node finds another."""
    return f"127.0.{100 + source}.{100 + target}"

"""A Kafka broker without Java, Docker or network: librdkafka's mock cluster, in a process of its own, on loopback.

    with EmbeddedBroker(partitions=8) as broker:
        broker.create_topics(["outbound-intent", "opt-out"])
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers)

The mock cluster is part of the `confluent-kafka` wheel, whose Python side shows only a configuration switch for it. Its
C functions are public (`rdkafka_mock.h`), so this module calls them directly: that is what gives topics the number of
partitions asked for, and tests the means to take the broker down, delay it, or make it answer with errors.

It lives in a process of its own because a test may want to kill whatever runs beside it, and because a broker that
shares our interpreter would share our garbage collection and our crashes.

What it is not
- It keeps about 5 MiB (`KEPT_BYTES`) and 100 000 batches per partition, in memory, and drops the oldest beyond that as
  if retention had deleted them. Larger loads belong on Apache Kafka (`real_kafka`).
- It does not know CreateTopics: topics come from `create_topics` here, or appear with `AUTO_CREATED_PARTITIONS`
  partitions when some client asks for their metadata.
- Transactions are only for show: open and aborted ones are read, nobody is fenced, and offsets sent in one are not
  stored. Their markers are in the log, but with checksum 0: aiokafka needs `check_crcs=False` to read past one.
- Topics have no settings: no compaction, no append time, no size limit, no retention.
- A group of two members may never come to share: who syncs after the leader is refused. librdkafka's members get along,
  aiokafka's do not. A rebalance of a group that has members takes the session timeout less a second.

`tests/brokers/test_broker_contract.py` has all of it as strict expected failures. What this broker accepts proves
nothing about exactness.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import ctypes.util
import importlib.metadata
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final

from streams.testing.errors import BrokerNotAvailableError
from streams.testing.held_process import HeldProcess
from streams.testing.parent_watch import Answer, Command, ParentWatch, write_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

KEPT_BYTES: Final = 5 * 1024 * 1024
"""What a partition of the mock keeps (fixed in librdkafka); the oldest batches beyond it are dropped."""

AUTO_CREATED_PARTITIONS: Final = 4
"""Partitions of a topic that appears because its metadata was asked for (fixed in librdkafka)."""

DEFAULT_PARTITIONS: Final = 8

_LIBRDKAFKA_PRODUCER: Final = 0
_MODULE: Final = "streams.testing.embedded_broker"


class EmbeddedBroker:
    """One mock cluster in a process that ends with this one, whatever ends this one.

    Args:
        partitions: of each topic created by `create_topics` that does not say otherwise.
        brokers: how many loopback addresses the cluster has. One is enough unless a test moves leaders.

    Raises:
        BrokerNotAvailableError: the wheel brings no librdkafka this module can call.
    """

    def __init__(self, *, partitions: int = DEFAULT_PARTITIONS, brokers: int = 1) -> None:
        if partitions < 1 or brokers < 1:
            raise ValueError("partitions and brokers must be at least 1")
        self.partitions = partitions
        self.brokers = brokers
        self._process: HeldProcess | None = None
        self._bootstrap_servers = ""

    is_embedded = True
    replication_factor = 1

    @property
    def bootstrap_servers(self) -> str:
        """The `host:port` list to give to clients. Only while the broker runs."""
        if self._process is None:
            raise BrokerNotAvailableError("the embedded broker is not running: use it as a context manager")
        return self._bootstrap_servers

    @property
    def pid(self) -> int:
        """The process id of the broker."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait for its address."""
        assert self._process is None, "already started"
        process = HeldProcess(_MODULE, "--brokers", str(self.brokers))
        try:
            self._bootstrap_servers = str(process.read()["bootstrap_servers"])
        except BrokerNotAvailableError:
            process.stop()
            raise
        self._process = process

    def stop(self) -> None:
        """End the process; everything it kept is gone. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.stop()

    def __enter__(self) -> EmbeddedBroker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def create_topics(
        self,
        names: Iterable[str],
        *,
        partitions: int | None = None,
        config: Mapping[str, str] | None = None,  # noqa: ARG002  # the same call works on Apache Kafka
    ) -> None:
        """Create topics with this many partitions (the broker's number by default). `config` is ignored: it has none.

        Raises:
            RefusedError: one of them exists already.
        """
        for name in names:
            self._ask("create_topic", topic=name, partitions=partitions or self.partitions)

    def delete_records(self, topic: str, partition: int, *, before_offset: int) -> None:
        """Move the start of a partition's log forward, as retention does."""
        self._ask("delete_records", topic=topic, partition=partition, before_offset=before_offset)

    def go_down(self) -> None:
        """Close every connection and refuse new ones; what was stored stays."""
        for broker in range(1, self.brokers + 1):
            self._ask("set_down", broker=broker)

    def come_up(self) -> None:
        """Accept connections again after `go_down`."""
        for broker in range(1, self.brokers + 1):
            self._ask("set_up", broker=broker)

    def set_round_trip(self, milliseconds: int) -> None:
        """Delay every answer by this much."""
        for broker in range(1, self.brokers + 1):
            self._ask("set_round_trip", broker=broker, milliseconds=milliseconds)

    def fail_requests(self, api_key: int, error_codes: Sequence[int]) -> None:
        """Answer the next requests of a kind with these Kafka error codes, one each.

        Example: `fail_requests(0, [7])` times out the next produce request.
        """
        self._ask("fail_requests", api_key=api_key, error_codes=list(error_codes))

    def _ask(self, do: str, **arguments: str | int | list[int]) -> None:
        if self._process is None:
            raise BrokerNotAvailableError("the embedded broker is not running: use it as a context manager")
        self._process.ask({"do": do, **arguments})


class _MockCluster:
    """librdkafka's mock cluster in this process, through its public C functions."""

    def __init__(self, brokers: int) -> None:
        self._library = _load_librdkafka()
        self._declare()
        error = ctypes.create_string_buffer(512)
        configuration = self._library.rd_kafka_conf_new()
        # The client is only the mock's anchor and never connects: without this it warns that it has no address.
        self._library.rd_kafka_conf_set(configuration, b"log_level", b"3", error, len(error))
        self._client = self._library.rd_kafka_new(_LIBRDKAFKA_PRODUCER, configuration, error, len(error))
        if not self._client:
            raise BrokerNotAvailableError(f"librdkafka refused to start: {error.value.decode()}")
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, brokers)
        if not self._cluster:
            raise BrokerNotAvailableError("librdkafka could not start a mock cluster on loopback")
        # Without a controller, admin requests time out instead of being refused at once.
        self._library.rd_kafka_mock_set_controller_id(self._cluster, 1)
        # Real groups wait 3 s for more members at their first start; nobody wants that in a test.
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)

    @property
    def bootstrap_servers(self) -> str:
        value: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return value.decode()

    def answer(self, command: Command) -> Answer:
        arguments = dict(command)
        code = getattr(self, "_do_" + arguments.pop("do"))(**arguments)
        if code:
            name: bytes = self._library.rd_kafka_err2str(code)
            return {"error": f"{command['do']}: {name.decode()}"}
        return {"ok": True}

    def _declare(self) -> None:
        text, number, long, pointer = ctypes.c_char_p, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
        for name, result, arguments in (
            ("rd_kafka_conf_new", pointer, []),
            ("rd_kafka_conf_set", number, [pointer, text, text, text, ctypes.c_size_t]),
            ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
            ("rd_kafka_err2str", text, [number]),
            ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
            ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
            ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, [pointer, ctypes.c_int32]),
            ("rd_kafka_mock_set_controller_id", None, [pointer, ctypes.c_int32]),
            ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
            ("rd_kafka_mock_partition_delete_records", number, [pointer, text, ctypes.c_int32, long]),
            ("rd_kafka_mock_broker_set_down", number, [pointer, ctypes.c_int32]),
            ("rd_kafka_mock_broker_set_up", number, [pointer, ctypes.c_int32]),
            ("rd_kafka_mock_broker_set_rtt", number, [pointer, ctypes.c_int32, number]),
            ("rd_kafka_mock_push_request_errors_array", None, [pointer, ctypes.c_int16, ctypes.c_size_t, pointer]),
        ):
            function = getattr(self._library, name)
            function.restype = result
            function.argtypes = arguments

    def _do_create_topic(self, topic: str, partitions: int) -> int:
        return int(self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1))

    def _do_delete_records(self, topic: str, partition: int, before_offset: int) -> int:
        delete = self._library.rd_kafka_mock_partition_delete_records
        return int(delete(self._cluster, topic.encode(), partition, before_offset))

    def _do_set_down(self, broker: int) -> int:
        return int(self._library.rd_kafka_mock_broker_set_down(self._cluster, broker))

    def _do_set_up(self, broker: int) -> int:
        return int(self._library.rd_kafka_mock_broker_set_up(self._cluster, broker))

    def _do_set_round_trip(self, broker: int, milliseconds: int) -> int:
        return int(self._library.rd_kafka_mock_broker_set_rtt(self._cluster, broker, milliseconds))

    def _do_fail_requests(self, api_key: int, error_codes: list[int]) -> int:
        codes = (ctypes.c_int * len(error_codes))(*error_codes)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, api_key, len(error_codes), codes)
        return 0


def _load_librdkafka() -> ctypes.CDLL:
    """The librdkafka that the installed `confluent-kafka` brings, else the system's."""
    candidates = [
        str(file.locate())
        for file in importlib.metadata.files("confluent-kafka") or ()
        if file.name.startswith("librdkafka") and (".so" in file.name or file.suffix in {".dylib", ".dll"})
    ]
    system = ctypes.util.find_library("rdkafka")
    for candidate in [*candidates, *filter(None, [system])]:
        library = ctypes.CDLL(candidate)
        if hasattr(library, "rd_kafka_mock_topic_create"):
            return library
    raise BrokerNotAvailableError(
        "no librdkafka with a mock cluster was found: the wheel of confluent-kafka brings one"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a mock cluster until nobody holds it, or in the foreground until interrupted."""
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description=main.__doc__)
    parser.add_argument("--brokers", type=int, default=1)
    parser.add_argument("--holder", type=int, default=None, help="process id of who holds us; default: run in front")
    options = parser.parse_args(arguments)
    if options.holder is not None:
        # An interrupt typed at a terminal reaches the whole group; our holder decides when we end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        cluster = _MockCluster(options.brokers)
    except BrokerNotAvailableError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.holder is None:
        # Before the address is told: whoever reads it may end us at once.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            write_line({"bootstrap_servers": cluster.bootstrap_servers})
            threading.Event().wait()
    else:
        write_line({"bootstrap_servers": cluster.bootstrap_servers})
        ParentWatch(holder_process_id=options.holder, on_command=cluster.answer).serve()
    # Not a tidy shutdown: librdkafka would wait for its threads, and there is nothing to save.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())

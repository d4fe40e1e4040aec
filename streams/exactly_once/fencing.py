# ruff: noqa: SLF001, ANN401 - one of the places for names of library_internals.py; aiokafka is untyped
"""Transactions of a group member: offsets are committed with the member's generation (KIP-447).

Rules of this module
1. A transaction of a member whose generation is over is refused by the group coordinator, so nothing of it is ever
   seen. An accepted offset commit therefore proves that the worker still owned its partitions at that moment.
2. Two things differ from aiokafka's own producer. It speaks only version 0 of that request, TxnOffsetCommit; and it
   makes the group part of the transaction just before, whereas here that happens while the records are under way. This
   earlier moment proves nothing and commits nothing; it only saves a round trip that a decision would wait for.

Brokers older than Apache Kafka 2.5 do not know version 3 of the request; aiokafka then refuses to send it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiokafka
from aiokafka.errors import GroupAuthorizationFailedError
from aiokafka.producer import sender
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from streams.exactly_once.witnesses import METADATA_MAX_AGE_MS, witnessed

if TYPE_CHECKING:
    from streams.exactly_once.settings import EngineSettings

MARKER_BACKOFF_SECONDS: Final = 0.002
"""Pause before asking again whether the previous transaction's markers are written. aiokafka's 20 ms would be most of
the latency of a decision; the broker answers such a question in well under a millisecond."""

RETRY_BACKOFF_MS: Final = 5
"""Pause after other retriable answers; among them one that Kafka 4 gives while it verifies a partition in a
transaction. aiokafka's 100 ms would be paid by every tenth transaction."""

MAX_PRODUCED_BATCH_BYTES: Final = 1_000_000
"""Size of the record batches a lane writes; below Kafka's default `message.max.bytes` of 1 048 588. A record that is
larger goes in a batch of its own, up to the limit of its topic."""


NOT_COMPRESSED: Final = 0


class Membership(NamedTuple):
    """What a consumer group member shows with its offsets."""

    generation: int
    member_id: str


NO_MEMBERSHIP: Final = Membership(-1, "")
"""Never shown to a broker: an empty group would accept offsets from it, whoever owns the partitions."""


class _TxnOffsetCommitResponseV3(Response):  # type: ignore[misc]
    API_KEY = 28
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "errors",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partition_errors",
                    CompactArray(("partition", Int32), ("error_code", Int16), ("tags", TaggedFields)),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _TxnOffsetCommitRequestV3(RequestStruct):  # type: ignore[misc]
    API_KEY = 28
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _TxnOffsetCommitResponseV3
    SCHEMA = Schema(
        ("transactional_id", CompactString("utf-8")),
        ("group_id", CompactString("utf-8")),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation_id", Int32),
        ("member_id", CompactString("utf-8")),
        ("group_instance_id", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _TxnOffsetCommit(Request[_TxnOffsetCommitRequestV3]):  # type: ignore[misc]
    API_KEY = 28

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def build(self, request_struct_class: type[_TxnOffsetCommitRequestV3]) -> _TxnOffsetCommitRequestV3:
        return request_struct_class(*self._fields)


class _PlainResponse(NamedTuple):
    """A version 3 response in the shape of version 0, which aiokafka's handler reads."""

    errors: list[tuple[str, list[tuple[int, int]]]]


class _FencedOffsetsHandler(sender.TxnOffsetCommitHandler):  # type: ignore[misc]
    """Sends the offsets with generation and member id. An answer aiokafka does not know ends the producer."""

    def create_request(self) -> _TxnOffsetCommit:
        transaction = self._sender._txn_manager
        settings: EngineSettings = self._sender.engine_settings
        generation, member_id = self._sender.membership
        assert generation >= 0, "offsets of a worker that is no member"
        assert self._group_id == settings.application_id, "offsets of a group that is not part of the transaction"
        partitions: dict[str, list[tuple[int, int, int, str, dict[int, bytes]]]] = defaultdict(list)
        for partition, offset in sorted(self._offsets.items()):
            partitions[partition.topic].append((partition.partition, offset.offset, -1, offset.metadata, {}))
        return _TxnOffsetCommit(
            transaction.transactional_id,
            self._group_id,
            transaction.producer_id,
            transaction.producer_epoch,
            generation,
            member_id,
            settings.group_instance_id,
            [(topic, of_topic, {}) for topic, of_topic in partitions.items()],
            {},
        )

    def handle_response(self, response: Any) -> float | None:
        backoff: float | None = super().handle_response(
            _PlainResponse(
                [
                    (topic, [(partition, code) for partition, code, _ in partitions])
                    for topic, partitions, _ in response.errors
                ]
            )
        )
        return backoff


class _NotingProduceHandler(sender.SendProduceReqHandler):  # type: ignore[misc]
    """Keeps what the brokers refused, though it is tried again: else nobody would know what a transaction waits for."""

    def _can_retry(self, error: BaseException, batch: Any) -> bool:
        can_retry: bool = super()._can_retry(error, batch)
        if can_retry:
            self._sender.refusal = f"{type(error).__name__} from {batch.tp.topic}-{batch.tp.partition}"
        return can_retry


class _FencedSender(sender.Sender):  # type: ignore[misc]
    """aiokafka's sender, but for the request that commits offsets and the one that announces it."""

    engine_settings: EngineSettings
    membership: Membership
    refusal: str

    async def _send_produce_req(self, node_id: int, batches: Any) -> None:
        await _NotingProduceHandler(self, batches).do(node_id)
        self._in_flight.remove(node_id)
        for partition in batches:
            self._muted_partitions.remove(partition)

    def _maybe_do_transactional_request(self) -> asyncio.Task[Any] | None:
        task: asyncio.Task[Any] | None = super()._maybe_do_transactional_request()
        if task is not None:
            return task
        transaction = self._txn_manager
        is_group_missing = transaction.txn_partitions and transaction._txn_consumer_group is None
        if transaction.is_in_transaction() and is_group_missing:
            return asyncio.create_task(self._do_add_offsets_to_txn(self.engine_settings.application_id))
        return None

    async def _do_txn_offset_commit(self, offsets: Any, group_id: str) -> None:
        if not offsets:
            return
        try:
            node_id = await self._find_coordinator(sender.CoordinationType.GROUP, group_id)
        except GroupAuthorizationFailedError as error:
            self._txn_manager.error_transaction(error)
            return
        await _FencedOffsetsHandler(self, offsets, group_id).do(node_id)


class FencedProducer(aiokafka.AIOKafkaProducer):  # type: ignore[misc]
    """A transactional producer that acts for one member of the consumer group."""

    def __init__(self, settings: EngineSettings, transactional_id: str) -> None:
        super().__init__(
            bootstrap_servers=settings.bootstrap_servers,
            transactional_id=transactional_id,
            transaction_timeout_ms=settings.transaction_timeout_ms,
            max_batch_size=MAX_PRODUCED_BATCH_BYTES,
            linger_ms=0,
            retry_backoff_ms=RETRY_BACKOFF_MS,
            compression_type=settings.compression_type,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            **settings.client_options,
        )
        witnessed(self.client)
        sender.BACKOFF_OVERRIDE = MARKER_BACKOFF_SECONDS
        self._sender.__class__ = _FencedSender
        self._sender.engine_settings = settings
        self._sender.membership = NO_MEMBERSHIP
        self._sender.refusal = ""

    @property
    def refusal(self) -> str:
        """What the brokers refused last in this transaction, to be tried again; empty: nothing."""
        refusal: str = self._sender.refusal
        return refusal

    async def begin_transaction(self) -> None:
        """Begin; nothing has been refused."""
        self._sender.refusal = ""
        await super().begin_transaction()

    def create_smaller_batch(self, max_bytes: int) -> BatchBuilder:
        """An empty batch for a topic that takes less than `MAX_PRODUCED_BATCH_BYTES`."""
        return BatchBuilder(max_bytes, NOT_COMPRESSED, is_transactional=True)

    def act_for(self, membership: Membership) -> None:
        """Show this generation and member id from now on."""
        self._sender.membership = membership

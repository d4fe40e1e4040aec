"""Every private name of Faust and aiokafka that the engine touches, and what for; and what connections rely on.

Both are pinned exactly. `tests/engine/test_canaries.py` looks each name up and says which one an upgrade has broken.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class PrivateName(NamedTuple):
    """`owner` is `module:object`; `name` an attribute of it, or text its source must contain."""

    owner: str
    name: str
    used_for: str


ATTRIBUTES: Final = (
    PrivateName("aiokafka.consumer.fetcher:PartitionRecords", "_unpack_records", "yields record batches instead"),
    PrivateName("aiokafka.consumer.fetcher:PartitionRecords", "_consume_aborted_up_to", "skips aborted transactions"),
    PrivateName("aiokafka.consumer.fetcher:PartitionRecords", "_contains_abort_marker", "skips aborted transactions"),
    PrivateName("aiokafka.consumer.fetcher:Fetcher", "fetched_records", "polls"),
    PrivateName("aiokafka.record.default_records", "_DefaultRecordBatchPy", "reads header names that are not UTF-8"),
    PrivateName("aiokafka.record.default_records:_DefaultRecordBatchPy", "_maybe_uncompress", "the same"),
    PrivateName("aiokafka.record.default_records:_DefaultRecordBatchPy", "_read_msg", "the same, within the batch"),
    PrivateName("aiokafka.record.util", "decode_varint_py", "the same"),
    *(
        PrivateName(f"aiokafka.record.{module}", f"{codec}_decode", "unpacks within limits")
        for module in ("default_records", "legacy_records", "_crecords.default_records")
        for codec in ("gzip", "snappy", "lz4", "zstd")
        if (module, codec) != ("legacy_records", "zstd")
    ),
    PrivateName("aiokafka.record.legacy_records:_LegacyRecordBatchPy", "_read_all_headers", "reads old messages"),
    PrivateName("aiokafka.record.legacy_records:_LegacyRecordBatchPy", "_read_header", "the same"),
    PrivateName("aiokafka.record.legacy_records:_LegacyRecordBatchPy", "_read_key_value", "the same"),
    PrivateName("aiokafka.consumer.fetcher", "MemoryRecords", "splits what was fetched"),
    PrivateName(
        "aiokafka.consumer.group_coordinator:GroupCoordinator", "check_errors", "ends a worker without a group"
    ),
    PrivateName(
        "aiokafka.consumer.group_coordinator:GroupCoordinator",
        "fetch_committed_offsets",
        "sees the note beside an offset",
    ),
    PrivateName("aiokafka.client:AIOKafkaClient", "_metadata_update", "asks several brokers"),
    PrivateName("aiokafka.client:AIOKafkaClient", "_get_conn", "the same"),
    PrivateName("aiokafka.client:AIOKafkaClient", "coordinator_lookup", "the same"),
    PrivateName("aiokafka.client:AIOKafkaClient", "force_metadata_update", "after a bound that nobody confirms"),
    PrivateName("aiokafka.client", "create_conn", "reads user and password at each login (streams/connection)"),
    PrivateName("aiokafka.producer.sender", "BACKOFF_OVERRIDE", "waits 2 ms, not 20, for the previous markers"),
    PrivateName("aiokafka.producer.sender", "TxnOffsetCommitHandler", "sends generation and member id"),
    PrivateName("aiokafka.producer.sender:Sender", "_do_txn_offset_commit", "chooses our handler"),
    PrivateName("aiokafka.producer.sender:Sender", "_find_coordinator", "finds the group coordinator"),
    PrivateName("aiokafka.producer.sender:Sender", "_send_produce_req", "keeps what was refused and tried again"),
    PrivateName("aiokafka.producer.sender:SendProduceReqHandler", "_can_retry", "the same"),
    PrivateName(
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread", "_create_worker_consumer", "our own consumer"
    ),
    PrivateName("faust.transport.drivers.aiokafka:AIOKafkaConsumerThread", "_fetch_records", "polls fetched records"),
    PrivateName("faust.transport.drivers.aiokafka:AIOKafkaConsumerThread", "_ensure_consumer", "reaches the consumer"),
    PrivateName("faust.transport.drivers.aiokafka:Consumer", "_new_consumer_thread", "our own thread"),
    PrivateName("faust.transport.drivers.aiokafka:Producer", "_settings_auth", "connects as every other client"),
    PrivateName("faust.transport.drivers.aiokafka:Consumer", "_getmany", "polls through the thread"),
    PrivateName("faust.transport.drivers.aiokafka:Consumer", "_get_active_partitions", "partitions not paused"),
    PrivateName("faust.transport.drivers.aiokafka:Consumer", "perform_seek", "must not seek to group offsets"),
    PrivateName("faust.transport.drivers:TRANSPORTS", "aliases", "registers the transport"),
    PrivateName("faust.tables.manager:TableManager", "recovery", "our own recovery"),
    PrivateName("faust.tables.manager:TableManager", "_update_channels", "starts without waiting a second"),
    PrivateName("faust.tables.recovery:Recovery", "_restart_recovery", "restores in bulk instead of replaying"),
    PrivateName("faust.tables.recovery:Recovery", "_slurp_changelogs", "nothing to slurp"),
    PrivateName("faust.tables.recovery:Recovery", "_set_recovery_started", "as the original does"),
    PrivateName("faust.tables.recovery:Recovery", "_set_recovery_ended", "as the original does"),
    PrivateName("faust.tables.recovery:Recovery", "_wait", "is interrupted by the next rebalance"),
    PrivateName("faust.tables.recovery:Recovery", "on_recovery_completed", "resumes the flow"),
)
"""Looked up with `getattr`."""

IN_SOURCE: Final = (
    PrivateName(
        "aiokafka.client:AIOKafkaClient", "sasl_plain_password=self._sasl_plain_password", "passed on as given"
    ),
    PrivateName(
        "aiokafka.client:AIOKafkaClient", "sasl_plain_username is None or sasl_plain_password is None", "not looked at"
    ),
    PrivateName("aiokafka.client:AIOKafkaClient", "self._conns = {}", "left: connections to brokers that are gone"),
    PrivateName("aiokafka.client:AIOKafkaClient", "conn_id = (node_id, group)", "the same"),
    PrivateName("aiokafka.client:AIOKafkaClient", "not in current metadata", "a broker that is gone is not ready"),
    PrivateName("aiokafka.client:AIOKafkaClient", "await self._metadata_update(self.cluster, topics)", "ours instead"),
    PrivateName("aiokafka.cluster:ClusterMetadata", "self._partitions = {}", "replicas of a partition"),
    PrivateName(
        "aiokafka.cluster:ClusterMetadata",
        "for p_error, partition, leader, replicas, isr, *_ in partitions",
        "shape of merged metadata",
    ),
    PrivateName(
        "aiokafka.consumer.consumer:AIOKafkaConsumer", "self._client = AIOKafkaClient(", "asks several brokers"
    ),
    PrivateName("aiokafka.producer.producer:AIOKafkaProducer", "self.client = AIOKafkaClient(", "asks several brokers"),
    PrivateName("asyncio.sslproto:SSLProtocol", "self._sslcontext.wrap_bio(", "each handshake by what is on disk"),
    PrivateName("aiokafka.consumer.fetcher:Fetcher", "self._fetch_max_wait_ms,", "waits longer at rest"),
    PrivateName("aiokafka.consumer.fetcher:Fetcher", "self._fetch_min_bytes,", "the same"),
    PrivateName("aiokafka.consumer.fetcher:Fetcher", "backoff=self._prefetch_backoff", "waits less for full queues"),
    PrivateName("aiokafka.consumer.fetcher:FetchResult", "self._partition_records = partition_records", "converted"),
    PrivateName(
        "aiokafka.consumer.fetcher:PartitionRecords", "self._records_iterator = self._unpack_records()", "converted"
    ),
    PrivateName("aiokafka.consumer.fetcher:PartitionRecords", "self._records = records", "read by batch"),
    PrivateName("aiokafka.consumer.fetcher:PartitionRecords", "self._aborted_producers = set()", "filter"),
    PrivateName("aiokafka.consumer.fetcher:PartitionRecords", "self._isolation_level = isolation_level", "filter"),
    PrivateName("aiokafka.consumer.fetcher:PartitionRecords", "self._check_crcs = check_crcs", "filter"),
    PrivateName("aiokafka.consumer.fetcher:PartitionRecords", "self._tp = tp", "names the partition"),
    PrivateName(
        "aiokafka.consumer.fetcher:PartitionRecords", "self.next_fetch_offset = next_batch.next_offset", "position"
    ),
    PrivateName("aiokafka.consumer.fetcher:Fetcher", "self._records = collections.OrderedDict()", "replaced"),
    PrivateName("aiokafka.consumer.fetcher:Fetcher", "self._records[tp] = FetchResult(", "converted on entry"),
    PrivateName("aiokafka.consumer.fetcher:Fetcher", "records = MemoryRecords(part_data[-1])", "ours instead"),
    PrivateName(
        "aiokafka.record.default_records:_DefaultRecordBatchPy",
        'h_key = buffer[pos : pos + h_key_len].decode("utf-8")',
        "reads header names that are not UTF-8",
    ),
    PrivateName(
        "aiokafka.record.default_records:_DefaultRecordBatchPy", "self._buffer = bytearray(uncompressed)", "the same"
    ),
    PrivateName("aiokafka.consumer.fetcher:Fetcher", "self._closed = False", "ends polling"),
    PrivateName("aiokafka.consumer.fetcher:Fetcher", "self._subscriptions = subscriptions", "counts polls"),
    PrivateName("aiokafka.consumer.consumer:AIOKafkaConsumer", "self._fetcher = Fetcher(", "polls"),
    PrivateName("aiokafka.consumer.consumer:AIOKafkaConsumer", "self._coordinator = GroupCoordinator(", "generation"),
    PrivateName("aiokafka.consumer.consumer:AIOKafkaConsumer", "self._closed = False", "ends polling"),
    PrivateName("aiokafka.consumer.group_coordinator:GroupCoordinator", "self.generation = ", "shown with offsets"),
    PrivateName("aiokafka.consumer.group_coordinator:GroupCoordinator", "self.member_id = ", "shown with offsets"),
    PrivateName("aiokafka.producer.producer:AIOKafkaProducer", "self._sender = Sender(", "ours instead"),
    PrivateName("aiokafka.producer.sender:Sender", "TxnOffsetCommitHandler(self, offsets, group_id)", "ours instead"),
    PrivateName("aiokafka.producer.sender:Sender", "self._txn_manager = txn_manager", "transaction state"),
    PrivateName("aiokafka.producer.sender:Sender", "txn_task = self._maybe_do_transactional_request()", "asked first"),
    PrivateName("aiokafka.producer.sender:Sender", "self._do_add_offsets_to_txn(group_id)", "sent earlier"),
    PrivateName(
        "aiokafka.producer.transaction_manager:TransactionManager", "self._txn_consumer_group = group_id", "added once"
    ),
    PrivateName(
        "aiokafka.producer.sender:TxnOffsetCommitHandler", "for topic, partitions in resp.errors", "answer shape"
    ),
    PrivateName("aiokafka.producer.sender:TxnOffsetCommitHandler", "self._group_id = group_id", "request"),
    PrivateName("aiokafka.producer.sender:TxnOffsetCommitHandler", "self._offsets = offsets", "request"),
    PrivateName("faust.transport.consumer:Consumer", "self._read_offset = defaultdict", "cleared before each run"),
    PrivateName("faust.transport.consumer:Consumer", "if r_offset is None or offset >= r_offset", "lets runs pass"),
    PrivateName("faust.tables.recovery:Recovery", "self._generation_id = generation_id", "stale assignments"),
    PrivateName("faust.tables.manager:TableManager", "self._recovery = Recovery(", "our own recovery"),
)
"""Looked up in the source text, because they are set on instances."""

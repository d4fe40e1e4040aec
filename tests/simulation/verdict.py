"""What a history broke: by the outside check, and by what only a simulation can know.

The outside check (`streams.audit`) shares no code with the gate: every record left one trace, every answer is
the independent model's, every ledger is that of a replay. Beside it
- the history settled: nothing waits for ever;
- no worker refused to start or to continue: none of the faults is a reason to;
- whatever upstream knew to be acknowledged on a barrier topic before it published an intent was applied before the
  answer, by the answer's own word, in the order of true time, whatever clocks said;
- no moment of a decision lies further ahead of the broker's clock than clocks may differ, and what clocks it took;
- nothing was raised that nobody caught.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from aiokafka.structs import TopicPartition

from streams.audit import AuditSettings, policies
from streams.audit.forwarding import match_forwarded
from streams.audit.judge import PartitionJudge
from streams.audit.log import PartitionLog, Record
from streams.audit.settings import Topics
from streams.audit.timeline import META_KEY
from streams.contracts.header_names import APPLIED_PREFIX, ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TOPIC
from streams.exactly_once.errors import RecordsMissingError, RestoreStalledError, StartupRefusedError
from streams.oracle import model
from tests.simulation.history import ERASURE_KEY, POLICY, TOPICS
from tests.simulation.plan import PARTITIONS

if TYPE_CHECKING:
    from streams.audit.policies import PolicyBook
    from tests.simulation.history import History

NAMES: Final = Topics.of(TOPICS)
STAMPED: Final = (TOPICS.ledger, TOPICS.batches)
"""Topics whose records bear the broker's time."""

AHEAD_MOST_MS: Final = 5_000 + 300
"""What a gate lets pass between its clock and the broker's, and what clocks of workers are off by all the time."""

REFUSALS: Final = (StartupRefusedError, RecordsMissingError, RestoreStalledError)
SETTINGS: Final = AuditSettings(
    "simulated:0",
    TOPICS,
    [POLICY],
    processes=1,
    acknowledged_within_ms=None,  # the barrier is checked here, in true time
    erasure_key=ERASURE_KEY.hex(),
    salt=b"simulated",
)


def broken(history: History) -> Counter[str]:
    """Kinds of broken promises, and how many of each; empty for a sound history."""
    found: Counter[str] = Counter()
    if not history.is_settled:
        found["stuck"] += 1
    for end in history.ends:
        if isinstance(end, REFUSALS) or not isinstance(end, Exception):
            found[f"ended by {type(end).__name__}"] += 1
    for uncaught in history.uncaught:
        found[f"uncaught {type(uncaught.get('exception')).__name__}"] += 1
    logs = {partition: _partition(history, partition) for partition in range(PARTITIONS)}
    found.update(audited := _audited(logs))
    if _audited({number: _compacted(log) for number, log in logs.items()}) != audited:
        found["other findings after compaction"] += 1
    found.update(_barrier(history, logs))
    found.update(_moments(logs))
    return found


@cache
def _book() -> PolicyBook:
    # Reading the same text again for every history would be most of the work.
    model.read_policy = cache(model.read_policy)
    return policies.policy_book([POLICY], {})


def _audited(logs: dict[int, PartitionLog]) -> Counter[str]:
    """What the outside check finds; that something could not be verified is a finding here, as everything is there."""
    found: Counter[str] = Counter()
    not_verifiable: Counter[str] = Counter()
    verdicts = [PartitionJudge(logs[n], NAMES, PARTITIONS, _book(), SETTINGS).run() for n in range(PARTITIONS)]
    for verdict in verdicts:
        found.update(verdict.found)
        not_verifiable.update(verdict.not_verifiable)
    found.update(finding.kind for finding in match_forwarded(verdicts, NAMES, not_verifiable))
    found.update({f"not verifiable: {kind}": count for kind, count in not_verifiable.items()})
    return found


def _compacted(log: PartitionLog) -> PartitionLog:
    """The same with nothing of the ledger topic but the last record of each key."""
    last = {record.key: record for record in log.of(NAMES.ledger)}
    return replace(log, records={**log.records, NAMES.ledger: sorted(last.values(), key=lambda record: record.offset)})


def _partition(history: History, partition: int) -> PartitionLog:
    """One partition as a reader of committed records sees it."""
    found = PartitionLog(partition)
    for topic in NAMES.partitioned:
        log = history.broker.logs[TopicPartition(topic, partition)]
        records, _ = log.read(log.start, log.high_watermark)
        found.records[topic] = [
            Record(
                offset,
                stored.appended_ms if topic in STAMPED else stored.timestamp_ms,
                stored.key,
                stored.value,
                stored.headers,
                stored.appended_ms if topic in STAMPED else None,
            )
            for offset, stored in records
        ]
        found.starts[topic], found.ends[topic] = log.start, log.high_watermark
    return found


def _moments(logs: dict[int, PartitionLog]) -> Counter[str]:
    """Meta records of a moment that a right clock had not come to."""
    found: Counter[str] = Counter()
    for log in logs.values():
        for record in log.of(TOPICS.ledger):
            if record.key == META_KEY and record.appended_ms is not None:
                ahead_ms = int(json.loads(record.value or b"{}")["latest_ms"]) - record.appended_ms
                found["moment_ahead"] += ahead_ms > AHEAD_MOST_MS
    return +found


def _barrier(history: History, logs: dict[int, PartitionLog]) -> Counter[str]:
    """Answers that had not applied what was acknowledged before their intent was published."""
    acknowledged: defaultdict[TopicPartition, tuple[list[float], list[int]]] = defaultdict(lambda: ([], []))
    for one in history.preferences:
        times, behind = acknowledged[one.where]
        times.append(one.at_seconds)
        behind.append(one.offset + 1)
    published = {(one.where.topic, one.where.partition, one.offset): one.at_seconds for one in history.intents}
    found: Counter[str] = Counter()
    for partition, log in logs.items():
        for record in (*log.of(TOPICS.approved), *log.of(TOPICS.suppressed)):
            headers = dict(record.headers)
            origin = (
                (headers.get(ORIGIN_TOPIC) or b"").decode(),
                int(headers.get(ORIGIN_PARTITION) or -1),
                int(headers.get(ORIGIN_OFFSET) or -1),
            )
            at_seconds = published.get(origin)
            if at_seconds is None or origin[1] != partition:
                continue
            for topic in (TOPICS.preferences, TOPICS.outcomes):
                times, behind = acknowledged[TopicPartition(topic, partition)]
                before = bisect_right(times, at_seconds)
                applied = int(headers.get(APPLIED_PREFIX + topic) or 0)
                if before and applied < behind[before - 1]:
                    found["barrier_not_kept"] += 1
    return found

"""An audit from end to end: each partition in one of several processes, then what concerns all of them.

Invariant: the findings do not depend on how many processes there are, nor on which finishes first.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

from streams.audit.forwarding import match_forwarded
from streams.audit.headers import INT64_MAX, whole
from streams.audit.judge import PartitionJudge
from streams.audit.kafka_log import KafkaLog
from streams.audit.policies import PolicyBook, policy_book
from streams.audit.report import AuditReport
from streams.audit.settings import Topics
from streams.audit.verdict import Verdict

if TYPE_CHECKING:
    from streams.audit.log import Log
    from streams.audit.settings import AuditSettings

PARTITIONS_KEY: Final = b"partitions"
MOVED_KEY: Final = b"moved"
PARTITIONS_MAX: Final = 1_000_000
COUNTED: Final = (
    *("partitions", "intents", "preferences", "outcomes", "decisions", "approved", "suppressed", "withdrawals"),
    *("dead_letters", "forwarded", "pending", "missing", "customers", "ledgers", "batches"),
)


def audit(settings: AuditSettings) -> AuditReport:
    """Read, replay and compare everything a gate committed.

    Raises:
        AuditError: it could not be done; the message says what to do.
    """
    topics = Topics.of(settings.topics)
    return audit_log(KafkaLog(settings, topics), settings)


def audit_log(log: Log, settings: AuditSettings) -> AuditReport:
    """The same for a log from elsewhere."""
    began_at = time.monotonic()
    topics = Topics.of(settings.topics)
    control = log.control()
    book = policy_book(settings.policies, control)
    numbers = list(log.partitions())
    moved = whole(control.get(MOVED_KEY, b"").decode(errors="replace"), 1, INT64_MAX)
    if moved is not None:
        settings = replace(settings, moved_until_ms=moved)
    recorded = whole(control.get(PARTITIONS_KEY, b"").decode(errors="replace"), 1, PARTITIONS_MAX)
    partitions = recorded or len(numbers)
    jobs = [(log, topics, partitions, book, settings, number) for number in numbers]
    if settings.processes > 1 and len(jobs) > 1:
        # A process made anew shares no connection with this one.
        with ProcessPoolExecutor(min(settings.processes, len(jobs)), mp_context=get_context("spawn")) as pool:
            verdicts = list(pool.map(_judge, *zip(*jobs, strict=True)))
    else:
        verdicts = [_judge(*job) for job in jobs]
    report = _together(verdicts, topics)
    report.seconds = time.monotonic() - began_at
    return report


def _judge(
    log: Log, topics: Topics, partitions: int, book: PolicyBook, settings: AuditSettings, number: int
) -> Verdict:
    of_partition = log.partition(number)
    # A million raw records that stay to the end: the collector need not look at them again and again.
    gc.freeze()
    try:
        return PartitionJudge(of_partition, topics, partitions, book, settings).run()
    finally:
        gc.unfreeze()


def _together(verdicts: list[Verdict], topics: Topics) -> AuditReport:
    report = AuditReport(counts=Counter(dict.fromkeys(COUNTED, 0)))
    for verdict in verdicts:
        report.counts.update(verdict.counts)
        report.found.update(verdict.found)
        report.not_verifiable.update(verdict.not_verifiable)
        report.findings += verdict.findings
    for finding in match_forwarded(verdicts, topics, report.not_verifiable):
        report.found[finding.kind] += 1
        report.findings.append(finding)
    return report

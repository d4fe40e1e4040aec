"""What is known of one partition while it is judged, and what is found: every check adds its findings here.

Invariant: what something deleted could explain is counted as not verifiable, and is no finding.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from streams.audit import headers as known
from streams.audit.completeness import Completeness
from streams.audit.policies import Models, PolicyBook
from streams.audit.report import Finding, Place
from streams.audit.timeline import Batch, read_batches
from streams.audit.traces import Traces
from streams.audit.verdict import Verdict

if TYPE_CHECKING:
    from streams.audit.log import PartitionLog, Record
    from streams.audit.settings import AuditSettings, Topics
    from streams.audit.traces import Trace

HASH_BYTES: Final = 8


class Judgement:
    """One partition: its log, what its traces say, its customers, and the verdict so far."""

    def __init__(self, log: PartitionLog, topics: Topics, book: PolicyBook, settings: AuditSettings) -> None:
        self.log = log
        self.topics = topics
        self.settings = settings
        self.models = Models(book)
        self.verdict = Verdict(log.partition, dict(log.starts))
        self.traces = Traces(log, topics)
        self.recorded, self.unreadable_batches = read_batches(log.of(topics.batches))
        self.completeness = Completeness(log, topics, self.recorded, self.traces, settings.moved_until_ms)
        self.batch: Batch | None = None
        """The one that is being judged."""
        self.barrier = (topics.preferences, topics.outcomes)
        self.served_of = dict.fromkeys(self.barrier, 0)
        """How many records of each barrier topic have been served."""
        self._last_offset: dict[str, int] = {}

    def hash_of(self, customer_id: str | None) -> str | None:
        """The customer as findings name them."""
        if customer_id is None:
            return None
        return hashlib.blake2b(customer_id.encode(), key=self.settings.salt, digest_size=HASH_BYTES).hexdigest()

    def find(
        self,
        kind: str,
        customer_id: str | None,
        *places: Place,
        rule: str | None = None,
        detail: str = "",
        is_certain: bool = False,
    ) -> bool:
        """Add a finding, unless something that is no longer there could explain it; returns whether it was added.

        `is_certain`: nothing could.
        """
        if not is_certain and self.completeness.explains(kind, customer_id, self.batch):
            self.verdict.not_verifiable[kind] += 1
            return False
        self.verdict.add(Finding(kind, self.hash_of(customer_id), places, rule, detail))
        return True

    def place(self, topic: str, record: Record) -> Place:
        """Where a record stands."""
        return Place(topic, self.log.partition, record.offset)

    def place_of(self, trace: Trace) -> Place:
        return self.place(trace.topic, trace.record)

    def once(self, place: Place, traces: list[Trace], customer_id: str | None) -> None:
        """Find fault with a record that left more than one trace of a kind."""
        if len(traces) > 1:
            self.find("doubled", customer_id, place, *map(self.place_of, traces))

    def check_order(self, place: Place, trace: Trace, customer_id: str) -> None:
        offset = trace.record.offset
        if offset < self._last_offset.get(trace.topic, -1):
            before = Place(trace.topic, self.log.partition, self._last_offset[trace.topic])
            self.find("out_of_order", customer_id, place, self.place_of(trace), before)
        self._last_offset[trace.topic] = offset

    def check_applied(self, place: Place, trace: Trace, customer_id: str) -> None:
        """What the answer says was applied before it: behind all that was, and not behind anything that was not.

        What caused a withdrawal was not applied before it.
        """
        headers = known.named(trace.record)
        for topic in self.barrier:
            said = known.number(headers, known.APPLIED + topic)
            served = self.served_of[topic] - (topic == place.topic)
            records = self.log.of(topic)
            low = records[served - 1].offset + 1 if served else 0
            high = records[served].offset if served < len(records) else known.INT64_MAX
            if said is None or not low <= said <= high:
                detail = f"{topic}: {low} expected, {said} found"
                self.find("wrong_applied", customer_id, place, self.place_of(trace), detail=detail)
                return

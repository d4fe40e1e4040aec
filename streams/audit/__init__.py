"""The outside check: it reads what went in and what was committed, replays it with the oracle and reports what differs.

    report = audit(AuditSettings("localhost:9092", topics="", policies=[Path("policy.yaml")]))
    assert report.is_clean, report.as_text()

Rules of this package
1. It shares no code with what it judges: JSON, headers, murmur2, the order of service and the stored ledgers are read
   by readers of its own, written from docs/contracts.md, docs/semantics.md and docs/audit.md. Of `streams` it imports
   the oracle only (import-linter holds that). Only fetching bytes from Kafka is left to a library.
2. It writes nothing: no record, no group, no offset.
3. A customer appears in a finding as a keyed hash, whose key is new in every run. Contents never appear.
4. Partitions are independent, because a customer lives in one. Each is judged by itself: its raw records are in memory,
   and nothing is decoded before it is needed. Only forwarded records are matched between partitions.
"""

from streams.audit.report import AuditReport, Finding, Place
from streams.audit.run import audit
from streams.audit.settings import AuditError, AuditSettings

__all__ = ["AuditError", "AuditReport", "AuditSettings", "Finding", "Place", "audit"]

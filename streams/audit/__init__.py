"""The outside check: reads what went in and what was committed, replays it with the oracle, says what was broken.

    report = audit(AuditSettings("localhost:9092", topics="", policies=[Path("policy.yaml")]))
    assert report.is_clean, report.as_text()

Rules of this package
1. It shares no code with what it judges: JSON, headers, murmur2, the order of service and the stored ledgers are read
   by readers of its own, written from docs/contracts.md, docs/semantics.md and docs/audit.md. Of `streams` it imports
   the oracle only (import-linter holds that). Only fetching bytes from Kafka is left to a library.
2. It writes nothing: no record, no group, no offset.
3. A customer appears in a finding as a keyed hash, the key made anew for every run; contents never do.
4. Partitions are independent, as customers live in one: each is judged by itself, raw records in memory, nothing
   decoded before it is needed. Only forwarded records are matched between partitions.
"""

from streams.audit.report import AuditReport, Finding, Place
from streams.audit.run import audit
from streams.audit.settings import AuditError, AuditSettings

__all__ = ["AuditError", "AuditReport", "AuditSettings", "Finding", "Place", "audit"]

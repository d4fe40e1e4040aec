"""The stored ledgers of one partition, compared with what the committed decisions leave.

    key b"c" + customer id      a ledger
    key b"e" + keyed hash       what an erasure left, under BLAKE2b-128 of the customer id with the erasure key

Invariant: it runs after the last record was served, so the oracle knows everything that the ledgers may know.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from streams.audit.ledgers import (
    Horizons,
    Meaning,
    UnreadableLedger,
    differences,
    expected,
    may_be_erased,
    may_be_nothing,
    read_ledger,
)
from streams.audit.report import Place
from streams.oracle.model import decision_id

if TYPE_CHECKING:
    from streams.audit.judgement import Judgement
    from streams.audit.log import Record

CUSTOMER: Final = b"c"
ERASED: Final = b"e"
ERASED_HASH_BYTES: Final = 16


def check_ledgers(judgement: Judgement, now: int) -> None:
    """Compare every ledger of the partition; `now` is its latest moment."""
    stored = latest_ledgers(judgement.log.of(judgement.topics.ledger))
    models = judgement.models.all()
    horizons = Horizons(
        now - min(model.policy.history_needed for model in models),
        now - min(model.policy.identities for model in models),
    )
    erased: list[tuple[str, Meaning]] = []
    returned: list[str] = []
    for customer_id, customer in judgement.models.customers.items():
        identities = {each.intent_id: decision_id(customer_id, each.intent_id) for each in customer.identities}
        wanted = expected(customer, identities)
        record = stored.pop(CUSTOMER + customer_id.encode(), None)
        if record is not None:
            _compare(judgement, customer_id, record, wanted, horizons)
            if wanted.erased_at is not None:
                returned.append(customer_id)
        elif wanted.erased_at is not None and may_be_erased(wanted, horizons):
            erased.append((customer_id, wanted))
        elif not may_be_nothing(wanted, horizons):
            judgement.find("ledger_missing", customer_id, Place(judgement.topics.ledger, judgement.log.partition, -1))
    _check_erased(judgement, erased, stored, horizons)
    _leave_out_returned(judgement, returned, stored)
    for key, record in stored.items():
        if key[:1] in {CUSTOMER, ERASED}:
            named = key[1:].decode(errors="replace") if key[:1] == CUSTOMER else None
            judgement.find("ledger_invented", named, judgement.place(judgement.topics.ledger, record))


def latest_ledgers(records: list[Record]) -> dict[bytes, Record]:
    """What is stored, by key."""
    found: dict[bytes, Record] = {}
    for record in records:
        if record.value is None:
            found.pop(record.key or b"", None)
        else:
            found[record.key or b""] = record
    return found


def _compare(judgement: Judgement, customer_id: str, record: Record, wanted: Meaning, horizons: Horizons) -> None:
    place = judgement.place(judgement.topics.ledger, record)
    judgement.verdict.counts["ledgers"] += 1
    try:
        found = read_ledger(record.value or b"")
    except UnreadableLedger as unreadable:
        judgement.find("ledger_unreadable", customer_id, place, detail=str(unreadable))
        return
    found.identities = judgement.completeness.known_identities(wanted.identities, found.identities)
    for each in differences(wanted, found, horizons, judgement.models.for_life):
        judgement.find(each.kind, customer_id, place, detail=each.detail)


def _check_erased(
    judgement: Judgement, erased: list[tuple[str, Meaning]], stored: dict[bytes, Record], horizons: Horizons
) -> None:
    """With the erasure key each by its customer; without it each wanted one must be among those that are there."""
    secret = bytes.fromhex(judgement.settings.erasure_key)
    unnamed = [] if secret else _readable(judgement, stored)
    for customer_id, wanted in erased:
        if secret:
            key = _erased_key(customer_id, secret)
        else:
            fitting = [
                each for each in unnamed if not differences(wanted, each[1], horizons, judgement.models.for_life)
            ]
            key = fitting[0][0] if fitting else b""
            unnamed = [each for each in unnamed if each[0] != key]
        record = stored.pop(key, None)
        if record is None:
            judgement.find("ledger_missing", customer_id, Place(judgement.topics.ledger, judgement.log.partition, -1))
        else:
            _compare(judgement, customer_id, record, wanted, horizons)


def _erased_key(customer_id: str, secret: bytes) -> bytes:
    return ERASED + hashlib.blake2b(customer_id.encode(), key=secret, digest_size=ERASED_HASH_BYTES).digest()


def _leave_out_returned(judgement: Judgement, returned: list[str], stored: dict[bytes, Record]) -> None:
    """Of a customer who came back after an erasure the hashed record may stand beside the new ledger, unread."""
    secret = bytes.fromhex(judgement.settings.erasure_key)
    hashed = [key for key in stored if key[:1] == ERASED]
    for number, customer_id in enumerate(returned):
        key = _erased_key(customer_id, secret) if secret else hashed[number] if number < len(hashed) else b""
        stored.pop(key, None)


def _readable(judgement: Judgement, stored: dict[bytes, Record]) -> list[tuple[bytes, Meaning]]:
    """What is kept of erased customers, by key. What cannot be read is a finding and is taken out."""
    found = []
    for key in [key for key in stored if key[:1] == ERASED]:
        try:
            found.append((key, read_ledger(stored[key].value or b"")))
        except UnreadableLedger as unreadable:
            place = judgement.place(judgement.topics.ledger, stored.pop(key))
            judgement.find("ledger_unreadable", None, place, detail=str(unreadable))
    return found

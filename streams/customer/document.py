"""What is held as one JSON document: `schemas/customer-export.schema.json`.

Rules of this module
1. What is certainly the customer's is given out whole. What may be somebody else's is named by its place only.
2. Bytes that are no JSON are given in base64, and nothing is left out because it cannot be read.
3. Times are RFC 3339 in UTC.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from streams.customer.holdings import read_ledger
from streams.decision.ledger.state import CONFIRMED, OUTCOME_NUMBERS, WITHDRAWN

if TYPE_CHECKING:
    from streams.customer.holdings import Entry, Holdings
    from streams.customer.reading import Stored
    from streams.decision.ledger.state import LabelSet, Ledger, Preference, ProfileValue

SCHEMA: Final = "urn:mesura:schema:customer-export:1"
LABELS: Final = ("channel", "purpose", "topic", "brand", "campaign", "sender")
PROFILE: Final = ("timezone", "country", "region", "minor")
_SCOPE: Final = ("channel", "purpose", "topic", "brand", "sender")
_OUTCOME_NAMES: Final = {number: name for name, number in OUTCOME_NUMBERS.items()}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def as_document(held: Holdings) -> dict[str, Any]:
    """All of it."""
    return {
        "type": "customer-export",
        "schema": SCHEMA,
        "customer_id": held.customer.text,
        "exported_at": moment(held.made_at_ms),
        "ledger": _ledger_document(held.ledger),
        "left_by_erasure": _ledger_document(held.erased),
        "records": [_entry_document(held, entry) for entry in held.certain()],
        "ledger_records": [
            {**place_document(entry.record), "what": entry.what.value, "is_deletion": entry.record.value is None}
            for entry in held.stored()
        ],
        "possible": [{**place_document(entry.record), "what": entry.what.value} for entry in held.possible()],
        "searched": [
            {"topic": topic, "partitions": searched.partitions, "records": searched.records}
            for topic, searched in held.searched.items()
        ],
    }


def moment(moment_ms: int) -> str:
    """A moment as RFC 3339 in UTC. What no calendar has is written as milliseconds."""
    try:
        written = (_EPOCH + timedelta(milliseconds=moment_ms)).isoformat(timespec="milliseconds")
    except OverflowError:
        return f"{moment_ms} ms"
    return written.replace("+00:00", "Z")


def place_document(record: Stored) -> dict[str, Any]:
    """Where a record stands, and its timestamp."""
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": moment(record.timestamp_ms),
    }


def _entry_document(held: Holdings, entry: Entry) -> dict[str, Any]:
    record = entry.record
    return {
        **place_document(record),
        "what": entry.what.value,
        "named_by": entry.mention.value,
        "is_pending": held.is_pending(entry),
        "key": bytes_document(record.key),
        "value": bytes_document(record.value),
        "headers": [{"name": name, "content": bytes_document(content)} for name, content in record.headers],
    }


def bytes_document(content: bytes | None) -> dict[str, Any] | None:
    """Bytes in the form that shows most: as JSON, as text, or in base64."""
    if content is None:
        return None
    try:
        found = orjson.loads(content)
    except ValueError:
        found = None
    if isinstance(found, dict | list):
        return {"json": found}
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _ledger_document(stored: Stored | None) -> dict[str, Any] | None:
    if stored is None:
        return None
    place = place_document(stored)
    ledger = read_ledger(stored)
    if ledger is None:  # written by another version: given out as it is
        return {**place, "unreadable_base64": base64.b64encode(stored.value or b"").decode()}
    return {**place, **ledger_document(ledger)}


def ledger_document(ledger: Ledger) -> dict[str, Any]:
    """What a ledger says."""
    label_sets = ledger.label_sets
    return {
        "contacts": [
            {
                "decision_id": contact.decision_id.hex(),
                "decided_at": moment(contact.decided_ms),
                "counted_as_sent_at": moment(contact.assumed_sent_ms),
                "is_confirmed": bool(contact.flags & CONFIRMED),
                "is_withdrawn": bool(contact.flags & WITHDRAWN),
                **_labels(label_sets[contact.label_set_number]),
                "outcomes": [
                    {"type": _OUTCOME_NAMES.get(number, str(number)), "at": moment(at)}
                    for number, at in contact.outcomes
                ],
            }
            for contact in ledger.contacts
        ],
        "older_contacts": [
            {**_labels(label_sets[number]), "count": count} for number, count in sorted(ledger.archived.items())
        ],
        "remembered_intents": [
            {"decision_id": identity.hex(), "created_at": moment(created_ms)}
            for identity, created_ms in ledger.identities.items()
        ],
        "preferences": [preference_document(each) for each in ledger.preferences],
        "profile": {
            name: {"value": said.value, "said_at": moment(said.order_ms)}
            for name in PROFILE
            if (said := profile_value(ledger, name)) is not None
        },
        "erased_at": None if ledger.erased_ms is None else moment(ledger.erased_ms),
        "a_preference_was_refused": ledger.preference_refused,
    }


def profile_value(ledger: Ledger, name: str) -> ProfileValue | None:
    """One value of the profile."""
    found: ProfileValue | None = getattr(ledger.profile, name, None)
    return found


def _labels(label_set: LabelSet) -> dict[str, str | None]:
    return {name: getattr(label_set, name) or None for name in LABELS}


def preference_document(preference: Preference) -> dict[str, Any]:
    """One standing preference."""
    return {
        "type": preference.type,
        "said_at": moment(preference.order_ms),
        "effective_at": moment(preference.effective_ms),
        "until": None if preference.end_ms is None else moment(preference.end_ms),
        "scope": {name: word for name in _SCOPE if (word := getattr(preference, name)) is not None},
        "evidence_ref": preference.evidence_ref,
        "source": preference.source,
    }

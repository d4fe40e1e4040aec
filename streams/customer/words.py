"""What is held, in lines for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.customer.document import (
    LABELS,
    ledger_document,
    moment,
    preference_document,
)
from streams.customer.holdings import What, read_ledger
from streams.customer.mention import Mention

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.customer.holdings import Entry, Holdings
    from streams.customer.reading import Stored
    from streams.decision.ledger.state import Preference

_HEADINGS: Final = {
    What.INTENT: "Intents",
    What.PREFERENCE: "Preference events",
    What.OUTCOME: "Outcomes",
    What.REROUTED: "Forwarded records",
    What.APPROVED: "Approvals and withdrawals",
    What.SUPPRESSED: "Suppressions",
    What.DEAD_LETTER: "Dead letters",
    What.HOLD: "Held intents",
    What.OTHER: "Other records",
}
_BY: Final = {Mention.KEY: "", Mention.CONTENT: "  (under another key, or none)"}


def in_words(held: Holdings) -> Iterator[str]:
    """Everything that is held, with the place of each record."""
    if held.is_empty():
        yield "Nothing is held of this customer."
    yield from _state(held.ledger, "Ledger")
    yield from _state(held.erased, "Left by an erasure")
    certain = held.certain()
    for what, heading in _HEADINGS.items():
        of_kind = [entry for entry in certain if entry.what is what]
        if of_kind:
            yield f"{heading}: {len(of_kind)}"
            for entry in of_kind:
                yield f"  {_row(held, entry)}"
    stored = held.stored()
    if stored:
        yield f"Records of the ledger topic, earlier values and deletions among them: {len(stored)}"
        for entry in stored:
            is_deletion = "  deletion" if entry.record.value is None else ""
            yield f"  {place(entry.record)}{is_deletion}"
    possible = held.possible()
    if possible:
        yield f"The id also stands in records that may be somebody else's, so look at each: {len(possible)}"
        for entry in possible:
            yield f"  {place(entry.record)}  {entry.what.value}"
    read = sum(searched.records for searched in held.searched.values())
    yield f"Searched: {read} records of {len(held.searched)} topics."


def place(record: Stored) -> str:
    """The time of a record, and where it stands."""
    return f"{moment(record.timestamp_ms)}  {record.topic}-{record.partition}-{record.offset}"


def _row(held: Holdings, entry: Entry) -> str:
    pending = "  not decided yet" if held.is_pending(entry) else ""
    return f"{place(entry.record)}{_BY[entry.mention]}{pending}"


def _state(stored: Stored | None, heading: str) -> Iterator[str]:
    if stored is None:
        return
    yield f"{heading}: {place(stored)}"
    ledger = read_ledger(stored)
    if ledger is None:
        yield "  It was written by another version and cannot be read by this one."
        return
    said = ledger_document(ledger)
    for contact in said["contacts"]:
        yield f"  contact    {_contact(contact)}"
    for older in said["older_contacts"]:
        yield f"  older      {older['count']} contacts: {_labels(older)}"
    if said["remembered_intents"]:
        yield f"  intents    {len(said['remembered_intents'])} remembered, so that none is decided twice"
    for each in ledger.preferences:
        yield f"  preference {preference_in_words(each)}"
    for name, value in said["profile"].items():
        yield f"  profile    {name} {value['value']}, said {value['said_at']}"
    if said["erased_at"] is not None:
        yield f"  erased     {said['erased_at']}; intents created before are not decided"
    if said["a_preference_was_refused"]:
        yield "  full       a preference was refused for want of room, and every intent is suppressed since"


def _contact(contact: dict[str, Any]) -> str:
    words = [contact["decided_at"], _labels(contact)]
    words += ["withdrawn"] if contact["is_withdrawn"] else []
    words += [f"{outcome['type']} {outcome['at']}" for outcome in contact["outcomes"]]
    return ", ".join(words)


def _labels(labelled: dict[str, Any]) -> str:
    return " ".join(f"{name}={labelled[name]}" for name in LABELS if labelled[name])


def preference_in_words(preference: Preference) -> str:
    """One standing preference as a line."""
    said = preference_document(preference)
    scope = ", ".join(f"{name} {word}" for name, word in said["scope"].items()) or "everything"
    until = "" if said["until"] is None else f" until {said['until']}"
    source = "" if said["source"] is None else f", source {said['source']}"
    return f"{said['type']}: {scope}{until}, said {said['said_at']}{source}"

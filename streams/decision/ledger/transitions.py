"""Changes of a ledger: one more contact, one more identity, what is past its horizon taken away.

Rules of this module
1. A ledger is a value: every change gives a new one.
2. What is pruned could not change a decision any more: limits are counted on what is still inside its horizon, so the
   moment of pruning is never visible (docs/semantics.md, 3).
3. Additions work on the columns, because they happen once per intent; everything else works on rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from streams.decision.ledger.state import (
    DECISION_ID_BYTES,
    OUTCOMES_PER_CONTACT_MAX,
    VALUES_PER_LABEL_SET,
    Contact,
    LabelSet,
    Ledger,
)
from streams.decision.tables import NEVER


def created_of(ledger: Ledger, identity: bytes) -> int | None:
    """When the intent of this identity was created, if the ledger remembers it."""
    ids, latest = ledger.ids, None
    place = ids.find(identity)
    while place >= 0:
        number, beside = divmod(place, DECISION_ID_BYTES)
        if not beside:
            created = ledger.created[number]
            if created is not None and (latest is None or created > latest):
                latest = created
        place = ids.find(identity, place + 1)
    return None if latest is None else ledger.base_ms + latest


def with_identity(ledger: Ledger, identity: bytes, created_ms: int) -> Ledger:
    """The ledger that remembers one more answered intent."""
    known, oldest = ledger.created, ledger.oldest_created
    base_ms = ledger.base_ms if known else created_ms
    created = created_ms - base_ms
    return msgspec.structs.replace(
        ledger,
        base_ms=base_ms,
        ids=ledger.ids + identity,
        created=known + (created,),  # noqa: RUF005 - unpacking would build a list first
        oldest_created=min(oldest, created),
    )


def with_contact(ledger: Ledger, contact: Contact, label_set: LabelSet, created_ms: int) -> Ledger:
    """The ledger with one more contact (its `label_set` is filled in here), which is also one more identity."""
    ids, known, assumed_sent, decided = ledger.ids, ledger.created, ledger.assumed_sent, ledger.decided
    label_set_numbers, flags, oldest = ledger.label_set_numbers, ledger.flags, ledger.oldest_created
    outcomes = ledger.outcomes
    decided_ms = contact.decided_ms
    base_ms = ledger.base_ms if known else min(created_ms, decided_ms)
    created, assumed_sent_new = created_ms - base_ms, contact.assumed_sent_ms - base_ms
    number, label_value_numbers, words = _numbered(ledger, label_set)
    place = 0
    for moment in assumed_sent:
        if moment <= assumed_sent_new:
            break
        place += 1
    byte = place * DECISION_ID_BYTES
    # Tuples are added, because unpacking them would build a list first.
    return msgspec.structs.replace(
        ledger,
        base_ms=base_ms,
        ids=ids[:byte] + contact.decision_id + ids[byte:],
        created=known[:place] + (created,) + known[place:],  # noqa: RUF005
        oldest_created=min(oldest, created),
        assumed_sent=assumed_sent[:place] + (assumed_sent_new,) + assumed_sent[place:],  # noqa: RUF005
        decided=decided[:place] + (decided_ms - base_ms,) + decided[place:],  # noqa: RUF005
        label_set_numbers=label_set_numbers[:place] + bytes((number,)) + label_set_numbers[place:],
        flags=flags[:place] + bytes((contact.flags,)) + flags[place:],
        label_value_numbers=label_value_numbers,
        label_values=words,
        outcomes=outcomes and (*outcomes[:place], (), *outcomes[place:]),
    )


def knows_tag(ledger: Ledger, label_set: LabelSet) -> bool:
    """Whether a contact with the same label set is counted already."""
    return len(_numbered(ledger, label_set)[1]) == len(ledger.label_value_numbers)


def _numbered(ledger: Ledger, label_set: LabelSet) -> tuple[int, tuple[int, ...], tuple[str, ...]]:
    """The label set's number, and the columns of label sets and words that have it."""
    known, label_value_numbers = ledger.label_values, ledger.label_value_numbers
    words = known
    numbers: list[int] = []
    for word in (
        label_set.channel,
        label_set.purpose,
        label_set.topic,
        label_set.brand,
        label_set.campaign,
        label_set.sender,
    ):
        if word is None:
            numbers.append(0)
            continue
        # A loop, because `in` and then `index` would look at every word twice, and neither can be compiled.
        number = 1
        for other in words:
            if other == word:
                break
            number += 1
        else:
            words += (word,)
        numbers.append(number)
    wanted = tuple(numbers)
    # A word that is new was in no label set before.
    if len(words) == len(known):
        for place in range(0, len(label_value_numbers), VALUES_PER_LABEL_SET):
            if label_value_numbers[place : place + VALUES_PER_LABEL_SET] == wanted:
                return place // VALUES_PER_LABEL_SET, label_value_numbers, known
    return len(label_value_numbers) // VALUES_PER_LABEL_SET, label_value_numbers + wanted, words


def with_changed_contact(ledger: Ledger, position: int, changed: Contact) -> Ledger:
    """The ledger with the contact at `position` replaced, in its new place."""
    contacts = list(ledger.contacts)
    del contacts[position]
    place = next(
        (n for n, other in enumerate(contacts) if other.assumed_sent_ms <= changed.assumed_sent_ms), len(contacts)
    )
    return with_rows(ledger, contacts=(*contacts[:place], changed, *contacts[place:]))


def with_rows(
    ledger: Ledger,
    *,
    contacts: Sequence[Contact] | None = None,
    identities: Mapping[bytes, int] | None = None,
    label_sets: Sequence[LabelSet] | None = None,
) -> Ledger:
    """The ledger with other contacts (newest first), identities or label sets (each once).

    `base_ms` is chosen anew: the earliest of all moments, so that none is negative and most take five bytes.
    """
    rows = ledger.contacts if contacts is None else tuple(contacts)
    known = dict(ledger.identities if identities is None else identities)
    moments = [*known.values()]
    for row in rows:
        moments += (row.decided_ms, row.assumed_sent_ms)
    base_ms = min(moments, default=0)
    created = [known.pop(row.decision_id, None) for row in rows]
    created += known.values()
    relative = tuple(None if moment is None else moment - base_ms for moment in created)
    label_value_numbers, words = (
        (ledger.label_value_numbers, ledger.label_values) if label_sets is None else _columns(label_sets)
    )
    return msgspec.structs.replace(
        ledger,
        base_ms=base_ms,
        ids=b"".join((*(row.decision_id for row in rows), *known)),
        created=relative,
        oldest_created=min((moment for moment in relative if moment is not None), default=NEVER),
        assumed_sent=tuple(row.assumed_sent_ms - base_ms for row in rows),
        decided=tuple(row.decided_ms - base_ms for row in rows),
        label_set_numbers=bytes(row.label_set_number for row in rows),
        flags=bytes(row.flags for row in rows),
        label_value_numbers=label_value_numbers,
        label_values=words,
        outcomes=_outcome_column(rows),
    )


def _outcome_column(rows: Sequence[Contact]) -> tuple[tuple[int, ...], ...]:
    """The outcomes of these contacts; nothing at all if none has any."""
    column = tuple(
        tuple(n for number, moment_ms in row.outcomes for n in (number, moment_ms - row.decided_ms)) for row in rows
    )
    return column if any(column) else ()


def with_outcome(ledger: Ledger, position: int, outcome_number: int, moment_ms: int) -> Ledger:
    """The ledger whose contact at `position` has this type of outcome, and had it at the moment or before.

    A union: the order and the number of reports make no difference.
    """
    contact = ledger.contacts[position]
    known = dict(contact.outcomes)
    known[outcome_number] = min(moment_ms, known.get(outcome_number, moment_ms))
    if len(known) > OUTCOMES_PER_CONTACT_MAX:
        return ledger
    changed = msgspec.structs.replace(contact, outcomes=tuple(sorted(known.items())))
    contacts = ledger.contacts
    return with_rows(ledger, contacts=(*contacts[:position], changed, *contacts[position + 1 :]))


def _columns(label_sets: Iterable[LabelSet]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The columns of these label sets, in their order: a contact names its label set by its place."""
    numbers: dict[str, int] = {}
    label_value_numbers: list[int] = []
    for label_set in label_sets:
        for word in msgspec.structs.astuple(label_set):
            label_value_numbers.append(0 if word is None else numbers.setdefault(word, len(numbers) + 1))  # noqa: PERF401
    return tuple(label_value_numbers), tuple(numbers)

"""Changes of a ledger: one more contact, one more identity, what is past its horizon taken away.

Rules of this module
1. A ledger is a value: every change gives a new one.
2. What is pruned could not change a decision any more: limits are counted on what is still inside its horizon, so the
   moment of pruning is never visible (docs/semantics.md, 3).
3. Additions work on the columns, because they happen once per intent; everything else works on rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from streams.decision.ledger import (
    DECISION_ID_BYTES,
    LABEL_SETS_MAX,
    LEDGER_FORMAT,
    UNCOUNTED,
    VALUES_PER_LABEL_SET,
    Contact,
    LabelSet,
    Ledger,
    LedgerUnreadable,
)
from streams.decision.preference import STANDING
from streams.decision.tables import NEVER

_decoder: Final = msgspec.msgpack.Decoder(Ledger)
_TAG_NUMBERS: Final = bytes(range(LABEL_SETS_MAX))


def decode_ledger(value: bytes) -> Ledger:
    """The ledger of a binary form (`encode_ledger`).

    Raises:
        LedgerUnreadable: the format is unknown, or the bytes are no ledger.
    """
    try:
        ledger = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerUnreadable(
            f"A stored ledger of {len(value)} bytes cannot be read. Was it written by another version? {error}"
        ) from None
    if ledger.format != LEDGER_FORMAT:
        raise LedgerUnreadable(
            f"A stored ledger has format {ledger.format}; this version reads format {LEDGER_FORMAT}. "
            "Run the version that wrote it."
        )
    if not _is_sound(ledger):
        raise LedgerUnreadable(
            f"A stored ledger of {len(value)} bytes cannot be read. Its columns do not belong together: it is damaged."
        )
    return ledger


def _is_sound(ledger: Ledger) -> bool:
    """Whether the columns are as long as they must be and name nothing that is not there."""
    contacts, identities, label_value_numbers, label_set_numbers = (
        ledger.assumed_sent,
        ledger.created,
        ledger.label_value_numbers,
        ledger.label_set_numbers,
    )
    label_sets, archived, words = (
        len(label_value_numbers) // VALUES_PER_LABEL_SET,
        ledger.archived,
        len(ledger.label_values),
    )
    for number in label_value_numbers:
        if number > words:
            return False
    for preference in ledger.preferences:
        if preference.type not in STANDING:
            return False
    return (
        len(ledger.ids) == DECISION_ID_BYTES * len(identities)
        and len(contacts) <= len(identities)
        and len(contacts) == len(ledger.decided) == len(label_set_numbers) == len(ledger.flags)
        and len(label_value_numbers) == VALUES_PER_LABEL_SET * label_sets
        # Nothing is left without the numbers that there are.
        and not label_set_numbers.strip(_TAG_NUMBERS[:label_sets])
        and (not archived or 0 <= min(archived) <= max(archived) < label_sets)
    )


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
    )


def _columns(label_sets: Iterable[LabelSet]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The columns of these label sets, in their order: a contact names its label set by its place."""
    numbers: dict[str, int] = {}
    label_value_numbers: list[int] = []
    for label_set in label_sets:
        for word in (
            label_set.channel,
            label_set.purpose,
            label_set.topic,
            label_set.brand,
            label_set.campaign,
            label_set.sender,
        ):
            label_value_numbers.append(0 if word is None else numbers.setdefault(word, len(numbers) + 1))  # noqa: PERF401
    return tuple(label_value_numbers), tuple(numbers)


def pruned(
    ledger: Ledger, *, now: int, history_ms: int, identities_ms: int, counts_for_life: Callable[[LabelSet], bool]
) -> Ledger:
    """The ledger without what lies beyond its horizons.

    Contacts go when even the latest moment they may have been sent is `history_ms` ago; those whose label set
    `counts_for_life` are counted in `archived`. Identities go when their intent was created more than `identities_ms`
    ago; that they have gone is kept, so that a policy that remembers longer approves none of them twice.
    """
    now -= ledger.base_ms
    assumed_sent = ledger.assumed_sent
    is_history_over = bool(assumed_sent) and assumed_sent[-1] <= now - history_ms
    if not is_history_over and (not ledger.created or ledger.oldest_created >= now - identities_ms):
        return ledger
    return _without_past(ledger, now + ledger.base_ms, history_ms, identities_ms, counts_for_life)


def _without_past(
    ledger: Ledger, now: int, history_ms: int, identities_ms: int, counts_for_life: Callable[[LabelSet], bool]
) -> Ledger:
    identities_from = now - identities_ms
    known = ledger.identities
    identities = {identity: created for identity, created in known.items() if created >= identities_from}
    forgotten_ms = ledger.forgotten_ms if len(identities) == len(known) else max(ledger.forgotten_ms, identities_from)
    contacts, label_sets = ledger.contacts, ledger.label_sets
    kept = [contact for contact in contacts if contact.assumed_sent_ms > now - history_ms]
    archived = ledger.archived
    if len(kept) < len(contacts):
        archived = {label_set: count for label_set, count in archived.items() if counts_for_life(label_sets[label_set])}
        for contact in contacts[len(kept) :]:
            if not contact.flags & UNCOUNTED and counts_for_life(label_sets[contact.label_set_number]):
                archived[contact.label_set_number] = archived.get(contact.label_set_number, 0) + 1
        kept, label_sets, archived = _with_used_tags(kept, label_sets, archived)
    changed = with_rows(ledger, contacts=kept, identities=identities, label_sets=label_sets)
    return msgspec.structs.replace(changed, archived=archived, forgotten_ms=forgotten_ms)


def _with_used_tags(
    contacts: list[Contact], label_sets: tuple[LabelSet, ...], archived: dict[int, int]
) -> tuple[list[Contact], tuple[LabelSet, ...], dict[int, int]]:
    used = sorted({contact.label_set_number for contact in contacts} | set(archived))
    moved = {old: new for new, old in enumerate(used)}
    return (
        [Contact(c.decision_id, c.decided_ms, c.assumed_sent_ms, moved[c.label_set_number], c.flags) for c in contacts],
        tuple(label_sets[old] for old in used),
        {moved[old]: count for old, count in archived.items()},
    )

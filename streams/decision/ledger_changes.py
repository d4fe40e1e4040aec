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
    LEDGER_FORMAT,
    TAGS_MAX,
    UNCOUNTED,
    WORDS_PER_TAG,
    Contact,
    Ledger,
    LedgerUnreadable,
    Tag,
)
from streams.decision.preference import STANDING
from streams.decision.tables import NEVER

_decoder: Final = msgspec.msgpack.Decoder(Ledger)
_TAG_NUMBERS: Final = bytes(range(TAGS_MAX))


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
    contacts, identities, tag_words, tag_numbers = ledger.latest, ledger.created, ledger.tag_words, ledger.tag_numbers
    tags, archived, words = len(tag_words) // WORDS_PER_TAG, ledger.archived, len(ledger.words)
    for number in tag_words:
        if number > words:
            return False
    for preference in ledger.preferences:
        if preference.type not in STANDING:
            return False
    return (
        len(ledger.ids) == DECISION_ID_BYTES * len(identities)
        and len(contacts) <= len(identities)
        and len(contacts) == len(ledger.decided) == len(tag_numbers) == len(ledger.flags)
        and len(tag_words) == WORDS_PER_TAG * tags
        # Nothing is left without the numbers that there are.
        and not tag_numbers.strip(_TAG_NUMBERS[:tags])
        and (not archived or 0 <= min(archived) <= max(archived) < tags)
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


def with_contact(ledger: Ledger, contact: Contact, tag: Tag, created_ms: int) -> Ledger:
    """The ledger with one more contact (its `tag` is filled in here), which is also one more identity."""
    ids, known, latest, decided = ledger.ids, ledger.created, ledger.latest, ledger.decided
    tag_numbers, flags, oldest = ledger.tag_numbers, ledger.flags, ledger.oldest_created
    decided_ms = contact.decided_ms
    base_ms = ledger.base_ms if known else min(created_ms, decided_ms)
    created, latest_new = created_ms - base_ms, contact.latest_ms - base_ms
    number, tag_words, words = _numbered(ledger, tag)
    place = 0
    for moment in latest:
        if moment <= latest_new:
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
        latest=latest[:place] + (latest_new,) + latest[place:],  # noqa: RUF005
        decided=decided[:place] + (decided_ms - base_ms,) + decided[place:],  # noqa: RUF005
        tag_numbers=tag_numbers[:place] + bytes((number,)) + tag_numbers[place:],
        flags=flags[:place] + bytes((contact.flags,)) + flags[place:],
        tag_words=tag_words,
        words=words,
    )


def knows_tag(ledger: Ledger, tag: Tag) -> bool:
    """Whether a contact with the same tag is counted already."""
    return len(_numbered(ledger, tag)[1]) == len(ledger.tag_words)


def _numbered(ledger: Ledger, tag: Tag) -> tuple[int, tuple[int, ...], tuple[str, ...]]:
    """The tag's number, and the columns of tags and words that have it."""
    known, tag_words = ledger.words, ledger.tag_words
    words = known
    numbers: list[int] = []
    for word in (tag.channel, tag.purpose, tag.topic, tag.brand, tag.campaign, tag.sender):
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
    # A word that is new was in no tag before.
    if len(words) == len(known):
        for place in range(0, len(tag_words), WORDS_PER_TAG):
            if tag_words[place : place + WORDS_PER_TAG] == wanted:
                return place // WORDS_PER_TAG, tag_words, known
    return len(tag_words) // WORDS_PER_TAG, tag_words + wanted, words


def with_changed_contact(ledger: Ledger, position: int, changed: Contact) -> Ledger:
    """The ledger with the contact at `position` replaced, in its new place."""
    contacts = list(ledger.contacts)
    del contacts[position]
    place = next((n for n, other in enumerate(contacts) if other.latest_ms <= changed.latest_ms), len(contacts))
    return with_rows(ledger, contacts=(*contacts[:place], changed, *contacts[place:]))


def with_rows(
    ledger: Ledger,
    *,
    contacts: Sequence[Contact] | None = None,
    identities: Mapping[bytes, int] | None = None,
    tags: Sequence[Tag] | None = None,
) -> Ledger:
    """The ledger with other contacts (newest first), identities or tags (each once).

    `base_ms` is chosen anew: the earliest of all moments, so that none is negative and most take five bytes.
    """
    rows = ledger.contacts if contacts is None else tuple(contacts)
    known = dict(ledger.identities if identities is None else identities)
    moments = [*known.values()]
    for row in rows:
        moments += (row.decided_ms, row.latest_ms)
    base_ms = min(moments, default=0)
    created = [known.pop(row.decision_id, None) for row in rows]
    created += known.values()
    relative = tuple(None if moment is None else moment - base_ms for moment in created)
    tag_words, words = (ledger.tag_words, ledger.words) if tags is None else _columns(tags)
    return msgspec.structs.replace(
        ledger,
        base_ms=base_ms,
        ids=b"".join((*(row.decision_id for row in rows), *known)),
        created=relative,
        oldest_created=min((moment for moment in relative if moment is not None), default=NEVER),
        latest=tuple(row.latest_ms - base_ms for row in rows),
        decided=tuple(row.decided_ms - base_ms for row in rows),
        tag_numbers=bytes(row.tag for row in rows),
        flags=bytes(row.flags for row in rows),
        tag_words=tag_words,
        words=words,
    )


def _columns(tags: Iterable[Tag]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The columns of these tags, in their order: a contact names its tag by its place."""
    numbers: dict[str, int] = {}
    tag_words: list[int] = []
    for tag in tags:
        for word in (tag.channel, tag.purpose, tag.topic, tag.brand, tag.campaign, tag.sender):
            tag_words.append(0 if word is None else numbers.setdefault(word, len(numbers) + 1))  # noqa: PERF401
    return tuple(tag_words), tuple(numbers)


def pruned(
    ledger: Ledger, *, now: int, history_ms: int, identities_ms: int, counts_for_life: Callable[[Tag], bool]
) -> Ledger:
    """The ledger without what lies beyond its horizons.

    Contacts go when even the latest moment they may have been sent is `history_ms` ago; those whose tag
    `counts_for_life` are counted in `archived`. Identities go when their intent was created more than `identities_ms`
    ago; that they have gone is kept, so that a policy that remembers longer approves none of them twice.
    """
    now -= ledger.base_ms
    latest = ledger.latest
    is_history_over = bool(latest) and latest[-1] <= now - history_ms
    if not is_history_over and (not ledger.created or ledger.oldest_created >= now - identities_ms):
        return ledger
    return _without_past(ledger, now + ledger.base_ms, history_ms, identities_ms, counts_for_life)


def _without_past(
    ledger: Ledger, now: int, history_ms: int, identities_ms: int, counts_for_life: Callable[[Tag], bool]
) -> Ledger:
    identities_from = now - identities_ms
    known = ledger.identities
    identities = {identity: created for identity, created in known.items() if created >= identities_from}
    forgotten_ms = ledger.forgotten_ms if len(identities) == len(known) else max(ledger.forgotten_ms, identities_from)
    contacts, tags = ledger.contacts, ledger.tags
    kept = [contact for contact in contacts if contact.latest_ms > now - history_ms]
    archived = ledger.archived
    if len(kept) < len(contacts):
        archived = {tag: count for tag, count in archived.items() if counts_for_life(tags[tag])}
        for contact in contacts[len(kept) :]:
            if not contact.flags & UNCOUNTED and counts_for_life(tags[contact.tag]):
                archived[contact.tag] = archived.get(contact.tag, 0) + 1
        kept, tags, archived = _with_used_tags(kept, tags, archived)
    changed = with_rows(ledger, contacts=kept, identities=identities, tags=tags)
    return msgspec.structs.replace(changed, archived=archived, forgotten_ms=forgotten_ms)


def _with_used_tags(
    contacts: list[Contact], tags: tuple[Tag, ...], archived: dict[int, int]
) -> tuple[list[Contact], tuple[Tag, ...], dict[int, int]]:
    used = sorted({contact.tag for contact in contacts} | set(archived))
    moved = {old: new for new, old in enumerate(used)}
    return (
        [Contact(c.decision_id, c.decided_ms, c.latest_ms, moved[c.tag], c.flags) for c in contacts],
        tuple(tags[old] for old in used),
        {moved[old]: count for old, count in archived.items()},
    )

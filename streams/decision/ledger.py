"""The ledger: everything the gate knows of one customer.

Rules of this module
1. A ledger is a value. Every change gives a new one; the old one stays true.
2. `contacts` are sorted by `latest_ms`, newest first, so that counting may stop at the first one outside its window.
3. Tags are stored as they were at the decision: recategorising a campaign later never rewrites history.
4. What is pruned could not change a decision any more: limits are counted on what is still inside its horizon, so the
   moment of pruning is never visible (docs/semantics.md, 3).
5. The binary form is MessagePack of arrays, its first element the format number. A reader refuses a number it does not
   know; fields may be added at the end of a format, never moved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct, field

LEDGER_FORMAT: Final = 1

# One record of 1 000 contacts is about 45 kB, far under a broker's default 1 MB; nobody is contacted 1 000 times in
# 35 days by a system that means well.
CONTACTS_MAX: Final = 1_000
# Identities are remembered for days only; 4 000 of 21 bytes are 84 kB.
IDENTITIES_MAX: Final = 4_000
# Distinct sets of channel, purpose, topic, brand, campaign and sender inside the history.
TAGS_MAX: Final = 256
# Distinct (track, direction, scope) a customer has spoken about.
PREFERENCES_MAX: Final = 256

CONFIRMED: Final = 1
WITHDRAWN: Final = 2
UNCOUNTED: Final = 4
OPT_OUT_EXEMPT: Final = 8
NEEDED_CONSENT: Final = 16


class LedgerUnreadable(ValueError):
    """A stored ledger is of an unknown format or damaged. The engine must stop: going on would forget a customer."""


class Tag(Struct, array_like=True, frozen=True, gc=False):
    """What a contact (or an intent) was about."""

    channel: str
    purpose: str
    topic: str | None = None
    brand: str | None = None
    campaign: str | None = None
    sender: str | None = None


class Contact(Struct, array_like=True, frozen=True, gc=False):
    """One approved send. `latest_ms` is its `valid_until` until an outcome says when it was sent."""

    decision_id: bytes
    decided_ms: int
    latest_ms: int
    tag: int
    flags: int = 0


class Preference(Struct, array_like=True, frozen=True, gc=False):
    """The standing event of one track, direction and scope. `end_ms` None: never ends.

    Only a consent keeps its evidence; nothing here tells one event from an equal one, or names anybody.
    """

    type: str
    order_ms: int
    effective_ms: int
    end_ms: int | None
    channel: str | None = None
    purpose: str | None = None
    topic: str | None = None
    brand: str | None = None
    sender: str | None = None
    evidence_ref: str | None = None


class ProfileValue(Struct, array_like=True, frozen=True, gc=False):
    """One field of the profile, with the order that decides which value stays."""

    value: str | bool
    order_ms: int


class Profile(Struct, array_like=True, frozen=True, gc=False):
    """What the customer's profile events said, field by field."""

    timezone: ProfileValue | None = None
    country: ProfileValue | None = None
    region: ProfileValue | None = None
    minor: ProfileValue | None = None


class Ledger(Struct, array_like=True, frozen=True):
    """Everything known of one customer. `archived` counts contacts beyond the history by tag, for lifetime caps."""

    format: int = LEDGER_FORMAT
    contacts: tuple[Contact, ...] = ()
    identities: dict[bytes, int] = field(default_factory=dict)
    tags: tuple[Tag, ...] = ()
    preferences: tuple[Preference, ...] = ()
    profile: Profile | None = None
    erased_ms: int | None = None
    archived: dict[int, int] = field(default_factory=dict)
    preference_refused: bool = False
    # Identities of intents created before this have been forgotten, whatever a later policy would remember.
    forgotten_ms: int = 0


EMPTY_LEDGER: Final = Ledger()

_decoder = msgspec.msgpack.Decoder(Ledger)
_encoder = msgspec.msgpack.Encoder()


def encode_ledger(ledger: Ledger) -> bytes:
    """The compact binary form, which is also the changelog value."""
    return _encoder.encode(ledger)


def decode_ledger(value: bytes) -> Ledger:
    """The ledger of a binary form.

    Raises:
        LedgerUnreadable: the format is unknown, or the bytes are no ledger.
    """
    try:
        ledger = _decoder.decode(value)
    except msgspec.MsgspecError as error:
        raise LedgerUnreadable(
            f"A stored ledger of {len(value)} bytes cannot be read. Was it written by a newer version? {error}"
        ) from None
    if ledger.format != LEDGER_FORMAT:
        raise LedgerUnreadable(
            f"A stored ledger has format {ledger.format}; this version reads format {LEDGER_FORMAT}. "
            "Run the version that wrote it."
        )
    return ledger


def with_contact(ledger: Ledger, contact: Contact, tag: Tag, *, identity: bytes, created_ms: int) -> Ledger:
    """The ledger with one more contact (its `tag` index is filled in here) and its identity."""
    tags = ledger.tags
    try:
        index = tags.index(tag)
    except ValueError:
        index = len(tags)
        tags = (*tags, tag)
    placed = Contact(contact.decision_id, contact.decided_ms, contact.latest_ms, index, contact.flags)
    return Ledger(
        ledger.format,
        _inserted(ledger.contacts, placed),
        {**ledger.identities, identity: created_ms},
        tags,
        ledger.preferences,
        ledger.profile,
        ledger.erased_ms,
        ledger.archived,
        ledger.preference_refused,
        ledger.forgotten_ms,
    )


def with_identity(ledger: Ledger, identity: bytes, created_ms: int) -> Ledger:
    """The ledger that remembers one more answered intent."""
    return msgspec.structs.replace(ledger, identities={**ledger.identities, identity: created_ms})


def with_changed_contact(ledger: Ledger, position: int, changed: Contact) -> Ledger:
    """The ledger with the contact at `position` replaced, in its new place."""
    others = ledger.contacts[:position] + ledger.contacts[position + 1 :]
    return msgspec.structs.replace(ledger, contacts=_inserted(others, changed))


def _inserted(contacts: tuple[Contact, ...], contact: Contact) -> tuple[Contact, ...]:
    position = 0
    for other in contacts:
        if other.latest_ms <= contact.latest_ms:
            break
        position += 1
    return (*contacts[:position], contact, *contacts[position:])


def pruned(
    ledger: Ledger, *, now: int, history_ms: int, identities_ms: int, counts_for_life: Callable[[Tag], bool]
) -> Ledger:
    """The ledger without what lies beyond its horizons.

    Contacts go when even the latest moment they may have been sent is `history_ms` ago; those whose tag
    `counts_for_life` are counted in `archived`. Identities go when their intent was created more than `identities_ms`
    ago; that they have gone is kept, so that a policy that remembers longer approves none of them twice.
    """
    contacts_from = now - history_ms
    identities_from = now - identities_ms
    contacts = ledger.contacts
    keep = len(contacts)
    while keep and contacts[keep - 1].latest_ms <= contacts_from:
        keep -= 1
    identities = ledger.identities
    forgotten_ms = ledger.forgotten_ms
    if identities and min(identities.values()) < identities_from:
        identities = {key: created for key, created in identities.items() if created >= identities_from}
        forgotten_ms = max(forgotten_ms, identities_from)
    if keep == len(contacts):
        if identities is ledger.identities:
            return ledger
        return msgspec.structs.replace(ledger, identities=identities, forgotten_ms=forgotten_ms)
    archived = {tag: count for tag, count in ledger.archived.items() if counts_for_life(ledger.tags[tag])}
    for contact in contacts[keep:]:
        if not contact.flags & UNCOUNTED and counts_for_life(ledger.tags[contact.tag]):
            archived[contact.tag] = archived.get(contact.tag, 0) + 1
    kept, tags, archived = _with_used_tags(contacts[:keep], ledger.tags, archived)
    return msgspec.structs.replace(
        ledger, contacts=kept, tags=tags, archived=archived, identities=identities, forgotten_ms=forgotten_ms
    )


def _with_used_tags(
    contacts: tuple[Contact, ...], tags: tuple[Tag, ...], archived: dict[int, int]
) -> tuple[tuple[Contact, ...], tuple[Tag, ...], dict[int, int]]:
    used = sorted({contact.tag for contact in contacts} | set(archived))
    if len(used) == len(tags):
        return contacts, tags, archived
    moved = {old: new for new, old in enumerate(used)}
    return (
        tuple(Contact(c.decision_id, c.decided_ms, c.latest_ms, moved[c.tag], c.flags) for c in contacts),
        tuple(tags[old] for old in used),
        {moved[old]: count for old, count in archived.items()},
    )

"""Stored ledgers, read from their binary form, and what the oracle expects of them.

This is the one module of the audit that knows the binary form (docs/audit.md, "The stored ledger"). It is read into
plain meanings, and meanings are compared. How tags are numbered, in which order contacts are stored, and when something
past its horizon was dropped make no difference.

Invariants
1. What is inside its horizon must be there, and nothing may be there that does not follow from the records.
2. A finding says which part differs and how many entries do; never what they hold.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.oracle.model import Customer

CONFIRMED, WITHDRAWN, UNCOUNTED, OPT_OUT_EXEMPT, NEEDED_CONSENT = 1, 2, 4, 8, 16
ID_BYTES: Final = 12
VALUES_PER_LABEL_SET: Final = 6
PROFILE: Final = ("timezone", "country", "region", "minor")

Tags = tuple[str | None, ...]
"""Channel, purpose, topic, brand, campaign, sender."""


class UnreadableLedger(ValueError):
    """The bytes are no ledger of a form known here."""


class ContactMeaning(NamedTuple):
    """One contact."""

    decision_id: str
    decided_at: int
    latest: int
    tags: Tags
    confirmed: bool
    withdrawn: bool
    uncounted: bool
    exempt: bool
    under_consent: bool


class PreferenceMeaning(NamedTuple):
    """One standing preference; its scope is channel, purpose, topic, brand, sender, its words folded."""

    type: str
    order: int
    effective_at: int
    end: int | None
    scope: Tags
    has_evidence: bool
    source: str | None


@dataclass
class Meaning:
    """What a ledger says."""

    contacts: list[ContactMeaning] = field(default_factory=list)
    identities: dict[str, int] = field(default_factory=dict)
    preferences: frozenset[PreferenceMeaning] = frozenset()
    profile: dict[str, tuple[object, int]] = field(default_factory=dict)
    erased_at: int | None = None
    archived: dict[Tags, int] = field(default_factory=dict)
    refused: bool = False


def read_ledger(value: bytes) -> Meaning:
    """The meaning of a stored ledger.

    Raises:
        UnreadableLedger: it is none.
    """
    try:
        row: Any = msgspec.msgpack.decode(value)
        # Fields at the end that say nothing need not be written.
        return _READERS[row[0]]([*row, *[None] * FIELDS_MAX])
    except (msgspec.MsgspecError, TypeError, IndexError, ValueError, AttributeError, KeyError) as error:
        raise UnreadableLedger(f"{len(value)} bytes, {type(error).__name__}") from None


def _read_columns(row: list[Any]) -> Meaning:
    """Format 2: contacts as columns, moments relative to a base, words stored once."""
    base, ids, created, _, latest, decided, label_set_numbers, flags, label_value_numbers, words = row[1:11]
    names = [bytes(ids[at : at + ID_BYTES]).hex() for at in range(0, len(ids), ID_BYTES)]
    vocabulary = [None, *words]
    spelt = [vocabulary[number] for number in label_value_numbers]
    tags: list[Tags] = [
        tuple(spelt[at : at + VALUES_PER_LABEL_SET]) for at in range(0, len(spelt), VALUES_PER_LABEL_SET)
    ]
    contacts = [
        _contact(names[number], base + decided[number], base + moment, tags[label_set_numbers[number]], flags[number])
        for number, moment in enumerate(latest)
    ]
    identities: dict[str, int] = {}
    for name, moment in zip(names, created, strict=True):
        if moment is not None:
            identities[name] = max(base + moment, identities.get(name, 0))
    return _meaning(contacts, identities, tags, row[11:])


def _read_rows(row: list[Any]) -> Meaning:
    """Format 1: contacts as rows."""
    tags: list[Tags] = [_padded(tag, VALUES_PER_LABEL_SET) for tag in row[3] or ()]
    contacts = [
        _contact(bytes(identity).hex(), decided, latest, tags[tag], flags or 0)
        for identity, decided, latest, tag, flags in (_padded(each, 5) for each in row[1] or ())
    ]
    identities = {bytes(identity).hex(): created for identity, created in (row[2] or {}).items()}
    return _meaning(contacts, identities, tags, row[4:])


def _meaning(contacts: list[ContactMeaning], identities: dict[str, int], tags: list[Tags], row: list[Any]) -> Meaning:
    """What both formats have behind contacts and identities."""
    preferences, profile, erased_at, archived, refused = row[:5]
    return Meaning(
        contacts=contacts,
        identities=identities,
        preferences=frozenset(_preference(_padded(each, 11)) for each in preferences or ()),
        profile={
            name: (said[0], said[1])
            for name, said in zip(PROFILE, _padded(profile or (), 4), strict=False)
            if said is not None
        },
        erased_at=erased_at,
        archived={tags[index]: count for index, count in (archived or {}).items()},
        refused=bool(refused),
    )


_READERS: Final = {1: _read_rows, 2: _read_columns}
FIELDS_MAX: Final = 17


def _padded(row: Iterable[Any], size: int) -> tuple[Any, ...]:
    given = tuple(row)
    return given + (None,) * (size - len(given))


def _contact(name: str, decided_at: int, latest: int, tags: Tags, flags: int) -> ContactMeaning:
    return ContactMeaning(
        name,
        decided_at,
        latest,
        tags,
        bool(flags & CONFIRMED),
        bool(flags & WITHDRAWN),
        bool(flags & UNCOUNTED),
        bool(flags & OPT_OUT_EXEMPT),
        bool(flags & NEEDED_CONSENT),
    )


def _preference(row: tuple[Any, ...]) -> PreferenceMeaning:
    return PreferenceMeaning(row[0], row[1], row[2], row[3], tuple(row[4:9]), row[9] is not None, row[10])


# ---- what is expected -----------------------------------------------------------------------------------------------


class Horizons(NamedTuple):
    """From when on contacts (latest) and identities (created) must still be held."""

    contacts_after: int
    identities_from: int


def expected(customer: Customer, decision_ids: dict[str, str]) -> Meaning:
    """What the oracle knows of a customer, as a ledger that forgets nothing would say it.

    `decision_ids` gives the decision id of each intent id of this customer.
    """
    identities: dict[str, int] = {}
    for identity in customer.identities:
        if not identity.erased:
            name = decision_ids[identity.intent_id]
            identities[name] = max(identity.created_at, identities.get(name, 0))
    return Meaning(
        contacts=[
            ContactMeaning(
                contact.decision_id,
                contact.decided_at,
                contact.latest,
                tuple(contact.tags.values()),
                bool(contact.reported),
                contact.withdrawn,
                not contact.counts_at_all,
                contact.exempt_from_opt_out,
                contact.under_consent,
            )
            for contact in customer.held_contacts()
        ],
        identities=identities,
        preferences=frozenset(
            PreferenceMeaning(
                event.type,
                event.order,
                event.effective_at,
                event.end,
                event.scope,
                event.evidence and event.track == "consent",
                event.source,
            )
            for event in customer.standing()
        ),
        profile={
            name: (entry.value, entry.order) for name in PROFILE if (entry := customer.profile_entry(name)) is not None
        },
        erased_at=customer.erased_at,
        refused=customer.refused,
    )


def may_be_nothing(wanted: Meaning, horizons: Horizons) -> bool:
    """Whether a ledger of this meaning, past its horizons, says nothing at all."""
    return may_be_erased(wanted, horizons) and not wanted.preferences and wanted.erased_at is None


def may_be_erased(wanted: Meaning, horizons: Horizons) -> bool:
    """Whether only what survives an erasure is left of it."""
    return not (
        any(contact.latest > horizons.contacts_after for contact in wanted.contacts)
        or any(created >= horizons.identities_from for created in wanted.identities.values())
        or wanted.profile
        or any(preference.type.startswith("consent") for preference in wanted.preferences)
    )


class Difference(NamedTuple):
    """One part of a ledger that differs: the finding's kind and a sentence without contents."""

    kind: str
    detail: str


def differences(
    wanted: Meaning, stored: Meaning, horizons: Horizons, for_life: Callable[[Tags], bool]
) -> list[Difference]:
    """How a stored ledger differs from what is expected. `for_life`: whether a lifetime cap counts such contacts."""
    found: list[Difference] = []
    if wanted.preferences != stored.preferences:
        missing, extra = len(wanted.preferences - stored.preferences), len(stored.preferences - wanted.preferences)
        kind = "ledger_differs" if extra and not missing else "preference_not_applied"
        found.append(Difference(kind, f"preferences: {missing} missing, {extra} of which nothing is known"))
    if wanted.profile != stored.profile:
        names = sorted(name for name in PROFILE if wanted.profile.get(name) != stored.profile.get(name))
        found.append(Difference("preference_not_applied", f"profile: {', '.join(names)}"))
    if wanted.erased_at != stored.erased_at:
        found.append(Difference("preference_not_applied", "erasure"))
    found += _contact_differences(wanted, stored, horizons)
    ever = Counter(contact.tags for contact in wanted.contacts if not contact.uncounted)
    kept = Counter(contact.tags for contact in stored.contacts if not contact.uncounted) + Counter(stored.archived)
    if any(ever[tags] != kept[tags] for tags in ever | kept if for_life(tags)):
        found.append(Difference("ledger_differs", "how many contacts there ever were, for a lifetime cap"))
    unknown = sum(1 for pair in stored.identities.items() if wanted.identities.get(pair[0]) != pair[1])
    gone = sum(
        1
        for identity, created in wanted.identities.items()
        if created >= horizons.identities_from and identity not in stored.identities
    )
    if unknown or gone:
        found.append(Difference("ledger_differs", f"identities: {gone} missing, {unknown} of which nothing is known"))
    if wanted.refused != stored.refused:
        found.append(Difference("ledger_differs", "whether a preference was refused for want of room"))
    return found


def _contact_differences(wanted: Meaning, stored: Meaning, horizons: Horizons) -> list[Difference]:
    must = Counter(contact for contact in wanted.contacts if contact.latest > horizons.contacts_after)
    may = Counter(wanted.contacts)
    have = Counter(stored.contacts)
    missing, extra = must - have, have - may
    if not missing and not extra:
        return []
    unheard = [_but_for_outcomes(contact) for contact in missing.elements() if contact.confirmed]
    if Counter(unheard) == Counter(map(_but_for_outcomes, extra.elements())) and len(unheard) == missing.total():
        return [Difference("outcome_not_applied", f"{len(unheard)} contacts with another time than their outcomes say")]
    detail = f"contacts: {missing.total()} missing, {extra.total()} of which nothing is known"
    return [Difference("ledger_differs", detail)]


def _but_for_outcomes(contact: ContactMeaning) -> ContactMeaning:
    """What no outcome changes."""
    return contact._replace(latest=0, confirmed=False)

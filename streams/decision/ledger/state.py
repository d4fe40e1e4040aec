"""The ledger: everything the gate knows of one customer.

Rules of this module
1. A ledger is a value. Every change gives a new one (`ledger_changes.py`); the old one stays true.
2. Contacts are sorted by their latest moment, newest first, so that counting may stop at the first one outside its
   window.
3. Label sets are stored as they were at the decision: recategorising a campaign later never rewrites history.
4. What the fields are in which format, and how they are stored, is said in `codec.py`.

The fields are columns, because a ledger is read, counted and written once per intent: moments are small numbers
relative to `base_ms`, one-byte columns are bytes, a word that several label sets use is stored once, and the id of an
approval is stored once although it names both an identity and a contact. `contacts`, `label_sets` and `identities`
give the same rows as objects, for everything but the hot path.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Raw, Struct, field
from msgspec.structs import replace

from streams.decision.tables import NEVER

LEDGER_FORMAT: Final = 2

# One record of 1 000 contacts is about 35 kB, far under a broker's default 1 MB; nobody is contacted 1 000 times in
# 35 days by a system that means well.
CONTACTS_MAX: Final = 1_000
# Identities are remembered for days only; 4 000 of 17 bytes are 68 kB.
IDENTITIES_MAX: Final = 4_000
# Distinct sets of channel, purpose, topic, brand, campaign and sender inside the history: numbered by one byte.
LABEL_SETS_MAX: Final = 256
# Distinct (track, direction, scope) a customer has spoken about.
PREFERENCES_MAX: Final = 256

# The types of outcomes as they are stored. A number is never given to another type.
OUTCOME_NUMBERS: Final = {
    "sent": 0,
    "delivered": 1,
    "read": 2,
    "clicked": 3,
    "failed": 4,
    "bounced": 5,
    "answered": 6,
    "no_answer": 7,
    "conversation": 8,
    "refusal": 9,
    "reply": 10,
    "complaint": 11,
    "expired": 12,
}
# Of one contact, each once: more than twice as many types as there are. With all of them, a thousand contacts weigh
# another 200 kB, and the record of their customer stays far under a broker's default 1 MB.
OUTCOMES_PER_CONTACT_MAX: Final = 32

# 96 bits: among 10⁹ live decisions two share an id with a probability under 10⁻¹¹.
DECISION_ID_BYTES: Final = 12
# Channel, purpose, topic, brand, campaign, sender.
VALUES_PER_LABEL_SET: Final = 6
# No moment on the wire lies further from 1970; sums and differences of a few such moments fit into 64 bits.
FAR_MS: Final = 1 << 53

CONFIRMED: Final = 1
WITHDRAWN: Final = 2
UNCOUNTED: Final = 4
OPT_OUT_EXEMPT: Final = 8
NEEDED_CONSENT: Final = 16


_Moment = Annotated[int, Meta(ge=-FAR_MS, le=FAR_MS)]


class LabelSet(Struct, array_like=True, frozen=True, gc=False):
    """What a contact (or an intent) was about."""

    channel: str
    purpose: str
    topic: str | None = None
    brand: str | None = None
    campaign: str | None = None
    sender: str | None = None


class Contact(Struct, array_like=True, frozen=True, gc=False):
    """One approved send. `assumed_sent_ms` is its `valid_until` until an outcome says when it was sent.

    `outcomes` are the numbers of the types that were reported for it (`OUTCOME_NUMBERS`), ascending, each with the
    earliest moment it was reported for.
    """

    decision_id: bytes
    decided_ms: int
    assumed_sent_ms: int
    label_set_number: int
    flags: int = 0
    outcomes: tuple[tuple[int, int], ...] = ()


class Preference(Struct, array_like=True, frozen=True, gc=False):
    """The standing event of one track, direction and scope. `end_ms` None: never ends.

    The words of the scope are folded (`words.py`). Only a consent keeps its evidence, and only the restriction track
    its source; nothing here tells one event from an equal one, or names anybody.
    """

    type: str
    order_ms: _Moment
    effective_ms: _Moment
    end_ms: _Moment | None
    channel: str | None = None
    purpose: str | None = None
    topic: str | None = None
    brand: str | None = None
    sender: str | None = None
    evidence_ref: str | None = None
    source: str | None = None


class ProfileValue(Struct, array_like=True, frozen=True, gc=False):
    """One field of the profile, with the order that decides which value stays."""

    value: str | bool
    order_ms: _Moment


class Profile(Struct, array_like=True, frozen=True, gc=False):
    """What the customer's profile events said, field by field."""

    timezone: ProfileValue | None = None
    country: ProfileValue | None = None
    region: ProfileValue | None = None
    minor: ProfileValue | None = None


class Ledger(Struct, array_like=True, frozen=True, gc=False):
    """Everything known of one customer.

    `ids` holds the decision ids, 12 bytes each: of the contacts in their order, then of the other identities that are
    remembered. `created` says for each of them when its intent was created, or None where only the contact is still
    known. `assumed_sent`, `decided`, `label_set_numbers`, `flags` and `outcomes` describe the contacts. All moments of
    these columns are relative to `base_ms`, but those of `outcomes` to the contact's decision. `label_value_numbers`
    has six numbers a label set: 0 for nothing, n for `label_values[n - 1]`. `archived` counts contacts beyond the
    history by label set, for lifetime caps.
    """

    format: int = LEDGER_FORMAT
    base_ms: _Moment = 0
    ids: bytes = b""
    created: tuple[_Moment | None, ...] = ()
    # The earliest of `created`. Tells without looking whether anything is to be forgotten.
    oldest_created: int = NEVER
    assumed_sent: tuple[_Moment, ...] = ()
    decided: tuple[_Moment, ...] = ()
    label_set_numbers: bytes = b""
    flags: bytes = b""
    label_value_numbers: tuple[Annotated[int, Meta(ge=0)], ...] = ()
    label_values: tuple[str, ...] = ()
    preferences: tuple[Preference, ...] = ()
    profile: Profile | None = None
    erased_ms: _Moment | None = None
    archived: dict[int, Annotated[int, Meta(ge=0, le=FAR_MS)]] = field(default_factory=dict)
    preference_refused: bool = False
    # Identities of intents created before this have been forgotten, whatever a later policy would remember.
    forgotten_ms: _Moment = 0
    # Of each contact the outcomes, as numbers of types and moments in turn; empty if no contact has any.
    outcomes: tuple[tuple[_Moment, ...], ...] = ()

    @property
    def contacts(self) -> tuple[Contact, ...]:
        """The contacts, newest first."""
        size, base_ms = DECISION_ID_BYTES, self.base_ms
        contacts = tuple(
            Contact(self.ids[n * size : n * size + size], base_ms + decided, base_ms + assumed_sent, label_set, flags)
            for n, (decided, assumed_sent, label_set, flags) in enumerate(
                zip(self.decided, self.assumed_sent, self.label_set_numbers, self.flags, strict=True)
            )
        )
        if not self.outcomes:
            return contacts
        return tuple(
            replace(contact, outcomes=_pairs(of, contact.decided_ms))
            for contact, of in zip(contacts, self.outcomes, strict=True)
        )

    @property
    def label_sets(self) -> tuple[LabelSet, ...]:
        """What the contacts were about."""
        named = (None, *self.label_values)
        words = [named[number] for number in self.label_value_numbers]
        return tuple(
            LabelSet(words[n] or "", words[n + 1] or "", *words[n + 2 : n + VALUES_PER_LABEL_SET])
            for n in range(0, len(words), VALUES_PER_LABEL_SET)
        )

    @property
    def identities(self) -> dict[bytes, int]:
        """The intents that were answered: their decision ids, and when they were created."""
        size, found = DECISION_ID_BYTES, dict[bytes, int]()
        for n, created in enumerate(self.created):
            if created is not None:
                identity, created_ms = self.ids[n * size : n * size + size], self.base_ms + created
                found[identity] = max(created_ms, found.get(identity, created_ms))
        return found


class LedgerBeginning(Struct, array_like=True, gc=False):
    """The first fields of a stored ledger. What nobody asks of them alone is not decoded."""

    format: int = 0
    base_ms: int = 0
    ids: Raw = Raw()
    created: Raw = Raw()
    oldest_created: int = NEVER
    assumed_sent: tuple[int, ...] = ()


class LedgerFormat(Struct, array_like=True):
    """What a stored ledger of every format begins with. What follows may be anything, and is not looked at."""

    format: int


def _pairs(outcomes: tuple[int, ...], decided_ms: int) -> tuple[tuple[int, int], ...]:
    return tuple((number, decided_ms + moment) for number, moment in zip(outcomes[::2], outcomes[1::2], strict=True))


EMPTY_LEDGER: Final = Ledger()

"""Retention: what is past its horizon leaves a ledger, even if nobody contacts its customer any more.

Rules of this module
1. What is pruned could not change a decision any more: limits are counted on what is still inside its horizon, so the
   moment of pruning is never visible (docs/semantics.md, 8.7).
2. What a customer said stays, and so do what an erasure left and what a cap for life counts.
3. That identities were forgotten is kept until no policy can remember for so long. A ledger in which nothing else is
   left is removed after that.
4. From the moment that `next_due` names, the ledger certainly has something to lose, and it is at most an hour late.
   Customers are then pruned once an hour rather than once for each contact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from streams.decision.ledger.codec import LedgerUnreadable, decode_ledger
from streams.decision.ledger.state import (
    EMPTY_LEDGER,
    LEDGER_FORMAT,
    UNCOUNTED,
    Contact,
    LabelSet,
    Ledger,
    LedgerBeginning,
)
from streams.decision.ledger.transitions import with_rows
from streams.decision.tables import DAY_MS, HOUR_MS, NEVER

LONGEST_MEMORY_MS: Final = 400 * DAY_MS
"""No policy may remember identities for longer, so a mark older than this forbids nothing that its horizon does not. A
ledger is held in memory: a year and a month covers rules of "once a year"."""


class Horizons(NamedTuple):
    """How long a policy remembers contacts, and identities."""

    history_ms: int
    identities_ms: int


@dataclass(frozen=True, slots=True)
class Retention:
    """How long contacts and identities are kept, and which contacts are counted for ever."""

    horizons: Horizons
    # Whether contacts of a label set must be counted beyond the history.
    counts_for_life: Callable[[LabelSet], bool]

    def prune(self, ledger: Ledger, now: int) -> Ledger:
        """The ledger without what the horizons have passed. Changes no decision."""
        return pruned(
            ledger,
            now=now,
            history_ms=self.horizons.history_ms,
            identities_ms=self.horizons.identities_ms,
            counts_for_life=self.counts_for_life,
        )


def retained(retention: Retention, ledger: Ledger, now: int) -> Ledger:
    """The ledger itself if nothing in it is past its horizon; else what is left of it; `EMPTY_LEDGER` if nothing is."""
    left = retention.prune(ledger, now)
    if left.forgotten_ms > now - LONGEST_MEMORY_MS or (left is ledger and not left.forgotten_ms):
        return left  # most ledgers: no need to look further
    return left if _says_anything(left) else EMPTY_LEDGER


def _says_anything(ledger: Ledger) -> bool:
    """Whether it holds more than the mark of what was forgotten."""
    return bool(
        ledger.preferences
        or ledger.profile is not None
        or ledger.erased_ms is not None
        or ledger.archived
        or ledger.preference_refused
        or ledger.contacts
        or ledger.identities
    )


Oldest = tuple[int, int, tuple[int, ...]]
"""What the first moment rests on: the base of the columns, the oldest identity, and the oldest contact, if there is
one."""


def oldest_of(ledger: Ledger) -> Oldest:
    """What is oldest in the ledger. While it is the same, so is `next_due` of a ledger that has any of it."""
    return ledger.base_ms, ledger.oldest_created, ledger.assumed_sent[-1:]


def next_due_by(oldest: Oldest, horizons: Horizons) -> int | None:
    """`next_due` of a ledger in which this is the oldest; None if there is nothing."""
    return _next_due(*oldest, horizons)


def next_due(ledger: Ledger, horizons: Horizons) -> int | None:
    """The moment from which retention has something to take from the ledger; None if it never has."""
    due_ms = _next_due(ledger.base_ms, ledger.oldest_created, ledger.assumed_sent, horizons)
    return _mark_due(ledger) if due_ms is None else due_ms


def next_due_of(value: bytes, horizons: Horizons) -> int | None:
    """`next_due` of a stored ledger, of which only the beginning is decoded as a rule. None: it cannot be read, so that
    whoever has to decide by it will say so.
    """
    try:
        beginning = _decode_beginning(value)
        if beginning.format != LEDGER_FORMAT:
            return None
        due_ms = _next_due(beginning.base_ms, beginning.oldest_created, beginning.assumed_sent, horizons)
        return _mark_due(decode_ledger(value)) if due_ms is None else due_ms
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LedgerUnreadable):
        return None


_decode_beginning: Final = msgspec.msgpack.Decoder(LedgerBeginning).decode


def _next_due(base_ms: int, oldest_created: int, assumed_sent: tuple[int, ...], horizons: Horizons) -> int | None:
    """When the first contact or identity is past its horizon."""
    history_ms, identities_ms = horizons
    if oldest_created < NEVER:
        due_ms = oldest_created + identities_ms + 1
        if assumed_sent and assumed_sent[-1] + history_ms < due_ms:
            due_ms = assumed_sent[-1] + history_ms
    elif assumed_sent:
        due_ms = assumed_sent[-1] + history_ms
    else:
        return None
    return _next_hour(base_ms + due_ms)


def _mark_due(ledger: Ledger) -> int | None:
    """When the mark of what was forgotten goes, and with it the ledger: it has neither contacts nor identities."""
    if not ledger.forgotten_ms or _says_anything(ledger):
        return None
    return _next_hour(ledger.forgotten_ms + LONGEST_MEMORY_MS)


def _next_hour(moment_ms: int) -> int:
    return moment_ms + -moment_ms % HOUR_MS


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
        [msgspec.structs.replace(contact, label_set_number=moved[contact.label_set_number]) for contact in contacts],
        tuple(label_sets[old] for old in used),
        {moved[old]: count for old, count in archived.items()},
    )

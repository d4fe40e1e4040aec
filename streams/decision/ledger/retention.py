"""What is past its horizon leaves a ledger.

Rules of this module
1. What is pruned could not change a decision any more: limits are counted on what is still inside its horizon, so the
   moment of pruning is never visible (docs/semantics.md, 3).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from streams.decision.ledger.state import UNCOUNTED, Contact, LabelSet, Ledger
from streams.decision.ledger.transitions import with_rows


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

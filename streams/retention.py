"""Retention: what is past its horizon leaves a ledger, though nobody contacts its customer any more.

Rules of this module
1. What goes is what `Policy.prune` lets go, at whatever moment: it changes no answer, so nobody can tell when it went.
2. What a customer said stays, and so do what an erasure left and what a cap for life counts.
3. That identities were forgotten is kept until no policy can remember for so long. Only a ledger in which nothing at
   all is left after that is removed.
4. A ledger that cannot be read is left alone: whoever has to decide by it will say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.decision.ledger.codec import LedgerUnreadable, decode_ledger
from streams.decision.ledger.state import EMPTY_LEDGER
from streams.exactly_once.changelog import CUSTOMER_PREFIX
from streams.policy.header import IDENTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.decision.ledger.state import Ledger
    from streams.decision.policy import Policy

LONGEST_MEMORY_MS: Final = IDENTITIES.most_ms
"""No policy may remember identities for longer. A mark older than that forbids nothing that its horizon does not."""


def due_ledgers(policy: Policy, keys: Iterable[bytes], store: Mapping[bytes, bytes], now: int) -> list[bytes]:
    """Which of these changelog keys have ledgers that would lose something at `now`."""
    found = []
    for key in keys:
        value = store.get(key) if key.startswith(CUSTOMER_PREFIX) else None
        if value is None:
            continue
        try:
            ledger = decode_ledger(value)
        except LedgerUnreadable:
            continue
        if retained(policy, ledger, now) is not ledger:
            found.append(key)
    return found


def retained(policy: Policy, ledger: Ledger, now: int) -> Ledger:
    """The ledger itself if nothing in it is past its horizon; else what is left of it; `EMPTY_LEDGER` if nothing is."""
    left = policy.prune(ledger, now)
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

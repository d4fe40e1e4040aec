"""The ledgers of one batch: read from the store, changed in memory, and put back as changelog values.

Rules of this module
1. The store is never changed. What a batch has changed is read back from here.
2. A ledger that says nothing of its customer is never stored: not even that there is such a customer is kept. What an
   erasure left is stored under a keyed hash.
3. With each changed ledger it is known whether retention has something to take from it earlier than before.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from streams.decision.ledger.codec import LedgerUnreadable, decode_ledger, encode_ledger
from streams.decision.ledger.retention import next_due
from streams.decision.ledger.state import EMPTY_LEDGER, Ledger
from streams.decision.policy import Policy
from streams.exactly_once.changelog import customer_key, erased_key
from streams.exactly_once.interfaces import StoredValueUnreadable

# Enough that no two customers of one gate share a hash.
ERASED_HASH_BYTES: Final = 16
# Ledgers of a batch kept open at once. Few, so that they stay in the processor's cache; enough for a customer's burst.
LEDGERS_OPEN_MAX: Final = 64
_NOTHING_KNOWN: Final = encode_ledger(EMPTY_LEDGER)


class LedgerStore:
    """Where the ledgers of customers stand in a store."""

    def __init__(self, erasure_key: bytes) -> None:
        self._erasure_key = erasure_key

    def erased_key(self, customer_id: bytes) -> bytes:
        """The changelog key of an erased customer: a keyed hash, from which nobody can tell who it was."""
        return erased_key(blake2b(customer_id, key=self._erasure_key, digest_size=ERASED_HASH_BYTES).digest())

    def ledger_of(self, customer_id: bytes, store: Mapping[bytes, bytes]) -> Ledger | None:
        """The ledger stored for a customer, or what an erasure left of it; None if nothing is known."""
        value = store.get(customer_key(customer_id)) or store.get(self.erased_key(customer_id))
        return None if value is None else decode_ledger(value)


class BatchLedgers:
    """The ledgers that one batch of a partition looks at."""

    def __init__(
        self,
        where: LedgerStore,
        policy: Policy,
        partition: int,
        store: Mapping[bytes, bytes],
    ) -> None:
        self._where = where
        self._policy = policy
        self._horizons = policy.horizons
        self._partition = partition
        self._store = store
        self._open: dict[bytes, Ledger] = {}
        self._closed: dict[bytes, bytes] = {}
        # Customers of this batch of whom an erasure is known: only these may have to be stored under a hash.
        self._erased: set[bytes] = set()
        # When retention had something to take from the ledgers as they are stored, and as they are now.
        self._due_before: dict[bytes, int | None] = {}
        self._due_now: dict[bytes, int | None] = {}

    def knows(self, customer: bytes) -> bool:
        """Whether the batch has changed the customer's ledger, or the store holds it."""
        return customer in self._open or customer in self._closed or customer_key(customer) in self._store

    def get(self, customer: bytes, now: int) -> Ledger:
        """The customer's ledger, as the batch has left it so far.

        Raises:
            StoredValueUnreadable: it is stored, and cannot be read.
        """
        found = self._open.get(customer)
        if found is not None:
            return found
        if len(self._open) >= LEDGERS_OPEN_MAX:
            self._close(now)
        if customer in self._closed:
            return decode_ledger(self._closed[customer])
        try:
            ledger = self._where.ledger_of(customer, self._store) or EMPTY_LEDGER
        except LedgerUnreadable as unreadable:
            key = customer_key(customer)
            key = key if key in self._store else self._where.erased_key(customer)
            raise StoredValueUnreadable(self._partition, key, str(unreadable)) from None
        self._due_before[customer] = next_due(ledger, self._horizons)
        return ledger

    def keep(self, customer: bytes, ledger: Ledger) -> None:
        """This is the customer's ledger from now on."""
        self._open[customer] = ledger
        if ledger.erased_ms is not None:
            self._erased.add(customer)

    def changes(self, now: int) -> tuple[dict[bytes, bytes | None], dict[bytes, int]]:
        """The changelog of the batch, one value per customer touched, however often; and when those ledgers are due
        that were due later before the batch, or not at all.
        """
        self._close(now)
        changes: dict[bytes, bytes | None] = {}
        due_at_ms: dict[bytes, int] = {}
        for customer, value in self._closed.items():
            key = customer_key(customer)
            if customer in self._erased and _holds_only_what_survives_erasure(decode_ledger(value)):
                changes[self._where.erased_key(customer)] = value
                if key in self._store:
                    changes[key] = None
            elif value == _NOTHING_KNOWN:
                if key in self._store:
                    changes[key] = None
            else:
                changes[key] = value
                due_ms = self._due_now[customer]
                if due_ms is not None:
                    before_ms = self._due_before[customer] if key in self._store else None
                    if before_ms is None or due_ms < before_ms:
                        due_at_ms[key] = due_ms
        return changes, due_at_ms

    def _close(self, now: int) -> None:
        """Put the open ledgers into their stored form, without what is past its horizon now."""
        for customer, ledger in self._open.items():
            left = self._policy.prune(ledger, now)
            self._closed[customer] = encode_ledger(left)
            self._due_now[customer] = next_due(left, self._horizons)
        self._open.clear()


def _holds_only_what_survives_erasure(ledger: Ledger) -> bool:
    return (
        ledger.erased_ms is not None
        and not ledger.contacts
        and not ledger.identities
        and not ledger.archived
        and ledger.profile is None
        and not any(preference.type.startswith("consent") for preference in ledger.preferences)
    )

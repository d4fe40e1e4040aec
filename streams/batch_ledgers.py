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
from streams.decision.ledger.retention import Oldest, next_due, next_due_by, oldest_of
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
        # What is oldest in the ledgers as they are stored, None for those without a record under the customer's own
        # key; and when retention has something to take from those of which that has changed.
        self._oldest_before: dict[bytes, Oldest | None] = {}
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
        key = customer_key(customer)
        value = self._store.get(key)
        if value is None:
            self._oldest_before[customer] = None
            key = self._where.erased_key(customer)
            value = self._store.get(key)
            if value is None:
                return EMPTY_LEDGER
            return self._decoded(key, value)
        ledger = self._decoded(key, value)
        self._oldest_before[customer] = oldest_of(ledger)
        return ledger

    def _decoded(self, key: bytes, value: bytes) -> Ledger:
        try:
            return decode_ledger(value)
        except LedgerUnreadable as unreadable:
            raise StoredValueUnreadable(self._partition, key, str(unreadable)) from None

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
                due_ms = self._due_now.get(customer)
                if due_ms is not None:
                    before = self._oldest_before[customer]
                    before_ms = None if before is None else next_due_by(before, self._horizons)
                    if before_ms is None or due_ms < before_ms:
                        due_at_ms[key] = due_ms
        return changes, due_at_ms

    def _close(self, now: int) -> None:
        """Put the open ledgers into their stored form, without what is past its horizon now."""
        for customer, ledger in self._open.items():
            left = self._policy.retention.prune(ledger, now)
            self._closed[customer] = encode_ledger(left)
            # A newer contact, which is what most batches add, makes nothing due earlier.
            is_as_old = oldest_of(left) == self._oldest_before[customer]
            self._due_now[customer] = None if is_as_old else next_due(left, self._horizons)
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

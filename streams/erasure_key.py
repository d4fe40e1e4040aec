"""All workers of one application have the same erasure key, for ever. The control topic holds a fingerprint of it.

Rules of this module
1. The fingerprint is recorded before the first policy is, so an application with a policy and without a fingerprint has
   lost it: somebody has removed it, or it was never this application's topic.
2. The same holds for an application without both whose ledger has entries of erased customers. The ledger is asked
   before a fingerprint is recorded; afterwards nothing would tell a lost fingerprint from a first start.
3. Another key is taken only if somebody says so at that start.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from streams.exactly_once.clients import CHANGELOG_FETCH_WAIT_MS, close
from streams.exactly_once.control import POLICY_KEY
from streams.exactly_once.errors import StartupRefusedError
from streams.exactly_once.key_kinds import KeyKind, kind_of
from streams.exactly_once.restore import changelog_partitions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.exactly_once.clients import Clients
    from streams.exactly_once.control import ControlTopic
    from streams.exactly_once.settings import EngineSettings

# In the control topic: a fingerprint by which a later start recognises the erasure key. Nobody learns the key from it.
ERASURE_KEY_KEY: Final = b"erasure-key"
ACCEPT_OPTION: Final = "--accept-new-erasure-key"
# Customers are hashed in another way, so no customer id can have this fingerprint.
_FINGERPRINTED: Final = b"the erasure key of this application"
_FINGERPRINT_PERSON: Final = b"mesura-key"


def fingerprint_of(erasure_key: bytes) -> bytes:
    """As the control topic holds it."""
    return blake2b(_FINGERPRINTED, key=erasure_key, person=_FINGERPRINT_PERSON).hexdigest().encode()


async def check_erasure_key(
    control: ControlTopic,
    erasure_key: bytes,
    *,
    customers_were_erased: Callable[[], Awaitable[bool]],
    accept_new: bool = False,
) -> None:
    """Record at the first start which erasure key the application has; later starts must have the same.

    `customers_were_erased` looks into the ledger. It is asked only if the control topic knows of no earlier start.
    `accept_new`: this one counts from now on.

    Raises:
        StartupRefusedError: it is another one, or nothing says which it was.
    """
    fingerprint = fingerprint_of(erasure_key)
    if accept_new and control.get(ERASURE_KEY_KEY) != fingerprint:
        await control.put(ERASURE_KEY_KEY, fingerprint)
        await control.refresh()
    if control.get(ERASURE_KEY_KEY) is None and (control.get(POLICY_KEY) is not None or await customers_were_erased()):
        raise StartupRefusedError(
            "This application has been started before, and the fingerprint of its erasure key is gone from the control "
            "topic: whether the standing opt-outs of erased customers will be found is not known. If this is the key "
            f"that it has always had, start once with {ACCEPT_OPTION}; see docs/operations.md, Erasure key."
        )
    if control.get(ERASURE_KEY_KEY) is None:
        await control.put(ERASURE_KEY_KEY, fingerprint)
        # Of workers that start for the first time at once, the last to write wins: what counts is what stands there.
        await control.refresh()
    if control.get(ERASURE_KEY_KEY) != fingerprint:
        raise StartupRefusedError(
            "MESURA_ERASURE_KEY is not the key this application was first started with: the standing opt-outs of "
            "erased customers would not be found. Start with the first key; if it is lost for good, see "
            "docs/operations.md, Erasure key. Do not remove its fingerprint."
        )


async def ledger_has_erased_customers(settings: EngineSettings, clients: Clients, partition_count: int) -> bool:
    """Whether the changelog has an entry that an erasure left. Reads it up to its present end, or to the first entry.

    Raises:
        BatchUnreadableError: a record batch cannot be read.
    """
    partitions = changelog_partitions(settings, range(partition_count))
    offsets = await clients.offset_reader()
    try:
        ends = await offsets.end_offsets(partitions)
    finally:
        await close(offsets)
    reader = await clients.changelog_reader(partitions)
    try:
        unread = set(partitions)
        while unread := {each for each in unread if await reader.position(each) < ends[each]}:
            for entries in (await reader.getmany(*unread, timeout_ms=CHANGELOG_FETCH_WAIT_MS)).values():
                for batch in entries:
                    if any(value is not None and kind_of(key or b"") is KeyKind.ERASED for key, value in batch.pairs()):
                        return True
    finally:
        await close(reader)
    return False

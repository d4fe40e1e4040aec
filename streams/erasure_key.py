"""All workers of one application have the same erasure key, for ever. The control topic holds a fingerprint of it."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from streams.exactly_once.errors import StartupRefusedError

if TYPE_CHECKING:
    from streams.exactly_once.control import ControlTopic

# In the control topic: a fingerprint by which a later start recognises the erasure key. Nobody learns the key from it.
ERASURE_KEY_KEY: Final = b"erasure-key"
# Customers are hashed in another way, so no customer id can have this fingerprint.
_FINGERPRINTED: Final = b"the erasure key of this application"
_FINGERPRINT_PERSON: Final = b"mesura-key"


async def check_erasure_key(control: ControlTopic, erasure_key: bytes) -> None:
    """Record at the first start which erasure key the application has; later starts must have the same.

    Raises:
        StartupRefusedError: it is another one.
    """
    fingerprint = blake2b(_FINGERPRINTED, key=erasure_key, person=_FINGERPRINT_PERSON).hexdigest().encode()
    if control.get(ERASURE_KEY_KEY) is None:
        await control.put(ERASURE_KEY_KEY, fingerprint)
        # Of workers that start for the first time at once, the last to write wins: what counts is what stands there.
        await control.refresh()
    if control.get(ERASURE_KEY_KEY) != fingerprint:
        raise StartupRefusedError(
            "MESURA_ERASURE_KEY is not the key this application was first started with: the standing opt-outs of "
            "erased customers would not be found. Start with the first key; if it is lost for good, see "
            "docs/operations.md, Erasure key."
        )

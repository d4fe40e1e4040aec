"""The control topic of a stopped gate, as a recovery needs it: read, and checked against what the recovery is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.erasure_key import ERASURE_KEY_KEY, fingerprint_of
from streams.exactly_once.control import FORMAT_KEY, PARTITIONS_KEY, read_format
from streams.exactly_once.errors import StartupRefusedError
from streams.recovery.errors import RecoveryRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.recovery.settings import RecoverySettings


def check_control(control: Mapping[bytes, bytes], settings: RecoverySettings, partitions: int) -> None:
    """It is of a format that is read, of this partition count, and of an application with this erasure key.

    Raises:
        RecoveryRefused: it is not.
    """
    topic = settings.names.control
    try:
        read_format(topic, control.get(FORMAT_KEY))
    except StartupRefusedError as refused:
        raise RecoveryRefused(str(refused)) from None
    recorded = control.get(PARTITIONS_KEY)
    if recorded is not None and recorded != b"%d" % partitions:
        raise RecoveryRefused(
            f"{topic} says that the gate was started with {recorded.decode(errors='replace')} partitions, and "
            f"{settings.names.ledger} has {partitions}. Create that one with the count of the other topics."
        )
    fingerprint = control.get(ERASURE_KEY_KEY)
    if fingerprint is not None and fingerprint != fingerprint_of(settings.erasure_key):
        raise RecoveryRefused(
            "The erasure key is not the one of this gate: what erased customers said would be stored where the gate "
            "never looks. Give the key that the gate has."
        )

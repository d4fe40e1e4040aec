"""The policy with which a worker starts: the one of its file or, failing that, the last good one in the control topic.

Rules of this module
1. The file comes first. Only if it is missing or refused does the last good policy, the one in force for the
   application, take its place, because a file that vanishes must not end a gate that decides.
2. It takes the file's place only as the very policy it was. If its text would mean something else on this machine
   (other versions of the zone or holiday packages, another version of this package), nobody has put that in force, and
   the start is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from streams.contracts.control import PolicyFromLaterVersion, decode_policy
from streams.exactly_once.control import POLICY_KEY, policy_text_key
from streams.exactly_once.errors import StartupRefusedError
from streams.policy.findings import PolicyRefused
from streams.policy.loader import LoadedPolicy, load_policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.contracts.control import PolicyRecord

    Fault = PolicyRefused | OSError


def starting_policy(
    path: Path, control: Callable[[bytes], bytes | None], *, may_replace: bool
) -> tuple[LoadedPolicy, Fault | None]:
    """The policy, and what is wrong with the file if it is the last good one.

    Args:
        control: the value of a key of the control topic.
        may_replace: the last good policy may take the file's place.

    Raises:
        PolicyRefused: the file has errors, and there is no last good policy.
        StartupRefusedError: the file cannot be read, and there is no last good policy or it may not take the file's
            place.
    """
    try:
        return load_policy(path), None
    except (PolicyRefused, OSError) as error:
        fault = error
    record = _last_good(control) if may_replace else None
    if record is None:
        if isinstance(fault, PolicyRefused):
            raise fault
        raise StartupRefusedError(f"The policy file {path} cannot be read: {fault.strerror}.")
    try:
        last = load_policy(record.text)
    except PolicyRefused:
        raise _no_substitute(path, fault, record, "this version of mesura refuses its text") from None
    if last.specification.content_hash != record.hash:
        raise _no_substitute(path, fault, record, f"on this machine it would be another one ({_differs(record, last)})")
    return last, fault


def _last_good(control: Callable[[bytes], bytes | None]) -> PolicyRecord | None:
    digest = control(POLICY_KEY)
    value = None if digest is None else control(policy_text_key(digest.decode("ascii", "replace")))
    if value is None:
        return None
    try:
        return decode_policy(value)
    except PolicyFromLaterVersion as later:
        raise StartupRefusedError(str(later)) from None
    except msgspec.DecodeError:
        return None


def _differs(record: PolicyRecord, last: LoadedPolicy) -> str:
    here = {"tzdata": last.tzdata_version, "holidays": last.holidays_version}
    other = [
        f"{package} {record.versions.get(package)} there, {version} here"
        for package, version in here.items()
        if record.versions.get(package) != version
    ]
    return "; ".join(other) or "this version of mesura reads its text differently"


def _no_substitute(path: Path, fault: Fault, record: PolicyRecord, why: str) -> StartupRefusedError:
    wrong = f"is refused: {fault}" if isinstance(fault, PolicyRefused) else f"cannot be read: {fault.strerror}."
    return StartupRefusedError(
        f"The last good policy, {record.name} {record.version} ({record.hash}), cannot take the place of the policy "
        f"file, because {why}. Put the file back, or correct it. The policy file {path} {wrong}"
    )

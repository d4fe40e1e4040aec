"""What the control topic says of policy, erasure key and number of partitions, beside what is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streams.doctor.finding import SEE_PARTITIONS, SEE_TOPICS, Finding, NotPossible, State
from streams.erasure_key import ERASURE_KEY_KEY, fingerprint_of
from streams.exactly_once.control import PARTITIONS_KEY, POLICY_KEY, ControlTopic
from streams.exactly_once.errors import StartupRefusedError
from streams.exactly_once.startup import check_recorded_count
from streams.policy.findings import PolicyRefused
from streams.policy.loader import load_policy
from streams.settings import ERASURE_KEY_BYTES_MAX, ERASURE_KEY_BYTES_MIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.doctor.subject import Subject


def look_at_policy(subject: Subject) -> Iterator[Finding]:
    """Whether the policy can be loaded, and is the one in force."""
    path = subject.policy
    if path is None:
        raise NotPossible("No policy was given.", "Give the gate's with --policy.")
    see = f"`mesura policy check {path}` lists the findings."
    try:
        loaded = load_policy(path)
    except OSError as error:
        yield Finding(
            "policy",
            State.FAILURE,
            f"The policy {path} cannot be read: {error.strerror}.",
            "Correct --policy, or let us read the file.",
        )
        return
    except PolicyRefused as refused:
        count = len(refused.findings)
        others = f" {count - 1} more." if count > 1 else ""
        yield Finding("policy", State.FAILURE, f"The policy {path} is refused: {refused.findings[0]}{others}", see)
        return
    if loaded.warnings:
        yield Finding("policy", State.WARNING, f"The policy {path} has {len(loaded.warnings)} warnings.", see)
    own = loaded.specification.content_hash
    in_force = _control(subject)(POLICY_KEY)
    if in_force is None:
        yield Finding("policy", State.OK, f"The policy {path} has no errors ({own}). None is in force yet.")
    elif in_force == own.encode():
        yield Finding("policy", State.OK, f"The policy {path} has no errors and is in force ({own}).")
    else:
        yield Finding(
            "policy",
            State.WARNING,
            f"The policy {path} has no errors ({own}), but is not the one in force "
            f"({in_force.decode('ascii', 'replace')}).",
            "If the gate runs with this file, look in its log for why it was not taken. Else it is put in force at the "
            "next start. Another version of tzdata or holidays makes another policy of the same file.",
        )


def look_at_erasure_key(subject: Subject) -> Iterator[Finding]:
    """Whether the key is the one that the application has always had."""
    see = "See docs/operations.md, Erasure key."
    if subject.erasure_key_refusal:
        yield Finding("erasure key", State.FAILURE, subject.erasure_key_refusal, see)
        return
    if not subject.erasure_key:
        raise NotPossible("No erasure key was given.", "Set MESURA_ERASURE_KEY_FILE to the gate's.")
    key = _bytes_of(subject.erasure_key)
    if not ERASURE_KEY_BYTES_MIN <= len(key) <= ERASURE_KEY_BYTES_MAX:
        wanted = f"{ERASURE_KEY_BYTES_MIN} to {ERASURE_KEY_BYTES_MAX} bytes in hexadecimal"
        yield Finding("erasure key", State.FAILURE, f"What was given as erasure key is not {wanted}.", see)
        return
    fingerprint = fingerprint_of(key)
    value_of = _control(subject)
    recorded = value_of(ERASURE_KEY_KEY)
    if recorded == fingerprint:
        yield Finding("erasure key", State.OK, "The erasure key is the one that the application was started with.")
    elif recorded is not None:
        yield Finding(
            "erasure key",
            State.FAILURE,
            "The erasure key is not the one that the application was started with: the standing opt-outs of erased "
            "customers would not be found.",
            see,
        )
    elif value_of(POLICY_KEY) is not None:
        yield Finding(
            "erasure key",
            State.FAILURE,
            "The application has been started before, and the fingerprint of its erasure key is gone from the control "
            "topic.",
            see,
        )
    else:
        yield Finding("erasure key", State.OK, "The application was not started yet: any erasure key will do.")


def look_at_recorded_count(subject: Subject) -> Iterator[Finding]:
    """Whether the topics still have as many partitions as when the application was first started."""
    recorded = _control(subject)(PARTITIONS_KEY)
    if recorded is None:
        yield Finding("partitions", State.OK, "The application was not started yet: any number of partitions will do.")
        return
    names = [name for name in subject.topics if name != subject.names.control]
    yield from subject.unseen("partitions", names)
    try:
        for name in names:
            check_recorded_count(int(recorded), len(subject.topics[name].partitions))
    except StartupRefusedError as refused:
        yield Finding("partitions", State.FAILURE, str(refused), SEE_PARTITIONS)
    else:
        sentence = f"All topics have the {int(recorded)} partitions that the application was started with."
        yield Finding("partitions", State.OK, sentence)


def _bytes_of(key: str) -> bytes:
    """Empty if it is not hexadecimal."""
    try:
        return bytes.fromhex(key)
    except ValueError:
        return b""


def _control(subject: Subject) -> Callable[[bytes], bytes | None]:
    """The value of a key of the control topic.

    Raises:
        NotPossible: there is no such topic.
    """
    if subject.names.control not in subject.topics:
        raise NotPossible(f"The topic {subject.names.control} does not exist, or we may not see it.", SEE_TOPICS)
    return asyncio.run(_read(subject)).get


async def _read(subject: Subject) -> ControlTopic:
    async with ControlTopic(subject.engine, subject.names.control) as control:
        return control

"""Makes every check, each by itself and for a limited time.

Rules of this module
1. A check that fails, hangs or breaks stops no other. What it could not say is a finding too.
2. What an error says is quoted only where it is a Kafka client's word about the cluster. Of any other error only the
   type is named, because its text may hold anything.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import aiokafka.errors
from confluent_kafka import KafkaError, KafkaException

from streams.connection.errors import ConnectionRefused
from streams.doctor.clocks import look_at_clocks
from streams.doctor.control import look_at_erasure_key, look_at_policy, look_at_recorded_count
from streams.doctor.finding import LOOK_AT_BROKERS, SEE_CONNECTION, SEE_PERMISSIONS, Finding, NotPossible, State
from streams.doctor.group import look_at_group
from streams.doctor.recent_records import look_at_recent_records
from streams.doctor.subject import ANSWER_SECONDS, Subject
from streams.doctor.surroundings import look_at_connection, look_at_permissions
from streams.doctor.topics import look_at_replicas, look_at_topics
from streams.doctor.versions import look_at_versions
from streams.exactly_once.errors import StartupRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

CHECK_SECONDS: Final = 30.0
"""For each check; they run at once. Reading the ends of a thousand partitions takes some seconds."""

_NOT_ALLOWED: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
_NOT_ALLOWED_ERRORS: Final = (
    aiokafka.errors.TopicAuthorizationFailedError,
    aiokafka.errors.GroupAuthorizationFailedError,
    aiokafka.errors.ClusterAuthorizationFailedError,
)


class Check(NamedTuple):
    """`names`: of what it finds."""

    names: tuple[str, ...]
    look: Callable[[Subject], Iterable[Finding]]


CHECKS: Final = (
    Check(("permissions",), look_at_permissions),
    Check(("topics",), look_at_topics),
    Check(("partitions",), look_at_recorded_count),
    Check(("replicas",), look_at_replicas),
    Check(("partitioner", "batches"), look_at_recent_records),
    Check(("clocks",), look_at_clocks),
    Check(("policy",), look_at_policy),
    Check(("erasure key",), look_at_erasure_key),
    Check(("group",), look_at_group),
    Check(("versions",), look_at_versions),
)


def examine(subject: Subject, checks: Sequence[Check] = CHECKS, limit_seconds: float = CHECK_SECONDS) -> list[Finding]:
    """What every check found, in their order; the connection first."""
    connection = look_at_connection(subject.cluster)
    if connection.state is State.OK:
        try:
            subject = replace(subject, listed=subject.admin().list_topics(timeout=ANSWER_SECONDS).topics)
        except (KafkaException, ConnectionRefused) as error:
            connection = Finding(
                "connection",
                State.FAILURE,
                f"A broker let us in and then failed. {_why(error)}",
                LOOK_AT_BROKERS,
            )
    running = [_Running(check, subject) for check in checks]
    until = time.monotonic() + limit_seconds
    return [connection, *(finding for each in running for finding in each.findings(until, limit_seconds))]


class _Running:
    """A check in a thread of its own, which nobody waits for when the process ends."""

    def __init__(self, check: Check, subject: Subject) -> None:
        self._check = check
        self._found: list[Finding] = []
        self._broken: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(subject,), daemon=True)
        self._thread.start()

    def _run(self, subject: Subject) -> None:
        try:
            for finding in self._check.look(subject):
                self._found.append(finding)
        except Exception as error:  # noqa: BLE001  # no check may stop the others
            self._broken = error

    def findings(self, until: float, limit_seconds: float) -> list[Finding]:
        self._thread.join(max(0.0, until - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            why, remedy = f"This was not done within {limit_seconds:.0f} s.", LOOK_AT_BROKERS
        elif self._broken is None:
            return found
        elif isinstance(self._broken, StartupRefusedError):
            sentence = f"`mesura run` would refuse to start. {self._broken}"
            return [*found, Finding(self._check.names[0], State.FAILURE, sentence, "Do what the sentence says.")]
        else:
            why, remedy = _why(self._broken), _remedy(self._broken)
        said = {finding.check for finding in found}
        # A check that stopped half-way says so under its name; one with several names under those it has not spoken of.
        names = [name for name in self._check.names if name not in said] or self._check.names
        return [*found, *(Finding(name, State.NOT_POSSIBLE, why, remedy) for name in names)]


def _is_not_allowed(error: Exception) -> bool:
    if isinstance(error, KafkaException):
        return error.args[0].code() in _NOT_ALLOWED
    return isinstance(error, _NOT_ALLOWED_ERRORS)


def _remedy(error: Exception) -> str:
    if isinstance(error, NotPossible):
        return error.remedy
    if isinstance(error, ConnectionRefused):
        return SEE_CONNECTION
    return SEE_PERMISSIONS if _is_not_allowed(error) else LOOK_AT_BROKERS


def _why(error: Exception) -> str:
    if isinstance(error, NotPossible | ConnectionRefused):
        return str(error)
    if _is_not_allowed(error):
        return "We may not read what this needs."
    if isinstance(error, KafkaException):
        return f"The brokers say: {error.args[0].str().rstrip('.')}."
    return f"This ended with {type(error).__name__}."

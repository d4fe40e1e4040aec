"""The questions a running gate answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from streams.contracts.decode import decode_intent
from streams.contracts.errors import RecordRefused
from streams.contracts.routing import expected_partition
from streams.decision.intent import Intent
from streams.decision.ledger.codec import LedgerUnreadable
from streams.gate import Gate, refuse_from_the_future
from streams.service.errors import GateNotStarted, PartitionNotOwned, RequestRefused, StateUnreadable
from streams.service.explanation import Explanation, PolicyIdentity, explain, identity_of


class Clock(Protocol):
    """Wall time in epoch milliseconds."""

    def now_ms(self) -> int: ...


class CommittedState(Protocol):
    """Where the committed ledgers of this worker's partitions are."""

    def committed_store(self, partition: int) -> Mapping[bytes, bytes] | None:
        """Changelog key to value, to be read at once and not kept; None while the partition is not owned."""
        ...


class ExplainRequest(Struct, frozen=True):
    """What would be answered to this intent now, and why?"""

    intent: Intent

    @classmethod
    def read(cls, document: bytes) -> ExplainRequest:
        """The request about an intent that is written as it would be published.

        Raises:
            RequestRefused: it is no intent that can be read.
        """
        try:
            return cls(decode_intent(document)[0])
        except RecordRefused as refusal:
            raise RequestRefused(str(refusal)) from None


class GateService:
    """What a worker answers about its gate: nothing until the gate has started, then by the policy in force.

    Example:
        service = GateService(clock)
        service.start(gate, worker)
        explanation = service.explain(ExplainRequest.read(document))
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._gate: Gate | None = None
        self._state: CommittedState | None = None

    def start(self, gate: Gate, state: CommittedState) -> None:
        """From now on the gate decides, on this state."""
        self._gate, self._state = gate, state

    def replace_gate(self, gate: Gate) -> None:
        """From now on this gate decides, with another policy."""
        self._gate = gate

    def refuse_until_started(self) -> None:
        """For whoever would otherwise read a request that nobody can answer yet.

        Raises:
            GateNotStarted: the gate does not decide yet.
        """
        if self._state is None:
            raise GateNotStarted

    def partition_count(self) -> int:
        """Of each input topic; 0 until the gate has started."""
        return 0 if self._gate is None else self._gate.settings.partitions

    def policy_in_force(self) -> PolicyIdentity:
        """By which policy intents are decided now.

        Raises:
            GateNotStarted: by none yet.
        """
        if self._gate is None:
            raise GateNotStarted
        return identity_of(self._gate.policy)

    def explain(self, request: ExplainRequest) -> Explanation:
        """What would be answered to the intent now, and why. Nothing is recorded. The answer tells about a customer.

        Raises:
            GateNotStarted: nothing is decided yet.
            RequestRefused: the gate would not decide such an intent.
            PartitionNotOwned: another worker has the customer.
            StateUnreadable: what is stored about the customer cannot be read.
        """
        if self._gate is None or self._state is None:
            raise GateNotStarted
        intent, now = request.intent, self._clock.now_ms()
        try:
            refuse_from_the_future(intent, now)
        except RecordRefused as refusal:
            raise RequestRefused(str(refusal)) from None
        customer = intent.customer_id.encode()
        partition = expected_partition(customer, self._gate.settings.partitions)
        store = self._state.committed_store(partition)
        if store is None:
            raise PartitionNotOwned(partition)
        try:
            ledger = self._gate.ledger_of(customer, store)
        except LedgerUnreadable as unreadable:
            raise StateUnreadable(str(unreadable)) from None
        return explain(intent, ledger, self._gate.policy, now)

"""Why a request got no answer. No text names a customer or quotes a request.

ServiceError
├── GateNotStarted          ask again later
├── RequestRefused          the request itself is wrong: the sentence says how
├── PartitionNotOwned       another worker has this customer, or this one will in a moment
└── StateUnreadable         what is stored about the customer cannot be read
"""

from __future__ import annotations


class ServiceError(Exception):
    """A request that was not answered. The text is a sentence for whoever asked."""


class GateNotStarted(ServiceError):
    """The gate does not decide yet."""

    def __init__(self) -> None:
        super().__init__("The gate has not started yet.")


class RequestRefused(ServiceError):
    """The request cannot be understood, or asks for what the gate would not decide."""


class PartitionNotOwned(ServiceError):
    """The customer's partition is not assigned to this worker."""

    def __init__(self, partition: int) -> None:
        super().__init__(f"This worker does not own partition {partition} now. Ask another, or ask again.")
        self.partition = partition


class StateUnreadable(ServiceError):
    """The stored ledger is damaged, or was written by a later version."""

"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

NO_TOPICS: Final = "None of the topics that it needs exists, or we may see none of them."
NOT_REACHED: Final = "No broker was reached."
SEE_CONNECTION: Final = "See connection."
SEE_PERMISSIONS: Final = "See permissions."
LOOK_AT_BROKERS: Final = "Run doctor again. If it stays so, look into the brokers' logs."
SEE_PARTITIONS: Final = "See docs/operations.md, Changing the partition count."
SEE_TOPICS: Final = "See topics."


class State(Enum):
    """How a finding is meant."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    NOT_POSSIBLE = "not_possible"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one thing, and what to do about it: nothing only if it is in order.

    Neither holds anything of a customer's, nor a secret.
    """

    check: str
    state: State
    sentence: str
    remedy: str = ""


class NotPossible(Exception):
    """A check cannot be made. The message says why, in a sentence."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why)
        self.remedy = remedy

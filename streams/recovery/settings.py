"""What a recovery is asked to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.connection.cluster import Cluster
    from streams.topics import TopicNames


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverySettings:
    """One gate, stopped."""

    cluster: Cluster
    names: TopicNames
    application_id: str
    erasure_key: bytes = field(repr=False)
    policies: Sequence[str] = ()
    """Texts of policies that have decided and are not in the control topic."""
    clock: Literal["wall", "record"] = "wall"
    """The clock the gate was run with."""
    accept_missing_records: bool = False
    """Go on where records were deleted that nothing else tells of, and count them."""

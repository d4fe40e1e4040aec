"""The batch log: one record per partition and transaction, which says what was served and at which moment.

    value, JSON: {"served": {topic: [first offset, next offset], …}, "latest_ms": moment, "version": 1}

The changelog is compacted, so only the last of its meta records survives, and the others take with them the order in
which records were served. Whoever has to repeat a decision needs that order for as long as the records are kept.

Rules of this module
1. A record is written in the transaction that it describes: a committed batch has one, an aborted batch has none.
2. `served` names every input topic, including those of which nothing was served, and a batch begins where the previous
   one ended. A reader that finds a gap between two records therefore knows what is missing.
3. The engine never reads the batch log. A worker takes its positions from the changelog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

BATCH_VERSION: Final = 1
"""Grows when a reader of the previous version would misunderstand the record."""


class ServedBatch(msgspec.Struct, frozen=True):
    """What one transaction served of one partition: per topic, the first offset and the one after the last."""

    served: dict[str, tuple[int, int]]
    latest_ms: int
    version: int = BATCH_VERSION


def served_batch(before: Mapping[str, int], after: Mapping[str, int], latest_ms: int) -> ServedBatch:
    """The record of a batch that moved positions from `before` to `after`, next offsets by topic; `before` has all."""
    return ServedBatch({topic: (first, after.get(topic, first)) for topic, first in before.items()}, latest_ms)


def encode_batch(batch: ServedBatch) -> bytes:
    """As stored. JSON, because auditors in any language read it."""
    return _encoder.encode(batch)


_encoder: Final = msgspec.json.Encoder()

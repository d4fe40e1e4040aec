"""Everything of a version's source tree that the comparison calls, by the names it has there.

Versions differ in where things stand. Each thing is looked for at every place it has had, the newest first. What is in
none of them ends the comparison, because a part that is silently left out is a part that is not compared.

This module runs in a process whose `streams` is one version's tree (see `side.py`), and takes nothing else from it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

import msgspec

_HOUR_MS: Final = 3_600_000

_PLACES: Final[dict[str, tuple[str, ...]]] = {
    "Gate": ("streams.gate:Gate",),
    "GateSettings": ("streams.gate:GateSettings",),
    "TopicNames": ("streams.topics:TopicNames",),
    "Batch": ("streams.records:Batch", "streams.exactly_once.interfaces:Batch"),
    "InputRecord": ("streams.records:InputRecord", "streams.exactly_once.interfaces:InputRecord"),
    "load_policy": ("streams.policy.loader:load_policy",),
    "compile_policy": ("streams.decision.policy:compile_policy",),
    "decode_intent": ("streams.contracts.decode:decode_intent",),
    "RecordRefused": ("streams.contracts.errors:RecordRefused",),
    "explain": ("streams.service.explanation:explain", "streams.explain:explain"),
    "customer_key": ("streams.exactly_once.changelog:customer_key",),
}

COUNTED: Final[dict[str, tuple[str, ...]]] = {
    "decisions": ("decisions",),
    "dead_letters": ("dead_letters",),
    "rerouted": ("rerouted",),
    "withdrawals": ("withdrawals",),
    "preferences": ("preferences",),
    "outcomes": ("outcomes",),
    "unknown_fields": ("unknown_fields",),
    "not_understood": ("not_understood",),
    "duplicates": ("duplicates",),
    "permissions_refused": ("permissions_refused",),
    "unreadable_opt_outs": ("unreadable_opt_outs",),
    "unreadable_outcomes": ("unreadable_outcomes",),
    "ledger_full": ("ledger_full",),
    "ledgers_pruned": ("ledgers_pruned",),
    "ledgers_removed": ("ledgers_removed",),
    "intent_timestamps_ms": ("intent_timestamps_ms",),
    "preference_timestamps_ms": ("preference_timestamps_ms",),
}
"""What a batch's tally counts, with the names it has had. Not among them is the time that deciding took."""


class VersionDiffers(Exception):
    """A version has something nowhere where it is looked for, or has it twice."""


def found(name: str) -> Any:  # noqa: ANN401 - another version's object
    """What this version calls by this name.

    Raises:
        VersionDiffers: it is in none of the places.
    """
    for place in _PLACES[name]:
        module, _, attribute = place.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError):
            continue
    raise VersionDiffers(
        f"{name} is in none of {', '.join(_PLACES[name])}. Add its new place to {Path(__file__).name}."
    )


def modules_of(tree: Path) -> list[str]:
    """The modules of `streams` that were imported from elsewhere than this tree."""
    import sys

    return sorted(
        name
        for name, module in sys.modules.items()
        if name.partition(".")[0] == "streams"
        and not Path(str(getattr(module, "__file__", None) or next(iter(module.__path__)))).is_relative_to(tree)
    )


class Version:
    """One version's gate, driven with plain values."""

    def __init__(self) -> None:
        self._gate, self._settings, self._names = found("Gate"), found("GateSettings"), found("TopicNames")
        self._batch, self._record = found("Batch"), found("InputRecord")
        self._load, self._compile = found("load_policy"), found("compile_policy")
        self._decode, self._refused, self._explain = found("decode_intent"), found("RecordRefused"), found("explain")
        self._customer_key = found("customer_key")
        self._tallied: dict[str, str] = {}
        # Versions that store ledgers in earlier forms did not know yet that an answer may be too large.
        self._knows_too_large = "too_large" in self._batch._fields

    def policy(self, text: str) -> Any:  # noqa: ANN401 - opaque to the caller
        """Load and compile."""
        return self._compile(self._load(text).specification)

    def gate(
        self,
        policy: Any,  # noqa: ANN401 - this version's
        intents: tuple[str, ...],
        partitions: int,
        *,
        is_bounded: bool,
        dead_letter_bytes_max: int,
    ) -> Any:  # noqa: ANN401
        """The state machine."""
        return self._gate(
            policy,
            self._settings(
                topics=self._names(intents=intents),
                partitions=partitions,
                erasure_key=bytes(range(32)),
                is_bounded=is_bounded,
                dead_letter_bytes_max=dead_letter_bytes_max,
            ),
        )

    def key_of(self, customer: bytes) -> bytes:
        """The changelog key of a customer's ledger."""
        return bytes(self._customer_key(customer))

    def apply(
        self,
        gate: Any,  # noqa: ANN401 - this version's
        store: dict[bytes, bytes],
        partition: int,
        records: list[Any],
        moments_ms: list[int],
        positions: dict[str, int],
        due: list[bytes],
        due_ms: int,
        too_large: list[Any],
    ) -> tuple[list[Any], list[Any], Any]:
        """Apply a batch: the outputs and the changes in their order, as plain values, and the tally."""
        make = self._record
        if self._knows_too_large or too_large:
            positions_and_more = {"positions": positions, "too_large": frozenset(too_large)}
        else:
            positions_and_more = {"positions": positions}
        result = gate.apply(
            self._batch(
                partition=partition,
                records=[
                    make(topic=topic, offset=offset, timestamp_ms=timestamp, key=key, value=value, headers=headers)
                    for topic, offset, timestamp, key, value, headers in records
                ],
                moments_ms=moments_ms,
                due=due,
                due_ms=due_ms,
                **positions_and_more,
            ),
            store,
        )
        outputs = [(each.topic, each.key, each.value, tuple(each.headers), each.partition) for each in result.outputs]
        return outputs, list(result.changes.items()), result.tally

    def due(self, gate: Any, store: dict[bytes, bytes], keys: list[bytes], now_ms: int) -> list[bytes]:  # noqa: ANN401
        """Which of these changelog keys have work at the last whole hour.

        Versions differ in when they look: some say for a moment what is due, some say of a ledger when it is, at most
        an hour late. At whole hours both are the same.
        """
        hour_ms = now_ms - now_ms % _HOUR_MS
        if hasattr(gate, "due"):
            return list(gate.due(keys, store, hour_ms).keys)
        found = []
        for key in keys:
            due_ms = gate.due_at(key, store[key]) if key in store else None
            if due_ms is not None and due_ms <= hour_ms:
                found.append(key)
        return found

    def counted(self, tally: Any) -> dict[str, Any]:  # noqa: ANN401 - this version's
        """Everything that the tally counted, under one version's names."""
        if not self._tallied:
            for name, names in COUNTED.items():
                known = [each for each in names if hasattr(tally, each)]
                if len(known) != 1:
                    raise VersionDiffers(f"the tally has {len(known)} of {', '.join(names)}")
                self._tallied[name] = known[0]
        return {name: getattr(tally, own) for name, own in self._tallied.items()}

    def explained(self, gate: Any, store: dict[bytes, bytes], customer: bytes, value: bytes, now_ms: int) -> bytes:  # noqa: ANN401
        """The document that explains what would be answered to an intent, or why its record is refused."""
        try:
            intent = self._decode(value)[0]
        except self._refused as refusal:
            return str(refusal).encode()
        document = self._explain(intent, gate.ledger_of(customer, store), gate.policy, now_ms)
        return msgspec.json.encode(document)

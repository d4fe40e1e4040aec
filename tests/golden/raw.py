"""Records as producers send them, and what the independent model makes of them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from streams.audit.documents import BadRecord
from streams.audit.events import read_event
from streams.oracle.model import DeadLetter, Model

Headers = tuple[tuple[str, bytes], ...]


class Raw(NamedTuple):
    """A record's own bytes."""

    value: bytes | None
    headers: Headers = ()
    key: bytes | None = None


def raw_of(event: dict[str, Any]) -> Raw:
    """The event as a sound producer sends it, under its customer's key."""
    return Raw(json.dumps(event, ensure_ascii=False).encode(), (), str(event["customer_id"]).encode())


def taken_by_model(model: Model, kind: str, raw: Raw, recorded_ms: int, now: int) -> Any:  # noqa: ANN401
    """What comes of a record: an answer, withdrawals in order of their ids, or a dead letter.

    A dead letter by which a customer is protected all the same has the withdrawals of that beside its reason.
    """
    try:
        event = read_event(kind, raw.value, raw.headers, raw.key)
    except BadRecord as bad:
        letter = {"dead_letter": bad.reason}
        if bad.unread is None:
            return letter
        return letter | {"withdrawals": ordered(model.apply_preference(bad.unread, recorded_ms, now))}
    try:
        if kind == "intent":
            return model.decide(event, now)
        apply = model.apply_preference if kind == "preference" else model.apply_outcome
        return ordered(apply(event, recorded_ms, now))
    except DeadLetter as dead:
        return {"dead_letter": dead.reason}


def ordered(withdrawals: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(withdrawals, key=lambda withdrawal: withdrawal["decision_id"])

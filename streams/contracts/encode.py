"""From decisions to the bytes that go out.

Rules of this module
1. The same arguments give the same bytes: fields stand in the order of `schemas/`, and nothing is looked up or timed.
2. Times are integer epoch milliseconds.
3. The policy is named by a fragment encoded once (`policy_fragment`), not once per decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.decision.intent import AttributeValue

# docs/semantics.md, 7: an explanation must not dwarf the answer it explains. Held for 20 rules (a test).
EXPLANATION_BYTES_MAX: Final = 512

_dumps = orjson.dumps


def policy_fragment(name: str, version: str, policy_hash: str) -> orjson.Fragment:
    """How every event names the policy it was decided under. Build it once per policy."""
    return orjson.Fragment(_dumps({"name": name, "version": version, "hash": policy_hash}))


def encode_approval(
    *,
    decision_id: str,
    intent_id: str,
    customer_id: str,
    channel: str,
    decided_at: int,
    valid_until: int,
    policy: orjson.Fragment,
    remaining: Mapping[str, int],
    obligations: Sequence[str],
    attributes: Mapping[str, AttributeValue] | None,
    zone: tuple[str, ...] | None,
    rules: Sequence[Sequence[int]],
) -> bytes:
    """An approval: `schemas/approved.schema.json`. `remaining` is a dict, `obligations` and `rules` tuples or lists.

    Raises:
        TypeError: an argument holds what the decoder would not have let in. A defect of the caller, not of a record.
    """
    approval: dict[str, Any] = {
        "type": "approved",
        "decision_id": decision_id,
        "intent_id": intent_id,
        "customer_id": customer_id,
        "channel": channel,
        "decided_at": decided_at,
        "valid_until": valid_until,
        "policy": policy,
        "remaining": remaining,
        "obligations": obligations,
    }
    if attributes is not None:
        approval["attributes"] = attributes
    approval["explanation"] = {"rules": rules} if zone is None else {"zone": zone, "rules": rules}
    return _dumps(approval)


def encode_withdrawal(
    *,
    decision_id: str,
    customer_id: str,
    channel: str,
    reason: str,
    decided_at: int,
    policy: orjson.Fragment,
) -> bytes:
    """A withdrawal of an approval: `schemas/approved.schema.json`. Its `valid_until` is `decided_at`."""
    return _dumps(
        {
            "type": "withdrawn",
            "decision_id": decision_id,
            "customer_id": customer_id,
            "channel": channel,
            "reason": reason,
            "decided_at": decided_at,
            "valid_until": decided_at,
            "policy": policy,
        }
    )


def encode_suppression(
    *,
    decision_id: str,
    intent_id: str,
    customer_id: str,
    channel: str,
    decided_at: int,
    reason: str,
    rule: str,
    next_eligible_at: int | None,
    policy: orjson.Fragment,
    attributes: Mapping[str, AttributeValue] | None,
    zone: tuple[str, ...] | None,
    rules: Sequence[Sequence[int]],
) -> bytes:
    """A suppression: `schemas/suppressed.schema.json`. A duplicate names the first answer in `duplicate_of`.

    The name is the same `decision_id`: it is derived from the identity, which is what makes the two the same intent.

    Raises:
        TypeError: an argument holds what the decoder would not have let in. A defect of the caller, not of a record.
    """
    suppression: dict[str, Any] = {
        "type": "suppressed",
        "decision_id": decision_id,
        "intent_id": intent_id,
        "customer_id": customer_id,
        "channel": channel,
        "decided_at": decided_at,
        "reason": reason,
        "rule": rule,
        "next_eligible_at": next_eligible_at,
    }
    if reason == "duplicate":
        suppression["duplicate_of"] = decision_id
    suppression["policy"] = policy
    if attributes is not None:
        suppression["attributes"] = attributes
    suppression["explanation"] = {"rules": rules} if zone is None else {"zone": zone, "rules": rules}
    return _dumps(suppression)

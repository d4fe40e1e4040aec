"""What the role support is shown of an explanation: the decision and what stood against it.

Rules of this module
1. Only what is named here is passed on, so that a field that is added to the explanation later is masked.
2. No count, no remaining number, no identifier, no zone, and no rule that passed or exempted: those tell what the
   customer has agreed to, how often they were contacted and where they live.
3. The earliest next moment is given in whole hours, rounded up, because to the second it gives away when the customer
   was last contacted.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

HOUR_MS: Final = 3_600_000

_TOLD: Final = ("verdict", "decided_at", "reason", "rule", "policy")
_TOLD_OF_A_RULE: Final = ("id", "kind", "verdict", "text", "because")
_TELLS_OF_THE_CUSTOMER: Final = {"passed", "exempt"}


def masked(answer: bytes) -> bytes:
    """The masked form of an explanation, as JSON.

    Raises:
        ValueError, KeyError, TypeError: it is no explanation.
    """
    document: dict[str, Any] = orjson.loads(answer)
    told: dict[str, Any] = {name: document[name] for name in _TOLD}
    moment = document["next_eligible_at"]
    told["next_eligible_at"] = None if moment is None else -(-moment // HOUR_MS) * HOUR_MS
    told["rules"] = [
        {name: rule[name] for name in _TOLD_OF_A_RULE}
        for rule in document["rules"]
        if rule["verdict"] not in _TELLS_OF_THE_CUSTOMER and not rule["is_shadow"]
    ]
    told["is_masked"] = True
    return orjson.dumps(told)

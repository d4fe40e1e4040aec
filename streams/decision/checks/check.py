"""What every built-in check has in common.

Rules of this module
1. A check rests on the intent, its customer's ledger and the moment, and on little of the policy: its words and its
   horizons. No policy switches one off.
2. What nearly every intent passes is seen without a call: each check says when it plainly passes, and the conditions
   of all of them are compiled into one (`table.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from msgspec import Struct

from streams.decision.answer import Answer
from streams.decision.intent import Intent
from streams.decision.ledger.retention import Retention
from streams.decision.ledger.state import LabelSet, Ledger


@dataclass(frozen=True, slots=True)
class CheckTables:
    """What checks ask of a policy."""

    channels: Container[str]
    purposes: Container[str]
    identities_ms: int
    retention: Retention


class CheckContext(Struct, gc=False):
    """An intent put to the checks: its label set, the decision's id, its customer's ledger, and now; and whether all of
    them plainly pass.
    """

    intent: Intent
    label_set: LabelSet
    identity: bytes
    ledger: Ledger
    tables: CheckTables
    now: int
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Check:
    """A built-in check.

    Args:
        name: what the rule table calls it.
        ask: its answer.
        is_remembered: whether an intent it denies is remembered as answered.
        plainly_passes: a condition under which the answer is a pass, as an expression of `intent`, `label_set`,
            `identity`, `ledger`, `tables` and `now`. Where it does not hold the check is asked.
        notes: whether a pass says something: when it ends, or numbers for the explanation.
    """

    name: str
    ask: Callable[[CheckContext], Answer]
    is_remembered: bool
    plainly_passes: str
    notes: bool = False


PlainlyPasses = Callable[[Intent, LabelSet, bytes, Ledger, CheckTables, int], bool]


def compiled_conditions(checks: Iterable[Check]) -> PlainlyPasses:
    """Whether all of the checks plainly pass, as one function."""
    names = ", ".join(("intent", "label_set", "identity", "ledger", "tables", "now"))
    conditions = " and ".join(f"({check.plainly_passes})" for check in checks)
    # The expressions are those of the table: nothing of an intent or a policy is among them.
    compiled: PlainlyPasses = eval(f"lambda {names}: {conditions}", {})  # noqa: S307
    return compiled

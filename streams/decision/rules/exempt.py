"""Exemptions: purposes freed from kinds of rule, and whether their contacts count all the same.

Rules of this module (docs/semantics.md, 3 and 5)
1. "Obeys" and "counts toward" are two switches, and both are said: an exempt contact counts unless the policy says not.
2. Nobody is freed from opt-out unless the policy file says so in so many words (`even_if_opted_out: true`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from streams.decision.rules.kind import Kind
from streams.decision.specification import RuleSpecification


@dataclass(frozen=True, slots=True, kw_only=True)
class ExemptSpecification(RuleSpecification):
    """Purposes freed from kinds of rule. Never asked as a rule of its own."""

    purposes: frozenset[str]
    kinds: frozenset[str]  # their names; `opt_out` only where the file says `even_if_opted_out: true`
    still_counts: bool


class Exemption(NamedTuple):
    """From which kinds of rule a purpose is freed, and whether what it sends is counted."""

    kinds: frozenset[str]
    counts: bool


def exemption(purpose: str, specifications: Iterable[RuleSpecification]) -> Exemption:
    """What all exemptions together say about a purpose. One that says "not counted" is enough."""
    applying = [
        s for s in specifications if isinstance(s, ExemptSpecification) and s.state == "on" and purpose in s.purposes
    ]
    kinds = frozenset().union(*(s.kinds for s in applying))
    return Exemption(kinds, all(s.still_counts for s in applying))


KIND: Final[Kind] = Kind("exempt", ExemptSpecification, compile=None, may_be_exempted=False)

"""Exemptions: purposes freed from kinds of rule, and whether their contacts count all the same.

Rules of this module (docs/semantics.md, 3 and 5)
1. "Obeys" and "counts toward" are two switches, and both are said: an exempt contact counts unless the policy says not.
2. Nobody is freed from opt-out unless the policy file says so in so many words (`even_if_opted_out: true`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from streams.decision.specification import ExemptSpecification


class Exemption(NamedTuple):
    """From which kinds of rule a purpose is freed, and whether what it sends is counted."""

    kinds: frozenset[str]
    counts: bool


def exemption(purpose: str, specifications: Iterable[ExemptSpecification]) -> Exemption:
    """What all exemptions together say about a purpose. One that says "not counted" is enough."""
    applying = [s for s in specifications if s.state == "on" and purpose in s.purposes]
    kinds = frozenset().union(*(s.kinds for s in applying))
    return Exemption(kinds, all(s.still_counts for s in applying))

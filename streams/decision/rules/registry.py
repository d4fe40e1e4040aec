"""Every kind of rule there is. To add one: docs/architecture.md."""

from __future__ import annotations

from typing import Final

from streams.decision.rules import campaign, cap, consent, exempt, gap, opt_out, sender, window
from streams.decision.rules.kind import Kind
from streams.decision.specification import RuleSpecification

# In the order in which rules are asked; within a kind the order is the file's.
KINDS: Final[tuple[Kind, ...]] = (
    campaign.KIND,
    opt_out.KIND,
    sender.KIND,
    consent.KIND,
    window.KIND,
    cap.KIND,
    gap.KIND,
    exempt.KIND,
)
_BY_SPECIFICATION: Final = {kind.specification: kind for kind in KINDS}


def kind_of(rule: RuleSpecification) -> Kind:
    """The kind of a rule.

    Raises:
        TypeError: the kind is not registered: its rules would be left out, and nobody would notice.
    """
    kind = _BY_SPECIFICATION.get(type(rule))
    if kind is None:
        raise TypeError(f"{type(rule).__name__} is no kind of rule that is registered: add it to KINDS.")
    return kind

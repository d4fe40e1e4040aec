"""Exemptions in the policy file and in words: purposes that are freed from kinds of rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.decision.rules.exempt import KIND, ExemptSpecification
from streams.policy.kinds.kind import Data, FileKind, RuleKind
from streams.policy.phrases import all_of
from streams.policy.schema_parts import Schema, words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.policy.context import Context
    from streams.policy.document import Path

# Freeing a purpose from this kind needs a second word.
_OPT_OUT: Final = "opt_out"


class Exempt(FileKind[ExemptSpecification]):
    """Purposes that are freed from kinds of rule.

    Args:
        kinds: those that an exemption may name, in the order in which they are asked.
    """

    kind = KIND
    description = "Purposes freed from kinds of rule."
    required = ("purposes", "from", "still_counts")
    has_selectors = False
    decisive_fields = frozenset({"even_if_opted_out"})

    def __init__(self, kinds: Iterable[RuleKind[Any]]) -> None:
        self._exempted_as = {kind.name: kind.exempted_as for kind in kinds}

    def fields(self) -> Schema:
        """The JSON Schema of its own fields. An exemption cannot be in shadow, because it is not asked itself."""
        names = list(self._exempted_as)
        return {
            "state": {
                "enum": ["on", "off"],
                "description": "on (default) or off; an exemption cannot be in shadow.",
            },
            "purposes": words("The purposes freed."),
            "from": {
                "type": "array",
                "minItems": 1,
                "uniqueItems": True,
                "items": {"enum": names},
                "description": f"Kinds of rule: {', '.join(names)}.",
            },
            "still_counts": {
                "type": "boolean",
                "description": (
                    "true: their contacts count toward caps and gaps; false: they do not. A choice that must be made."
                ),
            },
            "even_if_opted_out": {
                "const": True,
                "description": "true; only, and always, together with opt_out in `from`.",
            },
        }

    def read(self, context: Context, path: Path, data: Data, common: Data) -> ExemptSpecification:
        """Purposes and kinds, and whether people who opted out are meant."""
        context.known((*path, "purposes"), "purpose", data["purposes"], context.purposes)
        frees_opt_out = _OPT_OUT in data["from"]
        if frees_opt_out and "even_if_opted_out" not in data:
            message = "The rule exempts from opt_out, so people who said no would be contacted."
            fix = "If you mean that, add `even_if_opted_out: true`. Otherwise remove opt_out."
            context.report((*path, "from"), message, fix)
        if not frees_opt_out and "even_if_opted_out" in data:
            message = "`even_if_opted_out` is given, but `from` does not name opt_out."
            context.report((*path, "even_if_opted_out"), message, "Remove it, or add opt_out to `from`.")
        purposes, kinds = frozenset(data["purposes"]), frozenset(data["from"])
        return ExemptSpecification(**common, purposes=purposes, kinds=kinds, still_counts=data["still_counts"])

    def sentence(self, rule: ExemptSpecification) -> str:
        """Which purposes, from what, and whether their contacts are counted."""
        freed = all_of(self._exempted_as[kind] for kind in rule.kinds)
        counts = "still counted toward the limits" if rule.still_counts else "not counted toward any limit"
        even = ", even for people who opted out" if _OPT_OUT in rule.kinds else ""
        return f"For {all_of(rule.purposes)}: exempt from {freed}{even}, and {counts}."

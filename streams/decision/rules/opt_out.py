"""No means no: opt-out, objection, pause, restriction, and what nobody could read.

Rules of this module (docs/semantics.md, 1)
1. This rule is always there, is asked of every intent, and cannot be switched off; a purpose is freed from it only
   where the policy says so in so many words.
2. Pauses and dated events end or begin at their own moment, to the millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.decision.answer import PASS, Answer, denial, too_short
from streams.decision.evaluation_context import EvaluationContext
from streams.decision.ledger.precedence import DENYING_TRACKS, REASON_OF, change_points, denying
from streams.decision.ledger.state import OPT_OUT_EXEMPT, Preference
from streams.decision.preference_event import RESTRICTIVE
from streams.decision.reasons import PASSED
from streams.decision.rules.kind import Compilation, Kind
from streams.decision.rules.rule import PreferenceRule
from streams.decision.specification import RuleSpecification
from streams.decision.tables import NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutSpecification(RuleSpecification):
    """No file says it: every policy has it."""

    rule_id: str = "opt-out"


class OptOutRule(PreferenceRule):
    """Denies while a no stands in any denying track."""

    kind = "opt_out"
    __slots__ = ()

    def ask(self, context: EvaluationContext, moment_ms: int) -> Answer:
        """Numbers when it denies: order of the no that stands, its end."""
        if not context.ledger.preferences:
            return PASS
        candidates = self._candidates(context)
        if not candidates:
            return PASS
        denier = self._denier(context, moment_ms)
        if denier is None:
            end_ms = self._end_of_pass(context, candidates, moment_ms)
            if too_short(end_ms, moment_ms):
                return denial("closing")
            return PASS if end_ms == NEVER else (PASSED, end_ms, ())
        if denier.end_ms is None:
            return denial(REASON_OF[denier.type], denier.order_ms - moment_ms)
        return denial(REASON_OF[denier.type], denier.order_ms - moment_ms, denier.end_ms - moment_ms)

    def earliest(self, context: EvaluationContext, moment_ms: int) -> int | None:
        """The first moment from which no track denies, and long enough."""
        if self.ask(context, moment_ms)[0] == PASSED:
            return moment_ms
        for point in change_points(self._candidates(context), moment_ms):
            if self.ask(context, point)[0] == PASSED:
                return point
        return None

    def _candidates(self, context: EvaluationContext) -> list[Preference]:
        found: list[Preference] = []
        covering = context.covering()
        if covering:
            for track in DENYING_TRACKS:
                if track in covering:
                    found += covering[track]
        return found

    def _denier(self, context: EvaluationContext, moment_ms: int) -> Preference | None:
        return denying(context.covering(), moment_ms, context.vocabulary)

    def _end_of_pass(self, context: EvaluationContext, candidates: list[Preference], moment_ms: int) -> int:
        """The first later moment at which it denies: when an opt-in that was given for a time runs out."""
        if all(p.type in RESTRICTIVE or p.end_ms is None for p in candidates):
            return NEVER
        for point in change_points(candidates, moment_ms):
            if self._denier(context, point) is not None:
                return point
        return NEVER


def _compiled(number: int, specification: OptOutSpecification, _: Compilation) -> OptOutRule:
    return OptOutRule(number, specification)


KIND: Final[Kind] = Kind(
    OptOutRule.kind,
    OptOutSpecification,
    _compiled,
    exempt_contact_flags=OPT_OUT_EXEMPT,
    always=OptOutSpecification(),
)

"""Consent is required: granted, proven, not withdrawn, not too old.

Rules of this module (docs/semantics.md, 1 and 3)
1. A later withdrawal beats an earlier grant, whatever date the grant was given ahead.
2. An opt-in is no consent and a consent is no opt-in: the tracks never answer each other.
3. What nobody could read may have been a withdrawal. A purpose that is freed from opt-out still needs its consent, so
   this rule hears it by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.decision.answer import PASS, Answer, denial, too_short
from streams.decision.evaluation_context import EvaluationContext
from streams.decision.ledger.precedence import CONSENT, change_points, end_of, in_force, standing
from streams.decision.ledger.state import NEEDED_CONSENT, Preference
from streams.decision.preference_event import UNREAD
from streams.decision.reasons import PASSED
from streams.decision.rules.kind import Compilation, Kind
from streams.decision.rules.rule import PreferenceRule
from streams.decision.specification import OnMissing, RuleSpecification
from streams.decision.tables import NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentSpecification(RuleSpecification):
    """Consent is required."""

    evidence_required: bool = True
    max_age_ms: int | None = None
    on_missing: OnMissing = "deny"


class ConsentRule(PreferenceRule):
    """Passes while a grant is in force, no withdrawal stands, and nothing is unread."""

    kind = "consent"
    # A withdrawal of consent takes the approval back.
    contact_flags = NEEDED_CONSENT
    __slots__ = ("_allow_missing", "_evidence_required", "_max_age_ms")

    def __init__(self, number: int, specification: ConsentSpecification) -> None:
        super().__init__(number, specification)
        self._evidence_required = specification.evidence_required
        self._max_age_ms = specification.max_age_ms
        self._allow_missing = specification.on_missing == "allow"

    def ask(self, context: EvaluationContext, moment_ms: int) -> Answer:
        """Number when it passes: the consent's end, if it has one."""
        candidates = context.covering().get(CONSENT, [])
        proven = self._proven(candidates)
        reason = self._no(context, proven, moment_ms)
        if reason is not None:
            return denial(reason)
        if not self._is_granted(proven, moment_ms):
            return self._without(candidates, proven, moment_ms)
        end_ms = self._end_of_pass(context, proven, moment_ms)
        if end_ms == NEVER:
            return PASS
        if too_short(end_ms, moment_ms):
            return denial("closing")
        return PASSED, end_ms, (end_ms - moment_ms,)

    def earliest(self, context: EvaluationContext, moment_ms: int) -> int | None:
        """Now, or the date of a consent or a clarification given ahead."""
        candidates = context.covering().get(CONSENT, []) + context.covering().get(UNREAD, [])
        for point in (moment_ms, *change_points(candidates, moment_ms, self._end)):
            if self.ask(context, point)[0] == PASSED:
                return point
        return None

    def _proven(self, candidates: list[Preference]) -> list[Preference]:
        if not self._evidence_required:
            return candidates
        return [p for p in candidates if p.type == "consent_withdrawn" or p.evidence_ref is not None]

    def _end(self, preference: Preference) -> int:
        end_ms = end_of(preference)
        if self._max_age_ms is None or preference.type != "consent_granted":
            return end_ms
        return min(end_ms, preference.effective_ms + self._max_age_ms)

    def _no(self, context: EvaluationContext, proven: list[Preference], moment_ms: int) -> str | None:
        """The reason to deny whatever was granted, if there is one."""
        words = context.vocabulary
        if standing(proven, moment_ms, words, self._end) is not None:
            return "consent_withdrawn"
        if standing(context.covering().get(UNREAD, []), moment_ms, words) is not None:
            return "not_understood"
        return None

    def _is_granted(self, proven: list[Preference], moment_ms: int) -> bool:
        return any(p.type == "consent_granted" and in_force(p, moment_ms, self._end(p)) for p in proven)

    def _end_of_pass(self, context: EvaluationContext, proven: list[Preference], moment_ms: int) -> int:
        """The first later moment at which no grant is in force, or a no stands. An unread event stands at once and its
        clarification has no end, so neither ends a pass.
        """
        if len(proven) == 1:
            return self._end(proven[0])
        for point in change_points(proven, moment_ms, self._end):
            if not self._is_granted(proven, point) or self._no(context, proven, point) is not None:
                return point
        return NEVER

    def _has_ended(self, candidates: list[Preference], moment_ms: int) -> bool:
        return any(p.type == "consent_granted" and self._end(p) <= moment_ms for p in candidates)

    def _without(self, candidates: list[Preference], proven: list[Preference], moment_ms: int) -> Answer:
        """No event is in force: why not, the most helpful answer first."""
        if len(proven) < len(candidates) and any(
            in_force(p, moment_ms, self._end(p)) for p in candidates if p not in proven
        ):
            return denial("consent_unproven")
        if self._has_ended(candidates, moment_ms):
            return denial("consent_expired")
        return PASS if self._allow_missing else denial("consent_missing")


def _compiled(number: int, specification: ConsentSpecification, _: Compilation) -> ConsentRule:
    return ConsentRule(number, specification)


KIND: Final[Kind] = Kind(ConsentRule.kind, ConsentSpecification, _compiled)

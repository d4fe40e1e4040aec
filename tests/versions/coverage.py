"""What must come to pass in a long comparison, or it proves nothing of it.

The lists are written out here, from docs/semantics.md and `schemas/reasons.json`: a version that forgot a reason would
forget it in its own list, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SUPPRESSIONS: Final = (
    "expired", "duplicate", "channel_unknown", "purpose_unknown", "ledger_full", "campaign_off", "campaign_shadow",
    "restricted", "opt_out", "objection", "paused", "sender_missing", "sender_not_allowed", "consent_missing",
    "consent_withdrawn", "consent_expired", "consent_unproven", "country_unknown", "zone_unknown", "calendar_unknown",
    "window_closed", "holiday", "closing", "cap_reached", "gap", "not_understood",
)  # fmt: skip
WITHDRAWALS: Final = ("restricted", "opt_out", "objection", "paused", "consent_withdrawn", "erased", "not_understood")
DEAD_LETTERS: Final = (
    "no_value", "too_large", "not_utf8", "not_json", "bad_envelope", "repeated_field", "missing_field", "wrong_type",
    "unknown_type", "bad_time", "out_of_range", "from_the_future", "implausible_time", "unknown_field", "unknown_word",
    "misrouted", "misrouted_again",
)  # fmt: skip
PREFERENCES: Final = (
    "opt_out", "opt_in", "objection", "pause", "resume", "restriction", "restriction_lifted", "consent_granted",
    "consent_withdrawn", "profile", "erasure", "clarification",
)  # fmt: skip
OUTCOMES: Final = (
    "sent", "delivered", "read", "clicked", "failed", "bounced", "answered", "no_answer", "conversation", "refusal",
    "reply", "complaint", "expired",
)  # fmt: skip
# As the rules' ids begin; `opt` is the rule `opt-out`.
RULES: Final = (
    "cap", "gap", "window", "consent", "sender", "campaign", "opt", "expired", "duplicate", "vocabulary", "ledger_full",
    "nobody: exempt",
)  # fmt: skip

EXPECTED: Final = (
    "approved: ",
    *(f"suppressed: {reason}" for reason in SUPPRESSIONS),
    *(f"withdrawal: {reason}" for reason in WITHDRAWALS),
    *(f"dead letter: {reason}" for reason in DEAD_LETTERS),
    *(f"preference: {kind}" for kind in PREFERENCES),
    *(f"outcome: {kind}" for kind in OUTCOMES),
    "outcome of: a contact",
    "outcome of: nothing known",
    *(f"denied by: {rule}" for rule in RULES),
    *(f"forwarded from: {topic}" for topic in ("outbound-intent", "urgent-intent", "opt-out", "contact-outcome")),
    *(f"not understood: {what}" for what in ("time", "scope_word", "field", "event", "zone", "reply_code")),
    *(f"unknown field of: {kind}" for kind in ("intent", "preference", "outcome")),
    *(f"ledger: {what}" for what in ("ledgers_pruned", "ledgers_removed", "deleted", "kept under a hash")),
    "ledger: permissions_refused",
    "asked: due",
    "asked: explained",
)


def missing(counts: Mapping[str, int]) -> list[str]:
    """What never came to pass."""
    return [name for name in EXPECTED if not counts.get(name)]

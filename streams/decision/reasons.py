"""Every reason the gate can give, with its number on the wire.

Rules of this module
1. A number, once published, never changes its meaning and is never used again.
2. `schemas/reasons.json` says the same as this table (a test compares them).
"""

from __future__ import annotations

from typing import Final, NamedTuple

PASSED: Final = 0
EXEMPT: Final = 1


class Reason(NamedTuple):
    """One reason code: its number in explanations, its stable name, and a sentence for people."""

    number: int
    code: str
    sentence: str


REASONS: Final[tuple[Reason, ...]] = (
    Reason(2, "expired", "The intent came too late: past its own deadline, past the horizon of "
              "remembered identities, or from before an erasure."),
    Reason(3, "duplicate", "The same intent was answered before."),
    Reason(4, "channel_unknown", "The policy declares no such channel."),
    Reason(5, "purpose_unknown", "The policy declares no such purpose."),
    Reason(6, "ledger_full", "The customer's ledger has reached its size limit; nothing is approved "
              "that could not be counted."),
    Reason(7, "campaign_off", "The campaign is switched off."),
    Reason(8, "campaign_shadow", "The campaign is decided in shadow only; nothing is sent."),
    Reason(9, "restricted", "The customer asked for processing to be restricted."),
    Reason(10, "opt_out", "The customer opted out."),
    Reason(11, "objection", "The customer objected."),
    Reason(12, "paused", "The customer paused contact."),
    Reason(13, "sender_missing", "The intent names no sender, and the policy requires one."),
    Reason(14, "sender_not_allowed", "The sender is not declared for this channel."),
    Reason(15, "consent_missing", "Consent is required and none is known."),
    Reason(16, "consent_withdrawn", "The customer withdrew consent."),
    Reason(17, "consent_expired", "The consent has expired."),
    Reason(18, "consent_unproven", "There is a consent without the evidence the policy requires."),
    Reason(19, "country_unknown", "The rule depends on the country or region, and it is not known."),
    Reason(20, "zone_unknown", "The rule depends on local time, and the recipient's zone is not known."),
    Reason(21, "calendar_unknown", "The rule depends on holidays, and no calendar covers this place and date."),
    Reason(22, "window_closed", "It is outside the allowed hours."),
    Reason(23, "holiday", "It is a holiday, and closed for that."),
    Reason(24, "closing", "The allowed period ends in under two seconds."),
    Reason(25, "cap_reached", "The cap has been reached."),
    Reason(26, "gap", "The last contact was too short a time ago."),
    Reason(27, "not_understood", "Something the customer said could not be read. It may have been a no."),
)  # fmt: skip

REASON_NUMBERS: Final[dict[str, int]] = {reason.code: reason.number for reason in REASONS}
REASON_BY_NUMBER: Final[dict[int, Reason]] = {reason.number: reason for reason in REASONS}

# Reasons that appear on withdrawals or dead letters only, never in an explanation.
WITHDRAWAL_REASONS: Final = (
    "restricted",
    "opt_out",
    "objection",
    "paused",
    "consent_withdrawn",
    "erased",
    "not_understood",
)

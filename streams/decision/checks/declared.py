"""Channel and purpose must be words the policy declares: what it does not know it cannot allow."""

from __future__ import annotations

from streams.decision.answer import PASS, Answer, denial
from streams.decision.checks.check import CheckContext


def ask_vocabulary(context: CheckContext) -> Answer:
    """The channel first, then the purpose."""
    label_set, tables = context.label_set, context.tables
    if label_set.channel not in tables.channels:
        return denial("channel_unknown")
    return PASS if label_set.purpose in tables.purposes else denial("purpose_unknown")

"""Channel and purpose must be words the policy declares: what it does not know it cannot allow."""

from __future__ import annotations

from collections.abc import Container

from streams.decision.rules.rule import PASS, Answer, denial


def ask_vocabulary(channel: str, purpose: str, channels: Container[str], purposes: Container[str]) -> Answer:
    """The channel first, then the purpose."""
    if channel not in channels:
        return denial("channel_unknown")
    return PASS if purpose in purposes else denial("purpose_unknown")

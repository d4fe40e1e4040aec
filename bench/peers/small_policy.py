"""The small policy in plain Python, for peers that are written in Python: a dictionary per customer, and nothing else.

What `streams/policy/packs/small.yaml` says, and the checks every gate has: an intent already answered is a duplicate, a
channel the customer refused stays closed, three contacts a channel and five in all in any seven days. Written without
our core on purpose: it is what one would write around a framework's table.

The moment is the record's timestamp, which is what the documentation of each framework calls event time.
"""

from __future__ import annotations

from typing import Any, Final

WEEK_MS: Final = 7 * 86_400_000
CHANNEL_LIMIT: Final = 3
ALL_LIMIT: Final = 5
EVERYTHING: Final = "*"
"""A refusal that names no channel."""

State = dict[str, Any]


def nobody() -> State:
    """What is known of a customer of whom nothing is known."""
    return {"refused": [], "contacts": [], "answered": {}}


def hear(state: State, channel: str | None) -> None:
    """The customer said no to a channel, or to everything."""
    refused = channel or EVERYTHING
    if refused not in state["refused"]:
        state["refused"].append(refused)


def decide(state: State, intent_id: str, channel: str, now: int) -> str | None:
    """Why not; or None, and the contact is counted."""
    since = now - WEEK_MS
    contacts = state["contacts"] = [each for each in state["contacts"] if each[1] > since]
    answered = state["answered"] = {name: at for name, at in state["answered"].items() if at > since}
    if intent_id in answered:
        return "duplicate"
    answered[intent_id] = now
    if channel in state["refused"] or EVERYTHING in state["refused"]:
        return "opt_out"
    if sum(each[0] == channel for each in contacts) >= CHANNEL_LIMIT:
        return "channel-weekly"
    if len(contacts) >= ALL_LIMIT:
        return "all-weekly"
    contacts.append([channel, now])
    return None

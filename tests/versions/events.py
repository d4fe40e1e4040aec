"""What intents and preference events say, but for whom and when.

The words of scopes are at times other names of the policy's words, or words that nobody understands.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.versions.policies import (
    BRANDS,
    CAMPAIGNS,
    CHANNELS,
    COUNTRIES,
    OFFICE,
    PURPOSES,
    REGIONS,
    SENDERS,
    TOPICS,
    ZONES,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.versions.choice import Choice

RESTRICTIVE: Final = frozenset({"opt_out", "objection", "pause", "restriction", "consent_withdrawn"})

_WORDS: Final = {
    "channel": tuple(CHANNELS),
    "purpose": PURPOSES,
    "topic": TOPICS,
    "brand": BRANDS,
    "sender_id": SENDERS,
}
_OTHER_WORDS: Final = {
    "channel": ("SMS", " text message", "SMS-MT", "messages", "text", "phone", "fax", "*", "all"),
    "purpose": ("Marketing", "promotions", "werbung", "advertising"),
    "topic": ("Credit Cards", "everything", "LOANS"),
    "brand": ("The North", "any"),
    "sender_id": ("acme inc.", "Acme", "*"),
}
_NAMED: Final = (("channel", 0.5), ("purpose", 0.4), ("topic", 0.12), ("brand", 0.1), ("sender_id", 0.1))
_SOURCES: Final = ("web", "register-1", "Register-1", "agent")
_ATTRIBUTES: Final = (3, 12.50, 9_007_199_254_740_993, 1e3, True, None, "a: b")


def _place(choice: Choice) -> dict[str, Any]:
    country = choice.one_of(COUNTRIES)
    if country in REGIONS and choice.chance(0.5):
        return {"country": country, "region": choice.one_of((*REGIONS[country], "XX", "M"))}
    return {"country": country}


# Fields of an intent with the share of intents that have them.
_FIELDS: Final[tuple[tuple[float, Callable[[Choice], dict[str, Any]]], ...]] = (
    (0.40, lambda choice: {"topic": choice.one_of(TOPICS)}),
    (0.30, lambda choice: {"brand": choice.one_of(BRANDS)}),
    (0.30, lambda choice: {"campaign_id": choice.one_of(CAMPAIGNS)}),
    (0.60, _place),
    (0.45, lambda choice: {"timezone": choice.one_of(ZONES if choice.chance(0.97) else ("Mars/Base", "utc"))}),
    (0.05, lambda choice: {"holiday_calendar": choice.one_of((OFFICE, "CO", "none-such"))}),
    (0.60, lambda choice: {"sender_id": choice.one_of(SENDERS) if choice.chance(0.95) else "stranger"}),
    (0.20, lambda choice: {"automated": choice.chance(0.5)}),
    (0.20, lambda choice: {"priority": choice.between(0, 100), "on_suppress": choice.one_of(("drop", "hold"))}),
    (0.15, lambda choice: {"attributes": {"template": "t7", "né": choice.one_of(_ATTRIBUTES)}}),
    (0.10, lambda choice: {"template_id": "t", "address_hash": "h" * 32, "consent_ref": "c", "collapse_key": "k"}),
    (0.05, lambda choice: {"retry_of": choice.one_of((None, "i1"))}),
    (0.03, lambda choice: {"unknown": {"deep": [1, 2]}}),
)


def intent_fields(choice: Choice, channels: Sequence[str], purposes: Sequence[str]) -> bytes:
    """Members of an intent, as they stand in JSON. Channels and purposes are mostly those of the policy."""
    found: dict[str, Any] = {"channel": choice.one_of(channels if choice.chance(0.97) else ("fax", *CHANNELS))}
    if choice.chance(0.85):
        found["purpose"] = choice.one_of(purposes if choice.chance(0.97) else ("chess", *PURPOSES))
    for share, more in _FIELDS:
        if choice.chance(share):
            found |= more(choice)
    return json.dumps(found, ensure_ascii=choice.chance(0.5), separators=(",", ":"))[1:-1].encode()


def profile(choice: Choice, event: dict[str, Any]) -> None:
    """Let the event say something of where the customer is, and of what age."""
    if choice.chance(0.7):
        event["timezone"] = choice.one_of(ZONES)
    if choice.chance(0.6):
        event["country"] = country = choice.one_of(COUNTRIES)
        if country in REGIONS and choice.chance(0.7):
            event["region"] = choice.one_of(REGIONS[country])
    if choice.chance(0.2):
        event["minor"] = choice.chance(0.5)


def scope(choice: Choice, event: dict[str, Any], kind: str) -> None:
    """Let the event say what it is about, and, where that matters, who said so."""
    if not choice.chance(0.4):
        for name, share in _NAMED:
            if choice.chance(share):
                others = choice.chance(0.12 if kind in RESTRICTIVE else 0.05)
                event[name] = choice.one_of((_OTHER_WORDS if others else _WORDS)[name])
    if kind.startswith("consent"):
        if choice.chance(0.7):
            event["evidence_ref"] = choice.one_of(("form-1", "form-2"))
    elif (kind.startswith("restriction") or choice.chance(0.1)) and choice.chance(0.6):
        event["source"] = choice.one_of(_SOURCES)

"""The head of a policy: horizons, channels, purposes, other names, regions.

Rules of this module
1. Whatever the schema has already refused is left out here, so nothing is reported twice.
2. References are checked against what is declared. If the declaration itself is broken, they are not checked at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from streams.decision.vocabulary import EVERYTHING, fold
from streams.policy.calendars import read_calendars
from streams.policy.findings import did_you_mean
from streams.policy.horizons import HISTORY, IDENTITIES, TIME_TO_LIVE
from streams.policy.notation import duration_ms, duration_text
from streams.policy.zones import distinct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.policy.context import Context
    from streams.policy.document import Path
    from streams.policy.horizons import Limits

# Sections of `other_names`, and the fields of a scope whose words they are about.
FIELD_OF_NAMES: Final = {
    "channels": "channel",
    "purposes": "purpose",
    "topics": "topic",
    "brands": "brand",
    "senders": "sender_id",
}


@dataclass(frozen=True, slots=True)
class Header:
    """The correct parts of a policy's head, named as in `PolicySpecification`."""

    name: str
    version: str
    zone: str
    recipient_zone: str | None
    time_to_live_ms: int
    history_ms: int
    identities_ms: int | None
    default_purpose: str
    regions: Mapping[str, tuple[str, ...]]
    other_names: Mapping[str, Mapping[str, str]]


def read_header(context: Context) -> Header:
    """Check everything above the rules, and record in the context what rules may refer to."""
    data = context.document.data
    _channels(context, data)
    _purposes(context, data)
    regions = _regions(context, data)
    read_calendars(context, data)
    for key in ("zone", "recipient_zone"):
        if key in data and context.is_sound(key):
            context.zone((key,), data[key])
    history = _horizon(context, data, "history", HISTORY)
    identities = _horizon(context, data, "identities", IDENTITIES)
    return Header(
        name=str(data.get("name")),
        version=str(data.get("version")),
        zone=str(data.get("zone")),
        recipient_zone=data.get("recipient_zone"),
        time_to_live_ms=_horizon(context, data, "time_to_live", TIME_TO_LIVE),
        history_ms=history,
        identities_ms=identities if "identities" in data else None,
        default_purpose=str(data.get("default_purpose")),
        regions=regions,
        other_names=_other_names(context, data),
    )


def _horizon(context: Context, data: Mapping[str, Any], key: str, limits: Limits) -> int:
    if key not in data or not context.is_sound(key):
        return limits.default_ms
    value = duration_ms(data[key])
    too_short = value <= limits.least_ms if limits.is_open else value < limits.least_ms
    if too_short or value > limits.most_ms:
        least = "more than" if limits.is_open else "at least"
        fix = f"Write {least} {duration_text(limits.least_ms)} and at most {duration_text(limits.most_ms)}."
        context.report((key,), f"`{key}` is {data[key]}, which is too {'short' if too_short else 'long'}.", fix)
        return limits.default_ms
    return value


def _channels(context: Context, data: Mapping[str, Any]) -> None:
    if "channels" not in data or not context.is_sound("channels"):
        return
    channels = {channel: (entry or {}).get("group") for channel, entry in data["channels"].items()}
    for channel, group in channels.items():
        if group is not None and group != channel and group in channels and channels[group] != group:
            message = f"The group `{group}` has the name of a channel that is not in it."
            context.report(("channels", channel, "group"), message, "Give the group another name.")
    context.channels = channels


def _purposes(context: Context, data: Mapping[str, Any]) -> None:
    if "purposes" not in data or not context.is_sound("purposes"):
        return
    context.purposes = frozenset(data["purposes"])
    if "default_purpose" in data and context.is_sound("default_purpose"):
        name = data["default_purpose"]
        if name not in context.purposes:
            fix = did_you_mean(name, context.purposes)
            context.report(("default_purpose",), f"The purpose `{name}` is not declared.", fix)


def _regions(context: Context, data: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    if "regions" not in data or not context.is_sound("regions"):
        return {}
    regions: dict[str, tuple[str, ...]] = {}
    tables = context.zones.by_name
    for region, names in data["regions"].items():
        path: Path = ("regions", region)
        context.place(path, region)
        for index, name in enumerate(names):
            context.zone((*path, index), name)
        regions[region] = distinct(tables, [name for name in names if name in tables])
    return regions


def _other_names(context: Context, data: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """By field of a scope: the word that each other name stands for."""
    if "other_names" not in data or not context.is_sound("other_names"):
        return {}
    found: dict[str, dict[str, str]] = {}
    for section, words in data["other_names"].items():
        declared = _declared_words(context, section, words)
        names = found[FIELD_OF_NAMES[section]] = dict[str, str]()
        taken = {fold(word): word for word in declared}
        for word, others in words.items():
            path: Path = ("other_names", section, word)
            if word not in declared:
                message = f"`{word}` is not declared, so it has no other names."
                context.report(path, message, did_you_mean(word, declared))
            for index, other in enumerate(others):
                folded = fold(other)
                if folded in EVERYTHING:
                    message = f"`{other}` is what people write when they mean everything, so it cannot mean one thing."
                    context.report((*path, index), message, "Remove it. It will still cover everything.")
                elif taken.get(folded, word) != word or folded in names:
                    message = f"`{other}` already means `{taken[folded]}`."
                    context.report((*path, index), message, "Give each name to one word.")
                elif folded in taken:
                    message = f"`{other}` is `{word}` itself, because letter case and blanks do not matter."
                    context.report((*path, index), message, "Remove it.")
                else:
                    names[folded] = taken[folded] = word
    return found


def _declared_words(context: Context, section: str, words: Mapping[str, Any]) -> frozenset[str]:
    """What may have other names: what is declared, or, of words the policy does not declare, whatever is named."""
    if section == "channels" and context.channels is not None:
        return frozenset(context.channels) | (context.groups or frozenset())
    if section == "purposes" and context.purposes is not None:
        return context.purposes
    return frozenset(words)

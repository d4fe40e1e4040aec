"""What kinds that count contacts have in common: what is counted, and in what scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from streams.decision.specification import CountingSpecification, ScopeField
from streams.policy.kinds.kind import Advice, Answer, Data
from streams.policy.phrases import joined, selector_in_words
from streams.policy.schema_parts import CONTACT_FIELDS, Schema, definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.policy.context import Context
    from streams.policy.document import Path

_SCOPES: Final = {
    "channel": "channel",
    "channel_group": "group of channels",
    "purpose": "purpose",
    "topic": "topic",
    "campaign": "campaign",
    "brand": "brand",
}
# The verdicts whose first number is a count.
_COUNTED: Final = frozenset({"passed", "cap_reached", "gap", "closing"})

COUNTING_FIELDS: Final[Schema] = {
    "scope": definition("scope"),
    "counts": definition("counts"),
    "counts_except": definition("counts_except"),
}
COUNTING_DEFINITIONS: Final[Schema] = {
    "counts": {
        "type": "object",
        "additionalProperties": False,
        "properties": CONTACT_FIELDS,
        "description": "Which contacts are counted; left out: those the rule applies to; {}: all.",
    },
    "counts_except": {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": CONTACT_FIELDS,
        "description": "Contacts that match all these fields are not counted.",
    },
    "scope": {
        "type": "array",
        "uniqueItems": True,
        "description": (
            f"Counted per customer and: {', '.join(get_args(ScopeField))}. Left out: over everything of the customer."
        ),
        "items": {"enum": list(get_args(ScopeField))},
    },
}


def read_counting(context: Context, path: Path, data: Data) -> Data:
    """The fields of the specification that say what is counted."""
    fields: dict[str, Any] = {"scope": tuple(data.get("scope", ()))}
    for key, name in (("counts", "counts"), ("counts_except", "counts_excepting")):
        if key in data:
            fields[name] = context.selector((*path, key), data[key])
    return fields


def scope_in_words(rule: CountingSpecification) -> str:
    """For what it is counted separately. Empty if everything of the customer is counted together."""
    names = [_SCOPES[name] for name in rule.scope]
    return f", separately for each {joined(names, 'and')}" if names else ""


def counted_in_words(rule: CountingSpecification) -> str:
    """What is counted, where the rule says it. Empty if it counts what it applies to."""
    text = ""
    if rule.counts is not None:
        text = f", counting contacts {selector_in_words(rule.counts) or 'of every kind'}"
    if rule.counts_excepting is not None:
        text += f", not counting contacts {selector_in_words(rule.counts_excepting)}"
    return text


def advise_on_counting(rule: CountingSpecification) -> Iterator[Advice]:
    """The warning about an exception that is in part about what contacts do not remember."""
    out = rule.excepting
    if out is None or rule.counts is not None or rule.counts_excepting is not None:
        return
    fields = (out.channels, out.groups, out.purposes, out.topics, out.brands, out.campaigns)
    if (out.countries, out.automated) != (None, None) and any(field is not None for field in fields):
        message = (
            "Contacts do not remember their country or whether they were automated, so every contact that matches "
            "the other fields of `except` is left out of the count."
        )
        yield Advice("except", message, "Use `counts` to say what is counted.")


def has_count(answer: Answer) -> bool:
    """Whether the first number of the answer is a count."""
    return answer.first is not None and answer.verdict in _COUNTED


def contacts_in_words(count: int) -> str:
    """`1 contact`, `2 contacts`."""
    return f"{count} contact{'' if count == 1 else 's'}"

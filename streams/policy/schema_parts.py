"""Building blocks of the policy file's JSON Schema: what its head and the kinds of rule have in common.

Rules of this module
1. Every part carries a `description`. Editors show it, and findings quote it as what was expected.
2. A definition is referred to by its name in `$defs`; `definition` is the only place where such a reference is written.
"""

from __future__ import annotations

from typing import Any, Final, get_args

from streams.decision.specification import CountryUnknown, OnMissing, State

Schema = dict[str, Any]

# A longer list is a table of some other system, which nobody reads in a policy.
NAMES_MAX: Final = 1000
# A word as policies declare them, and text as intents name things.
_WORD: Final = r"^[a-z0-9_-]+$"
_TEXT: Final = r"^\S(.{0,198}\S)?$"
_PLACE: Final = "^[A-Z]{2}(-[A-Z0-9]{1,3})?$"


def definition(name: str, description: str | None = None) -> Schema:
    """A reference to a definition, with a description of its own if it has one."""
    reference = {"$ref": f"#/$defs/{name}"}
    return reference if description is None else {"description": description, **reference}


def choice(values: object, description: str) -> Schema:
    """One of the values of a `Literal`."""
    return {"enum": list(get_args(values)), "description": description}


def words(description: str) -> Schema:
    """A list of words that the policy declares."""
    return _names(_WORD, description)


def texts(description: str) -> Schema:
    """A list of texts, as intents name things."""
    return _names(_TEXT, description)


def _names(pattern: str, description: str) -> Schema:
    return {
        "type": "array",
        "items": {"type": "string", "pattern": pattern},
        "minItems": 1,
        "maxItems": NAMES_MAX,
        "uniqueItems": True,
        "description": description,
    }


# What a contact remembers of its intent.
CONTACT_FIELDS: Final[Schema] = {
    "channels": words("Channels this is about."),
    "groups": words("Groups of channels; a channel without a group is its own group."),
    "purposes": words("Purposes this is about."),
    "topics": texts("Topics, as intents name them."),
    "brands": texts("Brands, as intents name them."),
    "campaigns": texts("Campaigns, as intents name them."),
}
INTENT_FIELDS: Final[Schema] = {
    **CONTACT_FIELDS,
    "countries": _names(_PLACE, "Countries (CO) or country and region (US-FL)."),
    "automated": {"type": "boolean", "description": "true: by a dialler or bot; false: by a person."},
}


# Definitions that the head, obligations and rules of any kind may refer to.
DEFINITIONS: Final[Schema] = {
    "duration": {
        "type": "string",
        "pattern": "^[1-9][0-9]{0,8}[smhdw]$",
        "description": "A duration: a whole number and one of s m h d w, as 90s, 5m, 24h, 7d.",
    },
    "date": {
        "type": "string",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        "description": "A date, as 2026-12-24.",
    },
    "rule_id": {
        "type": "string",
        "pattern": "^[a-z0-9-]{1,64}$",
        "description": "The rule's id: small letters, digits and hyphens, 64 at most.",
    },
    "state": choice(State, "on (default), off, or shadow: asked and listed, changes nothing."),
    "because": {
        "type": "string",
        "maxLength": 500,
        "description": "For the reader, 500 characters at most; shown in explanations.",
    },
    "source": {
        "type": "object",
        "additionalProperties": False,
        "required": ["text", "confidence"],
        "description": "Where the rule comes from.",
        "properties": {
            "text": {
                "type": "string",
                "minLength": 1,
                "maxLength": 500,
                "description": "The law, contract or decision, 500 characters at most.",
            },
            "url": {
                "type": "string",
                "pattern": r"^https?://\S+$",
                "maxLength": 500,
                "description": "An address that starts with http:// or https://.",
            },
            "confidence": {
                "enum": ["verified", "secondary", "house", "memory"],
                "description": (
                    "verified (the text itself was read), secondary (a summary was read), house (our own rule), "
                    "memory (no text was read: only with `state: off`)."
                ),
            },
        },
    },
    "country_unknown": choice(
        CountryUnknown,
        "What to do when the country is not known: deny (default), apply, skip. Only with `countries` in applies_to.",
    ),
    "on_missing": choice(OnMissing, "What to do when the zone or calendar is not known: deny (default), hold, allow."),
    "on_missing_two": {
        "enum": ["deny", "allow"],
        "description": "What to do when there is none: deny (default) or allow.",
    },
    "selector": {
        "type": "object",
        "additionalProperties": False,
        "description": "Which intents the rule is about; a field left out means any.",
        "properties": INTENT_FIELDS,
    },
    "exception": {
        "type": "object",
        "additionalProperties": False,
        "description": "Intents that match all these fields are left out.",
        "properties": INTENT_FIELDS,
        "minProperties": 1,
    },
}

"""The JSON Schema of everything in a policy file that is not a rule."""

from __future__ import annotations

from typing import Final

from streams.policy.schema_parts import Schema, definition

OTHER_NAME_MAX: Final = 128


def _other_names(description: str) -> Schema:
    """For each word, the other names that it has."""
    return {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 64,
        "description": description,
        "propertyNames": {
            "minLength": 1,
            "maxLength": OTHER_NAME_MAX,
            "description": f"A word of 1 to {OTHER_NAME_MAX} characters.",
        },
        "additionalProperties": definition("names"),
    }


CALENDAR: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "description": "A holiday calendar: a country's, with days added or removed.",
    "dependentRequired": {"subdivision": ["country"], "categories": ["country"], "remove": ["country"]},
    "properties": {
        "country": {"type": "string", "pattern": "^[A-Z]{2}$", "description": "A country code, as CO."},
        "subdivision": {"type": "string", "minLength": 1, "description": "The subdivision's code, as MD."},
        "categories": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"type": "string"},
            "description": "Kinds of holiday (default: public).",
        },
        "add": {
            "type": "array",
            "uniqueItems": True,
            "items": definition("date"),
            "description": "Days that are holidays besides.",
        },
        "remove": {
            "type": "array",
            "uniqueItems": True,
            "items": definition("date"),
            "description": "Days that are none.",
        },
        "because": definition("because"),
    },
}
OBLIGATION: Final[Schema] = {
    "type": "object",
    "description": "Something the sender must do.",
    "additionalProperties": False,
    "required": ["id", "text"],
    "properties": {
        "id": {
            **definition("rule_id"),
            "description": "The obligation's id: small letters, digits and hyphens, 64 at most.",
        },
        "applies_to": definition("selector"),
        "text": {
            "type": "string",
            "minLength": 1,
            "maxLength": 500,
            "description": "What the sender must do, 500 characters at most.",
        },
    },
}
OTHER_NAMES: Final[Schema] = {
    "type": "array",
    "minItems": 1,
    "maxItems": 32,
    "uniqueItems": True,
    "description": "A list of other names, 32 at most.",
    "items": {
        "type": "string",
        "minLength": 1,
        "maxLength": OTHER_NAME_MAX,
        "description": f"A name of 1 to {OTHER_NAME_MAX} characters.",
    },
}


# Everything above the rules. References lead to the definitions that `schema.py` puts together.
HEAD: Final[Schema] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:mesura:schema:policy:1",
    "title": "mesura policy",
    "description": (
        "The policy file (docs/policy.md). References between its parts, "
        "and dates, are checked by `mesura policy check`."
    ),
    "type": "object",
    "additionalProperties": False,
    "required": ["mesura", "name", "version", "zone", "default_purpose", "channels", "purposes", "rules"],
    "properties": {
        "mesura": {
            "const": 1,
            "description": "The format of this file: 1.",
        },
        "name": {
            "type": "string",
            "pattern": "^[a-z0-9-]{1,64}$",
            "description": "The policy's name: small letters, digits and hyphens, 64 at most.",
        },
        "version": {
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "pattern": r"^\S+$",
            "description": 'The version, in quotes, as "2026.11".',
        },
        "zone": {
            "type": "string",
            "description": "The policy's own time zone, as America/Bogota.",
        },
        "recipient_zone": {
            "type": "string",
            "description": (
                "A zone taken for the recipient when intent, ledger and country "
                "say nothing. Left out: unknown stays unknown."
            ),
        },
        "time_to_live": definition(
            "duration", "How long an approval may wait at its gateway: more than 2s, 24h at most (default 5m)."
        ),
        "history": definition(
            "duration", "How long contacts are kept: 1d to 400d (default 35d); raised if a rule looks back further."
        ),
        "identities": definition(
            "duration", "How long intent ids are remembered: 1m at least, no longer than the history (default 7d)."
        ),
        "default_purpose": {
            "type": "string",
            "description": "The purpose of an intent that names none; one of `purposes`.",
        },
        "channels": {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 64,
            "propertyNames": {
                "pattern": "^[a-z0-9_-]{1,32}$",
                "description": "A channel's name: small letters, digits, hyphens, underscores; 32 at most.",
            },
            "description": "Every channel the gate may decide on.",
            "additionalProperties": {
                "type": ["object", "null"],
                "additionalProperties": False,
                "description": "{group: …}, or nothing.",
                "properties": {
                    "group": {
                        "type": "string",
                        "pattern": "^[a-z0-9_-]{1,32}$",
                        "description": "A group's name: small letters, digits, hyphens, underscores; 32 at most.",
                    },
                },
            },
        },
        "purposes": {
            "type": "array",
            "minItems": 1,
            "maxItems": 64,
            "uniqueItems": True,
            "description": "Every purpose an intent may have.",
            "items": {
                "type": "string",
                "pattern": "^[a-z0-9_-]{1,32}$",
                "description": "A purpose: small letters, digits, hyphens, underscores; 32 at most.",
            },
        },
        "other_names": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "description": (
                "Other names that customers' events use for words of this policy. "
                "Letter case and blanks are not looked at anyway."
            ),
            "properties": {
                "channels": _other_names("Other names of channels and of groups."),
                "purposes": _other_names("Other names of purposes."),
                "topics": _other_names("Other names of topics."),
                "brands": _other_names("Other names of brands."),
                "senders": _other_names("Other names of senders."),
            },
        },
        "regions": {
            "type": "object",
            "description": "The time zones of a region; a region not listed has all zones of its country.",
            "propertyNames": {
                "pattern": "^[A-Z]{2}-[A-Z0-9]{1,3}$",
                "description": "A country and region, as US-FL.",
            },
            "additionalProperties": {
                "type": "array",
                "minItems": 1,
                "uniqueItems": True,
                "items": {
                    "type": "string",
                    "description": "A time zone's name, as America/New_York.",
                },
                "description": "A list of time zones.",
            },
        },
        "holidays": {
            "type": "object",
            "additionalProperties": False,
            "required": ["years", "calendars"],
            "description": "Holiday calendars, for fixed years.",
            "properties": {
                "years": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 20,
                    "uniqueItems": True,
                    "description": "Consecutive years, 20 at most.",
                    "items": {
                        "type": "integer",
                        "minimum": 2015,
                        "maximum": 2100,
                        "description": "A year from 2015 to 2100.",
                    },
                },
                "calendars": {
                    "type": "object",
                    "description": (
                        "Calendars by name: CO and ES-MD are found by a recipient's country "
                        "and region, any other name by rules and intents."
                    ),
                    "propertyNames": {
                        "pattern": "^[A-Za-z0-9_-]{1,64}$",
                        "description": "A calendar's name: letters, digits, hyphens, underscores.",
                    },
                    "additionalProperties": definition("calendar"),
                },
            },
        },
        "obligations": {
            "type": "array",
            "maxItems": 64,
            "description": "What the sender must do, named in every approval it applies to.",
            "items": definition("obligation"),
        },
        "rules": {
            "type": "array",
            "maxItems": 200,
            "description": "The rules, 200 at most. The rule `opt-out` is always there and is not written.",
            "items": definition("rule"),
        },
    },
}

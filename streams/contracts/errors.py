"""What can be wrong with a record, as one typed error and a closed list of reasons.

Rules of this module
1. `RecordRefused` is the only error that decoding and routing raise for what a record contains.
2. A reason is one of `REFUSALS`; it becomes a metric label and a header, so the list is short and closed.
3. A detail says where, what was found by its kind, and what to do. It never holds a value, a field name of the sender's
   own making, or any other part of the record.

RecordRefused             the record goes to the dead-letter topic
 └── PermissionRefused    and it would have permitted something, so that nobody is contacted for it
"""

from __future__ import annotations

from typing import Final, Literal

RefusalReason = Literal[
    "no_value",
    "too_large",
    "not_utf8",
    "not_json",
    "bad_envelope",
    "repeated_field",
    "missing_field",
    "wrong_type",
    "unknown_type",
    "bad_time",
    "out_of_range",
    "from_the_future",
    "implausible_time",
    "unknown_field",
    "unknown_word",
    "misrouted",
    "misrouted_again",
]

REFUSALS: Final[dict[RefusalReason, str]] = {
    "no_value": "The record has no value: null (a tombstone), empty, or nothing after its prefix.",
    "too_large": "The value is longer than the gate reads, or the answer to it longer than its topic takes.",
    "not_utf8": "The value is not UTF-8.",
    "not_json": "The value is not one JSON document, or is nested too deeply.",
    "bad_envelope": "The envelope around the event cannot be opened, or says more than may be guessed.",
    "repeated_field": "A field stands more than once, so that nobody can say which of them was meant.",
    "missing_field": "A required field is absent.",
    "wrong_type": "A field has another JSON type than the contract says.",
    "unknown_type": "The event's type is none the contract knows.",
    "bad_time": "A time is neither epoch milliseconds nor RFC 3339 with a zone.",
    "out_of_range": "A value is too long, too short, too great, too small, or not of the form the contract says.",
    "from_the_future": "The event says it comes from further ahead than clocks may differ.",
    "implausible_time": "A time cannot be true: before 2000 (in seconds?), or an end before its beginning.",
    "unknown_field": "An event that permits has a field that says nothing in it, so it may permit less than it seems.",
    "unknown_word": "An event that permits names a scope by a word the policy does not know.",
    "misrouted": "The record's key or partition is not its customer's, and it could not be forwarded in this run.",
    "misrouted_again": "The record's key or partition is not its customer's, although it had been forwarded once.",
}
"""Each reason with a sentence for people. `schemas/reasons.json` says the same (a test compares them)."""

REMEDIES: Final[dict[RefusalReason, str]] = {
    "no_value": "Publish the event as the value; a tombstone takes nothing back.",
    "too_large": "Leave out what the contract does not know; put a reference to large things into `attributes`.",
    "not_utf8": "Write JSON in UTF-8, and let the Kafka producer compress it (compression.type).",
    "not_json": "Write one JSON document a record, with a JSON library.",
    "bad_envelope": "Publish the event alone, or in a CloudEvent 1.0 with its `content-type` header.",
    "repeated_field": "Write each field once.",
    "missing_field": "Write every field that the schema requires.",
    "wrong_type": "Write each field as the schema says.",
    "unknown_type": "Write a `type` of the schema.",
    "bad_time": "Write epoch milliseconds as a whole number, or RFC 3339 with a zone.",
    "out_of_range": "Keep to the limits of the schema.",
    "from_the_future": "Let the sender's clock be set, or publish the event when its time has come.",
    "implausible_time": "Look at `effective_at`, `until`, `expires_at` and the record's own timestamp.",
    "unknown_field": "Put what is your own into `attributes`.",
    "unknown_word": "Look at `channel` and `purpose`; publish it again with words that the policy declares.",
    "misrouted": "Key the record by `customer_id`, partition it by murmur2, and publish it again.",
    "misrouted_again": "Key the record by `customer_id`, partition it by murmur2, and publish it again.",
}
"""What to do about each, where a refusal has nothing more exact to say."""


class RecordRefused(Exception):
    """The record cannot be read, or may not be acted on. `reason` is stable; `detail` is for people and may change.

    A detail names the remedy. Left out, it is the reason's sentence and its remedy.
    """

    def __init__(self, reason: RefusalReason, detail: str = "") -> None:
        self.reason: Final = reason
        self.detail: Final = detail or f"{REFUSALS[reason]} {REMEDIES[reason]}"
        super().__init__(reason, self.detail)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class PermissionRefused(RecordRefused):
    """An event that permits, or changes the profile, is not in force."""

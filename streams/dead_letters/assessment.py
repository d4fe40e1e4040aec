"""What would come of replaying a dead letter, before anything is published.

Rules of this module
1. The gate's own decoders are asked, and the words of the policy in force. What they still refuse would only come back.
2. An event's place in the order of what a customer said never changes by a replay, except that a no may come later than
   it was said, which restricts more. Where a topic's broker says the time, only the event's own `effective_at` can keep
   that place (docs/semantics.md, 1.3 and 1.10).
3. What is refused is refused with --force too; what is held back is not.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from msgspec.structs import replace

from streams.contracts.decode import decode_intent, decode_outcome, decode_preference
from streams.contracts.errors import REFUSALS, REMEDIES, RecordRefused
from streams.contracts.routing import expected_partition
from streams.dead_letters.replayed import REPLAYS_MAX
from streams.decision.ledger.preferences import BELIEVED_FROM_MS, FUTURE_TOLERANCE_MS, apply_preference
from streams.decision.ledger.state import EMPTY_LEDGER
from streams.decision.preference_event import RESTRICTIVE
from streams.decision.vocabulary import SCOPE_FIELDS, Vocabulary
from streams.policy.horizons import IDENTITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.dead_letters.letter import DeadLetter, Place
    from streams.decision.preference_event import PreferenceEvent

Kind = Literal["intents", "preferences", "outcomes"]


class Fate(Enum):
    """What becomes of a dead letter."""

    REPLAY = "replay"
    HELD_BACK = "held_back"
    """It would come back. --force replays it all the same."""
    REFUSED = "refused"
    ALREADY = "already_replayed"
    BEYOND_LIMIT = "beyond_limit"


class Why(Enum):
    """Why one is not replayed, with a sentence that says what to do."""

    CUT = "cut"
    PLACE_UNKNOWN = "place_unknown"
    NO_INPUT = "no_input"
    TOO_OFTEN = "too_often"
    ORDER_LOST = "order_lost"
    ERASES_LATER = "erases_later"
    CAME_BACK = "came_back"
    UNREADABLE = "unreadable"

    @property
    def sentence(self) -> str:
        """For people."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    Why.CUT: "It was too large to be set aside whole, so that a part of the record is missing here. Let its producer "
    "publish it again; where the record stood is in `show`.",
    Why.PLACE_UNKNOWN: "It comes from the topic of forwarded records, and no gate forwarded it. Let its producer "
    "publish it on the topic of its kind.",
    Why.NO_INPUT: "The topic where it stood is no input of this gate. Give the --prefix, --intent-topic and --topic of "
    "the gate that set it aside.",
    Why.TOO_OFTEN: f"It has been replayed {REPLAYS_MAX} times and came back each time. Let its producer publish it "
    "again, corrected.",
    Why.ORDER_LOST: "It permits something, or changes the profile, and the broker would give it the time of its "
    "replay, so that it would count as said after a no that came later. An event that says `effective_at`, no later "
    "than its record's first time, keeps its place; this one does not. Let its producer publish it again with the "
    "`effective_at` that it should have had; `show` has the record's first time.",
    Why.ERASES_LATER: "It is an erasure, and the broker would give it the time of its replay, so that it would erase "
    "what has come since. Let its producer publish it again with the `effective_at` that it should have had.",
    Why.CAME_BACK: "It was replayed before and set aside again for the same reason. Mend the cause, then use --force.",
    Why.UNREADABLE: "This version, or the policy in force, still cannot use it, so that it would be set aside again. "
    "Mend that, or let its producer publish it again, corrected. If the gate has a version that reads it, use --force.",
}


class InputTopic(NamedTuple):
    """A topic on which records arrive. `has_producers_time`: whether a record keeps the time that its producer says."""

    name: str
    kind: Kind
    partitions: int
    has_producers_time: bool


class Assessed(NamedTuple):
    """What becomes of one letter, and where its record goes. `again`: for which reason it would be set aside again.

    `is_past`: an intent that can only be answered as expired. `is_dated_anew`: the broker gives it another time.
    `counts_from_now`: and a no in it takes effect from then, because it says no time of its own.
    """

    fate: Fate
    why: Why | None = None
    again: str | None = None
    topic: str | None = None
    partition: int = 0
    is_past: bool = False
    is_dated_anew: bool = False
    counts_from_now: bool = False


class _Reading(NamedTuple):
    """What the gate would find."""

    again: str | None = None
    why: Why | None = None
    is_past: bool = False
    counts_from_now: bool = False


Words = Callable[[], Vocabulary | None]
"""Gives the words of the policy in force; None where it is not known, and then no word is checked."""


def assess(letter: DeadLetter, inputs: Mapping[str, InputTopic], *, now_ms: int, words: Words) -> Assessed:
    """What would become of the letter if it were replayed now."""
    first = letter.first
    if first is None:
        return Assessed(Fate.REFUSED, Why.PLACE_UNKNOWN)
    topic = inputs.get(first.topic)
    if topic is None:
        return Assessed(Fate.REFUSED, Why.NO_INPUT)
    if letter.cut:
        return Assessed(Fate.REFUSED, Why.CUT)
    keeps_time = topic.has_producers_time and letter.said_ms > 0
    read = _read(letter, topic.kind, keeps_time=keeps_time, now_ms=now_ms, words=words)
    found = Assessed(
        Fate.REPLAY,
        topic=topic.name,
        partition=_partition(letter, first, topic),
        is_past=read.is_past,
        is_dated_anew=not keeps_time,
        counts_from_now=read.counts_from_now,
    )
    if read.why is not None:
        return found._replace(fate=Fate.REFUSED, why=read.why)
    before = letter.replayed
    if before is not None and before.times >= REPLAYS_MAX:
        return found._replace(fate=Fate.REFUSED, why=Why.TOO_OFTEN)
    if before is not None and before.reason == letter.reason:
        return found._replace(fate=Fate.HELD_BACK, why=Why.CAME_BACK, again=read.again)
    if read.again is not None:
        return found._replace(fate=Fate.HELD_BACK, why=Why.UNREADABLE, again=read.again)
    return found


def reason_in_words(reason: str) -> tuple[str, str]:
    """What a reason means, and what to do. Empty for one that this version does not know."""
    for known, meaning in REFUSALS.items():
        if known == reason:
            return meaning, REMEDIES[known]
    return "", ""


def _partition(letter: DeadLetter, first: Place, topic: InputTopic) -> int:
    """By the key, as every producer should have done; a record without a key goes where it was, and is forwarded."""
    if letter.key is None:
        return first.partition if first.partition < topic.partitions else 0
    return expected_partition(letter.key, topic.partitions)


def _read(letter: DeadLetter, kind: Kind, *, keeps_time: bool, now_ms: int, words: Words) -> _Reading:
    headers = [(name, content or b"") for name, content in letter.headers]
    try:
        if kind == "intents":
            intent, _ = decode_intent(letter.value, headers)
            if intent.created_at > now_ms + FUTURE_TOLERANCE_MS:
                return _Reading("from_the_future")
            ends = intent.expires_at
            is_past = (ends is not None and ends <= now_ms) or intent.created_at < now_ms - IDENTITIES.default_ms
            return _Reading(is_past=is_past)
        if kind == "outcomes":
            decode_outcome(letter.value, headers, letter.key)
            return _Reading()
    except RecordRefused as refused:
        return _Reading(refused.reason)
    read = decode_preference(letter.value, headers, letter.key)
    if read.refusal is not None or read.event is None:
        return _Reading("" if read.refusal is None else read.refusal.reason)
    return _preference(letter, read.event, keeps_time=keeps_time, now_ms=now_ms, words=words)


def _preference(letter: DeadLetter, event: PreferenceEvent, *, keeps_time: bool, now_ms: int, words: Words) -> _Reading:
    keeps_order = keeps_time or _says_its_order(letter, event)
    if event.type == "erasure":
        return _Reading(why=None if keeps_order else Why.ERASES_LATER)
    if event.type in RESTRICTIVE:
        return _Reading(counts_from_now=not keeps_order)
    vocabulary = words() if any(getattr(event, field) is not None for field in SCOPE_FIELDS) else None
    if vocabulary is None:
        event = replace(event, channel=None, purpose=None, topic=None, brand=None, sender_id=None)
    recorded_ms = letter.said_ms if keeps_time else now_ms
    result = apply_preference(
        event, EMPTY_LEDGER, recorded_ms=recorded_ms, now=now_ms, vocabulary=vocabulary or _NO_WORDS
    )
    if result.refused is not None:
        return _Reading(result.refused)
    return _Reading(why=None if keeps_order else Why.ORDER_LOST)


def _says_its_order(letter: DeadLetter, event: PreferenceEvent) -> bool:
    """Whether the event's own time is its place in the order, whatever the broker says (docs/semantics.md, 1.10)."""
    said_ms = letter.said_ms if letter.said_ms >= BELIEVED_FROM_MS else letter.set_aside_ms
    return event.effective_at is not None and BELIEVED_FROM_MS <= event.effective_at <= said_ms


_NO_WORDS: Final = Vocabulary({}, frozenset(), {})

"""Dead letters in words and as JSON.

Rules of this module
1. Nothing of a record is shown but where it stood, when, and how large its parts are; only `contents` shows more, and
   whoever calls it was asked to.
2. What comes from a record is escaped, so that it cannot act on a terminal: it may have been written to do so.
"""

from __future__ import annotations

import base64
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from streams.dead_letters.assessment import Fate, Why, reason_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streams.dead_letters.letter import DeadLetter
    from streams.dead_letters.plan import Planned

CONTENT_CHARACTERS_MAX: Final = 100_000
"""More than the longest event that a gate reads; what is longer fills a terminal and tells nobody anything."""

_FATES: Final = {
    Fate.REPLAY: "replay",
    Fate.HELD_BACK: "held back",
    Fate.REFUSED: "refused",
    Fate.ALREADY: "already replayed",
    Fate.BEYOND_LIMIT: "beyond --limit",
}


def moment(moment_ms: int) -> str:
    """As RFC 3339, to the millisecond; a dash for a record without a time."""
    if moment_ms < 0:
        return "-"
    try:
        return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return str(moment_ms)


def escaped(content: bytes | str) -> str:
    """Text as it is, without anything that a terminal would obey; bytes that are no text as `\\x…`."""
    text = content if isinstance(content, str) else content.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def document(letter: DeadLetter) -> dict[str, Any]:
    """What is known of a letter without looking into its record."""
    return {
        "type": "dead_letter",
        "dead_letter": str(letter.place),
        "set_aside_at": letter.set_aside_ms,
        "reason": letter.reason,
        "topic": letter.read_at.topic,
        "partition": letter.read_at.partition,
        "offset": letter.read_at.offset,
        "first": None if letter.first is None else str(letter.first),
        "timestamp": letter.said_ms,
        "replays": 0 if letter.replayed is None else letter.replayed.times,
        "missing": list(letter.cut),
    }


def row(letter: DeadLetter) -> str:
    """A letter in one line."""
    stood = letter.read_at if letter.first is None else letter.first
    replays = f"  replayed {letter.replayed.times}x" if letter.replayed is not None else ""
    cut = f"  without its {', '.join(letter.cut)}" if letter.cut else ""
    return (
        f"{moment(letter.set_aside_ms)}  {letter.place}  {escaped(letter.reason)}  {escaped(str(stood))}{replays}{cut}"
    )


def summary(counts: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """How many there are for each reason, and from which topics: `counts` is by both."""
    by_reason: dict[str, Counter[str]] = {}
    for (reason, topic), count in counts.items():
        by_reason.setdefault(reason, Counter())[topic] += count
    for reason, topics in sorted(by_reason.items(), key=lambda item: (-item[1].total(), item[0])):
        where = ", ".join(f"{escaped(topic)} {count}" for topic, count in topics.most_common())
        yield f"{escaped(reason)}: {topics.total()} ({where})"


def described(letter: DeadLetter) -> Iterator[str]:
    """Everything about one letter that its record does not say."""
    meaning, remedy = reason_in_words(letter.reason)
    yield f"Dead letter    {letter.place}"
    yield f"Set aside      {moment(letter.set_aside_ms)}"
    yield f"Read at        {escaped(str(letter.read_at))}"
    if letter.first is None:
        yield "Stood first    unknown: it comes from the topic of forwarded records, and no gate forwarded it"
    elif letter.is_forwarded:
        yield f"Stood first    {escaped(str(letter.first))}, from where a gate forwarded it"
    yield f"Record's time  {moment(letter.said_ms)} ({letter.said_ms})"
    if letter.replayed is not None:
        yield (
            f"Replayed       {letter.replayed.times} times, last at {moment(letter.replayed.timestamp_ms)}, when the "
            f"reason was {escaped(letter.replayed.reason)}"
        )
    yield f"Reason         {escaped(letter.reason)}" + (f": {meaning}" if meaning else "")
    if letter.detail != f"{meaning} {remedy}":  # which it is where there is nothing more exact to say
        yield f"Detail         {escaped(letter.detail)}"
    if remedy:
        yield f"Remedy         {remedy}"
    for part in letter.cut:
        yield f"Missing        the {part}, which was too large to be set aside"


def sizes(letter: DeadLetter) -> Iterator[str]:
    """How large the parts of the record are, and the names of its own headers."""
    yield f"Key            {_size(letter.key)}"
    yield f"Value          {_size(letter.value)}"
    for name, content in letter.headers:
        yield f"Header         {escaped(name)}: {_size(content)}"


def contents(letter: DeadLetter) -> Iterator[str]:
    """The record itself, escaped. It holds a customer's data."""
    yield f"Key            {_shown(letter.key)}"
    for name, content in letter.headers:
        yield f"Header         {escaped(name)}: {_shown(content)}"
    yield f"Value          {_shown(letter.value)}"


def contents_document(letter: DeadLetter) -> dict[str, Any]:
    """The record itself, byte for byte in base64."""
    return {
        "key_base64": _base64(letter.key),
        "value_base64": _base64(letter.value),
        "headers_base64": [[name, _base64(content)] for name, content in letter.headers],
    }


def planned_document(planned: Planned) -> dict[str, Any]:
    """A letter and what becomes of it."""
    assessed = planned.assessed
    return {
        **document(planned.letter),
        "fate": assessed.fate.value,
        "why": None if assessed.why is None or assessed.fate is Fate.ALREADY else assessed.why.value,
        "again": assessed.again or None,
        "to_topic": assessed.topic,
        "to_partition": None if assessed.topic is None else assessed.partition,
        "answered_as_expired": assessed.is_past,
        "dated_anew": assessed.is_dated_anew,
        "counts_from_now": assessed.counts_from_now,
    }


def planned_row(planned: Planned) -> str:
    """A letter and what becomes of it, in one line."""
    assessed = planned.assessed
    fate = _FATES[assessed.fate]
    if assessed.fate is Fate.REPLAY:
        fate += f" to {assessed.topic}-{assessed.partition}"
    elif assessed.fate in {Fate.HELD_BACK, Fate.REFUSED} and assessed.why is not None:
        fate += f": {assessed.why.value}" + (f" ({assessed.again})" if assessed.again else "")
    return f"{planned.letter.place}  {escaped(planned.letter.reason)}  {fate}"


def plan_summary(plan: Sequence[Planned]) -> Iterator[str]:
    """How many are replayed and how many not, with a sentence for each reason and for what to know beforehand."""
    fates = Counter(each.assessed.fate for each in plan)
    topics = Counter(each.assessed.topic for each in plan if each.assessed.fate is Fate.REPLAY)
    where = ", ".join(f"{topic} {count}" for topic, count in sorted(topics.items(), key=lambda item: str(item[0])))
    yield f"To be replayed: {fates[Fate.REPLAY]}" + (f" ({where})" if where else "")
    for fate, words in ((Fate.ALREADY, "Already replayed"), (Fate.BEYOND_LIMIT, "Beyond --limit")):
        if fates[fate]:
            yield f"{words}: {fates[fate]}"
    for fate, words in ((Fate.HELD_BACK, "Held back"), (Fate.REFUSED, "Refused")):
        for why in Why:
            count = sum(each.assessed.fate is fate and each.assessed.why is why for each in plan)
            if count:
                yield f"{words}, {why.value}: {count}. {why.sentence}"
    yield from _to_know([each for each in plan if each.assessed.fate is Fate.REPLAY])


def _to_know(replayed: Sequence[Planned]) -> Iterator[str]:
    past = sum(each.assessed.is_past for each in replayed)
    if past:
        yield (
            f"Intents whose time has passed: {past}. They are answered as expired, unless the policy remembers "
            "identities for longer than it does by default."
        )
    anew = sum(each.assessed.is_dated_anew for each in replayed)
    if anew:
        yield (
            f"Records to which the broker gives the time of their replay, because their topic has "
            f"message.timestamp.type=LogAppendTime or they had none: {anew}. What hangs on a time says it itself."
        )
    from_now = sum(each.assessed.counts_from_now for each in replayed)
    if from_now:
        yield (
            f"Noes among them without an `effective_at`: {from_now}. They count from their replay, so also against "
            "what the customers have permitted since."
        )


def _size(content: bytes | None) -> str:
    return "none" if content is None else f"{len(content)} bytes"


def _shown(content: bytes | None) -> str:
    if content is None:
        return "none"
    text = escaped(content)
    more = len(text) - CONTENT_CHARACTERS_MAX
    return text if more <= 0 else f"{text[:CONTENT_CHARACTERS_MAX]}… and {more} characters more; --json has all"


def _base64(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()

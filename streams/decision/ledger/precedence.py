"""Who wins among preferences.

Rules of this module (docs/semantics.md, 1)
1. Events answer only events of their own track. A no stands until a later yes undoes it, and a yes undoes only a no
   of which it names every word, or any if it names nothing.
2. A restrictive event acts at once, even if dated ahead; a permissive one from its own date, and never undoes a
   later no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from streams.decision.ledger.state import LabelSet, Preference
from streams.decision.preference_event import RESTRICTIVE, UNREAD
from streams.decision.tables import NEVER
from streams.decision.vocabulary import SCOPE_FIELDS, Vocabulary

RESTRICTION: Final = "restriction"
OPT_OUT: Final = "opt_out"
PAUSE: Final = "pause"
CONSENT: Final = "consent"
# The order in which the opt-out rule asks the tracks.
DENYING_TRACKS: Final = (RESTRICTION, OPT_OUT, PAUSE, UNREAD)
TRACK_OF: Final = {
    "restriction": RESTRICTION,
    "restriction_lifted": RESTRICTION,
    "opt_out": OPT_OUT,
    "objection": OPT_OUT,
    "opt_in": OPT_OUT,
    "pause": PAUSE,
    "resume": PAUSE,
    UNREAD: UNREAD,
    "clarification": UNREAD,
    "consent_withdrawn": CONSENT,
    "consent_granted": CONSENT,
}
REASON_OF: Final = {
    "restriction": "restricted",
    "opt_out": "opt_out",
    "objection": "objection",
    "pause": "paused",
    UNREAD: "not_understood",
    "consent_withdrawn": "consent_withdrawn",
}


def covers(preference: Preference, label_set: LabelSet, vocabulary: Vocabulary, *, restricts: bool) -> bool:
    """Whether the event is about contacts like this one."""
    channel, purpose = preference.channel, preference.purpose
    topic, brand, sender = preference.topic, preference.brand, preference.sender
    return (
        (channel is None or vocabulary.covers_channel(channel, label_set.channel, restricts=restricts))
        and (purpose is None or vocabulary.covers_purpose(purpose, label_set.purpose, restricts=restricts))
        and (topic is None or vocabulary.covers_open("topic", topic, label_set.topic, restricts=restricts))
        and (brand is None or vocabulary.covers_open("brand", brand, label_set.brand, restricts=restricts))
        and (sender is None or vocabulary.covers_open("sender_id", sender, label_set.sender, restricts=restricts))
    )


def names_all_of(yes: Preference, no: Preference, vocabulary: Vocabulary) -> bool:
    """Whether the yes names every field the no names, with the same word, or names nothing at all."""
    said = scope_of(yes)
    if said == _NOTHING:
        return True
    for field, named, forbidden in zip(SCOPE_FIELDS, said, scope_of(no), strict=True):
        if forbidden is not None and (
            named is None or vocabulary.word(field, named) != vocabulary.word(field, forbidden)
        ):
            return False
    return True


def scope_of(preference: Preference) -> tuple[str | None, str | None, str | None, str | None, str | None]:
    """What the event names, in the order of `SCOPE_FIELDS`."""
    return preference.channel, preference.purpose, preference.topic, preference.brand, preference.sender


_NOTHING: Final = (None, None, None, None, None)


def in_force(preference: Preference, moment_ms: int, end_ms: int) -> bool:
    """Whether the event acts at the moment, if it ends at `end_ms`."""
    return moment_ms < end_ms and (preference.type in RESTRICTIVE or preference.effective_ms <= moment_ms)


def end_of(preference: Preference) -> int:
    """The moment the event stops acting, or NEVER."""
    return NEVER if preference.end_ms is None else preference.end_ms


def covering_by_track(
    preferences: Iterable[Preference], label_set: LabelSet, vocabulary: Vocabulary
) -> dict[str, list[Preference]]:
    """The events that cover the label set, by track; tracks without any are absent."""
    found: dict[str, list[Preference]] = {}
    for preference in preferences:
        if covers(preference, label_set, vocabulary, restricts=preference.type in RESTRICTIVE):
            found.setdefault(TRACK_OF[preference.type], []).append(preference)
    return found


def standing(
    candidates: Iterable[Preference], moment_ms: int, vocabulary: Vocabulary, end: Callable[[Preference], int] = end_of
) -> Preference | None:
    """Of the covering events of one track the no that stands at the moment: the latest that no yes undoes, if any."""
    noes: list[Preference] = []
    yeses: list[Preference] = []
    for candidate in candidates:
        if in_force(candidate, moment_ms, end(candidate)):
            (noes if candidate.type in RESTRICTIVE else yeses).append(candidate)
    best: Preference | None = None
    for no in noes:
        if (best is None or _rank(no) > _rank(best)) and not any(_undoes(yes, no, vocabulary) for yes in yeses):
            best = no
    return best


def _undoes(yes: Preference, no: Preference, vocabulary: Vocabulary) -> bool:
    """Whether the yes, which covers what is asked, undoes the no: it is later, and says at least as much."""
    return yes.order_ms > no.order_ms and yes.source == no.source and names_all_of(yes, no, vocabulary)


def _rank(no: Preference) -> tuple[int, bool, int]:
    return no.order_ms, no.type == "opt_out", end_of(no)


def denying(covering: Mapping[str, list[Preference]], moment_ms: int, vocabulary: Vocabulary) -> Preference | None:
    """Of the events that cover a contact, by track, the one that forbids it at the moment, if any: who wins for the
    opt-out rule, and for whoever takes an approval back.
    """
    for track in DENYING_TRACKS:
        if track in covering:
            no = standing(covering[track], moment_ms, vocabulary)
            if no is not None:
                return no
    return None


def change_points(
    candidates: Iterable[Preference], after_ms: int, end: Callable[[Preference], int] = end_of
) -> list[int]:
    """The later moments, ascending, at which one of the events begins or stops acting."""
    points = set()
    for candidate in candidates:
        points.add(end(candidate))
        if candidate.type not in RESTRICTIVE:
            points.add(candidate.effective_ms)
    return sorted(point for point in points if after_ms < point < NEVER)


def same_place(one: Preference, other: Preference) -> bool:
    return (
        TRACK_OF[one.type] == TRACK_OF[other.type]
        and (one.type in RESTRICTIVE) == (other.type in RESTRICTIVE)
        and one.channel == other.channel
        and one.purpose == other.purpose
        and one.topic == other.topic
        and one.brand == other.brand
        and one.sender == other.sender
        and one.source == other.source
    )


def strength(preference: Preference) -> tuple[int, int, int, bool, str]:
    return (
        preference.order_ms,
        end_of(preference),
        preference.effective_ms,
        preference.type == "opt_out",
        preference.evidence_ref or "",
    )

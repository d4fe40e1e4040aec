"""What customers said about being contacted, and who of them wins.

Rules of this module (docs/semantics.md, 1)
1. Order, never arrival: an event's order is min(`effective_at`, its record's timestamp); the same events in any order,
   any number of times, leave the same ledger. With one exception: nobody can have clarified what had not arrived, so
   that an unread event is never older than a clarification that came before it.
2. Events answer only events of their own track. A no stands until a later yes undoes it, and a yes undoes only a no
   of which it names every word, or any if it names nothing.
3. A restrictive event acts at once, even if dated ahead; a permissive one from its own date, and never undoes a
   later no.
4. What cannot be believed or understood is left out of a no, and makes a dead letter of a yes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from streams.decision.ledger.precedence import (
    CONSENT,
    REASON_OF,
    RESTRICTION,
    TRACK_OF,
    covering_by_track,
    denying,
    same_place,
    standing,
    strength,
)
from streams.decision.ledger.state import (
    CONFIRMED,
    NEEDED_CONSENT,
    OPT_OUT_EXEMPT,
    PREFERENCES_MAX,
    WITHDRAWN,
    Contact,
    LabelSet,
    Ledger,
    Preference,
    Profile,
    ProfileValue,
)
from streams.decision.ledger.transitions import with_rows
from streams.decision.preference_event import RESTRICTIVE, UNREAD, PreferenceEvent
from streams.decision.tables import MINUTE_MS
from streams.decision.vocabulary import SCOPE_FIELDS, Vocabulary, fold

# Clocks of producers differ by seconds; five minutes is not a clock difference.
FUTURE_TOLERANCE_MS: Final = 5 * MINUTE_MS

# Nobody said anything about being contacted before 2000; a time in seconds, read as milliseconds, lies in January 1970.
BELIEVED_FROM_MS: Final = 946_684_800_000

Refused = Literal["from_the_future", "implausible_time", "unknown_word"]


class Withdrawal(NamedTuple):
    """An approval that is to be taken back while it is still valid."""

    decision_id: str
    channel: str
    reason: str


class PreferenceResult(NamedTuple):
    """The new ledger, the approvals to withdraw, and why the event was refused (a dead letter), if it was.

    `not_understood` says once for each thing in a restrictive event that was left out: `time` or `scope_word`.
    """

    ledger: Ledger
    withdrawals: tuple[Withdrawal, ...] = ()
    refused: Refused | None = None
    not_understood: tuple[str, ...] = ()


class Moments(NamedTuple):
    """When an event was said and acts, as far as that is believed, and how many of its times are not."""

    order_ms: int
    effective_ms: int
    end_ms: int | None
    doubted: int


def apply_preference(
    event: PreferenceEvent, ledger: Ledger, *, recorded_ms: int, now: int, vocabulary: Vocabulary
) -> PreferenceResult:
    """Apply one event whose record carries `recorded_ms` (negative: no time), at `now`, under a policy's words.

    Total; twice changes nothing more than once.
    """
    restricts = event.type in RESTRICTIVE
    moments = _moments(event, recorded_ms, now)
    if moments.doubted and not restricts:
        return PreferenceResult(ledger, refused="implausible_time")
    order_ms = moments.order_ms
    if order_ms > now + FUTURE_TOLERANCE_MS:
        if not restricts:
            return PreferenceResult(ledger, refused="from_the_future")
        order_ms = now
    if event.type == UNREAD:
        order_ms = max(order_ms, _clarified_ms(ledger))
    doubts = ("time",) * moments.doubted
    if event.type == "profile":
        return PreferenceResult(_with_profile(event, ledger, order_ms))
    if event.type == "erasure":
        return _erase(ledger, order_ms, now)._replace(not_understood=doubts)
    doubts += ("scope_word",) * _unknown_words(event, vocabulary)
    if doubts and not restricts:
        return PreferenceResult(ledger, refused="unknown_word")
    if TRACK_OF[event.type] == CONSENT and ledger.erased_ms is not None and order_ms <= ledger.erased_ms:
        return PreferenceResult(ledger, not_understood=doubts)
    preference = _preference(event, order_ms, moments)
    changed = _with_preference(ledger, preference)
    if not restricts:
        return PreferenceResult(changed)
    # What there was no room to keep is heard all the same: approvals still open are taken back.
    is_kept = any(same_place(kept, preference) for kept in changed.preferences)
    heard = changed if is_kept else replace(changed, preferences=(*changed.preferences, preference))

    def reason_for(contact: Contact, label_set: LabelSet) -> str | None:
        return _reason_to_withdraw(event.type, heard, contact, label_set, now, vocabulary)

    return _withdraw(changed, now, reason_for)._replace(not_understood=doubts)


def _moments(event: PreferenceEvent, recorded_ms: int, now: int) -> Moments:
    """The times that are believed; what is not is as if it had not been said, or for the record's own, as if now."""
    given = (event.effective_at, event.until, event.expires_at)
    doubted = sum(1 for moment_ms in (recorded_ms, *given) if moment_ms is not None and moment_ms < BELIEVED_FROM_MS)
    is_moved = any(m is not None and m < BELIEVED_FROM_MS for m in (recorded_ms, event.effective_at))
    if recorded_ms < BELIEVED_FROM_MS:
        recorded_ms = now
    effective_ms, until_ms, expires_ms = [None if m is None or m < BELIEVED_FROM_MS else m for m in given]
    if effective_ms is None:
        effective_ms = recorded_ms
    # Said at another moment it must not take the place of an older no without an end.
    end_ms = None if is_moved else until_ms
    if event.type not in RESTRICTIVE and expires_ms is not None:
        end_ms = expires_ms if until_ms is None else min(until_ms, expires_ms)
    if end_ms is not None and end_ms <= effective_ms:
        end_ms, doubted = None, doubted + 1
    return Moments(min(effective_ms, recorded_ms), effective_ms, end_ms, doubted)


def _clarified_ms(ledger: Ledger) -> int:
    """Order of the clarification that has come."""
    return max((p.order_ms for p in ledger.preferences if p.type == "clarification"), default=0)


def _unknown_words(event: PreferenceEvent, vocabulary: Vocabulary) -> int:
    """How many words of the event's scope mean nothing under the policy."""
    named = (event.channel, event.purpose, event.topic, event.brand, event.sender_id)
    if named == (None, None, None, None, None):
        return 0
    return sum(
        1
        for field, word in zip(SCOPE_FIELDS, named, strict=True)
        if word is not None and not vocabulary.understands(field, word)
    )


def _preference(event: PreferenceEvent, order_ms: int, moments: Moments) -> Preference:
    track = TRACK_OF[event.type]
    return Preference(
        type=event.type,
        order_ms=order_ms,
        effective_ms=moments.effective_ms,
        end_ms=moments.end_ms,
        channel=_folded(event.channel),
        purpose=_folded(event.purpose),
        topic=_folded(event.topic),
        brand=_folded(event.brand),
        sender=_folded(event.sender_id),
        evidence_ref=event.evidence_ref if track == CONSENT else None,
        source=_folded(event.source) if track == RESTRICTION else None,
    )


def _folded(word: str | None) -> str | None:
    return None if word is None else fold(word)


def _with_preference(ledger: Ledger, new: Preference) -> Ledger:
    for position, old in enumerate(ledger.preferences):
        if same_place(old, new):
            if strength(new) <= strength(old):
                return ledger
            kept = (*ledger.preferences[:position], new, *ledger.preferences[position + 1 :])
            return replace(ledger, preferences=kept)
    if len(ledger.preferences) >= PREFERENCES_MAX:
        return replace(ledger, preference_refused=True)
    return replace(ledger, preferences=(*ledger.preferences, new))


def _with_profile(event: PreferenceEvent, ledger: Ledger, order_ms: int) -> Ledger:
    if ledger.erased_ms is not None and order_ms <= ledger.erased_ms:
        return ledger
    profile = ledger.profile or Profile()

    def later(old: ProfileValue | None, value: str | bool | None) -> ProfileValue | None:
        if value is None or (old is not None and (order_ms, str(value)) <= (old.order_ms, str(old.value))):
            return old
        return ProfileValue(value, order_ms)

    return replace(
        ledger,
        profile=Profile(
            later(profile.timezone, event.timezone),
            later(profile.country, event.country),
            later(profile.region, event.region),
            later(profile.minor, event.minor),
        ),
    )


def _erase(ledger: Ledger, order_ms: int, now: int) -> PreferenceResult:
    """Remove what was known up to the erasure; standing answers of the denying tracks stay (rule: an opt-out
    survives).
    """
    if ledger.erased_ms is not None and order_ms <= ledger.erased_ms:
        return PreferenceResult(ledger)  # repeated, or overtaken: what was contacted since must still be counted
    withdrawals = _withdraw(ledger, now, lambda _contact, _tag: "erased").withdrawals
    erased_ms = order_ms
    profile = ledger.profile
    if profile is not None:

        def kept(value: ProfileValue | None) -> ProfileValue | None:
            return value if value is not None and value.order_ms > erased_ms else None

        profile = Profile(kept(profile.timezone), kept(profile.country), kept(profile.region), kept(profile.minor))
        if profile == Profile():
            profile = None
    known = {identity: created for identity, created in ledger.identities.items() if created > erased_ms}
    left = Ledger(
        preferences=tuple(p for p in ledger.preferences if TRACK_OF[p.type] != CONSENT or p.order_ms > erased_ms),
        profile=profile,
        erased_ms=erased_ms,
        preference_refused=ledger.preference_refused,
        forgotten_ms=ledger.forgotten_ms,
    )
    return PreferenceResult(with_rows(left, identities=known), withdrawals)


def _reason_to_withdraw(
    event_type: str, ledger: Ledger, contact: Contact, label_set: LabelSet, now: int, vocabulary: Vocabulary
) -> str | None:
    covering = covering_by_track(ledger.preferences, label_set, vocabulary)
    denier = None if contact.flags & OPT_OUT_EXEMPT else denying(covering, now, vocabulary)
    if denier is not None:
        return REASON_OF[denier.type]
    track = TRACK_OF.get(event_type)
    if track not in (CONSENT, UNREAD) or not contact.flags & NEEDED_CONSENT:
        return None
    no = standing(covering.get(track, []), now, vocabulary)
    return None if no is None else REASON_OF[no.type]


def _withdraw(ledger: Ledger, now: int, reason_for: Callable[[Contact, LabelSet], str | None]) -> PreferenceResult:
    """Mark every contact still valid, unconfirmed and not yet withdrawn for which there is a reason."""
    withdrawals = []
    contacts, label_sets = list(ledger.contacts), ledger.label_sets
    for position, contact in _open_contacts(ledger, now):
        label_set = label_sets[contact.label_set_number]
        reason = reason_for(contact, label_set)
        if reason is not None:
            contacts[position] = replace(contact, flags=contact.flags | WITHDRAWN)
            withdrawals.append(Withdrawal(contact.decision_id.hex(), label_set.channel, reason))
    if not withdrawals:
        return PreferenceResult(ledger)
    return PreferenceResult(with_rows(ledger, contacts=contacts), tuple(withdrawals))


def _open_contacts(ledger: Ledger, now: int) -> Iterator[tuple[int, Contact]]:
    if not ledger.assumed_sent or ledger.base_ms + ledger.assumed_sent[0] <= now:
        return
    for position, contact in enumerate(ledger.contacts):
        if contact.assumed_sent_ms <= now:
            return
        if not contact.flags & (CONFIRMED | WITHDRAWN):
            yield position, contact

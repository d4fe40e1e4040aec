"""What customers said about being contacted, and who of them wins.

Rules of this module (docs/semantics.md, 1)
1. Order, never arrival: an event's order is min(`effective_at`, its record's timestamp); the same events in any order,
   any number of times, leave the same ledger.
2. Events answer only events of their own track; of those that cover an intent and are in force the latest wins, and
   ties restrict.
3. A restrictive event acts at once, even if dated ahead; a permissive one from its own date, and never beats a
   later no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from streams.decision.ledger import (
    CONFIRMED,
    NEEDED_CONSENT,
    OPT_OUT_EXEMPT,
    PREFERENCES_MAX,
    WITHDRAWN,
    Contact,
    Ledger,
    Preference,
    Profile,
    ProfileValue,
    Tag,
)
from streams.decision.ledger_changes import with_rows
from streams.decision.preference import RESTRICTIVE, PreferenceEvent
from streams.decision.tables import MINUTE_MS, NEVER

# Clocks of producers differ by seconds; five minutes is not a clock difference.
FUTURE_TOLERANCE_MS: Final = 5 * MINUTE_MS

RESTRICTION: Final = "restriction"
OPT_OUT: Final = "opt_out"
PAUSE: Final = "pause"
CONSENT: Final = "consent"
# The order in which the opt-out rule asks the tracks.
DENYING_TRACKS: Final = (RESTRICTION, OPT_OUT, PAUSE)
TRACK_OF: Final = {
    "restriction": RESTRICTION,
    "restriction_lifted": RESTRICTION,
    "opt_out": OPT_OUT,
    "objection": OPT_OUT,
    "opt_in": OPT_OUT,
    "pause": PAUSE,
    "resume": PAUSE,
    "consent_withdrawn": CONSENT,
    "consent_granted": CONSENT,
}
REASON_OF: Final = {
    "restriction": "restricted",
    "opt_out": "opt_out",
    "objection": "objection",
    "pause": "paused",
    "consent_withdrawn": "consent_withdrawn",
}


class Withdrawal(NamedTuple):
    """An approval that is to be taken back while it is still valid."""

    decision_id: str
    channel: str
    reason: str


class PreferenceResult(NamedTuple):
    """The new ledger, the approvals to withdraw, and why the event was refused (a dead letter), if it was."""

    ledger: Ledger
    withdrawals: tuple[Withdrawal, ...] = ()
    refused: str | None = None


def apply_preference(event: PreferenceEvent, ledger: Ledger, *, recorded_ms: int, now: int) -> PreferenceResult:
    """Apply one event whose record carries `recorded_ms`, at `now`. Total; twice changes nothing more than once."""
    effective_ms = recorded_ms if event.effective_at is None else event.effective_at
    order_ms = min(effective_ms, recorded_ms)
    if order_ms > now + FUTURE_TOLERANCE_MS:
        if event.type not in RESTRICTIVE:
            return PreferenceResult(ledger, refused="from_the_future")
        order_ms = now
    if event.type == "profile":
        return PreferenceResult(_with_profile(event, ledger, order_ms))
    if event.type == "erasure":
        return _erase(ledger, order_ms, now)
    if TRACK_OF[event.type] == CONSENT and ledger.erased_ms is not None and order_ms <= ledger.erased_ms:
        return PreferenceResult(ledger)
    preference = Preference(
        type=event.type,
        order_ms=order_ms,
        effective_ms=effective_ms,
        end_ms=_end_given(event),
        channel=event.channel,
        purpose=event.purpose,
        topic=event.topic,
        brand=event.brand,
        sender=event.sender_id,
        evidence_ref=event.evidence_ref if TRACK_OF[event.type] == CONSENT else None,
    )
    changed = _with_preference(ledger, preference)
    if event.type not in RESTRICTIVE:
        return PreferenceResult(changed)
    # What there was no room to keep is heard all the same: approvals still open are taken back.
    is_kept = any(_same_place(kept, preference) for kept in changed.preferences)
    heard = changed if is_kept else replace(changed, preferences=(*changed.preferences, preference))
    return _withdraw(changed, now, lambda contact, tag: _reason_to_withdraw(event.type, heard, contact, tag, now))


def _end_given(event: PreferenceEvent) -> int | None:
    """When the event stops acting; a consent given with both ends, at the earlier."""
    if event.type != "consent_granted" or event.expires_at is None:
        return event.until
    return event.expires_at if event.until is None else min(event.until, event.expires_at)


def covers(preference: Preference, tag: Tag) -> bool:
    """Whether the event is about contacts like this one. What the tag does not say may be what a restriction means."""
    lenient = preference.type in RESTRICTIVE
    return (
        (preference.channel is None or preference.channel == tag.channel)
        and (preference.purpose is None or preference.purpose == tag.purpose)
        and _names(preference.topic, tag.topic, lenient)
        and _names(preference.brand, tag.brand, lenient)
        and _names(preference.sender, tag.sender, lenient)
    )


def _names(named: str | None, value: str | None, lenient: bool) -> bool:
    return named is None or named == value or (value is None and lenient)


def in_force(preference: Preference, moment_ms: int, end_ms: int) -> bool:
    """Whether the event acts at the moment, if it ends at `end_ms`."""
    return moment_ms < end_ms and (preference.type in RESTRICTIVE or preference.effective_ms <= moment_ms)


def end_of(preference: Preference) -> int:
    """The moment the event stops acting, or NEVER."""
    return NEVER if preference.end_ms is None else preference.end_ms


def covering(preferences: Iterable[Preference], track: str, tag: Tag) -> list[Preference]:
    """The events of a track that cover the tag."""
    return [p for p in preferences if TRACK_OF[p.type] == track and covers(p, tag)]


def covering_by_track(preferences: Iterable[Preference], tag: Tag) -> dict[str, list[Preference]]:
    """The events that cover the tag, by track; tracks without any are absent."""
    found: dict[str, list[Preference]] = {}
    for preference in preferences:
        if covers(preference, tag):
            found.setdefault(TRACK_OF[preference.type], []).append(preference)
    return found


def winner(
    candidates: Iterable[Preference], moment_ms: int, end: Callable[[Preference], int] = end_of
) -> Preference | None:
    """Of the covering events of one track the one that wins at the moment, if any is in force."""
    best: Preference | None = None
    for candidate in candidates:
        if in_force(candidate, moment_ms, end(candidate)) and (best is None or _rank(candidate) > _rank(best)):
            best = candidate
    return best


def _rank(preference: Preference) -> tuple[int, bool, bool, int]:
    return (
        preference.order_ms,
        preference.type in RESTRICTIVE,
        preference.type == "opt_out",
        end_of(preference),
    )


def denying(ledger: Ledger, tag: Tag, moment_ms: int) -> Preference | None:
    """The event that forbids contacts like this one at the moment, if any: the opt-out rule."""
    for track in DENYING_TRACKS:
        best = winner(covering(ledger.preferences, track, tag), moment_ms)
        if best is not None and best.type in RESTRICTIVE:
            return best
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


def _with_preference(ledger: Ledger, new: Preference) -> Ledger:
    for position, old in enumerate(ledger.preferences):
        if _same_place(old, new):
            if _strength(new) <= _strength(old):
                return ledger
            kept = (*ledger.preferences[:position], new, *ledger.preferences[position + 1 :])
            return replace(ledger, preferences=kept)
    if len(ledger.preferences) >= PREFERENCES_MAX:
        return replace(ledger, preference_refused=True)
    return replace(ledger, preferences=(*ledger.preferences, new))


def _same_place(one: Preference, other: Preference) -> bool:
    return (
        TRACK_OF[one.type] == TRACK_OF[other.type]
        and (one.type in RESTRICTIVE) == (other.type in RESTRICTIVE)
        and one.channel == other.channel
        and one.purpose == other.purpose
        and one.topic == other.topic
        and one.brand == other.brand
        and one.sender == other.sender
    )


def _strength(preference: Preference) -> tuple[int, int, int, bool, str]:
    return (
        preference.order_ms,
        end_of(preference),
        preference.effective_ms,
        preference.type == "opt_out",
        preference.evidence_ref or "",
    )


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


def _reason_to_withdraw(event_type: str, ledger: Ledger, contact: Contact, tag: Tag, now: int) -> str | None:
    denier = None if contact.flags & OPT_OUT_EXEMPT else denying(ledger, tag, now)
    if denier is not None:
        return REASON_OF[denier.type]
    if event_type != "consent_withdrawn" or not contact.flags & NEEDED_CONSENT:
        return None
    best = winner(covering(ledger.preferences, CONSENT, tag), now)
    return "consent_withdrawn" if best is not None and best.type == "consent_withdrawn" else None


def _withdraw(ledger: Ledger, now: int, reason_for: Callable[[Contact, Tag], str | None]) -> PreferenceResult:
    """Mark every contact still valid, unconfirmed and not yet withdrawn for which there is a reason."""
    withdrawals = []
    contacts, tags = list(ledger.contacts), ledger.tags
    for position, contact in _open_contacts(ledger, now):
        tag = tags[contact.tag]
        reason = reason_for(contact, tag)
        if reason is not None:
            contacts[position] = replace(contact, flags=contact.flags | WITHDRAWN)
            withdrawals.append(Withdrawal(contact.decision_id.hex(), tag.channel, reason))
    if not withdrawals:
        return PreferenceResult(ledger)
    return PreferenceResult(with_rows(ledger, contacts=contacts), tuple(withdrawals))


def _open_contacts(ledger: Ledger, now: int) -> Iterator[tuple[int, Contact]]:
    if not ledger.latest or ledger.base_ms + ledger.latest[0] <= now:
        return
    for position, contact in enumerate(ledger.contacts):
        if contact.latest_ms <= now:
            return
        if not contact.flags & (CONFIRMED | WITHDRAWN):
            yield position, contact

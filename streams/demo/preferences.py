"""What the demonstration's customers say about being contacted, as preference events.

Rules of this module
1. Consents and profiles were given before the first intent. Everything else is said at the customer's own moment.
2. Events come in every form that occurs in practice: dated back, dated ahead, twice, with and without evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.demo.intents import CHANNELS
from streams.demo.serialisation import preference_record
from streams.demo.timeline import DAY_MS, HOUR_MS, MINUTE_MS

if TYPE_CHECKING:
    from random import Random

    from streams.demo.customers import Customer
    from streams.demo.records import DemoRecord
    from streams.demo.timeline import Timeline

# One more than the ledger accepts from one customer, who then cannot be contacted at all.
TALKATIVE_EVENTS: Final = 264


class Voice:
    """Writes one customer's events, each with its own id."""

    def __init__(self, rng: Random, customer: Customer) -> None:
        self._rng = rng
        self._customer = customer
        self._count = 0
        self.records: list[DemoRecord] = []

    def say(self, kind: str, moment_ms: int, **more: object) -> None:
        """One event. Now and then a system sends it twice."""
        event_id = f"event-{self._customer.customer_id[-6:]}-{self._count}"
        self._count += 1
        source = self._rng.choice(("app", "web-form", "call-centre", "branch"))
        record = preference_record(self._customer, event_id, kind, moment_ms, source=source, **more)
        self.records += [record, record] if self._rng.random() < 0.01 else [record]


def preferences_of(rng: Random, timeline: Timeline, customer: Customer) -> list[DemoRecord]:
    """Everything one customer says."""
    voice = Voice(rng, customer)
    _profile(rng, timeline, customer, voice)
    _consent(rng, timeline, customer, voice)
    _own_words(rng, timeline, customer, voice)
    return voice.records


def preferences_of_the_talkative(rng: Random, timeline: Timeline, customer: Customer) -> list[DemoRecord]:
    """More opt-outs, each from a topic of its own, than a ledger holds."""
    voice = Voice(rng, customer)
    for number in range(TALKATIVE_EVENTS):
        voice.say("opt_out", timeline.background(rng), topic=f"list-{number:03d}")
    return voice.records


def _profile(rng: Random, timeline: Timeline, customer: Customer, voice: Voice) -> None:
    place = customer.place
    if customer.knows == "profile":
        voice.say("profile", timeline.background(rng), timezone=place.zone, country=place.country, region=place.region)
    elif customer.knows == "country_only_in_profile":
        voice.say("profile", timeline.background(rng), country=place.country)
    elif rng.random() < 0.03:
        voice.say("profile", timeline.background(rng), minor=False)


def _consent(rng: Random, timeline: Timeline, customer: Customer, voice: Voice) -> None:
    moment_ms = timeline.background(rng)
    given_ms = moment_ms - rng.randrange(30 * DAY_MS, 600 * DAY_MS)
    evidence = f"form-{rng.randrange(10**8):08d}"
    match customer.consent:
        case "granted":
            voice.say("consent_granted", moment_ms, effective_at=given_ms, evidence_ref=evidence)
        case "granted_by_channel":
            for channel in customer.consent_channels:
                voice.say("consent_granted", moment_ms, effective_at=given_ms, evidence_ref=evidence, channel=channel)
        case "withdrawn":
            voice.say("consent_granted", moment_ms, effective_at=given_ms, evidence_ref=evidence)
            voice.say("consent_withdrawn", customer.speaks_at if customer.says == "nothing" else moment_ms)
        case "expired":
            ended_ms = moment_ms - rng.randrange(DAY_MS, 25 * DAY_MS)
            voice.say("consent_granted", moment_ms, effective_at=given_ms, evidence_ref=evidence, expires_at=ended_ms)
        case "aged":
            old_ms = moment_ms - rng.randrange(725 * DAY_MS, 900 * DAY_MS)
            voice.say("consent_granted", moment_ms, effective_at=old_ms, evidence_ref=evidence)
        case "unproven":
            voice.say("consent_granted", moment_ms, effective_at=given_ms)


def _own_words(rng: Random, timeline: Timeline, customer: Customer, voice: Voice) -> None:
    at_ms = customer.speaks_at
    scope = _scope(rng)
    match customer.says:
        case "opt_out":
            late_ms = at_ms - rng.randrange(MINUTE_MS, 6 * HOUR_MS) if rng.random() < 0.2 else None
            voice.say("opt_out", at_ms, effective_at=late_ms, **scope)
        case "opt_out_and_in":
            voice.say("opt_out", at_ms, **scope)
            back_ms = timeline.soon(rng, at_ms, (DAY_MS / 1000, 12 * DAY_MS / 1000))
            voice.say("opt_in", back_ms, **scope)
        case "objection":
            voice.say("objection", at_ms, purpose="marketing" if rng.random() < 0.6 else None)
        case "pause":
            voice.say("pause", at_ms, until=at_ms + rng.randrange(7 * DAY_MS, 30 * DAY_MS))
            if rng.random() < 0.2:
                voice.say("resume", timeline.soon(rng, at_ms, (DAY_MS / 1000, 6 * DAY_MS / 1000)))
        case "restriction":
            # It is dated ahead and takes effect at once nevertheless.
            ahead_ms = at_ms + DAY_MS if rng.random() < 0.3 else None
            voice.say("restriction", at_ms, effective_at=ahead_ms)
            if rng.random() < 0.25:
                voice.say("restriction_lifted", timeline.soon(rng, at_ms, (3 * DAY_MS / 1000, 20 * DAY_MS / 1000)))
        case "erasure":
            voice.say("erasure", at_ms)


def _scope(rng: Random) -> dict[str, str]:
    draw = rng.random()
    if draw < 0.4:
        return {}
    if draw < 0.75:
        return {"channel": rng.choice(CHANNELS[:4])}
    return {"purpose": "marketing"} if draw < 0.93 else {"brand": "brand-a"}

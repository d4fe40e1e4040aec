"""Serialises planned intents, preferences and outcomes as records, in the ways in which their systems write them.

Rules of this module
1. The same input always gives the same bytes. Whatever varies comes from the one random generator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.decision.checks.duplicate import decision_id
from streams.demo.records import DemoRecord, as_cloud_event, encoded, in_words, with_registry_prefix
from streams.demo.timeline import DAY_MS, HOUR_MS, MINUTE_MS

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from streams.demo.customers import Customer
    from streams.demo.intents import PlannedIntent
    from streams.demo.timeline import Timeline

    _Time = Callable[[int], int | str]

_FOREIGN_SENDER: Final = "unlisted-number"
_SYSTEMS: Final = {
    "marketing": "campaigns",
    "survey": "campaigns",
    "consent_request": "campaigns",
    "collections": "billing",
    "service": "crm",
    "transactional": "core",
    "otp": "login",
    "fraud_alert": "watch",
    "emergency": "crm",
}
_PRIORITIES: Final = {
    "otp": 95,
    "fraud_alert": 95,
    "emergency": 100,
    "transactional": 80,
    "service": 60,
    "marketing": 20,
}
_NOT_ZONES: Final = ("GMT-5", "Bogota", "EST5", "America/Bogotá")
_TOPICS: Final = ("offers", "news", "payments", "deliveries", "appointments")


def intent_record(rng: Random, planned: PlannedIntent, intent_id: str, retry_of: str | None) -> DemoRecord:
    """The planned intent as a record."""
    system = _SYSTEMS.get(planned.purpose, "crm")
    # A system that writes times as text always does so.
    moment: _Time = in_words if system in {"billing", "watch"} else int
    fields: dict[str, object] = {
        "intent_id": intent_id,
        "customer_id": planned.customer.customer_id,
        "channel": rng.choice(("fax", "rcs")) if planned.fault == "channel_unknown" else planned.channel,
        "created_at": moment(planned.created_ms),
        "expires_at": _expires_at(rng, planned, moment),
        "purpose": _purpose(rng, planned),
        "topic": rng.choice(_TOPICS) if rng.random() < 0.3 else None,
        "brand": "brand-a" if rng.random() < 0.7 else "brand-b",
        "campaign_id": planned.campaign,
        "template_id": f"template-{rng.randrange(40)}" if rng.random() < 0.5 else None,
        "priority": _PRIORITIES.get(planned.purpose),
        **_whereabouts(rng, planned.customer),
        "holiday_calendar": "ES-28079" if planned.fault == "calendar_unknown" else None,
        "sender_id": _sender(planned),
        "automated": rng.random() < 0.4 if planned.channel == "voice" else None,
        "retry_of": retry_of,
        "attributes": {"system": system, "batch": rng.randrange(1000)} if rng.random() < 0.6 else None,
    }
    if rng.random() < 0.01:
        fields["trace_parent"] = f"{rng.getrandbits(64):016x}"  # a field the contract does not know
    record = DemoRecord("intents", planned.customer.key, encoded(fields), planned.moment_ms)
    form = rng.random()
    if form < 0.01:
        return as_cloud_event(record, intent_id)
    return with_registry_prefix(record) if form < 0.02 else record


def _expires_at(rng: Random, planned: PlannedIntent, moment: _Time) -> int | str | None:
    if planned.fault == "deadline_passed":
        return moment(planned.moment_ms - rng.randrange(2_000, 3 * HOUR_MS))
    if planned.purpose in {"otp", "fraud_alert"}:
        return moment(planned.moment_ms + 10 * MINUTE_MS)
    return moment(planned.moment_ms + rng.randrange(DAY_MS, 3 * DAY_MS)) if rng.random() < 0.3 else None


def _purpose(rng: Random, planned: PlannedIntent) -> str | None:
    if planned.fault == "purpose_unknown":
        return rng.choice(("promo", "newsletter"))
    # Marketing is the policy's default purpose.
    return None if planned.purpose == "marketing" and rng.random() < 0.05 else planned.purpose


def _sender(planned: PlannedIntent) -> str | None:
    if planned.fault == "sender_missing":
        return None
    if planned.fault == "sender_foreign":
        return _FOREIGN_SENDER
    if planned.channel == "email":
        return "email-offers" if planned.purpose == "marketing" else "email-service"
    return (
        f"{planned.channel}-{planned.customer.place.senders or 'co'}"
        if planned.channel in {"sms", "voice", "whatsapp"}
        else None
    )


def _whereabouts(rng: Random, customer: Customer) -> dict[str, str | None]:
    """What the sending system knows about the customer's place."""
    place = customer.place
    match customer.knows:
        case "zone":
            return {"country": place.country, "region": place.region, "timezone": place.zone}
        case "region":
            return {"country": place.country, "region": place.region}
        case "country":
            return {"country": place.country}
        case "bad_zone":
            return {"country": place.country, "timezone": rng.choice(_NOT_ZONES)}
        case _:
            return {}


def preference_record(customer: Customer, event_id: str, kind: str, moment_ms: int, **more: object) -> DemoRecord:
    """Something the customer said."""
    fields = {"event_id": event_id, "customer_id": customer.customer_id, "type": kind, **more}
    return DemoRecord("preferences", customer.key, encoded(fields), moment_ms)


def outcome_record(
    customer_id: str, kind: str, moment_ms: int, *, intent_id: str | None = None, **more: object
) -> DemoRecord:
    """The outcome of that intent's approval, if it was approved. Its decision id needs no look-up."""
    fields = {
        "customer_id": customer_id,
        "type": kind,
        "occurred_at": moment_ms - 3,
        "decision_id": None if intent_id is None else decision_id(customer_id, intent_id).hex(),
        **more,
    }
    return DemoRecord("outcomes", customer_id.encode(), encoded(fields), moment_ms)


_WITH_ANSWERS: Final = {
    "voice": (("answered", 35), ("no_answer", 45), ("conversation", 20)),
    "email": (("delivered", 70), ("read", 20), ("bounced", 4), ("clicked", 6)),
    "sms": (("delivered", 92), ("failed", 5), ("reply", 3)),
    "whatsapp": (("delivered", 60), ("read", 35), ("reply", 5)),
}


def outcomes_of(rng: Random, timeline: Timeline, planned: PlannedIntent, intent_id: str) -> list[DemoRecord]:
    """What a gateway reports about an ordinary intent, if it was approved. Not every gateway reports."""
    if not planned.is_plain or rng.random() > 0.5:
        return []
    customer_id = planned.customer.customer_id
    first_ms = timeline.soon(rng, planned.moment_ms, (1, 60))
    if rng.random() < 0.02:
        return [outcome_record(customer_id, "expired", first_ms, intent_id=intent_id)]
    found = [outcome_record(customer_id, "sent", first_ms, intent_id=intent_id)]
    answers = _WITH_ANSWERS.get(planned.channel)
    if answers is not None and rng.random() < 0.35:
        kind = rng.choices([word for word, _ in answers], [share for _, share in answers])[0]
        later_ms = timeline.soon(rng, first_ms, (2, 240))
        found.append(outcome_record(customer_id, kind, later_ms, intent_id=intent_id))
    if planned.channel in {"sms", "whatsapp"} and rng.random() < 0.012:
        stop_ms = timeline.soon(rng, first_ms, (5, 200))
        named = intent_id if rng.random() < 0.6 else None
        found.append(
            outcome_record(
                customer_id,
                "reply",
                stop_ms,
                intent_id=named,
                detail="stop",
                channel=None if named else planned.channel,
            )
        )
    return found

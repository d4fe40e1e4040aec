"""What systems want to send: campaigns in bursts, collections in the morning, codes at any hour, and their mistakes.

Rules of this module
1. A planned intent is not written yet. `serialisation.py` writes it.
2. Every mistake that a sender can make with a readable record occurs here, in a small share each. Unreadable records
   are made in `malformed.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from streams.demo.places import PLACES, Place
from streams.demo.timeline import DAY_MS, HOUR_MS, MINUTE_MS

if TYPE_CHECKING:
    from random import Random

    from streams.demo.customers import Customer, Customers
    from streams.demo.timeline import Style, Timeline

Fault = Literal[
    "",
    "sender_missing",
    "sender_foreign",
    "channel_unknown",
    "purpose_unknown",
    "deadline_passed",
    "created_long_ago",
    "created_before_erasure",
    "created_late",
    "created_early",
    "calendar_unknown",
    "repeated",
]

CHANNELS: Final = ("sms", "email", "whatsapp", "voice", "push", "chat")
# Only these can be sent where there is no number of our own.
_WITHOUT_NUMBERS: Final = frozenset({"email", "push", "chat"})
SWITCHED_OFF: Final = "example-campaign"
CAMPAIGNS: Final = (
    "autumn-renewal", "loyalty-week", "new-season", "card-upgrade", "travel-deals", "home-cover", "winter-plan",
    "refer-a-friend", "early-access", "points-reminder",
)  # fmt: skip

_CHANNELS_OF: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "marketing": (("email", 29), ("sms", 27), ("whatsapp", 22), ("voice", 15), ("push", 4), ("chat", 3)),
    "collections": (("voice", 34), ("sms", 31), ("whatsapp", 20), ("email", 15)),
    "service": (("email", 30), ("sms", 26), ("whatsapp", 22), ("push", 14), ("voice", 8)),
    "survey": (("email", 50), ("sms", 35), ("push", 15)),
    "consent_request": (("email", 60), ("sms", 40)),
    "transactional": (("email", 40), ("sms", 40), ("push", 20)),
    "otp": (("sms", 75), ("email", 15), ("whatsapp", 10)),
    "fraud_alert": (("sms", 60), ("voice", 25), ("push", 15)),
    "emergency": (("sms", 75), ("push", 25)),
}
# Of the intents that are not part of a campaign.
_PURPOSES: Final = (
    ("collections", 45), ("marketing", 25), ("service", 13), ("survey", 4), ("consent_request", 3),
    ("transactional", 5), ("otp", 5), ("fraud_alert", 2),
)  # fmt: skip
# Where the hours do not allow contact now, mostly messages that are allowed at any hour are sent.
_QUIET_PURPOSES: Final = (
    ("otp", 42), ("transactional", 34), ("fraud_alert", 9), ("collections", 6), ("marketing", 5), ("service", 4),
)  # fmt: skip
_AT_ANY_HOUR: Final = frozenset({"otp", "fraud_alert", "transactional"})

_CAMPAIGN_SHARE: Final = 0.46
_QUIET_CAMPAIGN_SHARE: Final = 0.2
_SWITCHED_OFF_SHARE: Final = 0.007
_EMERGENCY_SHARE: Final = 0.004
_CLOSING_SHARE: Final = 0.009
_CAMPAIGN_SIZE: Final = (30, 120)
_EMERGENCY_SIZE: Final = 40
# Careless systems also contact customers who have opted out.
_CARELESS: Final = 0.17
_BADLY_PLANNED: Final = 0.05
# A second system, which does not know about the first, contacts the same customer soon after.
_SECOND_SYSTEM: Final = 0.03

# Shares of all intents, in hundredths of a percent.
_FAULTS: Final[tuple[tuple[Fault, int], ...]] = (
    ("sender_missing", 75),
    ("sender_foreign", 75),
    ("channel_unknown", 60),
    ("purpose_unknown", 60),
    ("deadline_passed", 50),
    ("created_long_ago", 45),
    ("created_late", 250),
    ("created_early", 100),
    ("repeated", 150),
)
_CALENDAR_UNKNOWN: Final = 0.5  # of marketing calls to Spain: town calendars, which the policy does not have


@dataclass(slots=True)
class PlannedIntent:
    """A future intent: to whom, how, for what purpose, and when its record is written."""

    customer: Customer
    channel: str
    purpose: str
    moment_ms: int
    created_ms: int
    campaign: str | None = None
    fault: Fault = ""
    is_plain: bool = True


def plan_intents(rng: Random, timeline: Timeline, customers: Customers, count: int) -> list[PlannedIntent]:
    """About that many planned intents, in no particular order."""
    plans: list[PlannedIntent] = []
    campaign_share = _QUIET_CAMPAIGN_SHARE if timeline.is_quiet else _CAMPAIGN_SHARE
    for share, name in ((campaign_share, None), (_SWITCHED_OFF_SHARE, SWITCHED_OFF)):
        until = len(plans) + int(count * share)
        while len(plans) < until:
            plans += _campaign(rng, timeline, customers, min(until - len(plans), _size(rng, count)), name)
    until = len(plans) + int(count * _EMERGENCY_SHARE)
    while len(plans) < until:
        plans += _emergency(rng, timeline, customers, min(until - len(plans), _EMERGENCY_SIZE))
    if not timeline.is_live:
        plans += [_at_the_last_moment(rng, timeline, customers) for _ in range(int(count * _CLOSING_SHARE))]
    while len(plans) < count:
        plans += _single(rng, timeline, customers)
    del plans[count:]
    for planned in plans:
        _give_fault(rng, planned)
    return plans


def _size(rng: Random, count: int) -> int:
    low, high = _CAMPAIGN_SIZE
    return max(4, min(rng.randrange(low, high), count // 50))


def _campaign(
    rng: Random, timeline: Timeline, customers: Customers, size: int, name: str | None
) -> list[PlannedIntent]:
    """One campaign launch: one purpose, one channel, one country, and many customers within seconds."""
    style: Style = "off" if rng.random() < _BADLY_PLANNED else "work"
    place = timeline.place(rng, style)
    channel = _channel(rng, "marketing", place)
    moment_ms = timeline.moment(rng, place, style)
    found = []
    for _ in range(size):
        moment_ms = min(moment_ms + rng.randrange(20, 400), timeline.end_ms)
        customer = _somebody(rng, customers, place, "marketing", channel, moment_ms)
        campaign = name or CAMPAIGNS[rng.randrange(3) if rng.random() < 0.5 else rng.randrange(len(CAMPAIGNS))]
        found.append(
            PlannedIntent(customer, channel, "marketing", moment_ms, moment_ms, campaign, is_plain=style == "work")
        )
    return found


def _emergency(rng: Random, timeline: Timeline, customers: Customers, size: int) -> list[PlannedIntent]:
    """A warning of danger to everybody in a place, at any hour."""
    place = timeline.place(rng, "any")
    moment_ms = timeline.moment(rng, place, "any")
    found = []
    for _ in range(size):
        moment_ms = min(moment_ms + rng.randrange(5, 50), timeline.end_ms)
        channel = _channel(rng, "emergency", place)
        found.append(PlannedIntent(customers.draw(rng, place), channel, "emergency", moment_ms, moment_ms))
    return found


def _at_the_last_moment(rng: Random, timeline: Timeline, customers: Customers) -> PlannedIntent:
    """A job that should finish before the day ends, and arrives two seconds before its end."""
    place = PLACES[0]
    moment_ms = timeline.moment(rng, place, "closing")
    channel = _channel(rng, "marketing", place)
    customer = _somebody(rng, customers, place, "marketing", channel, moment_ms)
    return PlannedIntent(customer, channel, "marketing", moment_ms, moment_ms, is_plain=False)


def _single(rng: Random, timeline: Timeline, customers: Customers) -> list[PlannedIntent]:
    purpose = _drawn(rng, _QUIET_PURPOSES if timeline.is_quiet else _PURPOSES)
    style: Style = "work"
    if purpose in _AT_ANY_HOUR:
        style = "any"
    elif rng.random() < _BADLY_PLANNED:
        style = "off"
    place = timeline.place(rng, style)
    channel = _channel(rng, purpose, place)
    moment_ms = timeline.moment(rng, place, style)
    customer = _somebody(rng, customers, place, purpose, channel, moment_ms)
    first = PlannedIntent(customer, channel, purpose, moment_ms, moment_ms, is_plain=style != "off")
    if rng.random() >= _SECOND_SYSTEM:
        return [first]
    later_ms = timeline.soon(rng, moment_ms, (3 * 60, 100 * 60))
    purpose = rng.choice(("marketing", "collections", "service"))
    return [first, PlannedIntent(customer, _channel(rng, purpose, place), purpose, later_ms, later_ms, is_plain=False)]


def _somebody(rng: Random, customers: Customers, place: Place, purpose: str, channel: str, moment_ms: int) -> Customer:
    """Mostly a customer who may be contacted, because lists are usually, but not always, filtered beforehand."""
    customer = customers.draw(rng, place)
    for _ in range(8):
        if customer.is_reached(purpose, channel, moment_ms) or rng.random() < _CARELESS:
            break
        customer = customers.draw(rng, place)
    return customer


def _give_fault(rng: Random, planned: PlannedIntent) -> None:
    draw = rng.randrange(10_000)
    for fault, share in _FAULTS:
        draw -= share
        if draw < 0:
            planned.fault = fault
            break
    if planned.channel == "voice" and planned.purpose == "marketing" and planned.customer.place.country == "ES":
        planned.fault = "calendar_unknown" if rng.random() < _CALENDAR_UNKNOWN else planned.fault
    moment_ms = planned.moment_ms
    if planned.fault == "created_long_ago":
        planned.created_ms = moment_ms - rng.randrange(8 * DAY_MS, 20 * DAY_MS)
    elif planned.fault == "created_late":
        planned.created_ms = moment_ms - rng.randrange(10 * MINUTE_MS, 60 * HOUR_MS)
    elif planned.fault == "created_early":
        planned.created_ms = moment_ms + rng.randrange(MINUTE_MS, 4 * MINUTE_MS)
    else:
        # A producer's own clock, a moment before its broker's.
        planned.created_ms = moment_ms - rng.randrange(5, 2_500)
    if planned.fault not in {"", "created_late", "created_early", "repeated"}:
        planned.is_plain = False


def _channel(rng: Random, purpose: str, place: Place) -> str:
    channel = _drawn(rng, _CHANNELS_OF[purpose])
    return channel if place.senders is not None or channel in _WITHOUT_NUMBERS else "email"


def _drawn(rng: Random, shares: tuple[tuple[str, int], ...]) -> str:
    return rng.choices([word for word, _ in shares], [share for _, share in shares])[0]

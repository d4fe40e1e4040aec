"""The demonstration's customers: where they live, how much of that is known, what they agreed to and will say.

Rules of this module
1. No customer is a real person. Ids are numbers.
2. Most customers are ordinary. Every special case that a policy must handle occurs in a visible share of them.
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from streams.demo.places import Place

if TYPE_CHECKING:
    from random import Random

    from streams.demo.timeline import Timeline

Word = TypeVar("Word", bound=str)
Knows = Literal["zone", "region", "country", "profile", "country_only_in_profile", "nothing", "bad_zone"]
Consent = Literal["granted", "granted_by_channel", "missing", "withdrawn", "expired", "aged", "unproven"]
Says = Literal["nothing", "opt_out", "opt_out_and_in", "objection", "pause", "restriction", "erasure"]

# What the sending systems know about a customer's place, in hundredths of a percent.
_KNOWS: Final[tuple[tuple[Knows, int], ...]] = (
    ("zone", 5000),
    ("region", 2190),
    ("country", 900),
    ("profile", 1400),
    ("country_only_in_profile", 270),
    ("nothing", 130),
    ("bad_zone", 110),
)
_CONSENTS: Final[tuple[tuple[Consent, int], ...]] = (
    ("granted", 5660),
    ("granted_by_channel", 1700),
    ("missing", 900),
    ("withdrawn", 640),
    ("expired", 400),
    ("aged", 300),
    ("unproven", 400),
)
_SAYS: Final[tuple[tuple[Says, int], ...]] = (
    ("nothing", 7660),
    ("opt_out", 200),
    ("opt_out_and_in", 200),
    ("objection", 640),
    ("pause", 640),
    ("restriction", 480),
    ("erasure", 180),
)
# How often customers are contacted: most of them seldom, some of them far too often.
_ACTIVITIES: Final = ((1.0, 66), (2.0, 26), (5.0, 8))


@dataclass(slots=True)
class Customer:
    """One customer. `speaks_at` is when what `says` names is said."""

    customer_id: str
    place: Place
    activity: float
    knows: Knows
    consent: Consent
    consent_channels: tuple[str, ...]
    says: Says
    speaks_at: int
    # When this customer's records were last written to, so that later events can refer to them.
    touched: list[int] = field(default_factory=list)

    @property
    def key(self) -> bytes:
        """The key of this customer's records."""
        return self.customer_id.encode()

    def is_reached(self, purpose: str, channel: str, moment_ms: int) -> bool:
        """Whether a careful sender would contact this customer. Careless ones do so nevertheless."""
        if self.says not in {"nothing", "opt_out_and_in"} and moment_ms >= self.speaks_at:
            return False
        if purpose not in {"marketing", "survey"}:
            return True
        if self.consent == "granted_by_channel":
            return channel in self.consent_channels
        return self.consent == "granted"


class Customers:
    """All customers. They are drawn by place, the active ones more often."""

    def __init__(self, everyone: list[Customer]) -> None:
        self.everyone = everyone
        self._by_place: dict[Place, tuple[list[Customer], list[float]]] = {}
        groups: dict[Place, list[Customer]] = {}
        for customer in everyone:
            groups.setdefault(customer.place, []).append(customer)
        for place, members in groups.items():
            self._by_place[place] = members, list(accumulate(customer.activity for customer in members))

    def draw(self, rng: Random, place: Place) -> Customer:
        """Somebody who lives there."""
        members, sums = self._by_place.get(place) or next(iter(self._by_place.values()))
        return members[bisect(sums, rng.random() * sums[-1], 0, len(members) - 1)]


def make_customers(
    rng: Random, timeline: Timeline, count: int, channels: tuple[str, ...], *, first_number: int = 0
) -> Customers:
    """That many customers."""
    everyone = []
    for number in range(first_number, first_number + count):
        place = timeline.place(rng, "off" if rng.random() < 0.15 else "work")
        scoped = tuple(channel for channel in channels if rng.random() < 0.6) or (channels[0],)
        says = _drawn(rng, _SAYS)
        # Half of a live run's opt-outs were given before it began, because there is no time for all of them within it.
        said_before = timeline.is_live and rng.random() < 0.6
        everyone.append(
            Customer(
                customer_id=f"customer-{number:06d}",
                place=place,
                activity=rng.choices([a for a, _ in _ACTIVITIES], [w for _, w in _ACTIVITIES])[0],
                knows=_drawn(rng, _KNOWS),
                consent=_drawn(rng, _CONSENTS),
                consent_channels=scoped,
                says=says,
                speaks_at=timeline.background(rng) if said_before else timeline.moment(rng, place, "work"),
            )
        )
    return Customers(everyone)


def _drawn(rng: Random, shares: tuple[tuple[Word, int], ...]) -> Word:
    return rng.choices([word for word, _ in shares], [share for _, share in shares])[0]

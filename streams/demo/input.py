"""The demonstration's input. The same seed gives the same records, byte for byte.

Rules of this module
1. Records come in the order of their timestamps, because time must only go forward on every partition.
2. At one moment, what customers say comes before what gateways report, and that before what systems want.
3. Only the arguments are read: no clock, no environment, and no file except those of the time zones.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from streams.demo.customers import Customer, Customers, make_customers
from streams.demo.intents import CHANNELS, PlannedIntent, plan_intents
from streams.demo.malformed import from_the_future, misplaced, unreadable
from streams.demo.preferences import preferences_of, preferences_of_the_talkative
from streams.demo.serialisation import intent_record, outcomes_of, preference_record
from streams.demo.timeline import HOUR_MS, LiveTimeline, RecordedTimeline, Timeline

if TYPE_CHECKING:
    from streams.demo.records import DemoRecord

INTENTS: Final = 30_000
"""Large enough that every reason occurs often, and small enough that a broker in memory keeps all records."""

SEED: Final = 7
PARTITIONS: Final = 8
CROWD: Final = 1_000_000
"""Numbers reserved for one crowd's customers, which is more than any run has."""

_RANKS: Final = {"preferences": 0, "outcomes": 1, "intents": 2}
# Twelve intents per customer over seven weeks. In a live run one or two, because more would all come too soon.
_INTENTS_A_CUSTOMER: Final = 12
_LIVE_INTENTS_A_CUSTOMER: Final = 0.7
_CUSTOMERS_MIN: Final = 60
# Of all intents.
_UNREADABLE_SHARE: Final = 0.003
_MISPLACED_SHARE: Final = 0.004
_FUTURE_SHARE: Final = 0.0005
_RETRY_SHARE: Final = 0.015
_CHANGE_OF_MIND_SHARE: Final = 0.004
_CHANGES_OF_MIND: Final = (("opt_out", 60), ("consent_withdrawn", 25), ("restriction", 5), ("pause", 5), ("erasure", 5))
_TALKATIVE_SHARE: Final = 0.0012
# Below this a customer who says 264 things would be most of the input.
_TALKATIVE_FROM: Final = 2_000


@dataclass(frozen=True, slots=True)
class Live:
    """A run that begins at a moment and lasts a while; its ids are its own, so that runs do not meet."""

    start_ms: int
    duration_ms: int
    crowd: int = 0
    """Selects the customers. Those of another crowd are other people, about whom nothing is known yet."""


def demo_input(
    *,
    seed: int = SEED,
    intents: int = INTENTS,
    partitions: int = PARTITIONS,
    live: Live | None = None,
    mishaps: bool = True,
) -> list[DemoRecord]:
    """Every record of the demonstration, in the order in which it is to be published.

    Args:
        seed: another seed, other customers.
        intents: how many intent records there are, up to what goes wrong with some.
        partitions: of the topics; mistaken producers choose among them.
        live: None: the recorded weeks, for the record clock. Else a run for the wall clock: what lies before its start
            is background, the rest is to be published when its time comes.
        mishaps: whether producers make mistakes too: unreadable and misplaced records, clocks that are wrong, a
            customer about whom more is said than a ledger keeps. All of them raise alerts, as they have to.
    """
    rng = Random(seed)  # noqa: S311  # repeatable on purpose
    timeline: Timeline = RecordedTimeline() if live is None else LiveTimeline(live.start_ms, live.duration_ms)
    share = _INTENTS_A_CUSTOMER if live is None else _LIVE_INTENTS_A_CUSTOMER
    first_number = 0 if live is None else live.crowd * CROWD
    customers = make_customers(
        rng, timeline, max(_CUSTOMERS_MIN, int(intents / share)), CHANNELS, first_number=first_number
    )
    mark = "" if live is None else f"{live.start_ms // 1000:x}-"
    return _Input(rng, timeline, customers, partitions, mark, mishaps=mishaps).records(intents)


class _Input:
    """One input in the making."""

    def __init__(
        self, rng: Random, timeline: Timeline, customers: Customers, partitions: int, mark: str, *, mishaps: bool
    ) -> None:
        self._rng = rng
        self._timeline = timeline
        self._customers = customers
        self._partitions = partitions
        self._mark = mark
        self._mishaps = mishaps
        self._records: list[DemoRecord] = []

    def records(self, intents: int) -> list[DemoRecord]:
        """All of it, in order."""
        rng, timeline = self._rng, self._timeline
        customers = self._customers.everyone
        for customer in customers:
            self._records += preferences_of(rng, timeline, customer)
        plans = plan_intents(rng, timeline, self._customers, intents)
        if self._mishaps and intents >= _TALKATIVE_FROM:
            self._add_the_talkative(customers[0], plans, int(intents * _TALKATIVE_SHARE))
        self._add_those_before_erasure(customers, plans)
        plans.sort(key=lambda planned: planned.moment_ms)
        self._write(plans)
        if self._mishaps:
            self._spoil(intents)
        self._records.sort(key=lambda record: (record.timestamp_ms, _RANKS[record.kind]))
        return self._records

    def _add_the_talkative(self, customer: Customer, plans: list[PlannedIntent], count: int) -> None:
        self._records += preferences_of_the_talkative(self._rng, self._timeline, customer)
        for planned in self._rng.sample(plans, count):
            planned.customer, planned.is_plain = customer, False

    def _add_those_before_erasure(self, customers: list[Customer], plans: list[PlannedIntent]) -> None:
        """Intents in transit while the customer asks to be erased. They arrive after the erasure and were created
        before it.
        """
        rng, timeline = self._rng, self._timeline
        for customer in customers:
            if customer.says == "erasure" and timeline.start_ms + HOUR_MS // 60 < customer.speaks_at:
                moment_ms = timeline.soon(rng, customer.speaks_at, (2, 900))
                made_ms = customer.speaks_at - rng.randrange(1_000, HOUR_MS)
                plans.append(
                    PlannedIntent(
                        customer, "email", "service", moment_ms, made_ms, None, "created_before_erasure", is_plain=False
                    )
                )

    def _write(self, plans: list[PlannedIntent]) -> None:
        rng, timeline = self._rng, self._timeline
        earlier: list[str] = []
        for number, planned in enumerate(plans):
            intent_id = f"intent-{self._mark}{number:07d}"
            retry_of = rng.choice(earlier) if earlier and rng.random() < _RETRY_SHARE else None
            record = intent_record(rng, planned, intent_id, retry_of)
            if len(earlier) < 500:
                earlier.append(intent_id)
            self._records.append(record)
            if planned.fault == "repeated":
                again_ms = timeline.soon(rng, planned.moment_ms, (1, 3600))
                self._records.append(record._replace(timestamp_ms=again_ms))
            if planned.is_plain and rng.random() < _CHANGE_OF_MIND_SHARE:
                self._change_of_mind(planned, number)
            else:
                self._records += outcomes_of(rng, timeline, planned, intent_id)

    def _change_of_mind(self, planned: PlannedIntent, number: int) -> None:
        """An opt-out that meets an approval that has not been sent yet."""
        rng = self._rng
        moment_ms = self._timeline.soon(rng, planned.moment_ms, (10, 200))
        event_id = f"event-{self._mark}no-{number:07d}"
        kind = rng.choices([word for word, _ in _CHANGES_OF_MIND], [share for _, share in _CHANGES_OF_MIND])[0]
        channel = planned.channel if kind == "opt_out" else None
        self._records.append(
            preference_record(planned.customer, event_id, kind, moment_ms, channel=channel, source="app")
        )

    def _spoil(self, intents: int) -> None:
        """Make a few records unreadable or misplaced. Each unreadable one is an additional record, so no customer is
        harmed.
        """
        rng, records = self._rng, self._records
        spoilt: list[DemoRecord] = []
        shares = (("intents", 1.0), ("preferences", 0.25), ("outcomes", 0.2))
        for kind, share in shares:
            places = [place for place, record in enumerate(records) if record.kind == kind and not record.headers]
            count = min(len(places) // 4, max(10, int(intents * _UNREADABLE_SHARE * share)))
            for number, place in enumerate(rng.sample(places, count)):
                spoilt.append(unreadable(rng, number, _plain(records[place])))
            count = min(len(places) // 4, max(4, int(intents * _MISPLACED_SHARE * share)))
            for place in rng.sample(places, count):
                records[place] = misplaced(rng, records[place], self._partitions)
        sound = [record for record in records if record.kind == "intents" and _is_plain(record)]
        future = rng.sample(sound, min(len(sound), max(2, int(intents * _FUTURE_SHARE))))
        records += [*spoilt, *(from_the_future(record) for record in future)]


def _is_plain(record: DemoRecord) -> bool:
    return record.partition is None and record.value is not None and record.value[:1] == b"{" and not record.headers


def _plain(record: DemoRecord) -> DemoRecord:
    """Without the prefix that schema-registry clients write."""
    assert record.value is not None
    return record._replace(value=record.value[5:]) if record.value[:1] == b"\0" else record


__all__ = ["INTENTS", "PARTITIONS", "SEED", "Live", "demo_input"]

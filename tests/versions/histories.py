"""Random histories of customers, as the bytes that a gate is given.

Rules of this module
1. It shares no code with any version of the gate, and asks none: what is written here follows from the seed alone.
2. A history is everything about one customer: at least `RECORDS_MIN` records. `HISTORIES` of them make a world: one
   partition of one gate, whose batches mix the customers and whose policy may change.
3. Everything in a world is a plain value, so that it can be sent to another process.

A world holds what upstream systems do: repetitions, late and early intents, noes of every scope and type, outcomes of
intents that were answered, refused or never seen, records under a wrong key, on a wrong partition, forwarded, in an
envelope, damaged. Moments go on by milliseconds, hours or weeks, across closing hours, holidays and changed clocks.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tests.versions.choice import Choice
from tests.versions.damage import damaged
from tests.versions.events import RESTRICTIVE, intent_fields, profile, scope
from tests.versions.keys import decision_id, partition_of
from tests.versions.policies import Policy, milliseconds

HISTORIES: Final = 40
RECORDS_MIN: Final = 10
WORLDS_PER_POLICY: Final = 32
"""Loading a policy costs a gate as much as some hundreds of records."""

INTENTS: Final = "outbound-intent"
URGENT: Final = "urgent-intent"
PREFERENCES: Final = "opt-out"
OUTCOMES: Final = "contact-outcome"
FORWARDED: Final = "mesura-rerouted"

# Every so many worlds have a customer who comes to one of the limits of a ledger: 256 preferences or sets of tags, or
# 1 000 contacts or 4 000 identities, which cost as much as a hundred worlds.
FULL_EVERY: Final = 50
FULLER_EVERY: Final = 2_000

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
FIRST_MS: Final = 1_738_368_000_000
"""2025-02-01."""
LAST_MS: Final = 1_858_000_000_000
"""2028-11."""

PERMISSIVE_POLICY: Final = """\
mesura: 1
name: everything-goes
version: "1"
zone: UTC
default_purpose: marketing
history: 400d
identities: 30d
channels: {sms: {group: text}, voice: {group: phone}, email: {}, whatsapp: {group: text}, push: {}}
purposes: [marketing, service, collections, otp]
rules: []
"""
REFUSING_POLICY: Final = PERMISSIVE_POLICY.replace(
    "rules: []", "rules: [{id: cap-0, kind: cap, limit: 0, window: {rolling: 1d}}]"
)

Record = tuple[str, int, int, bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]
"""Topic, offset, timestamp, key, value, headers."""


class Batch(NamedTuple):
    """What one transaction is made of, and what is asked before it."""

    policy: int
    records: list[Record]
    moments_ms: list[int]
    positions: dict[str, int]
    due: list[bytes]
    """Customers whose ledgers are to be looked at after the records."""
    due_ms: int
    too_large: list[tuple[str, int]]
    asks_due: bool
    """Whether it is asked which ledgers of all customers are due."""
    questions: list[tuple[bytes, bytes, int]]
    """Customers, their intents that are to be explained, and when."""


class World(NamedTuple):
    """One partition of one gate, for some weeks."""

    number: int
    policies: list[str]
    intents: list[str]
    partition: int
    partitions: int
    is_bounded: bool
    dead_letter_bytes_max: int
    customers: list[bytes]
    batches: list[Batch]
    lengths: list[int]
    """Of each customer's history, in records."""


@dataclass(slots=True)
class _Customer:
    key: bytes
    name: bytes
    """As it stands in JSON, in quotes."""
    places: list[bytes]
    """Intents' fields but for identity and times, as JSON members."""
    answered: list[tuple[bytes, str, int]] = field(default_factory=list)
    """Intent, decision, moment."""
    said: list[bytes] = field(default_factory=list)
    intents: int = 0
    full: str = ""


_SCALES: Final = (
    (0.10, 0),
    (0.25, 2 * SECOND),
    (0.40, 5 * MINUTE),
    (0.70, 6 * HOUR),
    (0.90, 2 * DAY),
    (0.98, 10 * DAY),
    (1.00, 45 * DAY),
)
# Wall time at which windows of `policies.py` close, and how far its zones are ahead of UTC in winter.
_ENDS_HOURS: Final = (20, 12, 18.5, 24, 2.5, 22, 13)
_ZONES_HOURS: Final = (-5, 1, -4, 0, 10.5, 14, 5.75)
_HOLIDAYS_MS: Final = tuple(
    1_766_620_800_000 + days * DAY for days in (0, 7, 365, 372, 730, 737, -225, 140, 506)
)  # Christmas and New Year's Eve of three years, and the first of May of three
_PREFERENCES: Final = (
    ("opt_out", 0.20), ("opt_in", 0.36), ("consent_granted", 0.60), ("consent_withdrawn", 0.67), ("pause", 0.70),
    ("resume", 0.76), ("objection", 0.79), ("restriction", 0.82), ("restriction_lifted", 0.85), ("profile", 0.95),
    ("clarification", 0.98), ("erasure", 1.00),
)  # fmt: skip
_OUTCOMES: Final = (
    "sent", "sent", "delivered", "delivered", "read", "clicked", "failed", "bounced", "answered", "no_answer",
    "conversation", "refusal", "reply", "complaint", "expired",
)  # fmt: skip
_DETAILS: Final = ("stop", "STOP", "Un-Subscribe", "help", "info", "quit", "end", "21610", "yes", "no idea")


def world_of(number: int) -> World:
    """The world of this number. Those of one policy follow each other."""
    return _Builder(number).world()


class _Builder:
    def __init__(self, number: int) -> None:
        choice = self._choice = Choice("world", number)
        group = number // WORLDS_PER_POLICY
        self._number = number
        policies = [Policy(Choice("policy", group, turn), 2 * group + turn) for turn in range(2)]
        self._policies = [policy.text for policy in policies]
        self._waits_ms = milliseconds(policies[0].time_to_live)
        self._durations_ms = [milliseconds(each) for each in policies[0].durations]
        self._channels, self._purposes = sorted(policies[0].channels), policies[0].purposes
        self._full = self._which_is_full()
        if self._full:
            self._policies = [REFUSING_POLICY if self._full == "identities" else PERMISSIVE_POLICY] * 2
        self._partitions = choice.one_of((1, 1, 2, 4))
        self._partition = choice.between(0, self._partitions - 1)
        self._is_bounded = choice.chance(0.08)
        self._intents = [URGENT, INTENTS] if choice.chance(0.2) else [INTENTS]
        self._offsets = {
            topic: choice.between(0, 5_000) for topic in (*self._intents, PREFERENCES, OUTCOMES, FORWARDED)
        }
        self._now = choice.between(FIRST_MS, LAST_MS)
        if choice.chance(0.3):
            self._now = choice.one_of(_HOLIDAYS_MS) - choice.between(0, 3 * DAY)
        self._customers = [self._customer(place) for place in range(HISTORIES)]
        if self._full:
            self._customers[0].full = self._full

    def _which_is_full(self) -> str:
        if self._number % FULLER_EVERY == FULLER_EVERY // 2:
            return "contacts" if self._number // FULLER_EVERY % 2 else "identities"
        if self._number % FULL_EVERY == FULL_EVERY // 2:
            return "tags" if self._number // FULL_EVERY % 2 else "preferences"
        return ""

    def _customer(self, place: int) -> _Customer:
        choice = self._choice
        is_at_home = choice.chance(0.96)
        accent = "é" if choice.chance(0.05) else ""
        attempt = 0
        while True:
            key = f"c{accent}-{self._number}-{place}-{attempt}".encode()
            if not is_at_home or partition_of(key, self._partitions) == self._partition:
                break
            attempt += 1
        text = key.decode()
        name = json.dumps(text) if choice.chance(0.5) else f'"{text}"'
        return _Customer(
            key,
            name.encode(),
            [intent_fields(choice, self._channels, self._purposes) for _ in range(choice.between(2, 4))],
        )

    # ---- batches ----------------------------------------------------------------------------------------------------

    def world(self) -> World:
        choice = self._choice
        lengths = [RECORDS_MIN + self._more() for _ in range(HISTORIES)]
        if self._full:
            lengths[0] = {"contacts": 1_010, "identities": 4_020}.get(self._full, 280)
        order = [place for place, length in enumerate(lengths) for _ in range(length)]
        for last in range(len(order) - 1, 0, -1):
            other = int(choice.random() * (last + 1))
            order[last], order[other] = order[other], order[last]
        batches: list[Batch] = []
        begin, policy = 0, 0
        while begin < len(order):
            size = self._batch_size()
            batches.append(self._batch([self._customers[place] for place in order[begin : begin + size]], policy))
            begin += size
            if choice.chance(0.01):
                policy = 1 - policy
        return World(
            self._number,
            self._policies,
            self._intents,
            self._partition,
            self._partitions,
            self._is_bounded,
            300 if choice.chance(0.05) else 1_000_000,
            [customer.key for customer in self._customers],
            batches,
            lengths,
        )

    def _more(self) -> int:
        more = 0
        while more < 30 and self._choice.chance(0.6):
            more += 1
        return more

    def _batch_size(self) -> int:
        kind = self._choice.random()
        if kind < 0.15:
            return self._choice.between(1, 3)
        if kind < 0.85:
            return self._choice.between(10, 45)
        return self._choice.between(60, 200)

    def _batch(self, customers: list[_Customer], policy: int) -> Batch:
        choice = self._choice
        positions = dict(self._offsets)
        before, pace, scale = self._now, 1_500, choice.random()
        longest = next(ms for share, ms in _SCALES if scale < share)
        if self._full:
            longest = min(longest, HOUR)
        self._now += int(choice.random() * longest)
        if choice.chance(0.15):  # some zone's hours or day come to their end
            ends = (choice.one_of(_ENDS_HOURS) - choice.one_of(_ZONES_HOURS)) * HOUR
            self._now += int(ends - self._now) % DAY - choice.between(0, 2_500)
            self._now, pace = max(self._now, before), 30
        elif self._durations_ms and customers[0].answered and choice.chance(0.2):
            self._now = max(self._now, self._edge(customers[0].answered[-1][2]))
        records: list[Record] = []
        moments: list[int] = []
        for customer in customers:
            records.append(self._record(customer))
            moments.append(self._now)
            if choice.chance(0.3):
                self._now += int(choice.random() * (pace if choice.chance(0.9) else pace * 800))
        if choice.chance(0.5):  # as in service: what restricts first
            ranks = {PREFERENCES: 0, OUTCOMES: 1}
            records.sort(key=lambda record: ranks.get(record[0], 2))
        due: list[bytes] = []
        due_ms = 0
        if choice.chance(0.15):
            due_ms = self._now + int(choice.random() * choice.one_of((SECOND, DAY, 40 * DAY, 420 * DAY)))
            due = [customer.key for customer in self._customers if choice.chance(0.3)]
            self._now = due_ms
        questions = []
        if choice.chance(0.04):
            customer = choice.one_of(self._customers)
            questions.append((customer.key, self._intent(customer, b"asked", self._now), self._now))
        too_large = []
        if choice.chance(0.02):
            too_large = [(record[0], record[1]) for record in records if choice.chance(0.1)]
        asks_due = bool(due) and choice.chance(0.5)
        return Batch(policy, records, moments, positions, due, due_ms, too_large, asks_due, questions)

    def _edge(self, answered: int) -> int:
        """The moment, but for a millisecond, at which a contact of then leaves a window or a gap."""
        choice = self._choice
        waits = self._waits_ms if choice.chance(0.7) else 0
        return answered + waits + choice.one_of(self._durations_ms) + choice.between(-1, 1)

    # ---- records ----------------------------------------------------------------------------------------------------

    def _record(self, customer: _Customer) -> Record:
        choice = self._choice
        kind = choice.random()
        if customer.full:
            kind = 0.99 if customer.full == "preferences" and customer.intents < 265 else 0.5
        if kind < 0.70:
            topic = self._intents[0] if choice.chance(0.5) else self._intents[-1]
            value = self._new_intent(customer)
        elif kind < 0.83 and customer.answered:
            topic, value = OUTCOMES, self._outcome(customer)
        else:
            topic, value = PREFERENCES, self._preference(customer)
        if not customer.intents and not customer.said and not customer.full and choice.chance(0.5):
            topic, value = PREFERENCES, self._consent(customer)
        timestamp = self._timestamp()
        key: bytes | None = customer.key
        headers: tuple[tuple[str, bytes], ...] = ()
        taken: bytes | None = value
        strange = choice.random()
        if strange < 0.11 and not customer.full:
            if strange < 0.06:
                taken, headers = damaged(value, choice)
            elif strange < 0.075:
                key = choice.one_of((None, b"", b'"' + customer.key + b'"', choice.one_of(self._customers).key))
            elif strange < 0.09:
                headers = (("traceparent", b"00-1-2-01"), ("mesura.origin.topic", b"elsewhere"))
            else:
                return self._forwarded(customer, topic, value, timestamp)
        return topic, self._offset(topic), timestamp, key, taken, headers

    def _forwarded(self, customer: _Customer, topic: str, value: bytes, timestamp: int) -> Record:
        choice = self._choice
        headers = [
            ("mesura.origin.topic", topic.encode()),
            ("mesura.origin.partition", b"%d" % choice.between(0, 7)),
            ("mesura.origin.offset", b"%d" % choice.between(0, 9_999)),
            ("mesura.origin.timestamp", b"%d" % timestamp),
        ]
        key = customer.key
        spoilt = choice.random()
        if spoilt < 0.04:
            del headers[choice.between(0, 3)]
        elif spoilt < 0.08:
            place = choice.between(0, 3)
            headers[place] = (headers[place][0], choice.one_of((b"x", b"-7", b"\xff", b"suppressed", b"1" * 20)))
        elif spoilt < 0.14:
            key = choice.one_of(self._customers).key
        elif spoilt < 0.2:
            headers.insert(0, ("mesura.origin.topic", b"somebody-else"))
        taken: bytes | None = value
        if choice.chance(0.06):
            taken, more = damaged(value, choice)
            headers = [*more, *headers]
        return FORWARDED, self._offset(FORWARDED), self._now, key, taken, tuple(headers)

    def _offset(self, topic: str) -> int:
        offset = self._offsets[topic]
        self._offsets[topic] = offset + 1 if self._choice.chance(0.97) else offset + self._choice.between(2, 9)
        return offset

    def _timestamp(self) -> int:
        choice = self._choice
        kind = choice.random()
        if kind < 0.9:
            return self._now - int(choice.random() * 900)
        if kind < 0.95:
            return self._now - int(choice.random() * 3 * DAY)
        return choice.one_of((-1, 0, self._now // 1000, self._now + 2 * MINUTE, self._now + HOUR, self._now - 60 * DAY))

    def _new_intent(self, customer: _Customer) -> bytes:
        choice = self._choice
        customer.intents += 1
        if customer.answered and choice.chance(0.06) and not customer.full:
            intent, _, created = choice.one_of(customer.answered)
            return self._intent(customer, intent, created if choice.chance(0.7) else self._now)
        intent = b"i%d" % customer.intents
        customer.answered.append((intent, decision_id(customer.key, intent), self._now))
        return self._intent(customer, intent, self._created())

    def _created(self) -> int:
        kind = self._choice.random()
        now = self._now
        if kind < 0.92:
            return now - int(self._choice.random() * 2_000)
        if kind < 0.96:
            return now - int(self._choice.random() * 9 * DAY)
        if kind < 0.985:
            return now + int(self._choice.random() * 5 * MINUTE)
        return self._choice.one_of((now + 6 * MINUTE, now + DAY, now - 40 * DAY, now // 1000, 0))

    def _intent(self, customer: _Customer, intent: bytes, created: int) -> bytes:
        choice = self._choice
        fields = customer.places[int(choice.random() * len(customer.places))]
        if customer.full == "tags":
            fields = b'"channel":"sms","topic":"t-%d"' % customer.intents
        when = b"%d" % created if choice.random() < 0.95 else self._written(created)
        more = b""
        if choice.random() < 0.15:
            left = 1_700 + int(choice.random() * 600) if choice.chance(0.3) else int(choice.random() ** 3 * 3 * DAY)
            more = b',"expires_at":%d' % (self._now + left)
        return b'{"intent_id":"%b","customer_id":%b,"created_at":%b,%b%b}' % (intent, customer.name, when, fields, more)

    def _written(self, moment: int) -> bytes:
        """As text, in one of the forms in which producers write times."""
        seconds, milliseconds = divmod(max(moment, 0), 1000)
        ahead = self._choice.one_of((0, 0, 2, -5))
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds + ahead * 3_600))
        if ahead:
            return b'"%b.%03d%b%02d:00"' % (text.encode(), milliseconds, b"-" if ahead < 0 else b"+", abs(ahead))
        return b'"%b.%03dZ"' % (text.encode(), milliseconds)

    def _consent(self, customer: _Customer) -> bytes:
        """To everything: without it a policy that asks for consent approves little."""
        value = b'{"event_id":"e0","customer_id":%b,"type":"consent_granted","evidence_ref":"form-0"}' % customer.name
        customer.said.append(value)
        return value

    def _preference(self, customer: _Customer) -> bytes:
        choice = self._choice
        if customer.full:
            customer.intents += 1
            said = {"type": "opt_out", "channel": "email", "topic": f"t-{customer.intents}"}
            return json.dumps({"event_id": "e", "customer_id": customer.key.decode(), **said}).encode()
        if customer.said and choice.chance(0.08):
            return choice.one_of(customer.said)
        which = choice.random()
        kind = next(name for name, share in _PREFERENCES if which < share)
        if customer.answered and choice.chance(0.08):  # while an approval under a consent is still valid
            kind = "consent_withdrawn"
        event: dict[str, Any] = {"event_id": f"e{customer.intents}", "customer_id": customer.key.decode(), "type": kind}
        if kind == "profile":
            profile(choice, event)
        elif kind not in ("clarification", "erasure"):
            self._scope(event, kind)
        if choice.chance(0.25):
            event["effective_at"] = self._moment(choice)
        if choice.chance(0.1):
            event["attributes"] = {"form": "f-1"}
        if choice.chance(0.02) and kind in RESTRICTIVE:
            event["note"] = "unknown"
        value = json.dumps(event, separators=(",", ":")).encode()
        customer.said.append(value)
        return value

    def _scope(self, event: dict[str, Any], kind: str) -> None:
        choice = self._choice
        scope(choice, event, kind)
        if choice.chance(0.15):
            event["until"] = self._moment(choice) + choice.one_of((0, HOUR, 30 * DAY))
        if kind.startswith("consent") and choice.chance(0.15):
            event["expires_at"] = self._now + int(choice.random() * 20 * DAY)

    def _moment(self, choice: Choice) -> int:
        kind = choice.random()
        if kind < 0.5:
            return self._now - int(choice.random() * HOUR)
        if kind < 0.8:
            return self._now - int(choice.random() * 30 * DAY)
        if kind < 0.97:
            return self._now + int(choice.random() * 30 * DAY)
        return choice.one_of((0, self._now // 1000, 4_070_908_800_000, 900_000_000_000))

    def _outcome(self, customer: _Customer) -> bytes:
        choice = self._choice
        _, decision, at = customer.answered[-1 - int(choice.random() ** 2 * len(customer.answered))]
        kind = choice.one_of(_OUTCOMES)
        occurred = at + int(choice.random() * 10 * MINUTE) if choice.chance(0.9) else self._moment(choice)
        when = b"%d" % occurred if choice.chance(0.9) else self._written(occurred)
        more = b""
        if kind == "reply" or choice.chance(0.05):
            more = b',"detail":"%b"' % choice.one_of(_DETAILS).encode()
        if kind == "reply" and choice.chance(0.4):
            more += b',"channel":"sms"' if choice.chance(0.9) else b',"channel":"fax"'
        elif choice.chance(0.97):
            more += b',"decision_id":"%b"' % decision.encode()
        if choice.chance(0.02):
            more += b',"gateway":"g-1"'
        return b'{"customer_id":%b,"type":"%b","occurred_at":%b%b}' % (customer.name, kind.encode(), when, more)

"""Stored bytes to ledgers.

What must hold beside "refused or read"
1. What is read is written and read again as the same, to the byte.
2. A ledger that is read can be worked on: rows, pruning, retention, decisions, preference events, outcomes; and what
   comes of that can be stored, and read. (If its moments lie tens of thousands of years away, it may then be refused.)
3. A refusal says no word of the customer's.
"""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import msgspec
import orjson

from streams.contracts.encode import policy_fragment
from streams.decision.checks.duplicate import decision_id
from streams.decision.decide import decide
from streams.decision.intent import Intent
from streams.decision.ledger.codec import LedgerUnreadable, decode_ledger, encode_ledger
from streams.decision.ledger.outcomes import apply_outcome
from streams.decision.ledger.preferences import apply_preference
from streams.decision.ledger.retention import retained
from streams.decision.ledger.state import EMPTY_LEDGER, FAR_MS, Contact, LabelSet, Ledger
from streams.decision.ledger.transitions import created_of, knows_tag, with_changed_contact, with_contact, with_identity
from streams.decision.outcome_event import Outcome
from streams.decision.policy import Policy, compile_policy
from streams.decision.preference_event import PreferenceEvent
from streams.gate import encode_decision
from streams.policy.loader import load_policy
from tests.fuzz.telling import TOKEN, assert_tells_nothing
from tests.golden.cases import POLICIES

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW: Final = 1_783_436_400_000
"""2026-07-07 15:00 UTC, a Tuesday morning in Bogota."""

DAY_MS: Final = 86_400_000
CHANGES_MAX: Final = 12
SEEDS: Final = 24
_LIFETIME: Final = (
    "\n  - {id: for-life, kind: cap, limit: 9, window: {lifetime: true}, applies_to: {channels: [sms]}}\n"
)


@cache
def policy() -> Policy:
    """A rule of every kind, and a cap for life, for which pruning counts."""
    text = (POLICIES / "everything.yaml").read_text("utf-8").rstrip() + _LIFETIME
    return compile_policy(load_policy(text).specification)


def _intent(number: int, **more: Any) -> Intent:  # noqa: ANN401 - fields of the intent
    given = {"intent_id": f"i-{number}", "customer_id": "c-1", "channel": "sms", "created_at": NOW, **more}
    return Intent(**given)


INTENTS: Final = (
    _intent(1),
    _intent(2, purpose="service", country="CO", topic="loans"),
    _intent(3, channel="voice", purpose="otp", timezone="Europe/Madrid", expires_at=NOW + DAY_MS),
    _intent(4, channel="email", sender_id="acme", brand="north", campaign_id="spring"),
)


def _event(kind: str, **more: Any) -> PreferenceEvent:  # noqa: ANN401 - fields of the event
    return PreferenceEvent(event_id="e", customer_id="c-1", type=kind, **more)  # type: ignore[arg-type]


_FIRST: Final = decision_id("c-1", "i-1")

EVENTS: Final = (
    _event("opt_out"),
    _event("opt_out", channel="sms"),
    _event("opt_in", channel="sms", purpose="marketing"),
    _event("objection", purpose="marketing"),
    _event("pause", until=NOW + DAY_MS),
    _event("resume"),
    _event("consent_granted", purpose="marketing", expires_at=NOW + 3 * DAY_MS, evidence_ref=TOKEN),
    _event("consent_withdrawn", purpose="marketing"),
    _event("restriction", topic="loans"),
    _event("restriction_lifted"),
    _event("profile", timezone="Europe/Madrid", country="ES", region="MD", minor=True),
    _event("erasure"),
    _event("erasure", effective_at=NOW - 2 * DAY_MS),
)


def ledger(data: bytes) -> None:
    """The target."""
    try:
        found = decode_ledger(data)
    except LedgerUnreadable as unreadable:
        assert_tells_nothing(str(unreadable))
        return
    stored(found)
    works(found, crc32(data))


def is_near(found: Ledger) -> bool:
    """Whether every moment of the columns is one that can be read whatever it is written relative to."""
    relative = [moment for moment in (*found.created, *found.assumed_sent, *found.decided) if moment is not None]
    return all(abs(found.base_ms + moment) <= FAR_MS // 2 for moment in relative)


def stored(found: Ledger, *, may_be_refused: bool = False) -> None:
    """Written and read again it is the same."""
    written = encode_ledger(found)
    try:
        again = decode_ledger(written)
    except LedgerUnreadable:
        assert may_be_refused, "what was written cannot be read"
        return
    assert again == found, "read again it is another"
    assert encode_ledger(again) == written, "equal ledgers have different forms"


def works(found: Ledger, number: int) -> None:
    """Everything the gate does with a ledger; which of several events is told by the number."""
    identities, contacts = found.identities, found.contacts
    far = not is_near(found)
    assert len(found.label_sets) * 6 == len(found.label_value_numbers)
    assert created_of(found, _FIRST) == identities.get(_FIRST), "columns and rows remember another moment"
    stored(policy().retention.prune(found, NOW), may_be_refused=far)
    stored(retained(policy().retention, found, NOW + 366 * DAY_MS), may_be_refused=far)
    intent = INTENTS[number % len(INTENTS)]
    decision = decide(intent, found, policy(), NOW)
    stored(decision.ledger, may_be_refused=far)
    assert orjson.loads(encode_decision(intent, decision, policy_fragment("p", "1", "0"), NOW))
    event = EVENTS[number // len(INTENTS) % len(EVENTS)]
    after = apply_preference(event, found, recorded_ms=NOW - DAY_MS, now=NOW, vocabulary=policy().vocabulary).ledger
    stored(after, may_be_refused=far)
    once_more = apply_preference(event, after, recorded_ms=NOW - DAY_MS, now=NOW, vocabulary=policy().vocabulary).ledger
    assert after.preference_refused or once_more == after, "said twice it leaves another ledger"
    named = contacts[-1].decision_id if contacts else next(iter(identities), b"\1" * 12)
    for kind, detail in (("delivered", None), ("reply", "stop")):
        outcome = Outcome(
            customer_id="c-1",
            type=kind,  # type: ignore[arg-type]  # two of its words
            occurred_at=NOW - 1,
            decision_id=named.hex(),
            detail=detail,
        )
        told = apply_outcome(outcome, found, recorded_ms=NOW - 1, now=NOW, policy=policy())
        stored(told.ledger, may_be_refused=far)


def changed(document: Any, chance: random.Random) -> Ledger:  # noqa: ANN401 - any MessagePack
    """The ledger with something more in it: how the mutator stays sound."""
    ledger = decode_ledger(msgspec.msgpack.encode(document))
    for _ in range(chance.randint(1, 3)):
        ledger = one_more(ledger, chance)
    return ledger


def one_more(ledger: Ledger, chance: random.Random) -> Ledger:
    """One thing that happens to a customer."""
    moment = NOW - chance.choice((0, 1, 60_000, 299_999, DAY_MS, 6 * DAY_MS, 34 * DAY_MS, 36 * DAY_MS, 400 * DAY_MS))
    identity = chance.choice((bytes(chance.randrange(256) for _ in range(12)), _FIRST, b"\1" * 12))
    label_set = LabelSet(
        chance.choice(("sms", "voice", "email", "fax")),
        chance.choice(("marketing", "service", "otp")),
        chance.choice((None, "loans", TOKEN)),
        chance.choice((None, "north")),
        None,
        chance.choice((None, "acme")),
    )
    match chance.randrange(6):
        case 0 | 1:
            contact = Contact(identity, moment, moment + chance.choice((0, 300_000, DAY_MS)), 0, chance.randrange(32))
            if len(ledger.label_value_numbers) < 240 * 6 or knows_tag(ledger, label_set):
                return with_contact(ledger, contact, label_set, moment - chance.choice((0, 60_000)))
            return ledger
        case 2:
            return with_identity(ledger, identity, moment)
        case 3:
            return policy().retention.prune(ledger, NOW)
        case 4 if ledger.assumed_sent:
            position = chance.randrange(len(ledger.assumed_sent))
            contact = ledger.contacts[position]
            sooner = msgspec.structs.replace(
                contact, assumed_sent_ms=min(contact.assumed_sent_ms, moment), flags=contact.flags | 1
            )
            return with_changed_contact(ledger, position, sooner)
        case _:
            return apply_preference(
                chance.choice(EVENTS), ledger, recorded_ms=moment, now=NOW, vocabulary=policy().vocabulary
            ).ledger


def seeds() -> Iterator[bytes]:
    """Customers to whom ever more has happened."""
    yield encode_ledger(EMPTY_LEDGER)
    yield msgspec.msgpack.encode(EMPTY_LEDGER)
    yield msgspec.msgpack.encode([1])
    yield encode_ledger(msgspec.structs.replace(EMPTY_LEDGER, preference_refused=True))
    # The bytes of an identity where two others meet.
    halves = (bytes(6) + _FIRST[:6], _FIRST[6:] + bytes(6))
    yield encode_ledger(with_identity(with_identity(EMPTY_LEDGER, halves[0], NOW), halves[1], NOW))
    for number in range(SEEDS):
        chance, ledger = random.Random(number), EMPTY_LEDGER
        for _ in range(number % CHANGES_MAX + 1):
            ledger = one_more(ledger, chance)
        yield encode_ledger(ledger)
        yield msgspec.msgpack.encode(ledger)

"""Microseconds per intent of the whole decision: bytes decoded, decided, encoded, on one core.

    make bench                      all of it
    python -m bench.decision        this part alone

The workload: the starter policy (20 rules), customers with 30 contacts in their ledgers, intents of four countries,
four channels and five purposes on a working morning. The stages are timed apart and together, in interleaved rounds;
the
median round counts. The profile says where the time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import io
import json
import platform
import pstats
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streams.contracts.decode import decode_intent
from streams.decision.checks.duplicate import decision_id
from streams.decision.decide import decide
from streams.decision.decision import Decision
from streams.decision.intent import Intent
from streams.decision.ledger.codec import decode_ledger, encode_ledger
from streams.decision.ledger.preferences import apply_preference
from streams.decision.ledger.state import Contact, LabelSet, Ledger
from streams.decision.ledger.transitions import with_contact
from streams.decision.policy import Policy, compile_policy
from streams.decision.preference_event import PreferenceEvent
from streams.decision.tables import DAY_MS, HOUR_MS, MINUTE_MS
from streams.exactly_once.changelog import customer_key
from streams.exactly_once.interfaces import Batch
from streams.gate import Gate, GateSettings, encode_decision
from streams.policy.loader import load_policy
from streams.records import InputRecord
from streams.topics import TopicNames

STARTER = Path(__file__).parent.parent / "streams" / "policy" / "packs" / "starter.yaml"
RESULTS = Path(__file__).parent / "results"

CONTACTS = 30
INTENTS = 2_000
# Tuesday 2026-10-06 15:00 UTC: 10:00 in Bogota, 17:00 in Madrid, 11:00 in New York, 09:00 in Mexico City.
NOW = 1_791_298_800_000
COUNTRIES = (("CO", "co"), ("ES", "es"), ("US", "us"), ("MX", "mx"))
CHANNELS = ("voice", "sms", "email", "whatsapp")
PURPOSES = ("marketing", "service", "collections", "survey", "transactional")
CAMPAIGNS = ("autumn-renewal", "late-invoice", "new-plan")


def sender_of(channel: str, suffix: str) -> str:
    """The declared sender of a channel in a country."""
    return "email-service" if channel == "email" else f"{channel}-{suffix}"


def make_intent(number: int, source: random.Random) -> dict[str, Any]:
    """One intent as an upstream system would write it: about 300 bytes."""
    country, suffix = source.choice(COUNTRIES)
    channel = source.choice(CHANNELS)
    return {
        "intent_id": f"intent-{number:012d}",
        "customer_id": f"customer-{number:07d}",
        "channel": channel,
        "created_at": NOW - 1_000,
        "expires_at": NOW + HOUR_MS,
        "purpose": source.choice(PURPOSES),
        "topic": "billing",
        "brand": "north",
        "campaign_id": source.choice(CAMPAIGNS),
        "country": country,
        "timezone": {
            "CO": "America/Bogota",
            "ES": "Europe/Madrid",
            "US": "America/New_York",
            "MX": "America/Mexico_City",
        }[country],
        "sender_id": sender_of(channel, suffix),
        "attributes": {"template": "t7"},
    }


def make_ledger(intent: dict[str, Any], source: random.Random, policy: Policy) -> Ledger:
    """A customer who agreed, and was contacted 30 times in 34 days; most of it longer than a week ago."""
    grant = PreferenceEvent(
        event_id="consent", customer_id=intent["customer_id"], type="consent_granted", evidence_ref="form-1"
    )
    agreed_ms = NOW - 60 * DAY_MS
    ledger = apply_preference(
        grant, Ledger(), recorded_ms=agreed_ms, now=agreed_ms, vocabulary=policy.vocabulary
    ).ledger
    ages = sorted(
        (source.uniform(7.5, 34) if source.random() < 0.9 else source.uniform(0.2, 7)) for _ in range(CONTACTS)
    )
    for number, age in enumerate(reversed(ages)):
        decided = NOW - int(age * DAY_MS)
        identity = decision_id(intent["customer_id"], f"earlier-{number}")
        channel = source.choice(CHANNELS)
        label_set = LabelSet(
            channel,
            source.choice(PURPOSES[:3]),
            intent["topic"],
            intent["brand"],
            source.choice(CAMPAIGNS),
            sender_of(channel, intent["country"].lower()),
        )
        contact = Contact(identity, decided, decided + 5 * MINUTE_MS, 0, 0)
        ledger = with_contact(ledger, contact, label_set, created_ms=decided)
    return ledger


class Workload:
    """Intents as bytes, and the ledger of each one's customer."""

    def __init__(self, policy: Policy) -> None:
        source = random.Random(7)
        documents = [make_intent(number, source) for number in range(INTENTS)]
        self.policy = policy
        self.values = [json.dumps(document, separators=(",", ":")).encode() for document in documents]
        self.ledgers = [policy.retention.prune(make_ledger(document, source, policy), NOW) for document in documents]
        self.ledger_values = [encode_ledger(ledger) for ledger in self.ledgers]
        self.intents: list[Intent] = [decode_intent(value)[0] for value in self.values]
        self.decisions: list[Decision] = [
            decide(intent, ledger, policy, NOW) for intent, ledger in zip(self.intents, self.ledgers, strict=True)
        ]
        settings = GateSettings(TopicNames(), 1, bytes(32), is_bounded=True, dead_letter_bytes_max=1_000_000)
        self.gate = Gate(policy, settings)
        keys = [intent.customer_id.encode() for intent in self.intents]
        self.store = {customer_key(key): value for key, value in zip(keys, self.ledger_values, strict=True)}
        records = [
            InputRecord("outbound-intent", offset, NOW, key, value, ())
            for offset, (key, value) in enumerate(zip(keys, self.values, strict=True))
        ]
        self.batch = Batch(0, records, [NOW] * len(records), {})

    def decode(self) -> None:
        """Bytes to intents."""
        for value in self.values:
            decode_intent(value)

    def decide(self) -> None:
        """Intents to decisions, none of them kept: a gate keeps none either."""
        for intent, ledger in zip(self.intents, self.ledgers, strict=True):
            decide(intent, ledger, self.policy, NOW)

    def answer(self) -> None:
        """Bytes of an intent to bytes of its answer, the ledger at hand."""
        for value, ledger in zip(self.values, self.ledgers, strict=True):
            intent, _ = decode_intent(value)
            encode_decision(intent, decide(intent, ledger, self.policy, NOW), self.gate.policy_name, NOW)

    def decode_ledgers(self) -> None:
        """Ledgers from their binary form."""
        for value in self.ledger_values:
            decode_ledger(value)

    def encode_ledgers(self) -> None:
        """Ledgers to their binary form."""
        for decision in self.decisions:
            encode_ledger(decision.ledger)

    def whole(self) -> None:
        """What the lane does with a batch: decode, decide, encode, ledgers read and written, headers made."""
        self.gate.apply(self.batch, self.store)


def median_microseconds(run: Callable[[], object], rounds: int) -> float:
    """Median over rounds of the processor time per intent."""
    times = []
    for _ in range(rounds):
        gc.collect()
        began = time.process_time()
        run()
        times.append((time.process_time() - began) / INTENTS * 1e6)
    return statistics.median(times)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--profile", action="store_true", help="print where decide() spends its time")
    arguments = parser.parse_args()
    loaded = load_policy(STARTER)
    policy = compile_policy(loaded.specification)
    work = Workload(policy)
    stages = {
        "decode": work.decode,
        "decide": work.decide,
        "answer": work.answer,
        "decode_ledger": work.decode_ledgers,
        "encode_ledger": work.encode_ledgers,
        "gate_batch": work.whole,
    }
    figures = {name: round(median_microseconds(run, arguments.rounds), 2) for name, run in stages.items()}
    approved = [decision for decision in work.decisions if decision.is_approved]
    asked = [len(decision.entries) - 6 for decision in work.decisions if len(decision.entries) > 6]
    result = {
        "policy": {"name": loaded.specification.name, "hash": loaded.specification.content_hash, "rules": 20},
        "contacts_per_ledger": CONTACTS,
        "ledger_bytes": round(statistics.mean(map(len, work.ledger_values))),
        "intent_bytes": round(statistics.mean(map(len, work.values))),
        "approved_share": round(len(approved) / INTENTS, 3),
        "policy_rules_asked_mean": round(statistics.mean(asked), 2),
        "reasons": dict(Counter(decision.reason or "approved" for decision in work.decisions)),
        "microseconds_per_intent": figures,
        "python": platform.python_version(),
    }
    print(json.dumps(result, indent=2))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "decision.json").write_text(json.dumps(result, indent=2) + "\n")
    if arguments.profile:
        profiler = cProfile.Profile()
        profiler.runcall(work.whole)
        text = io.StringIO()
        pstats.Stats(profiler, stream=text).sort_stats("tottime").print_stats(30)
        print(text.getvalue())


if __name__ == "__main__":
    main()

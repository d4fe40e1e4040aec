"""Decisions by purpose and rule, and by those campaigns, senders and countries that somebody listed."""

from __future__ import annotations

import json

import pytest

from streams.exactly_once.interfaces import Batch
from streams.gate import Gate, GateSettings
from streams.records import InputRecord
from streams.settings import SettingsRefused, WorkerSettings
from streams.telemetry.metrics import MAX_WORDS, Telemetry
from streams.telemetry.tally import COUNTED_FIELDS, CountedField, Tally
from streams.topics import TopicNames
from tests.decision.builders import NOW, policy_of

TOPICS = TopicNames()
RULE = {"id": "over", "kind": "campaign", "campaigns": ["old"], "switch": "off"}
INTENTS = (
    {"campaign_id": "old", "country": "CO", "sender_id": "bank"},
    {"campaign_id": "new", "country": "CO", "sender_id": "shop", "purpose": "service"},
    {"campaign_id": "new"},
)


def tally(counted: tuple[CountedField, ...]) -> Tally:
    """Of the three intents above."""
    gate = Gate(policy_of(RULE), GateSettings(TOPICS, 1, b"k" * 32, False, 1_000_000, counted))
    records = [
        InputRecord(
            TOPICS.intents[0],
            number,
            NOW,
            b"c-1",
            json.dumps(
                {"intent_id": f"i-{number}", "customer_id": "c-1", "channel": "sms", "created_at": NOW, **intent}
            ).encode(),
            headers=(),
        )
        for number, intent in enumerate(INTENTS)
    ]
    found = gate.apply(Batch(0, records, [NOW] * len(records), {}), {}).tally
    assert isinstance(found, Tally)
    return found


def counted(of: Telemetry, metric: str) -> dict[tuple[str, ...], float]:
    """Every series that is not 0, by the values of its labels in the order of their names."""
    return {
        tuple(word for _, word in sorted(sample.labels.items())): sample.value
        for family in of.registry.collect()
        for sample in family.samples
        if sample.name == metric and sample.value
    }


def test_rules_and_purposes_are_always_counted_and_fields_only_if_asked() -> None:
    found = tally(())
    assert dict(found.rules) == {"over": 1}
    assert sum(found.purposes.values()) == len(INTENTS)
    assert found.purposes["service", "approved"] == 1
    assert not found.fields


def test_fields_are_counted_for_what_the_intent_says() -> None:
    assert dict(tally(COUNTED_FIELDS).fields) == {
        ("campaign", "old", "suppressed"): 1,
        ("campaign", "new", "approved"): 2,
        ("sender", "bank", "suppressed"): 1,
        ("sender", "shop", "approved"): 1,
        ("sender", "other", "approved"): 1,
        ("country", "CO", "suppressed"): 1,
        ("country", "CO", "approved"): 1,
        ("country", "other", "approved"): 1,
    }


def test_words_that_nobody_listed_are_one_series() -> None:
    telemetry = Telemetry(version="0.1.0", process_metrics=False)
    telemetry.declare_counted("campaign", ["old"])
    telemetry.declare_rules(["over"])
    telemetry.count(tally(("campaign", "country")), decided_at_ms=NOW, committed_at_ms=NOW)
    assert counted(telemetry, "mesura_decisions_by_campaign_total") == {
        ("old", "suppressed"): 1,
        ("other", "approved"): 2,
    }
    assert counted(telemetry, "mesura_decisions_by_country_total") == {
        ("other", "suppressed"): 1,
        ("other", "approved"): 2,
    }
    assert counted(telemetry, "mesura_suppressions_by_rule_total") == {("over",): 1}
    assert counted(telemetry, "mesura_decisions_by_sender_total") == {}


def settings(*count_by: str) -> WorkerSettings:
    return WorkerSettings(
        bootstrap_servers="127.0.0.1:9092", policy_path="p.yaml", erasure_key="5e" * 32, count_by=count_by
    )


def test_what_is_counted_is_said_by_field_and_word() -> None:
    checked = settings("campaign=spring", "campaign=a=b", "country=CO").checked()
    assert checked.counted() == {"campaign": ["spring", "a=b"], "country": ["CO"]}


@pytest.mark.parametrize(
    ("count_by", "why"),
    [
        (["customer=c-1"], "with one of the fields campaign, sender, country"),
        (["campaign"], "Write FIELD=WORD"),
        (["campaign="], "Write FIELD=WORD"),
        ([f"campaign={number}" for number in range(MAX_WORDS + 1)], f"{MAX_WORDS} are possible"),
    ],
)
def test_what_cannot_be_counted_is_refused(count_by: list[str], why: str) -> None:
    with pytest.raises(SettingsRefused, match=why):
        settings(*count_by).checked()

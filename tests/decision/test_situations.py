"""Intents share what was worked out for one another only where no rule can tell them apart."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from streams.decision.decide import decide
from streams.decision.intent import Intent
from streams.decision.ledger import EMPTY_LEDGER, Ledger, Profile, ProfileValue
from streams.decision.plan import SITUATIONS_KEPT_MAX
from streams.decision.policy import compile_policy
from streams.policy.loader import load_policy
from streams.policy.packs import pack_path
from streams.testing.policies import open_all_hours
from tests.golden.sides import typed

if TYPE_CHECKING:
    from pathlib import Path

    from streams.decision.decision import Decision

SPECIFICATION = load_policy(pack_path("starter")).specification
# Noon in Madrid on the national day of Catalonia, a Friday and a holiday there alone.
DIADA = int(dt.datetime(2026, 9, 11, 10, tzinfo=dt.UTC).timestamp() * 1000)


def intent(**changes: str | None) -> Intent:
    event = {
        "intent_id": "i",
        "customer_id": "c",
        "channel": "voice",
        "purpose": "marketing",
        "country": "ES",
        "timezone": "Europe/Madrid",
        "sender_id": "voice-es",
        "created_at": DIADA,
    }

    return typed({name: value for name, value in {**event, **changes}.items() if value is not None}, Intent)


def profile(**values: str) -> Ledger:
    return Ledger(profile=Profile(**{name: ProfileValue(value, 1) for name, value in values.items()}))


APART: dict[str, tuple[tuple[Intent, Ledger], tuple[Intent, Ledger]]] = {
    "the region": ((intent(region="CT"), EMPTY_LEDGER), (intent(region="MD"), EMPTY_LEDGER)),
    "the calendar": ((intent(holiday_calendar="ES-CT"), EMPTY_LEDGER), (intent(), EMPTY_LEDGER)),
    "a calendar that is not there": ((intent(holiday_calendar="nowhere"), EMPTY_LEDGER), (intent(), EMPTY_LEDGER)),
    "the country": ((intent(country="CO"), EMPTY_LEDGER), (intent(), EMPTY_LEDGER)),
    "no country": ((intent(country=None), EMPTY_LEDGER), (intent(), EMPTY_LEDGER)),
    "the zone": ((intent(timezone="America/Bogota"), EMPTY_LEDGER), (intent(), EMPTY_LEDGER)),
    "a zone that is not there": ((intent(timezone="Europe/Nowhere"), EMPTY_LEDGER), (intent(), EMPTY_LEDGER)),
    "the sender": ((intent(sender_id="voice-else"), EMPTY_LEDGER), (intent(), EMPTY_LEDGER)),
    "no sender": ((intent(sender_id=None), EMPTY_LEDGER), (intent(sender_id="voice-else"), EMPTY_LEDGER)),
    "the campaign": ((intent(campaign_id="example-campaign"), EMPTY_LEDGER), (intent(campaign_id="a"), EMPTY_LEDGER)),
    "who knows the zone": (
        (intent(timezone=None), profile(timezone="Europe/Madrid")),
        (intent(), profile(timezone="Europe/Madrid")),
    ),
    "the profile's zone": (
        (intent(timezone=None), profile(timezone="Atlantic/Canary")),
        (intent(timezone=None), profile(timezone="Europe/Madrid")),
    ),
    "the profile's country": ((intent(country=None), profile(country="CO")), (intent(country=None), EMPTY_LEDGER)),
    "the profile's region": (
        (intent(country=None), profile(country="ES", region="CT")),
        (intent(country=None), profile(country="ES", region="MD")),
    ),
}


@pytest.mark.parametrize("one, other", APART.values(), ids=APART)
def test_what_a_rule_can_tell_apart_is_not_shared(one: tuple[Intent, Ledger], other: tuple[Intent, Ledger]) -> None:
    alone = [answer(*each) for each in (one, other)]
    assert alone[0] != alone[1]
    policy = compile_policy(SPECIFICATION)
    assert [decide(*each, policy, DIADA) for each in (one, other, one)] == [*alone, alone[0]]


def test_words_that_no_rule_names_share_one_situation() -> None:
    policy = compile_policy(SPECIFICATION)
    for number in range(100):
        words = {"campaign_id": f"campaign-{number}", "topic": f"topic-{number}", "brand": f"brand-{number}"}
        words |= {"region": f"{number}", "timezone": f"Nowhere/{number}", "holiday_calendar": f"calendar-{number}"}
        decide(intent(**words), EMPTY_LEDGER, policy, DIADA)
    assert policy.plans["voice", "marketing"].situations_kept == 1


def test_only_so_many_situations_are_kept() -> None:
    policy = compile_policy(SPECIFICATION)
    zones = sorted(SPECIFICATION.zones)[: SITUATIONS_KEPT_MAX // 2 + 5]
    for country in ("ES", "CO"):
        for zone in zones:
            decide(intent(country=country, timezone=zone), EMPTY_LEDGER, policy, DIADA)
    assert policy.plans["voice", "marketing"].situations_kept == 2 * len(zones) - SITUATIONS_KEPT_MAX


def answer(asked: Intent, ledger: Ledger) -> Decision:
    return decide(asked, ledger, compile_policy(SPECIFICATION), DIADA)


def test_hours_that_never_close_are_the_same_whichever_moment_is_asked_about_first(tmp_path: Path) -> None:
    specification = load_policy(open_all_hours("starter", tmp_path)).specification
    # The same day of UTC, and the next in Madrid: what is known of the later moment reaches a day further.
    later = DIADA + 13 * 3_600_000
    policy = compile_policy(specification)
    answers = [decide(intent(), EMPTY_LEDGER, policy, moment) for moment in (later, DIADA, later)]
    alone = [decide(intent(), EMPTY_LEDGER, compile_policy(specification), moment) for moment in (later, DIADA, later)]
    assert answers == alone

"""Intents share what was worked out for one another only where no rule can tell them apart."""

from __future__ import annotations

import datetime as dt
import inspect
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.decision.decide import decide
from streams.decision.intent import Intent
from streams.decision.ledger.state import EMPTY_LEDGER, Ledger, Profile, ProfileValue
from streams.decision.plan import REQUESTS_KEPT_MAX
from streams.decision.policy import compile_policy
from streams.decision.request_context import RequestContext
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


def intent(**changes: str | bool | None) -> Intent:
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
    "no region": ((intent(), EMPTY_LEDGER), (intent(region="MD"), EMPTY_LEDGER)),
    "a province of another region": ((intent(region="B"), EMPTY_LEDGER), (intent(region="M"), EMPTY_LEDGER)),
    "a region that is not there": ((intent(region="ZZ"), EMPTY_LEDGER), (intent(region="MD"), EMPTY_LEDGER)),
    "the calendar": (
        (intent(region="MD", holiday_calendar="ES-CT"), EMPTY_LEDGER),
        (intent(region="MD"), EMPTY_LEDGER),
    ),
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


def test_words_that_no_rule_names_share_one_request() -> None:
    policy = compile_policy(SPECIFICATION)
    for number in range(100):
        words = {"campaign_id": f"campaign-{number}", "topic": f"topic-{number}", "brand": f"brand-{number}"}
        words |= {"region": f"{number}", "timezone": f"Nowhere/{number}", "holiday_calendar": f"calendar-{number}"}
        decide(intent(**words), EMPTY_LEDGER, policy, DIADA)
    assert policy.plans["voice", "marketing"].requests_kept == 1


def test_only_so_many_requests_are_kept() -> None:
    policy = compile_policy(SPECIFICATION)
    zones = sorted(SPECIFICATION.zones)[: REQUESTS_KEPT_MAX // 2 + 5]
    for country in ("ES", "CO"):
        for zone in zones:
            decide(intent(country=country, timezone=zone), EMPTY_LEDGER, policy, DIADA)
    assert policy.plans["voice", "marketing"].requests_kept == 2 * len(zones) - REQUESTS_KEPT_MAX


_fields = {
    "channel": st.just("voice"),
    "purpose": st.sampled_from(["marketing", "service"]),
    "topic": st.sampled_from([None, "loans"]),
    "brand": st.sampled_from([None, "north"]),
    "campaign_id": st.sampled_from([None, "example-campaign", "another", "yet-another"]),
    "sender_id": st.sampled_from([None, "voice-es", "voice-else", "nobody"]),
    "automated": st.sampled_from([None, True, False]),
    "country": st.sampled_from([None, "ES", "CO", "US", "ZZ"]),
    "region": st.sampled_from([None, "CT", "B", "MD", "M", "FL", "ZZZ"]),
    "timezone": st.sampled_from([None, "Europe/Madrid", "America/Bogota", "Mars/Olympus", "Etc/UTC", "UTC"]),
    "holiday_calendar": st.sampled_from([None, "ES-CT", "nowhere", "nowhere-else"]),
}
_intents = st.fixed_dictionaries(_fields).map(lambda fields: intent(**fields))
_profiles = st.fixed_dictionaries({name: _fields[name] for name in ("timezone", "country", "region")}).map(
    lambda values: profile(**{name: value for name, value in values.items() if value is not None})
)


@given(st.lists(st.tuples(_intents, _profiles), min_size=2, max_size=6))
@settings(max_examples=40, deadline=None)
def test_intents_that_share_a_key_have_the_same_request_whoever_came_first(
    asked: list[tuple[Intent, Ledger]],
) -> None:
    """In every slot: nothing is kept of the first intent that is not part of the key."""
    policy = compile_policy(SPECIFICATION)
    for each in asked:
        decide(*each, policy, DIADA)
    for purpose in ("marketing", "service"):
        kept = {key: static_plan.request for key, static_plan in policy.plans["voice", purpose]._static_plans.items()}
        for each, ledger in asked:
            if each.purpose != purpose:
                continue
            alone = compile_policy(SPECIFICATION)
            decide(each, ledger, alone, DIADA)
            ((key, static_plan),) = alone.plans["voice", purpose]._static_plans.items()
            assert plain(kept[key]) == plain(static_plan.request)


@given(_intents, _profiles)
@settings(max_examples=60, deadline=None)
def test_a_request_is_made_of_nothing_but_its_key(asked: Intent, ledger: Ledger) -> None:
    policy = compile_policy(SPECIFICATION)
    decide(asked, ledger, policy, DIADA)
    ((key, static_plan),) = policy.plans["voice", str(asked.purpose)]._static_plans.items()
    again = RequestContext(static_plan.request.channel_purpose, key, policy.location)
    assert plain(static_plan.request) == plain(again)
    assert list(inspect.signature(RequestContext).parameters) == ["channel_purpose", "key", "location"]


SLOTS = ("automated", "calendar", "channel_purpose", "label_set", "place", "zone_label", "zones")


def plain(request: RequestContext) -> dict[str, object]:
    """Every slot. Calendars of two policies are two objects that say the same."""
    assert getattr(RequestContext, "__slots__", SLOTS) == SLOTS  # compiled, a class does not name them
    slots = {slot: getattr(request, slot) for slot in SLOTS}
    days = request.calendar
    return {**slots, "calendar": days and (days.name, days.days, days.first_day, days.last_day)}


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

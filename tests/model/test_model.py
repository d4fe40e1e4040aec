"""The model itself, against answers worked out by hand: every expected value has its calculation beside it."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest
import yaml

from streams.oracle.model import DeadLetter, Model, decision_id
from streams.oracle.places import Place, SaidPlace, one_clock, place_of
from streams.oracle.policy import bucket, hours_of, instant, read_policy, transitions, utc, zones_by_country
from streams.oracle.policy import zone as zone_of
from streams.oracle.words import folded

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
ONLY_ONE_RULE = 7  # built-ins are 0 to 5, opt_out is 6


def at(text: str) -> int:
    moment = instant(text)
    assert moment is not None
    return moment


def iso(moment: int | None) -> str | None:
    return None if moment is None else utc(moment).strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000", "")


def model(*rules: dict[str, Any], **policy: object) -> Model:
    text = {
        "mesura": 1,
        "name": "by-hand",
        "version": "1",
        "zone": "America/Bogota",
        "default_purpose": "marketing",
        "channels": {"sms": {"group": "text"}, "voice": {"group": "phone"}, "whatsapp": {"group": "text"}, "email": {}},
        "purposes": ["marketing", "otp"],
        "holidays": {
            "years": [2025, 2026, 2027, 2028],
            "calendars": {
                "CO": {"country": "CO"},
                "ES": {"country": "ES"},
                "ES-MD": {"country": "ES", "subdivision": "MD"},
                "US": {"country": "US"},
            },
        },
        "rules": [{"id": f"r{number}", **rule} for number, rule in enumerate(rules)],
    }
    return Model(yaml.safe_dump({**text, **policy}, sort_keys=False))


def ask(gate: Model, now: str | int, intent_id: str = "i-1", **fields: object) -> dict[str, Any]:
    moment = at(now) if isinstance(now, str) else now
    intent = {"intent_id": intent_id, "customer_id": "c-1", "channel": "sms", "created_at": moment, **fields}
    return gate.decide(intent, moment)


def says(gate: Model, now: str | int, type_: str, record: int | None = None, **fields: object) -> list[dict[str, str]]:
    moment = at(now) if isinstance(now, str) else now
    event = {"event_id": f"e-{moment}", "customer_id": "c-1", "type": type_, **fields}
    return gate.apply_preference(event, moment if record is None else record, moment)


def outcome(gate: Model, now: str, type_: str, **fields: object) -> list[dict[str, str]]:
    event = {"customer_id": "c-1", "type": type_, "occurred_at": now, **fields}
    return gate.apply_outcome(event, at(now), at(now))


def last_entry(answer: dict[str, Any]) -> list[int]:
    entry: list[int] = answer["explanation"][-1]
    return entry


# ---- calendars ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "unit", "inside", "start", "end"),
    [
        # No clock is ever set in Bogota: midnight is 05:00Z.
        ("America/Bogota", "day", "2026-07-13T12:00:00-05:00", "2026-07-13T05:00:00Z", "2026-07-14T05:00:00Z"),
        # Spring forward at 02:00 EST: from midnight -05:00 to midnight -04:00 are 23 hours.
        ("America/New_York", "day", "2026-03-08T12:00:00-04:00", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
        # Back at 03:00 CEST: from midnight +02:00 to midnight +01:00 are 25 hours.
        ("Europe/Madrid", "day", "2026-10-25T12:00:00+01:00", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        # Chile springs forward at midnight (04:00Z): 6 September has no 00:xx and begins at 01:00 -03:00 = 04:00Z.
        ("America/Santiago", "day", "2026-09-06T12:00:00-03:00", "2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"),
        # And back at midnight: Saturday 4 April has 23:xx twice, so it ends at 00:00 -04:00 = 04:00Z, not at 03:00Z.
        ("America/Santiago", "day", "2026-04-05T03:30:00Z", "2026-04-04T03:00:00Z", "2026-04-05T04:00:00Z"),
        # Egypt: last Friday of April at 00:00 +02:00, the day begins at 01:00 +03:00 = 22:00Z.
        ("Africa/Cairo", "day", "2026-04-24T09:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"),
        # Half an hour forward on Lord Howe: from 00:00 +10:30 to 00:00 +11:00 are 23.5 hours.
        ("Australia/Lord_Howe", "day", "2026-10-03T20:00:00Z", "2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z"),
        # Cuba goes back from 01:00 to 00:00: the day begins at the first of its two midnights, 00:00 -04:00.
        ("America/Havana", "day", "2025-11-02T12:00:00Z", "2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z"),
        # In 2026 Cuba did not go back (tzdata 2026f): 24 hours.
        ("America/Havana", "day", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T04:00:00Z"),
        # +14:00: Monday begins at 10:00Z of Sunday. 2026-07-13 is a Monday.
        ("Pacific/Kiritimati", "week", "2026-07-15T00:00:00Z", "2026-07-12T10:00:00Z", "2026-07-19T10:00:00Z"),
        # The week in which Madrid goes forward (Sunday 29 March): 7 days less one hour.
        ("Europe/Madrid", "week", "2026-03-29T12:00:00Z", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("America/New_York", "month", "2026-03-31T12:00:00Z", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"),
        ("UTC", "month", "2028-02-29T23:59:59.999Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
    ],
)
def test_buckets_run_between_first_instants_of_local_dates(
    zone: str, unit: str, inside: str, start: str, end: str
) -> None:
    for moment in (at(inside), at(start), at(end) - 1):
        found = bucket(zone, unit, moment)
        assert (iso(found[0]), iso(found[1])) == (start, end)


def test_clock_changes_are_found_to_the_millisecond() -> None:
    # United States 2026: 8 March 02:00 EST = 07:00Z, 1 November 02:00 EDT = 06:00Z.
    found = transitions("America/New_York", at("2026-01-01T00:00:00Z"), at("2026-12-31T00:00:00Z"))
    assert [iso(t) for t in found] == ["2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"]


def test_countries_have_the_zones_of_zone_tab() -> None:
    assert zones_by_country()["CO"] == ("America/Bogota",)
    assert zones_by_country()["ES"] == ("Africa/Ceuta", "Atlantic/Canary", "Europe/Madrid")
    assert "America/New_York" in zones_by_country()["US"]


# ---- windows --------------------------------------------------------------------------------------------------------

EVERY_DAY = ("workday", "saturday", "sunday")


def window(hours: dict[str, list[str]] | str, **fields: object) -> dict[str, Any]:
    spread = {day: [hours] for day in EVERY_DAY} if isinstance(hours, str) else hours
    return {"kind": "window", "hours": spread, **fields}


@pytest.mark.parametrize(
    ("zone", "hours", "now", "reason", "first_change"),
    [
        # Bogota at 07:00 of a Monday: opens in an hour; one millisecond before closing it is open but too short.
        ("America/Bogota", "08:00-19:00", "2026-07-13T12:00:00Z", "window_closed", HOUR),
        ("America/Bogota", "08:00-19:00", "2026-07-13T13:00:00Z", None, 11 * HOUR),
        ("America/Bogota", "08:00-19:00", "2026-07-13T23:59:57.999Z", None, 2_001),  # (close - 1) - t is exactly 2000
        ("America/Bogota", "08:00-19:00", "2026-07-13T23:59:58.000Z", "closing", 2_000),
        ("America/Bogota", "08:00-19:00", "2026-07-14T00:00:00Z", "window_closed", 13 * HOUR),
        # New York, 8 March: 02:00 never comes. 01:00-03:00 is one hour long (06:00Z to 07:00Z).
        ("America/New_York", "01:00-03:00", "2026-03-08T06:00:00Z", None, HOUR),
        # 02:00-02:30 never comes that day; from 12:00Z on the 7th to 02:00 EDT (06:00Z) of the 9th are 42 hours.
        ("America/New_York", "02:00-02:30", "2026-03-07T12:00:00Z", "window_closed", 42 * HOUR),
        # 02:30-03:30 opens when the clock jumps to 03:00, at 07:00Z, and closes at 03:30 EDT = 07:30Z.
        ("America/New_York", "02:30-03:30", "2026-03-08T06:30:00Z", "window_closed", 30 * MINUTE),
        ("America/New_York", "02:30-03:30", "2026-03-08T07:00:00Z", None, 30 * MINUTE),
        # 1 November: 01:00-02:00 comes twice without a break, 05:00Z to 07:00Z.
        ("America/New_York", "01:00-02:00", "2026-11-01T05:00:00Z", None, 2 * HOUR),
        # 00:30-01:30 closes at 05:30Z, and opens again when 01:00 comes back at 06:00Z.
        ("America/New_York", "00:30-01:30", "2026-11-01T04:30:00Z", None, HOUR),
        ("America/New_York", "00:30-01:30", "2026-11-01T05:30:00Z", "window_closed", 30 * MINUTE),
        ("America/New_York", "00:30-01:30", "2026-11-01T06:00:00Z", None, 30 * MINUTE),
        # Santiago, 6 September: the window of 00:00-01:00 does not come; the next is on the 7th at 03:00Z.
        ("America/Santiago", "00:00-01:00", "2026-09-06T04:00:00Z", "window_closed", 23 * HOUR),
        # Santiago, 4 April: 23:00-24:00 is open twice over, 02:00Z to 04:00Z.
        ("America/Santiago", "23:00-24:00", "2026-04-05T02:00:00Z", None, 2 * HOUR),
        # Lord Howe, 4 October: 02:00 becomes 02:30 (15:30Z). 01:45-02:45 lasts from 15:15Z to 15:45Z.
        ("Australia/Lord_Howe", "01:45-02:45", "2026-10-03T15:15:00Z", None, 30 * MINUTE),
        # Cairo, 24 April: 00:00-01:30 begins at 01:00 +03:00 = 22:00Z and lasts half an hour.
        ("Africa/Cairo", "00:00-01:30", "2026-04-23T21:59:59.999Z", "window_closed", 1),
        ("Africa/Cairo", "00:00-01:30", "2026-04-23T22:00:00Z", None, 30 * MINUTE),
        # Madrid, 25 October: 02:30-03:00 comes at 00:30Z and again at 01:30Z.
        ("Europe/Madrid", "02:30-03:00", "2026-10-25T01:00:00Z", "window_closed", 30 * MINUTE),
    ],
)
def test_windows_are_wall_time(zone: str, hours: str, now: str, reason: str | None, first_change: int) -> None:
    answer = ask(model(window(hours)), now, timezone=zone)
    assert answer["reason"] == reason
    assert last_entry(answer)[2:] == [first_change]
    if reason == "window_closed":
        assert answer["next_eligible_at"] == at(now) + first_change


def test_a_window_that_never_closes_has_no_end() -> None:
    answer = ask(model(window("00:00-24:00")), "2026-03-08T06:00:00Z", timezone="America/New_York")
    assert last_entry(answer) == [ONLY_ONE_RULE, 0]
    assert answer["valid_until"] == at("2026-03-08T06:05:00Z")  # now + 5 minutes


@pytest.mark.parametrize(
    ("place", "now", "reason", "opens"),
    [
        # 13 July 2026 is Our Lady of Chiquinquirá, a Monday; the next day opens at 08:00 -05:00.
        ({"country": "CO"}, "2026-07-13T10:00:00-05:00", "holiday", "2026-07-14T13:00:00Z"),
        # At 20:00 it would be closed on any day.
        ({"country": "CO"}, "2026-07-13T20:00:00-05:00", "window_closed", "2026-07-14T13:00:00Z"),
        # 20 July 2026, Independence Day, a Monday: the Saturday before is open until 15:00, Sunday is closed.
        ({"country": "CO"}, "2026-07-18T15:00:00-05:00", "window_closed", "2026-07-21T13:00:00Z"),
        # 2 May 2026, the day of Madrid, is a Saturday: closed in Madrid until Monday, and where nobody knows whether it
        # is Madrid; open elsewhere in Spain.
        ({"country": "ES", "region": "MD", "timezone": "Europe/Madrid"}, "2026-05-02T10:00:00+02:00", "holiday", None),
        ({"country": "ES", "region": "M", "timezone": "Europe/Madrid"}, "2026-05-02T10:00:00+02:00", "holiday", None),
        ({"country": "ES", "timezone": "Europe/Madrid"}, "2026-05-02T10:00:00+02:00", "holiday", None),
        ({"country": "ES", "region": "CT", "timezone": "Europe/Madrid"}, "2026-05-02T10:00:00+02:00", None, None),
        # 4 July 2026 is a Saturday; Friday the 3rd is kept instead, and the 4th is a holiday too.
        (
            {"country": "US", "timezone": "America/New_York"},
            "2026-07-03T10:00:00-04:00",
            "holiday",
            "2026-07-06T12:00:00Z",
        ),
        ({"country": "US", "timezone": "America/New_York"}, "2026-07-02T10:00:00-04:00", None, None),
        # 30 April 2026, the day before Labour Day: until noon. It is itself no holiday.
        ({"country": "CO"}, "2026-04-30T11:00:00-05:00", None, None),
        ({"country": "CO"}, "2026-04-30T13:00:00-05:00", "window_closed", "2026-05-02T13:00:00Z"),
        # No calendar for Peru; and nobody published holidays of 2029, which 31 December 2028 asks for.
        ({"country": "PE"}, "2026-07-14T10:00:00-05:00", "calendar_unknown", None),
        ({"country": "CO"}, "2028-12-31T10:00:00-05:00", "calendar_unknown", None),
    ],
)
def test_holidays(place: dict[str, str], now: str, reason: str | None, opens: str | None) -> None:
    hours = {
        "workday": ["08:00-19:00"],
        "saturday": ["08:00-15:00"],
        "holiday": [],
        "day_before_holiday": ["08:00-12:00"],
    }
    answer = ask(model(window(hours, holidays="recipient")), now, **place)
    assert answer["reason"] == reason
    if opens is not None:
        assert iso(answer["next_eligible_at"]) == opens


def test_several_zones_are_intersected() -> None:
    gate = model(window("08:00-19:00"), regions={"US-FL": ["America/New_York", "America/Chicago"]})
    florida = {"country": "US", "region": "FL"}
    # 08:30 in New York is 07:30 in Chicago, which opens half an hour later.
    answer = ask(gate, "2026-06-01T08:30:00-04:00", **florida)
    assert (answer["reason"], last_entry(answer)[2:]) == ("window_closed", [30 * MINUTE])
    assert answer["zone"] == ["US-FL", "region"]
    # At 10:00 in New York it is open in both, until 19:00 in New York: nine hours.
    assert last_entry(ask(gate, "2026-06-01T10:00:00-04:00", "i-2", **florida))[2:] == [9 * HOUR]


@pytest.mark.parametrize(
    ("fields", "zone"),
    [
        ({"timezone": "Asia/Kathmandu"}, ["Asia/Kathmandu", "intent"]),
        # Nobody in Colombia has the clock of Nepal: both count.
        ({"timezone": "Asia/Kathmandu", "country": "CO"}, ["Asia/Kathmandu", "intent", "CO"]),
        # Lima has the clock of Bogota, and Ceuta is in Spain.
        ({"timezone": "America/Lima", "country": "CO"}, ["America/Lima", "intent"]),
        ({"timezone": "Africa/Ceuta", "country": "ES"}, ["Africa/Ceuta", "intent"]),
        ({"country": "CO"}, ["CO", "country"]),
        ({}, ["America/Bogota", "policy"]),
        ({"timezone": "Mars/Base", "country": "CO"}, None),  # present but unknown: not passed over
        ({"country": "XX"}, None),
    ],
)
def test_where_the_zone_comes_from(fields: dict[str, str], zone: list[str] | None) -> None:
    gate = model(window("00:00-24:00"), recipient_zone="America/Bogota")
    answer = ask(gate, "2026-06-01T12:00:00Z", **fields)
    assert answer["zone"] == zone
    assert answer["reason"] == (None if zone else "zone_unknown")


# ---- caps and gaps --------------------------------------------------------------------------------------------------


def test_a_rolling_cap_counts_until_the_latest_moment_of_sending() -> None:
    gate = model({"kind": "cap", "limit": 1, "window": {"rolling": "1h"}})
    first = ask(gate, "2026-06-01T12:00:00Z")
    assert iso(first["valid_until"]) == "2026-06-01T12:05:00Z"
    assert first["remaining"] == {"r0": 0}  # 1 - 0 - 1
    # It may be sent at 12:05, so it leaves the window at 13:05.
    second = ask(gate, "2026-06-01T12:30:00Z", "i-2")
    assert (second["reason"], last_entry(second)[2:]) == ("cap_reached", [1])
    assert iso(second["next_eligible_at"]) == "2026-06-01T13:05:00Z"
    # Reported as sent at 12:01, it leaves at 13:01.
    outcome(gate, "2026-06-01T12:40:00Z", "sent", decision_id=first["decision_id"], occurred_at="2026-06-01T12:01:00Z")
    assert iso(ask(gate, "2026-06-01T12:41:00Z", "i-3")["next_eligible_at"]) == "2026-06-01T13:01:00Z"
    assert ask(gate, "2026-06-01T13:00:59.999Z", "i-4")["reason"] == "cap_reached"
    assert ask(gate, "2026-06-01T13:01:00Z", "i-5")["verdict"] == "approved"


def test_outcomes_are_clamped_and_the_earliest_counts() -> None:
    gate = model({"kind": "gap", "minimum": "1h"})
    first = ask(gate, "2026-06-01T12:00:00Z")["decision_id"]

    def eligible(now: str, name: str) -> str | None:
        return iso(ask(gate, now, name)["next_eligible_at"])

    # Said at 12:20 to have been sent at 12:15, after valid_until (12:05): at most now, so 12:15 stands.
    outcome(gate, "2026-06-01T12:20:00Z", "sent", decision_id=first, occurred_at="2026-06-01T12:15:00Z")
    assert eligible("2026-06-01T12:21:00Z", "i-2") == "2026-06-01T13:15:00Z"
    # Said to have been sent tomorrow: clamped to 12:22, later than 12:15, which stays.
    outcome(gate, "2026-06-01T12:22:00Z", "delivered", decision_id=first, occurred_at="2026-06-02T12:00:00Z")
    assert eligible("2026-06-01T12:23:00Z", "i-3") == "2026-06-01T13:15:00Z"
    # Said to have been sent long before it was decided, and in 1970: not believed.
    outcome(gate, "2026-06-01T12:24:00Z", "read", decision_id=first, occurred_at="2026-06-01T11:54:59.999Z")
    outcome(gate, "2026-06-01T12:24:00Z", "read", decision_id=first, occurred_at=1_780_315_000)
    assert eligible("2026-06-01T12:25:00Z", "i-4") == "2026-06-01T13:15:00Z"
    # Five minutes before may be a clock: clamped to 12:00.
    outcome(gate, "2026-06-01T12:26:00Z", "read", decision_id=first, occurred_at="2026-06-01T11:55:00Z")
    assert eligible("2026-06-01T12:27:00Z", "i-5") == "2026-06-01T13:00:00Z"


def test_an_expired_outcome_confirms_nothing() -> None:
    gate = model({"kind": "gap", "minimum": "1h"})
    first = ask(gate, "2026-06-01T12:00:00Z")["decision_id"]
    outcome(gate, "2026-06-01T12:01:00Z", "expired", decision_id=first)
    assert iso(ask(gate, "2026-06-01T12:02:00Z", "i-2")["next_eligible_at"]) == "2026-06-01T13:05:00Z"


def test_a_calendar_cap_ends_with_its_bucket() -> None:
    gate = model({"kind": "cap", "limit": 2, "window": {"calendar": "day", "zone": "policy"}})
    # Bogota: the day of 23:57 ends three minutes later, at 05:00Z; the approval one millisecond before.
    first = ask(gate, "2026-06-01T23:57:00-05:00")
    assert iso(first["valid_until"]) == "2026-06-02T04:59:59.999000Z"
    # 23 h 57 min after the bucket's start, 3 min before its end.
    assert last_entry(first) == [ONLY_ONE_RULE, 0, 0, -(23 * HOUR + 57 * MINUTE), 3 * MINUTE]
    # 2000 ms before the end, (end - 1) - t is 1999: too short, and the next day is open.
    closing = ask(gate, "2026-06-01T23:59:58-05:00", "i-2")
    assert (closing["reason"], iso(closing["next_eligible_at"])) == ("closing", "2026-06-02T05:00:00Z")
    assert ask(gate, "2026-06-01T23:59:57.999-05:00", "i-3")["remaining"] == {"r0": 0}  # 2 - 1 - 1
    assert ask(gate, "2026-06-01T23:59:58-05:00", "i-4")["reason"] == "cap_reached"


def test_a_calendar_cap_denies_if_it_would_in_any_zone() -> None:
    rule = {"kind": "cap", "limit": 1, "window": {"calendar": "day"}}
    gate = model(rule, regions={"US-FL": ["America/New_York", "America/Chicago"]})
    florida = {"country": "US", "region": "FL"}
    # 23:30 in New York, 22:30 in Chicago.
    assert ask(gate, "2026-06-01T23:30:00-04:00", **florida)["verdict"] == "approved"
    # After midnight in New York it is still the same day in Chicago, where the day goes on until 05:00Z.
    answer = ask(gate, "2026-06-02T00:10:00-04:00", "i-2", **florida)
    assert (answer["reason"], iso(answer["next_eligible_at"])) == ("cap_reached", "2026-06-02T05:00:00Z")
    # 23:10 in Chicago: its bucket began 23 h 10 min before and ends in 50 min.
    assert last_entry(answer) == [ONLY_ONE_RULE, 25, 1, -(23 * HOUR + 10 * MINUTE), 50 * MINUTE]


def test_a_limit_of_zero_means_never() -> None:
    for form in ({"rolling": "1h"}, {"calendar": "day", "zone": "policy"}, {"lifetime": True}):
        answer = ask(model({"kind": "cap", "limit": 0, "window": form}), "2026-06-01T12:00:00Z")
        assert (answer["reason"], answer["next_eligible_at"]) == ("cap_reached", None)


def test_a_lifetime_cap_never_forgets() -> None:
    gate = model({"kind": "cap", "limit": 1, "window": {"lifetime": True}})
    ask(gate, "2025-01-01T12:00:00Z")
    answer = ask(gate, "2027-01-01T12:00:00Z", "i-2")
    assert (answer["reason"], answer["next_eligible_at"], last_entry(answer)[2:]) == ("cap_reached", None, [1])


def test_what_cannot_be_told_apart_is_counted_together() -> None:
    gate = model({"kind": "cap", "limit": 1, "window": {"rolling": "1d"}, "scope": ["topic"]})
    assert ask(gate, "2026-06-01T12:00:00Z", topic="loans")["verdict"] == "approved"
    assert ask(gate, "2026-06-01T12:01:00Z", "i-2", topic="cards")["verdict"] == "approved"
    # Without a topic it might be either, and both count: 1 - 2 - ...
    assert last_entry(ask(gate, "2026-06-01T12:02:00Z", "i-3")) == [ONLY_ONE_RULE, 25, 2]


def test_channels_of_a_group_share_and_a_channel_without_group_is_its_own() -> None:
    gate = model({"kind": "cap", "limit": 1, "window": {"rolling": "1d"}, "scope": ["channel_group"]})
    assert ask(gate, "2026-06-01T12:00:00Z", channel="sms")["verdict"] == "approved"
    assert ask(gate, "2026-06-01T12:00:00Z", "i-2", channel="whatsapp")["reason"] == "cap_reached"
    assert ask(gate, "2026-06-01T12:00:00Z", "i-3", channel="email")["verdict"] == "approved"
    assert ask(gate, "2026-06-01T12:00:00Z", "i-4", channel="voice")["verdict"] == "approved"


def test_the_next_moment_satisfies_every_rule_together() -> None:
    gate = model(
        window({"workday": ["08:00-19:00"], "saturday": ["08:00-15:00"], "holiday": []}, holidays="recipient"),
        {"kind": "gap", "minimum": "4h"},
        {"kind": "cap", "limit": 1, "window": {"calendar": "week"}, "scope": ["channel"]},
    )
    # Thursday 9 July 2026, 12:00 in Bogota.
    assert ask(gate, "2026-07-09T12:00:00-05:00", country="CO")["verdict"] == "approved"
    # The week ends on Sunday; Monday the 13th is a holiday; so Tuesday the 14th at 08:00.
    answer = ask(gate, "2026-07-09T12:01:00-05:00", "i-2", country="CO")
    assert iso(answer["next_eligible_at"]) == "2026-07-14T13:00:00Z"
    # By voice only the gap stands: 12:05 + 4 h = 16:05.
    answer = ask(gate, "2026-07-09T12:01:00-05:00", "i-3", country="CO", channel="voice")
    assert iso(answer["next_eligible_at"]) == "2026-07-09T21:05:00Z"


def test_no_moment_after_the_deadline_is_promised() -> None:
    gate = model(window("08:00-19:00", zone="policy"))
    late = ask(gate, "2026-06-01T07:00:00-05:00", expires_at="2026-06-01T08:00:02-05:00")
    assert late["next_eligible_at"] is None  # 08:00:02 - 1 ms - 08:00 is 1999 ms
    enough = ask(gate, "2026-06-01T07:00:00-05:00", "i-2", expires_at="2026-06-01T08:00:02.001-05:00")
    assert iso(enough["next_eligible_at"]) == "2026-06-01T13:00:00Z"


# ---- identity -------------------------------------------------------------------------------------------------------


def test_the_decision_id_is_derived() -> None:
    # printf '3:c-1i-1' | b2sum -l 96
    assert decision_id("c-1", "i-1") == "fd546254991957fddf6ee8ca"
    # Five bytes, four of them letters: printf '4:ñ-2i-1' | b2sum -l 96
    assert decision_id("ñ-2", "i-1") == "57d7c90d581989fba5870752"


def test_one_answer_to_one_intent() -> None:
    gate = model()
    assert ask(gate, "2026-06-01T12:00:00Z")["verdict"] == "approved"
    again = ask(gate, "2026-06-08T12:00:00Z")  # seven days later to the millisecond: still remembered
    assert (again["reason"], again["rule"], again["duplicate_of"]) == ("duplicate", "duplicate", again["decision_id"])
    assert ask(gate, "2026-06-08T12:00:00.001Z")["verdict"] == "approved"


def test_intents_from_before_the_horizon_or_from_the_future() -> None:
    gate = model()
    now = at("2026-06-08T12:00:00Z")
    assert ask(gate, now, created_at=now - 7 * DAY)["verdict"] == "approved"
    assert ask(gate, now, "i-2", created_at=now - 7 * DAY - 1)["rule"] == "expired:horizon"
    assert ask(gate, now, "i-3", created_at=now + 300_000)["verdict"] == "approved"
    with pytest.raises(DeadLetter, match="from_the_future"):
        ask(gate, now, "i-4", created_at=now + 300_001)


def test_the_deadline() -> None:
    now = at("2026-06-08T12:00:00Z")
    approved = ask(model(), now, expires_at=now + 2_001)
    assert (approved["verdict"], approved["valid_until"]) == ("approved", now + 2_000)
    assert approved["explanation"][2] == [2, 0, 2_001]
    denied = ask(model(), now, expires_at=now + 2_000)
    assert (denied["rule"], denied["explanation"][2], denied["next_eligible_at"]) == (
        "expired:deadline",
        [2, 2, 2_000],
        None,
    )


# ---- preferences ----------------------------------------------------------------------------------------------------


def test_the_latest_preference_wins_and_opens_only_its_scope() -> None:
    gate = model()
    says(gate, "2026-06-01T12:00:00Z", "opt_out")
    says(gate, "2026-06-01T12:01:00Z", "opt_in", channel="sms")
    assert ask(gate, "2026-06-01T13:00:00Z")["verdict"] == "approved"
    denied = ask(gate, "2026-06-01T13:00:00Z", "i-2", channel="voice")
    assert (denied["reason"], denied["rule"]) == ("opt_out", "opt-out")
    assert denied["explanation"][6] == [6, 10, -HOUR]  # its order is an hour ago, and it never ends


def test_ties_restrict_and_order_is_not_arrival() -> None:
    gate = model()
    now = "2026-06-01T12:00:00Z"
    says(gate, now, "opt_in", record=at(now), event_id="a")
    says(gate, now, "opt_out", record=at(now), event_id="b", channel="sms")
    assert ask(gate, now)["reason"] == "opt_out"
    says(gate, now, "opt_in", record=at(now) + 1, event_id="c")
    # Effective when its record says, a millisecond from now.
    assert ask(gate, now, "i-2")["next_eligible_at"] == at(now) + 1
    assert ask(gate, at(now) + 1, "i-3")["verdict"] == "approved"
    # Arrives last, but was said before: nothing changes.
    says(gate, at(now) + 1, "opt_out", effective_at=at(now) - 1, event_id="d")
    assert ask(gate, at(now) + 1, "i-4")["verdict"] == "approved"


def test_restrictive_at_once_permissive_when_effective() -> None:
    gate = model()
    says(gate, "2026-06-01T12:00:00Z", "pause", effective_at="2026-06-02T00:00:00Z", until="2026-06-03T00:00:00Z")
    denied = ask(gate, "2026-06-01T12:00:00Z")
    assert (denied["reason"], iso(denied["next_eligible_at"])) == ("paused", "2026-06-03T00:00:00Z")
    says(gate, "2026-06-01T13:00:00Z", "resume", effective_at="2026-06-02T00:00:00Z")
    assert iso(ask(gate, "2026-06-01T13:00:00Z", "i-2")["next_eligible_at"]) == "2026-06-02T00:00:00Z"


def test_an_intent_that_does_not_say_might_be_the_one_meant() -> None:
    gate = model()
    says(gate, "2026-06-01T12:00:00Z", "opt_out", topic="loans")
    assert ask(gate, "2026-06-01T12:00:00Z", topic="cards")["verdict"] == "approved"
    assert ask(gate, "2026-06-01T12:00:00Z", "i-2")["reason"] == "opt_out"
    says(gate, "2026-06-01T12:01:00Z", "opt_in", topic="loans")
    assert ask(gate, "2026-06-01T12:02:00Z", "i-3")["reason"] == "opt_out"


def test_preferences_from_the_future() -> None:
    gate = model()
    now = at("2026-06-01T12:00:00Z")
    with pytest.raises(DeadLetter, match="from_the_future"):
        says(gate, now, "opt_in", record=now + 300_001)
    says(gate, now, "opt_out", record=now + 300_001)
    says(gate, now + 1, "opt_in")  # the opt-out was taken at order `now`, so this is later
    assert ask(gate, now + 1)["verdict"] == "approved"


def test_a_stop_withdraws_what_may_still_be_stopped() -> None:
    gate = model()
    sms = ask(gate, "2026-06-01T12:00:00Z")["decision_id"]
    voice = ask(gate, "2026-06-01T12:00:00Z", "i-2", channel="voice")["decision_id"]
    sent = ask(gate, "2026-06-01T12:00:00Z", "i-3")["decision_id"]
    # The reply confirms the message it answers; the other SMS is withdrawn; the call is no SMS.
    found = outcome(gate, "2026-06-01T12:01:00Z", "reply", decision_id=sent, detail="stop")
    assert found == [{"decision_id": sms, "reason": "opt_out"}]
    assert says(gate, "2026-06-01T12:02:00Z", "restriction") == [{"decision_id": voice, "reason": "restricted"}]
    assert says(gate, "2026-06-01T12:03:00Z", "erasure") == []


def test_consent() -> None:
    rule = {"kind": "consent", "max_age": "10d"}
    gate = model(rule)
    day = at("2026-06-01T12:00:00Z")
    assert ask(gate, day)["reason"] == "consent_missing"
    says(gate, day, "consent_granted", channel="sms")
    assert ask(gate, day, "i-2")["reason"] == "consent_unproven"
    says(gate, day + HOUR, "consent_granted", channel="sms", evidence_ref="doc")
    # Ten days after it became effective.
    granted = ask(gate, day + 2 * HOUR, "i-3")
    assert (granted["verdict"], last_entry(granted)[2:]) == ("approved", [10 * DAY - HOUR])
    assert ask(gate, day + HOUR + 10 * DAY, "i-4")["reason"] == "consent_expired"
    assert ask(gate, day + 20 * DAY, "i-5", channel="voice")["reason"] == "consent_missing"
    pending = ask(gate, day + 5 * DAY, "i-6")["decision_id"]
    found = says(gate, day + 5 * DAY, "consent_withdrawn")
    assert {"decision_id": pending, "reason": "consent_withdrawn"} in found
    assert ask(gate, day + 5 * DAY, "i-7")["reason"] == "consent_withdrawn"


def test_nothing_is_approved_just_before_a_consent_or_an_opt_in_ends() -> None:
    day = at("2026-06-01T12:00:00Z")
    gate = model({"kind": "consent", "evidence": "optional"})
    says(gate, day, "consent_granted", expires_at=day + HOUR)
    # Valid until end - 1: 2000 ms are left 2001 ms before the end, and 1999 one millisecond later.
    granted = ask(gate, day + HOUR - 2_001)
    assert (granted["valid_until"], last_entry(granted)) == (day + HOUR - 1, [ONLY_ONE_RULE, 0, 2_001])
    short = ask(gate, day + HOUR - 2_000, "i-2")
    assert (short["reason"], last_entry(short), short["next_eligible_at"]) == ("closing", [ONLY_ONE_RULE, 24], None)

    gate = model()
    says(gate, day, "opt_out")
    says(gate, day + 1, "opt_in", until=day + HOUR)
    assert ask(gate, day + HOUR - 2_001)["valid_until"] == day + HOUR - 1
    assert ask(gate, day + HOUR - 2_000, "i-2")["reason"] == "closing"
    assert ask(gate, day + HOUR, "i-3")["reason"] == "opt_out"


def test_the_first_date_of_an_identity_stays() -> None:
    gate = model()
    now = at("2026-06-01T12:00:00Z")
    ask(gate, now)
    # Comes back expired and, behind that, a duplicate: not remembered anew, so it is forgotten with the first date.
    again = ask(gate, now + DAY, expires_at=now)
    assert (again["rule"], again["explanation"][3], again["duplicate_of"]) == ("expired:deadline", [3, 3], None)
    assert ask(gate, now + 7 * DAY)["reason"] == "duplicate"
    assert ask(gate, now + 7 * DAY + 1)["verdict"] == "approved"


def test_an_exception_by_country_leaves_no_contact_uncounted() -> None:
    rule = {"kind": "cap", "limit": 1, "window": {"rolling": "1h"}}
    by_purpose = model({**rule, "except": {"purposes": ["otp"]}})
    ask(by_purpose, "2026-06-01T12:00:00Z", purpose="otp")
    assert ask(by_purpose, "2026-06-01T12:00:00Z", "i-2")["verdict"] == "approved"
    # Of this one a contact cannot tell whether it was excepted: it counts.
    by_country = model({**rule, "except": {"purposes": ["otp"], "countries": ["CO"]}})
    ask(by_country, "2026-06-01T12:00:00Z", purpose="otp", country="ES")
    assert ask(by_country, "2026-06-01T12:00:00Z", "i-2")["reason"] == "cap_reached"


def test_a_late_erasure_leaves_later_identities() -> None:
    gate = model()
    now = at("2026-06-01T12:00:00Z")
    ask(gate, now, "old")
    ask(gate, now + 2 * DAY, "new")
    says(gate, now + 3 * DAY, "erasure", effective_at=now + DAY)
    assert ask(gate, now + 3 * DAY, "new", created_at=now + 2 * DAY)["reason"] == "duplicate"
    assert ask(gate, now + 3 * DAY, "old")["verdict"] == "approved"  # a new date for a forgotten name


def test_erasure_forgets_and_keeps_the_opt_out() -> None:
    gate = model({"kind": "cap", "limit": 1, "window": {"lifetime": True}})
    now = at("2026-06-01T12:00:00Z")
    first = ask(gate, now)["decision_id"]
    says(gate, now + MINUTE, "opt_out", channel="voice")
    assert says(gate, now + 2 * MINUTE, "erasure") == [{"decision_id": first, "reason": "erased"}]
    assert ask(gate, now + HOUR, created_at=now + 2 * MINUTE)["rule"] == "expired:erasure"
    assert ask(gate, now + HOUR, "i-2", channel="voice", created_at=now + 2 * MINUTE + 1)["reason"] == "opt_out"
    assert ask(gate, now + HOUR, "i-3", created_at=now + 2 * MINUTE + 1)["verdict"] == "approved"


# ---- what is not understood ------------------------------------------------------------------------------------------

NOON = "2026-06-01T12:00:00Z"
OTHER_NAMES = {
    "channels": {"sms": ["SMS-MT", "texto"], "text": ["mensajes"]},
    "purposes": {"marketing": ["promo"]},
    "topics": {"loans": ["Credit"]},
}


def open_after(gate: Model, now: str, **fields: object) -> bool:
    """Whether an intent that leaves nothing behind would be approved."""
    intent = {"intent_id": "i-asked", "customer_id": "c-1", "channel": "sms", "created_at": at(now), **fields}
    return gate.approves(intent, at(now))


def test_words_are_folded() -> None:
    assert [folded(word) for word in ("SMS", " s m s\n", "\uff33\uff2d\uff33", "s\u200bms", "Straße", "\u00ad")] == [
        *("sms",) * 4,
        "strasse",
        "",
    ]


@pytest.mark.parametrize(
    ("word", "closed"),
    [
        ("sms", {"sms"}),
        (" SMS", {"sms"}),
        ("Texto", {"sms"}),
        ("text", {"sms", "whatsapp"}),
        ("MENSAJES", {"sms", "whatsapp"}),
        ("phone", {"voice"}),
        # Not declared, and what people write who mean every one.
        ("fax", {"sms", "whatsapp", "voice", "email"}),
        ("all", {"sms", "whatsapp", "voice", "email"}),
        ("*", {"sms", "whatsapp", "voice", "email"}),
    ],
)
def test_what_a_channel_of_a_no_closes(word: str, closed: set[str]) -> None:
    gate = model(other_names=OTHER_NAMES)
    says(gate, NOON, "opt_out", channel=word)
    assert {c for c in ("sms", "whatsapp", "voice", "email") if not open_after(gate, NOON, channel=c)} == closed


def test_a_word_that_is_declared_later_narrows_what_it_covers() -> None:
    gate = model()
    says(gate, NOON, "opt_out", purpose="News Letter")
    assert not open_after(gate, NOON)
    knowing = model(purposes=["marketing", "newsletter"])
    knowing.customers = gate.customers
    assert open_after(knowing, NOON)
    assert not open_after(knowing, NOON, purpose="newsletter")


@pytest.mark.parametrize("scope", [{"channel": "fax"}, {"purpose": "gossip"}, {"topic": "all"}, {"brand": " "}])
def test_a_yes_with_a_word_nobody_knows_is_a_dead_letter(scope: dict[str, str]) -> None:
    with pytest.raises(DeadLetter, match="unknown_word"):
        says(model(), NOON, "opt_in", **scope)


def test_topics_have_other_names_too() -> None:
    gate = model(other_names=OTHER_NAMES)
    says(gate, NOON, "opt_out", topic="credit")
    assert not open_after(gate, NOON, topic="LOANS")
    assert open_after(gate, NOON, topic="cards")


@pytest.mark.parametrize(
    ("no", "yes", "opened"),
    [
        ({}, {"channel": "sms"}, ["sms marketing", "sms otp"]),
        ({}, {}, ["sms marketing", "sms otp", "email marketing", "email otp"]),
        ({"channel": "sms"}, {"purpose": "marketing"}, ["email marketing", "email otp"]),
        (
            {"channel": "sms"},
            {"channel": "sms", "purpose": "marketing"},
            ["sms marketing", "email marketing", "email otp"],
        ),
        ({"channel": "sms", "purpose": "marketing"}, {"channel": "sms"}, ["sms otp", "email marketing", "email otp"]),
        ({"channel": "sms"}, {}, ["sms marketing", "sms otp", "email marketing", "email otp"]),
        ({"channel": "sms"}, {"channel": "email"}, ["email marketing", "email otp"]),
        ({"channel": "text"}, {"channel": "sms"}, ["email marketing", "email otp"]),
        ({"channel": "text"}, {"channel": "mensajes"}, ["sms marketing", "sms otp", "email marketing", "email otp"]),
    ],
)
def test_what_a_yes_undoes(no: dict[str, str], yes: dict[str, str], opened: list[str]) -> None:
    gate = model(other_names=OTHER_NAMES)
    says(gate, NOON, "opt_out", **no)
    says(gate, "2026-06-01T12:00:01Z", "opt_in", **yes)
    asked = [(channel, purpose) for channel in ("sms", "email") for purpose in ("marketing", "otp")]
    found = [f"{c} {p}" for c, p in asked if open_after(gate, "2026-06-01T12:00:02Z", channel=c, purpose=p)]
    assert found == opened


def test_a_restriction_is_lifted_by_whoever_placed_it() -> None:
    gate = model()
    says(gate, NOON, "restriction", source="Register")
    says(gate, NOON, "restriction")
    for number, (lift, is_open) in enumerate(
        [({"source": "bank"}, False), ({}, False), ({"source": "register "}, True)]
    ):
        moment = f"2026-06-01T12:00:0{number + 1}Z"
        says(gate, moment, "restriction_lifted", **lift)
        assert open_after(gate, moment) == is_open
    # One that the customer did not place, and says so late: the lift of another does not touch it.
    says(gate, "2026-06-01T12:00:05Z", "restriction")
    says(gate, "2026-06-01T12:00:06Z", "restriction_lifted", source="register")
    assert ask(gate, "2026-06-01T12:00:07Z")["reason"] == "restricted"


@pytest.mark.parametrize(
    ("times", "record"),
    [
        ({"effective_at": 1_780_315_200}, None),  # in seconds
        ({"effective_at": 0}, None),
        ({}, 0),
        ({}, -1),
        ({}, 1_780_315_200),
        ({"until": 1_780_401_600}, None),  # tomorrow, in seconds
        ({"until": "2026-06-01T11:00:00Z"}, None),  # before it begins
        ({"effective_at": 0, "until": "2026-06-01T12:00:01Z"}, None),  # which day it was said is not known
    ],
)
def test_a_no_with_a_time_nobody_can_believe_acts_from_its_arrival_and_for_good(
    times: dict[str, Any], record: int | None
) -> None:
    gate = model()
    says(gate, "2026-05-31T12:00:00Z", "opt_in")
    says(gate, NOON, "opt_out", record, **times)
    assert ask(gate, NOON)["next_eligible_at"] is None


@pytest.mark.parametrize(
    ("times", "record"),
    [
        ({"effective_at": 1_780_315_200}, None),
        ({}, 0),
        ({}, -1),
        ({"until": 1_780_401_600}, None),
        ({"expires_at": 1_780_401_600, "until": "2027-01-01T00:00:00Z"}, None),
        ({"until": NOON}, None),
    ],
)
def test_a_yes_with_a_time_nobody_can_believe_is_a_dead_letter(times: dict[str, Any], record: int | None) -> None:
    with pytest.raises(DeadLetter, match="implausible_time"):
        says(model(), NOON, "opt_in", record, **times)


def test_what_nobody_could_read_closes_everything_until_it_is_cleared_up() -> None:
    gate = model()
    pending = ask(gate, NOON)["decision_id"]
    moment = at("2026-06-01T12:01:00Z")
    withdrawn = gate.apply_preference({"type": "unread", "customer_id": "c-1"}, moment, moment)
    assert withdrawn == [{"decision_id": pending, "reason": "not_understood"}]
    says(gate, "2026-06-01T12:02:00Z", "opt_in")
    denied = ask(gate, "2026-06-01T12:02:00Z", "i-2")
    assert (denied["reason"], denied["next_eligible_at"]) == ("not_understood", None)
    assert denied["explanation"][6] == [6, 27, -MINUTE]
    says(gate, "2026-06-01T12:03:00Z", "clarification")
    assert open_after(gate, "2026-06-01T12:03:00Z")


@pytest.mark.parametrize(
    ("type_", "detail", "is_a_no"),
    [
        ("reply", "stop", True),
        ("refusal", "STOP ", True),
        ("conversation", "opt-out", True),
        ("expired", "Stop_All", True),
        ("reply", "Cancel", True),
        ("failed", "cancel", False),
        ("no_answer", "end", False),
        ("reply", "stop it", False),
        ("reply", "yes", False),
    ],
)
def test_stop_wherever_it_stands(type_: str, detail: str, is_a_no: bool) -> None:
    gate = model()
    outcome(gate, NOON, type_, detail=detail, channel="sms")
    assert open_after(gate, NOON) != is_a_no
    assert open_after(gate, NOON, channel="email")


def test_stop_closes_the_channel_of_the_contact_and_its_own() -> None:
    gate = model()
    first = ask(gate, NOON)["decision_id"]
    outcome(gate, NOON, "reply", detail="stop", channel="voice", decision_id=first)
    closed = {c for c in ("sms", "whatsapp", "voice", "email") if not open_after(gate, NOON, channel=c)}
    assert closed == {"sms", "voice"}


# ---- places ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "intent", "place"),
    [
        ({"country": "US", "region": "FL"}, {"country": "US"}, ("US", "FL")),
        ({"country": "US", "region": "FL"}, {"country": "US", "region": "NY"}, ("US", "NY")),
        ({"country": "US", "region": "FL"}, {"country": "CO"}, ("CO", None)),
        ({"country": "US", "region": "FL"}, {"region": "FL"}, ("US", "FL")),
        ({"country": "US", "region": "FL"}, {"region": "NY"}, ("US", None)),
        ({"country": "US"}, {"region": "NY"}, ("US", None)),
        ({}, {"region": "NY"}, (None, None)),
        ({}, {"country": "ES", "region": "M"}, ("ES", "MD", "M")),
        ({}, {"country": "ES", "region": "MD"}, ("ES", "MD")),
        ({}, {"country": "US", "region": "ZZZ"}, ("US", None)),
        # Of Canada the policy names no province.
        ({}, {"country": "CA", "region": "ZZZ"}, ("CA", "ZZZ")),
    ],
)
def test_where_the_recipient_is(profile: dict[str, str], intent: dict[str, str], place: tuple[str | None, ...]) -> None:
    said = [SaidPlace(each.get("country"), each.get("region")) for each in (intent, profile)]
    assert place_of(*said, frozenset({"US", "ES"})) == Place(*place)


def test_one_clock_is_one_from_2015_to_2045() -> None:
    assert one_clock("America/New_York", "America/Toronto")
    assert one_clock("UTC", "Africa/Abidjan")
    assert not one_clock("Europe/Madrid", "Europe/London")
    assert not one_clock("America/Phoenix", "America/Denver")
    # One clock until 2016, when Turkey stayed at +03:00.
    assert not one_clock("Europe/Istanbul", "Europe/Athens")


def test_where_zone_and_country_cannot_both_be_right_the_hours_of_both_count() -> None:
    gate = model(window("08:00-19:00"))
    india = {"country": "IN", "timezone": "UTC"}
    # 12:00 UTC is 17:30 in India; 17:00 UTC is 22:30.
    open_, late = ask(gate, NOON, "i-1", **india), ask(gate, "2026-06-01T17:00:00Z", "i-2", **india)
    assert (open_["verdict"], last_entry(open_)[2:]) == ("approved", [90 * MINUTE])
    assert (late["reason"], late["zone"]) == ("window_closed", ["UTC", "intent", "IN"])


# ---- which rules are asked ------------------------------------------------------------------------------------------


def test_everything_that_applies_is_asked_in_a_fixed_order() -> None:
    gate = model(
        {"kind": "gap", "minimum": "1h"},  # the last of the table: 10
        {"kind": "cap", "limit": 0, "window": {"rolling": "1h"}, "state": "shadow"},  # 9, changes nothing
        {"kind": "cap", "limit": 5, "window": {"rolling": "1h"}, "applies_to": {"channels": ["voice"]}},  # not asked
        {"kind": "campaign", "campaigns": ["spring"], "switch": "off"},  # 7, but asked before opt_out
        {"kind": "sender", "allowed": ["acme"]},  # 8
    )
    answer = ask(gate, "2026-06-01T12:00:00Z", campaign_id="spring")
    built_in = [[number, 0] for number in range(6)]
    # campaign_off is 7, sender_missing 11 + 2, cap_reached 25.
    assert answer["explanation"] == [*built_in, [7, 7], [6, 0], [8, 13], [9, 25, 0], [11, 0, 0]]
    assert (answer["reason"], answer["rule"]) == ("campaign_off", "r3")
    approved = ask(gate, "2026-06-01T12:00:00Z", "i-2", sender_id="acme")
    assert (approved["verdict"], approved["remaining"]) == ("approved", {})


def test_a_built_in_denial_asks_no_rule_of_the_policy() -> None:
    answer = ask(model({"kind": "gap", "minimum": "1h"}), "2026-06-01T12:00:00Z", channel="fax")
    assert answer["reason"] == "channel_unknown"
    assert answer["explanation"] == [[0, 0], [1, 0], [2, 0], [3, 0], [4, 4], [5, 0]]


def test_exemptions() -> None:
    gate = model(
        {"kind": "exempt", "purposes": ["otp"], "from": ["cap"], "still_counts": False},
        {"kind": "cap", "limit": 1, "window": {"rolling": "1h"}},
    )
    otp = ask(gate, "2026-06-01T12:00:00Z", purpose="otp")
    assert (otp["verdict"], last_entry(otp), otp["remaining"]) == ("approved", [ONLY_ONE_RULE, 1], {})
    assert ask(gate, "2026-06-01T12:00:00Z", "i-2")["verdict"] == "approved"  # the otp does not count
    assert ask(gate, "2026-06-01T12:00:00Z", "i-3")["reason"] == "cap_reached"
    assert ask(gate, "2026-06-01T12:00:00Z", "i-4", purpose="otp")["verdict"] == "approved"


@pytest.mark.parametrize(
    ("rule", "place", "reason"),
    [
        ({}, {}, "country_unknown"),
        ({"country_unknown": "skip"}, {}, None),
        ({"country_unknown": "apply"}, {}, "cap_reached"),
        ({}, {"country": "CO"}, "cap_reached"),
        ({}, {"country": "US", "region": "FL"}, "cap_reached"),
        ({}, {"country": "US", "region": "NY"}, None),
        ({}, {"country": "US"}, "country_unknown"),
        ({"country_unknown": "skip"}, {"country": "US"}, None),
        ({"country_unknown": "apply"}, {"country": "US"}, "cap_reached"),
        ({}, {"country": "US", "region": "ZZZ"}, "country_unknown"),  # no such state
        ({}, {"country": "ES"}, None),
        ({}, {"region": "FL"}, "country_unknown"),
    ],
)
def test_countries(rule: dict[str, str], place: dict[str, str], reason: str | None) -> None:
    cap = {"kind": "cap", "limit": 0, "window": {"rolling": "1h"}, "applies_to": {"countries": ["CO", "US-FL"]}}
    assert ask(model({**cap, **rule}), "2026-06-01T12:00:00Z", **place)["reason"] == reason


# ---- the file -------------------------------------------------------------------------------------------------------


def test_what_is_written_is_what_is_read() -> None:
    policy = read_policy("""
mesura: 1
zone: America/Bogota
history: 3d
channels: {sms: {group: text}, email: }
purposes: [no, on]
holidays: {years: [2026], calendars: {NO: {country: NO, add: [2026-12-24], remove: ["2026-12-25"]}}}
rules:
- {id: a, kind: campaign, campaigns: [x], switch: off, state: off}
- {id: b, kind: window, hours: {mon: [08:30-12:00]}}
""")
    assert policy.purposes == ["no", "on"]
    assert policy.channels == {"sms": "text", "email": "email"}
    assert policy.identities == 3 * DAY  # no longer than the history
    assert {dt.date(2026, 5, 17), dt.date(2026, 12, 24)} <= policy.calendars["NO"]  # Norway's national day
    assert dt.date(2026, 12, 25) not in policy.calendars["NO"]
    found = [(rule.number, rule.id, rule.state) for rule in policy.rules]
    assert found == [(7, "a", "off"), (6, "opt-out", "on"), (8, "b", "on")]
    assert hours_of(policy.rules[2].body["hours"]) == {"mon": [(8 * HOUR + 30 * MINUTE, 12 * HOUR)]}


# ---- the search against brute force ---------------------------------------------------------------------------------


def test_nothing_would_have_been_approved_before_the_next_eligible_moment() -> None:
    """Ask fresh intents at many moments before it, on copies of the same ledger; all are denied, and at it none is."""
    chance = random.Random(7)
    start = at("2026-03-06T12:00:00Z")
    for round_ in range(12):
        gate = model(
            window(chance.choice(["08:00-19:00", "00:30-02:30", "23:00-24:00"])),
            {"kind": "gap", "minimum": chance.choice(["30m", "20h"])},
            {"kind": "cap", "limit": 2, "window": {"calendar": chance.choice(["day", "week"])}},
            {"kind": "cap", "limit": 3, "window": {"rolling": "3d"}},
        )
        zone = chance.choice(["America/New_York", "America/Santiago", "Europe/Madrid"])
        now = start + round_ * HOUR
        for number in range(12):
            answer = ask(gate, now, f"i-{number}", timezone=zone)
            promised = answer["next_eligible_at"]
            if promised is None:
                now += chance.randint(1, 12) * HOUR
                continue
            probes = [chance.randint(now + 1, promised - 1) for _ in range(20) if promised > now + 1]
            for probe in [*probes, promised - 1, promised]:
                if probe > now:
                    before = len(gate.customer("c-1").contacts)
                    found = ask(gate, probe, f"probe-{number}-{probe}", timezone=zone)["verdict"]
                    assert found == ("approved" if probe == promised else "suppressed")
                    del gate.customer("c-1").contacts[before:]
            now = promised


def test_windows_agree_with_a_walk_through_every_minute() -> None:
    """Across a week with a clock change: what `first change` says is where the walk finds the change."""
    for zone, date in (
        ("America/Santiago", "2026-09-04"),
        ("Europe/Madrid", "2026-10-23"),
        ("Africa/Cairo", "2026-10-28"),
    ):
        gate = model(window({"workday": ["00:00-01:30", "23:00-24:00"], "sunday": ["00:30-02:30"], "sat": []}))
        start = at(f"{date}T00:00:00Z")
        minutes = range(start, start + 5 * DAY, MINUTE)
        local = [dt.datetime.fromtimestamp(t // 1000, dt.UTC).astimezone(zone_of(zone)) for t in minutes]
        is_open = [_open_by_hand(moment) for moment in local]
        for index in range(0, len(is_open) - 1, 37):
            answer = ask(gate, minutes[index], f"i-{zone}-{index}", timezone=zone)
            assert (last_entry(answer)[1] == 0) == is_open[index]
            change = next((n for n in range(index + 1, len(is_open)) if is_open[n] != is_open[index]), None)
            if change is not None:
                assert last_entry(answer)[2] == minutes[change] - minutes[index]


def _open_by_hand(moment: dt.datetime) -> bool:
    clock = (moment.hour, moment.minute)
    if moment.weekday() < 5:
        return clock < (1, 30) or clock >= (23, 0)
    return moment.weekday() == 6 and (0, 30) <= clock < (2, 30)

"""Sizes that are promised: of a ledger, of what is remembered, of what is archived."""

from __future__ import annotations

import msgspec

from streams.decision.decide import decide
from streams.decision.ledger.codec import decode_ledger, encode_ledger
from streams.decision.ledger.state import (
    CONTACTS_MAX,
    EMPTY_LEDGER,
    IDENTITIES_MAX,
    LABEL_SETS_MAX,
    NEEDED_CONSENT,
    PREFERENCES_MAX,
    UNCOUNTED,
    LabelSet,
    Ledger,
)
from streams.decision.preference_event import PreferenceEvent
from tests.decision.builders import (
    DAY,
    HOUR,
    NOW,
    contact,
    decided,
    heard,
    intent_of,
    ledger_of,
    ledger_with,
    policy_of,
)

EVER = {"id": "ever", "kind": "cap", "limit": 9, "window": {"lifetime": True}}


def full_of_identities(count: int) -> Ledger:
    return ledger_with(identities={number.to_bytes(12, "big"): NOW - HOUR for number in range(count)})


def test_a_ledger_full_of_identities_grows_by_no_refusal() -> None:
    policy = policy_of()
    for fields in ({"channel": "fax"}, {"expires_at": NOW}, {}):
        ledger = full_of_identities(IDENTITIES_MAX)
        assert decided(policy, ledger, **fields).ledger is ledger


def test_a_ledger_with_room_remembers_a_refusal() -> None:
    ledger = full_of_identities(IDENTITIES_MAX - 1)
    assert len(decided(policy_of(), ledger, channel="fax").ledger.identities) == IDENTITIES_MAX


def test_what_no_longer_counts_takes_no_room_though_nobody_has_pruned() -> None:
    old = ledger_with(identities={number.to_bytes(12, "big"): NOW - 8 * DAY for number in range(IDENTITIES_MAX)})
    assert decided(policy_of(), old).is_approved


def test_a_new_tag_takes_the_place_of_one_that_no_longer_counts_though_nobody_has_pruned() -> None:
    label_sets = tuple(LabelSet("sms", "marketing", campaign=f"k-{number}") for number in range(LABEL_SETS_MAX))
    live = [contact(NOW - HOUR, label_set=number, number=number) for number in range(1, LABEL_SETS_MAX)]
    ledger = ledger_of(*live, contact(NOW - 40 * DAY), label_sets=label_sets)
    decision = decided(policy_of(), ledger, campaign_id="new")
    assert decision.is_approved
    assert [label_set.campaign for label_set in decision.ledger.label_sets] == [
        *(label_set.campaign for label_set in label_sets[1:]),
        "new",
    ]
    assert decode_ledger(encode_ledger(decision.ledger)) == decision.ledger


def test_a_cap_for_life_counts_what_is_archived() -> None:
    archived = msgspec.structs.replace(ledger_of(contact(NOW - HOUR)), archived={0: 7})
    assert decided(policy_of(EVER), archived).remaining == {"ever": 0}
    full = msgspec.structs.replace(archived, archived={0: 8})
    assert decided(policy_of(EVER), full).reason == "cap_reached"


def test_a_cap_for_life_counts_from_the_first_millisecond() -> None:
    assert decided(policy_of(EVER), ledger_of(contact(0), contact(1, number=1))).remaining == {"ever": 6}


def test_a_cap_for_life_counts_of_the_archive_only_its_own() -> None:
    ledger = ledger_with(
        label_sets=(LabelSet("sms", "marketing"), LabelSet("email", "marketing")), archived={0: 2, 1: 5}
    )
    of_sms = EVER | {"applies_to": {"channels": ["sms"]}}
    assert decided(policy_of(of_sms), ledger).entries[-1][2] == 2


def test_the_first_moment_after_a_gap_is_exact_from_the_first_millisecond() -> None:
    gap = {"id": "hour", "kind": "gap", "minimum": "1h"}
    assert decided(policy_of(gap), ledger_of(contact(1)), now=2).next_eligible_at == 1 + HOUR


def test_contacts_on_channels_no_longer_declared_count_by_their_own_name() -> None:
    channels = {"sms": {"group": "text"}, "fax": {"group": "telex"}}
    by_group = {"id": "it", "kind": "cap", "limit": 1, "window": {"rolling": "1d"}, "scope": ["channel_group"]}
    of_group = by_group | {"scope": [], "counts": {"groups": ["telex"]}}
    all_of_it = by_group | {"scope": []}
    for label_set, counts in ((LabelSet("telex", "marketing"), True), (LabelSet("telegram", "marketing"), False)):
        ledger = ledger_of(contact(NOW - HOUR), label_sets=(label_set,))
        for rule in (by_group, of_group):
            assert decided(policy_of(rule, channels=channels), ledger, channel="fax").is_approved is not counts
        assert decided(policy_of(all_of_it, channels=channels), ledger, channel="fax").is_approved is False


def test_pruning_archives_for_a_cap_for_life_and_forgets_without_one() -> None:
    ledger = ledger_of(contact(NOW - 36 * DAY), contact(NOW - 35 * DAY, number=1), contact(NOW - 34 * DAY, number=2))
    kept = policy_of(EVER).retention.prune(ledger, NOW)
    assert (len(kept.contacts), kept.archived) == (1, {0: 2})
    assert policy_of().retention.prune(ledger, NOW).archived == {}


def test_for_a_cap_for_life_only_what_it_counts_is_archived() -> None:
    of_sms = EVER | {"counts": {"channels": ["sms"]}}
    label_sets = (LabelSet("sms", "marketing"), LabelSet("email", "marketing"))
    ledger = ledger_of(contact(NOW - 36 * DAY), contact(NOW - 36 * DAY, label_set=1, number=1), label_sets=label_sets)
    left = policy_of(of_sms).retention.prune(ledger, NOW)
    assert (left.label_sets, left.archived) == (label_sets[:1], {0: 1})


def test_a_cap_switched_off_still_keeps_its_count_for_life() -> None:
    ledger = ledger_of(contact(NOW - 36 * DAY))
    assert policy_of(EVER | {"state": "off"}).retention.prune(ledger, NOW).archived == {0: 1}


def test_the_history_is_as_long_as_the_longest_rule_needs() -> None:
    yearly = {"id": "yearly", "kind": "cap", "limit": 1, "window": {"rolling": "365d"}}
    half = {"id": "half", "kind": "gap", "minimum": "180d"}
    ledger = ledger_of(contact(NOW - 170 * DAY), contact(NOW - 360 * DAY, number=1), contact(NOW - 390 * DAY, number=2))
    assert len(policy_of(yearly).retention.prune(ledger, NOW).contacts) == 2
    assert len(policy_of(half).retention.prune(ledger, NOW).contacts) == 1
    assert len(policy_of().retention.prune(ledger, NOW).contacts) == 0


def test_a_short_history_is_raised_for_calendar_caps_too() -> None:
    rules = {
        period: {"id": "it", "kind": "cap", "limit": 1, "window": {"calendar": period, "zone": "policy"}}
        for period in ("day", "week", "month")
    }
    kept = {}
    for period, rule in rules.items():
        policy = policy_of(rule, history="1d", identities="1d")
        kept[period] = [
            days
            for days in (1, 2, 7, 8, 31, 32, 40)
            if policy.retention.prune(ledger_of(contact(NOW - days * DAY)), NOW).contacts
        ]
    # A bucket reaches back its own length.
    assert kept["day"][:1] == [1]
    assert kept["week"][:3] == [1, 2, 7]
    assert kept["month"][:5] == [1, 2, 7, 8, 31]
    assert 40 not in kept["month"]


def test_a_preference_that_replaces_another_needs_no_room() -> None:
    ledger = EMPTY_LEDGER
    for number in range(PREFERENCES_MAX):
        ledger = said(ledger, f"e-{number}", f"t-{number}", NOW - HOUR)
    assert said(ledger, "e-again", "t-0", NOW).preference_refused is False
    assert said(ledger, "e-more", "t-more", NOW).preference_refused is True


def said(ledger: Ledger, event_id: str, topic: str, at: int) -> Ledger:
    event = PreferenceEvent(event_id=event_id, customer_id="c-1", type="opt_out", topic=topic)
    return heard(event, ledger, at=at, now=at).ledger


def test_the_same_event_twice_gives_back_the_same_ledger() -> None:
    ledger = said(EMPTY_LEDGER, "e-1", "t-1", NOW)
    assert said(ledger, "e-1", "t-1", NOW) is ledger


def test_a_refusal_is_no_approval_and_an_approval_is_one() -> None:
    assert decided(policy_of()).is_approved is True
    assert decided(policy_of(), channel="fax").is_approved is False
    assert decided(policy_of({"id": "no", "kind": "cap", "limit": 0, "window": {"rolling": "1d"}})).is_approved is False


def test_an_uncounted_contact_that_needed_consent_is_both() -> None:
    consent = {"id": "consent", "kind": "consent", "on_missing": "allow"}
    free = {"id": "free", "kind": "exempt", "purposes": ["otp"], "from": ["gap"], "still_counts": False}
    (found,) = decided(policy_of(consent, free), purpose="otp").ledger.contacts
    assert found.flags == UNCOUNTED | NEEDED_CONSENT


def test_every_answer_names_its_decision() -> None:
    never = policy_of({"id": "no", "kind": "cap", "limit": 0, "window": {"rolling": "1d"}})
    answers = (decided(policy_of()), decided(never), decided(policy_of(), channel="fax"))
    # BLAKE2b-96 of "3:c-1i-1".
    assert {answer.decision_id for answer in answers} == {"fd546254991957fddf6ee8ca"}


def test_an_answer_names_its_decision_by_customer_and_intent() -> None:
    policy = policy_of()
    one = decide(intent_of(customer_id="c-1", intent_id="2"), EMPTY_LEDGER, policy, NOW)
    other = decide(intent_of(customer_id="c-", intent_id="12"), EMPTY_LEDGER, policy, NOW)
    # BLAKE2b-96 of "3:c-12" and "2:c-12", by another program: where one ends and the other begins is part of it.
    assert one.decision_id == "d8b1c5d6709cb4db658b9c5a"
    assert other.decision_id == "b425286e48f72855bb047649"


def test_a_policy_that_remembers_longer_approves_nothing_twice() -> None:
    forgetful, mindful = policy_of(identities="1d"), policy_of(identities="7d")
    created = NOW - 2 * DAY
    first = decided(forgetful, now=created, created_at=created)
    assert first.is_approved
    ledger = forgetful.retention.prune(first.ledger, NOW)
    again = decided(mindful, ledger, created_at=created)
    assert (again.reason, again.rule_id) == ("expired", "expired:horizon")
    assert decided(mindful, ledger, created_at=NOW - DAY).is_approved


def test_a_region_older_than_its_country_is_not_used() -> None:
    policy = policy_of(
        {
            "id": "florida",
            "kind": "cap",
            "limit": 0,
            "window": {"rolling": "1d"},
            "applies_to": {"countries": ["US-FL"]},
            "country_unknown": "skip",
        }
    )

    def living(*said: tuple[int, dict[str, str]]) -> Ledger:
        ledger = EMPTY_LEDGER
        for at, fields in said:
            event = PreferenceEvent(event_id=f"e-{at}", customer_id="c-1", type="profile", **fields)
            ledger = heard(event, ledger, at=at).ledger
        return ledger

    moved = living((NOW - 2, {"country": "BR", "region": "FL"}), (NOW - 1, {"country": "US"}))
    assert decided(policy, moved).is_approved
    settled = living((NOW - 2, {"country": "US"}), (NOW - 1, {"region": "FL"}))
    assert not decided(policy, settled).is_approved


def test_once_what_is_old_is_left_out_a_known_kind_of_message_has_room() -> None:
    label_sets = tuple(LabelSet("sms", "marketing", campaign=f"k-{number}") for number in range(LABEL_SETS_MAX))
    live = [contact(NOW - HOUR, label_set=number, number=number) for number in range(LABEL_SETS_MAX)]
    old = [contact(NOW - 40 * DAY, number=number) for number in range(CONTACTS_MAX - LABEL_SETS_MAX)]
    ledger = ledger_of(*live, *old, label_sets=label_sets)
    assert decided(policy_of(), ledger, campaign_id="k-7").is_approved
    assert decided(policy_of(), ledger, campaign_id="k-new").reason == "ledger_full"

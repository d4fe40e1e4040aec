"""The policies that come with mesura: what they promise about themselves."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
import yaml

from streams.decision.policy import BUILT_IN, compile_policy
from streams.decision.rules.cap import CapSpecification
from streams.decision.rules.consent import ConsentSpecification
from streams.decision.rules.exempt import ExemptSpecification
from streams.decision.rules.window import WindowSpecification
from streams.policy.loader import LoadedPolicy, load_policy
from streams.policy.packs import PACKS, pack_path

if TYPE_CHECKING:
    from streams.decision.specification import RuleSpecification

HOUR = 3_600_000


@pytest.fixture(scope="module")
def starter() -> LoadedPolicy:
    return load_policy(pack_path("starter"))


def by_id(policy: LoadedPolicy) -> dict[str, RuleSpecification]:
    return {rule.rule_id: rule for rule in policy.specification.rules}


@pytest.mark.parametrize("name", PACKS)
def test_loads_and_compiles(name: str) -> None:
    policy = load_policy(pack_path(name))
    assert policy.specification.name == name
    compile_policy(policy.specification)


def test_unknown_pack() -> None:
    with pytest.raises(KeyError):
        pack_path("../secrets")


def test_small_is_the_smallest() -> None:
    policy = load_policy(pack_path("small"))
    channel, everything = policy.specification.rules
    assert policy.warnings == ()
    assert isinstance(channel, CapSpecification)
    assert isinstance(everything, CapSpecification)
    assert (channel.limit, channel.rolling_ms, channel.scope) == (3, 7 * 24 * HOUR, ("channel",))
    assert (everything.limit, everything.rolling_ms, everything.scope) == (5, 7 * 24 * HOUR, ())


def test_starter_warns_of_what_it_means_to(starter: LoadedPolicy) -> None:
    assert [(finding.rule_id, finding.message.split(":")[0].split(" of ")[0]) for finding in starter.warnings] == [
        (None, "4 days"),  # Ceuta and Melilla keep days that depend on the moon
        (None, "4 days"),
        ("all-daily", "The rule is in shadow, so it is asked and listed but changes nothing."),
    ]


def test_starter_has_twenty_rules_and_every_one_its_reason(starter: LoadedPolicy) -> None:
    assert len(starter.specification.rules) == 20
    for rule in starter.specification.rules:
        assert rule.because.endswith("."), rule.rule_id
        assert rule.source["text"], rule.rule_id
        assert rule.source["confidence"] in {"verified", "secondary", "house"}, rule.rule_id
        if rule.source["confidence"] != "house":
            assert rule.source["url"].startswith("http"), rule.rule_id
    assert [rule.rule_id for rule in starter.specification.rules if rule.state == "shadow"] == ["all-daily"]
    assert all(rule.state != "off" for rule in starter.specification.rules)


def test_a_typical_intent_is_asked_eight_rules_or_more_on_average(starter: LoadedPolicy) -> None:
    """Rules of the policy and opt-out; built-in checks and rules it is exempt from do not count."""
    policy = compile_policy(starter.specification)
    channels = ("voice", "sms", "whatsapp", "email")
    asked = {}
    for channel, purpose, country in product(
        channels, ("marketing", "collections", "service"), ("CO", "ES", "US", "MX")
    ):
        rules = [entry.rule for entry in policy.plans[channel, purpose].rules.asked if not entry.is_exempt]
        asked[channel, purpose, country] = sum(
            1
            for rule in rules
            if rule.number >= len(BUILT_IN)
            and rule.specification.rule_id != "campaign-stop"
            and country in (rule.specification.applies_to.countries or {country})
        )
    assert asked["sms", "marketing", "CO"] == 10
    assert asked["voice", "collections", "MX"] == 7
    # Weights of a contact centre of the region: marketing half, Colombia half.
    weights = {"marketing": 5, "collections": 3, "service": 2}
    places = {"CO": 5, "ES": 2, "US": 1, "MX": 2}
    total = sum(weights[purpose] * places[country] for _, purpose, country in asked)
    mean = sum(count * weights[purpose] * places[country] for (_, purpose, country), count in asked.items()) / total
    assert mean >= 8, mean


def test_starter_says_what_the_laws_say(starter: LoadedPolicy) -> None:
    rules = by_id(starter)
    colombia, spain = rules["hours-colombia"], rules["hours-spain-calls"]
    assert isinstance(colombia, WindowSpecification)
    assert isinstance(spain, WindowSpecification)
    assert colombia.hours == {
        "workday": ((7 * HOUR, 19 * HOUR),),
        "saturday": ((8 * HOUR, 15 * HOUR),),
        "sunday": (),
        "holiday": (),
    }
    assert colombia.applies_to.channels is None, "every channel, e-mail too"
    assert colombia.source["confidence"] == spain.source["confidence"] == "verified"
    assert spain.hours == {"workday": ((9 * HOUR, 21 * HOUR),), "saturday": (), "sunday": (), "holiday": ()}


def test_the_house_window_lies_inside_the_federal_hours_of_the_united_states(starter: LoadedPolicy) -> None:
    house = by_id(starter)["hours-house"]
    assert isinstance(house, WindowSpecification)
    assert all(opens >= 8 * HOUR and closes <= 21 * HOUR for day in house.hours.values() for opens, closes in day)


def test_every_channel_used_has_its_cap_and_its_senders(starter: LoadedPolicy) -> None:
    for channel in ("voice", "sms", "email", "whatsapp"):
        rules = [rule for rule in starter.specification.rules if rule.applies_to.channels == {channel}]
        kinds = {type(rule).__name__ for rule in rules}
        assert {"CapSpecification", "SenderSpecification"} <= kinds, channel


def test_consent_is_asked_of_marketing_and_not_of_asking_for_it(starter: LoadedPolicy) -> None:
    rules = by_id(starter)
    consent = rules["consent-marketing"]
    assert isinstance(consent, ConsentSpecification)
    assert consent.applies_to.purposes == {"marketing", "survey"}
    assert rules["consent-request-monthly"].applies_to.purposes == {"consent_request"}


def test_exemptions_choose_about_counting_and_never_lift_an_opt_out(starter: LoadedPolicy) -> None:
    exemptions = [rule for rule in starter.specification.rules if isinstance(rule, ExemptSpecification)]
    assert {rule.still_counts for rule in exemptions} == {True, False}
    assert all("opt_out" not in rule.kinds for rule in exemptions)


def test_every_file_in_the_folder_is_a_pack() -> None:
    folder = pack_path("starter").parent
    assert {path.stem for path in folder.glob("*.yaml")} == set(PACKS)
    for name in PACKS:
        assert yaml.safe_load(pack_path(name).read_text(encoding="utf-8"))["name"] == name

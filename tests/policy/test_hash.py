"""What changes a policy's hash, and what does not."""

from __future__ import annotations

import random
import re
from datetime import date
from typing import TYPE_CHECKING

import pytest
import yaml

from streams.policy import loader
from streams.policy.holidays import resolve
from streams.policy.loader import content_hash, load_policy
from streams.policy.packs import pack_path

if TYPE_CHECKING:
    from collections.abc import Callable

STARTER = pack_path("starter").read_text(encoding="utf-8")


def hash_of(text: str) -> str:
    return load_policy(text).specification.content_hash


def shuffled(value: object, rng: random.Random) -> object:
    if isinstance(value, dict):
        pairs = list(value.items())
        rng.shuffle(pairs)
        return {key: shuffled(entry, rng) for key, entry in pairs}
    if isinstance(value, list):
        return [shuffled(entry, rng) for entry in value]
    return value


def test_32_hexadecimal_digits() -> None:
    assert re.fullmatch("[0-9a-f]{32}", hash_of(STARTER))


def test_comments_layout_and_quotes_do_not_change_it() -> None:
    expected = hash_of(STARTER)
    without_comments = "\n".join(re.sub(r"(^|\s)#[^\"]*$", "", line) for line in STARTER.splitlines())
    assert hash_of(without_comments) == expected
    assert hash_of("# another comment\n\n" + STARTER + "\n\n") == expected
    assert hash_of(STARTER.replace('switch: "off"', "switch: off")) == expected
    assert hash_of(STARTER.replace("[07:00-19:00]", '["07:00-19:00"]')) == expected
    assert hash_of(STARTER.replace("\n", "\r\n")) == expected


@pytest.mark.parametrize("seed", range(3))
def test_another_layout_of_the_same_content(seed: int) -> None:
    rng = random.Random(seed)
    data = shuffled(loader.parse(STARTER).data, rng)
    text = yaml.safe_dump(data, sort_keys=False, default_flow_style=rng.choice([None, True, False]), width=200)
    assert hash_of(text) == hash_of(STARTER)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("limit: 7", "limit: 8"),
        ("minimum: 2h", "minimum: 3h"),
        ("state: shadow", "state: on"),
        ('version: "2026.11"', 'version: "2026.12"'),
        ("Two hours of peace", "Two hours of quiet"),
        ("time_to_live: 5m", "time_to_live: 6m"),
        ("zone: America/Bogota", "zone: America/Lima"),
        ("years: [2025, 2026, 2027, 2028]", "years: [2025, 2026, 2027]"),
        ("US: {country: US}", "US: {country: US, categories: [public, unofficial]}"),
        ("[07:00-19:00]", "[07:00-18:59]"),
        ("still_counts: false", "still_counts: true"),
        ("id: gap-any", "id: gap-all"),
        ("rules:\n", "other_names: {brands: {north: [norte]}}\nrules:\n"),
    ],
)
def test_what_can_change_a_decision_or_its_explanation_changes_it(old: str, new: str) -> None:
    assert STARTER.count(old) >= 1
    assert hash_of(STARTER.replace(old, new, 1)) != hash_of(STARTER)


def test_order_of_rules_changes_it(with_rules: Callable[[str], str]) -> None:
    one, two = "- {id: a, kind: gap, minimum: 1h}\n", "- {id: b, kind: gap, minimum: 1h}\n"
    assert hash_of(with_rules(one + two)) != hash_of(with_rules(two + one))


def test_what_the_policy_rests_on_changes_it() -> None:
    regions = {"ES": {"M": "MD", "MD": "MD", "CT": "CT"}}
    calendar, other = resolve("CO", [2026], "CO"), resolve("CO", [2026], "CO", add=[date(2026, 12, 24)])
    hashes = {
        content_hash({"a": 1}, "2026.6", "0.109", {"CO": calendar}, regions),
        content_hash({"a": 1}, "2026.7", "0.109", {"CO": calendar}, regions),
        content_hash({"a": 1}, "2026.6", "0.110", {"CO": calendar}, regions),
        content_hash({"a": 1}, "2026.6", "0.109", {"CO": other}, regions),
        content_hash({"a": 2}, "2026.6", "0.109", {"CO": calendar}, regions),
        content_hash({"a": "1"}, "2026.6", "0.109", {"CO": calendar}, regions),
        content_hash({"a": 1}, "2026.6", "0.109", {}, regions),
        content_hash({"a": 1}, "2026.6", "0.109", {"CO": calendar}, {}),
        content_hash({"a": 1}, "2026.6", "0.109", {"CO": calendar}, {"ES": {"M": "MD", "MD": "MD"}}),
        content_hash({"a": 1}, "2026.6", "0.109", {"CO": calendar}, {"ES": {"M": "M", "MD": "MD", "CT": "CT"}}),
    }
    assert len(hashes) == 10
    same = content_hash({"a": 1}, "2026.6", "0.109", {"CO": resolve("CO", [2026], "CO")}, dict(regions))
    assert same in hashes


def test_regions_count_only_of_countries_of_which_one_is_named(with_rules: Callable[[str], str]) -> None:
    def regions(rules: str) -> set[str]:
        return set(load_policy(with_rules(rules)).specification.subdivisions)

    # The head of these policies has zones of a region and a calendar of another.
    assert regions("- {id: a, kind: gap, minimum: 1h}") == {"US", "ES"}
    assert regions("- {id: a, kind: gap, minimum: 1h, applies_to: {countries: [BR]}}") == {"US", "ES"}
    assert regions("- {id: a, kind: gap, minimum: 1h, applies_to: {countries: [BR-SP]}}") == {"US", "ES", "BR"}
    assert regions("- {id: a, kind: gap, minimum: 1h, except: {countries: [BR-SP]}}") == {"US", "ES", "BR"}


def test_a_region_stands_for_its_provinces() -> None:
    specification = load_policy(STARTER).specification
    assert specification.subdivisions["ES"]["M"] == specification.subdivisions["ES"]["MD"] == "MD"
    assert specification.subdivisions["ES"]["B"] == "CT"

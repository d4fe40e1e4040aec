"""The published schema and the loader say the same about every file."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from streams.policy.document import parse
from streams.policy.findings import PolicyRefused
from streams.policy.loader import load_policy
from streams.policy.packs import pack_path
from streams.policy.schema import SCHEMA_NAME, schema, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

VALIDATOR = Draft202012Validator(schema())
SOUND = parse(
    """\
mesura: 1
name: sound
version: "1"
zone: America/Bogota
recipient_zone: UTC
time_to_live: 5m
history: 35d
identities: 7d
default_purpose: marketing
channels: {voice: {group: phone}, sms: }
purposes: [marketing, otp]
regions: {US-FL: [America/New_York]}
other_names: {channels: {sms: [txt], phone: [call]}, brands: {north: [norte]}}
holidays:
  years: [2025, 2026]
  calendars:
    CO: {country: CO, add: [2026-12-24], remove: [2026-12-08], because: Ours}
    ES-MD: {country: ES, subdivision: MD, categories: [public]}
obligations:
  - {id: stop, applies_to: {purposes: [marketing]}, text: Say how}
rules:
  - id: cap
    kind: cap
    state: on
    because: Enough
    source: {text: House, url: "https://law.example", confidence: house}
    country_unknown: skip
    applies_to: {channels: [sms], groups: [sms], topics: [a], brands: [b], countries: [CO, US-FL], automated: true}
    except: {purposes: [otp], campaigns: [c]}
    counts: {channels: [sms]}
    counts_except: {purposes: [otp]}
    scope: [channel, brand]
    limit: 2
    window: {calendar: day, zone: recipient}
    unit: attempt
    on_missing: hold
  - {id: rolling, kind: cap, limit: 3, window: {rolling: 7d}}
  - {id: ever, kind: cap, limit: 3, window: {lifetime: true}}
  - {id: gap, kind: gap, minimum: 2h, scope: [channel_group]}
  - {id: window, kind: window, hours: {workday: [08:00-12:00, 13:00-24:00], holiday: []}, zone: UTC, holidays: CO}
  - {id: consent, kind: consent, evidence: optional, max_age: 730d, on_missing: allow}
  - {id: sender, kind: sender, allowed: [a, b], on_missing: deny}
  - {id: campaign, kind: campaign, campaigns: [c], switch: shadow_only}
  - {id: exempt, kind: exempt, purposes: [otp], from: [cap, opt_out], still_counts: false, even_if_opted_out: true}
"""
).data
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 2000), st.sampled_from(["on", "off", "7d", "x", "08:00-09:00", "CO", "-"])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "kind", "a b"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())


def test_the_published_schema_is_the_one_that_the_gate_uses() -> None:
    published = (Path(__file__).parents[2] / "schemas" / SCHEMA_NAME).read_text(encoding="utf-8")
    assert published == text_of(schema()), "write it again: python -m streams.policy.schema"


def described(part: dict[str, Any]) -> Iterator[str]:
    for key, value in part.get("properties", {}).items():
        if not isinstance(value, dict):
            continue
        yield from [] if "description" in value or "$ref" in value else [key]
        yield from described(value)


def test_everything_is_described_for_editors() -> None:
    root = schema()
    missing = [*described({k: v for k, v in root.items() if k != "$defs"})]
    for name, definition in root["$defs"].items():
        assert "description" in definition or name == "rule", name
        missing += described(definition)
    assert set(missing) <= {"kind"}


def paths(data: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    entries = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in entries:
        yield from paths(value, (*path, key))


PATHS = [path for path in paths(SOUND) if path]


def changed(path: tuple[Any, ...], value: object, how: str) -> object:
    data = copy.deepcopy(SOUND)
    holder = data
    for key in path[:-1]:
        holder = holder[key]
    if how == "remove":
        del holder[path[-1]]
    elif how == "replace":
        holder[path[-1]] = value
    elif isinstance(holder, dict):
        holder["extra"] = value
    else:
        holder.append(value)
    return data


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PATHS), ANYTHING, st.sampled_from(["remove", "replace", "extra"]))
def test_what_the_schema_refuses_is_refused_and_what_loads_it_accepts(
    path: tuple[Any, ...], value: object, how: str
) -> None:
    text = yaml.safe_dump(changed(path, value, how), sort_keys=False, width=1000)
    is_valid = VALIDATOR.is_valid(parse(text).data)
    try:
        load_policy(text)
    except PolicyRefused as refused:
        # Valid in shape and refused all the same: then for a reason a schema cannot express, and with a way out of it.
        assert all(finding.line >= 1 and finding.message for finding in refused.findings)
        assert not is_valid or all(finding.fix for finding in refused.findings)
    else:
        assert is_valid


def test_what_the_corpus_changes_is_sound() -> None:
    text = yaml.safe_dump(SOUND, sort_keys=False, width=1000)
    assert VALIDATOR.is_valid(parse(text).data)
    load_policy(text)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.text(max_size=200) | st.binary(max_size=50).map(lambda b: b.decode("latin-1")))
def test_any_text_is_loaded_or_refused(text: str) -> None:
    with pytest.raises(PolicyRefused) as caught:
        load_policy(text)
    assert caught.value.findings


def test_lines_torn_out_of_a_sound_policy() -> None:
    lines = pack_path("starter").read_text(encoding="utf-8").splitlines()
    rng = random.Random(7)
    for _ in range(25):
        kept = [line for line in lines if rng.random() > 0.01]
        try:
            load_policy("\n".join(kept))
        except PolicyRefused as refused:
            assert all(1 <= finding.line <= len(kept) for finding in refused.findings)

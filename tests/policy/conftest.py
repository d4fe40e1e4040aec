"""A sound head for policies, so that a test shows only what it is about."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from streams.policy.loader import LoadedPolicy, load_policy

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = """\
mesura: 1
name: test
version: "1"
zone: America/Bogota
default_purpose: marketing
channels:
  voice: {group: phone}
  sms: {group: text}
  email:
purposes: [marketing, service, otp]
regions:
  US-FL: [America/New_York, America/Chicago]
holidays:
  years: [2025, 2026]
  calendars:
    CO: {country: CO}
    ES-MD: {country: ES, subdivision: MD}
"""


@pytest.fixture
def with_rules() -> Callable[[str], str]:
    """A whole policy's text from its rules."""
    return lambda rules: HEAD + "rules:\n" + dedent(rules)


@pytest.fixture
def loaded(with_rules: Callable[[str], str]) -> Callable[[str], LoadedPolicy]:
    """A loaded policy from its rules."""
    return lambda rules: load_policy(with_rules(rules))

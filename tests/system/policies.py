"""Policies of system tests' own: at any hour, on any day, so that what is tested is all that can deny."""

from __future__ import annotations

ANY_HOUR = """\
mesura: 1
name: any-hour
version: "{version}"
zone: UTC
recipient_zone: UTC
time_to_live: 5m
default_purpose: service
channels:
  sms:
  email:
purposes: [service, marketing]
rules:
  - id: weekly
    kind: cap
    because: "At most {limit} in seven days."
    source: {{text: "House rule", confidence: house}}
    limit: {limit}
    window: {{rolling: 7d}}
"""


def any_hour(*, version: str = "1", limit: int = 50) -> str:
    return ANY_HOUR.format(version=version, limit=limit)

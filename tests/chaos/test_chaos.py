"""The chaos campaign in a minute: every kind of fault once, judged alike. `make chaos` runs half an hour of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.testing.real_kafka import SHORT_LIVED
from tests.chaos.campaign import carry_out
from tests.chaos.plan import KINDS
from tests.chaos.report import as_markdown

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

MINUTES = 1.0
RATE = 200
CUSTOMERS = 5_000
SEED = 20_261_123


def test_a_minute_of_everything_at_once_break_no_promise(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    request.getfixturevalue("real_kafka")  # without Kafka this ends as the other tests do; it is not the one killed
    findings = carry_out(tmp_path, seed=SEED, minutes=MINUTES, rate=RATE, customers=CUSTOMERS, java_options=SHORT_LIVED)
    assert findings.is_clean, as_markdown(findings)
    assert {each.kind for each in findings.survived} == {kind.name for kind in KINDS}
    assert findings.verdict is not None
    counts = findings.verdict.counts
    assert counts["decisions"] + counts["dead_letters"] >= counts["intents"] == findings.load["intents"]
    assert counts["pending"] == 0
    assert min(counts[what] for what in ("approved", "withdrawals", "forwarded", "dead_letters")) > 0

"""Every reason the gate can give is given in front of us: often in the demonstration, or in a case of its own."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml

from streams.contracts.header_names import ERROR_REASON
from streams.decision.reasons import REASONS
from tests.system.harness import REPOSITORY, header, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.testing.broker import Broker
    from tests.system.conftest import Runs

CASES = REPOSITORY / "tests" / "cases"
SHARE = 0.01


def named(document: Any) -> Iterator[str]:  # noqa: ANN401 - whatever a case file holds
    """Every text in a document."""
    if isinstance(document, dict):
        for value in document.values():
            yield from named(value)
    elif isinstance(document, list):
        for value in document:
            yield from named(value)
    elif isinstance(document, str):
        yield document


def test_every_reason_is_common_in_the_demonstration_or_has_a_case(embedded_broker: Broker, runs: Runs) -> None:
    account = runs.recorded(embedded_broker, 1).account
    reasons = Counter(value_of(record).get("reason") for record in account.decisions.values())
    suppressed = sum(count for reason, count in reasons.items() if reason is not None)
    common = {reason for reason, count in reasons.items() if count >= SHARE * suppressed}
    wanted: set[str] = set()
    for path in sorted(CASES.rglob("*.yaml")):
        for case in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            wanted |= set(named(case.get("want", {}) if isinstance(case, dict) else {}))
    missing = {reason.code for reason in REASONS} - common - wanted
    assert not missing
    assert len(common) >= 15


def test_the_demonstration_shows_most_ways_to_be_unreadable(embedded_broker: Broker, runs: Runs) -> None:
    account = runs.recorded(embedded_broker, 1).account
    refused = {header(record, ERROR_REASON) for record in account.dead_letters.values()}
    assert len(refused) >= 8

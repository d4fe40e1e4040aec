"""The built-in checks: one table, of which no check can be left out on either path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.decision.answer import PASS
from streams.decision.checks.check import CheckContext, compiled_conditions
from streams.decision.checks.duplicate import decision_id
from streams.decision.checks.table import CHECKS, PLAINLY_PASSES
from streams.decision.decide import decide
from streams.decision.ledger.state import CONTACTS_MAX, EMPTY_LEDGER, LabelSet, Ledger
from streams.decision.reasons import PASSED
from tests.decision.builders import DAY, NOW, contact, intent_of, ledger_of, ledger_with, policy_of

if TYPE_CHECKING:
    from streams.decision.intent import Intent

POLICY = policy_of()
OWN = decision_id("c-1", "i-1")
FULL = ledger_of(*(contact(NOW - number, number=number) for number in range(1, CONTACTS_MAX + 1)))
OLD = NOW - POLICY.specification.identities_ms - 1

# What each check denies, and no other does.
DENIED: dict[str, tuple[Intent, Ledger]] = {
    "expired:horizon": (intent_of(created_at=OLD), EMPTY_LEDGER),
    "expired:erasure": (intent_of(created_at=NOW), Ledger(erased_ms=NOW)),
    "expired:deadline": (intent_of(expires_at=NOW + 2_000), EMPTY_LEDGER),
    "duplicate": (intent_of(), ledger_with(identities={OWN: NOW - DAY})),
    "vocabulary": (intent_of(channel="fax"), EMPTY_LEDGER),
    "ledger_full": (intent_of(), FULL),
}


def plainly(intent: Intent, ledger: Ledger, passes: object = PLAINLY_PASSES) -> bool:
    assert callable(passes)
    label_set = LabelSet(intent.channel, POLICY.purpose_of(intent))
    identity = decision_id(intent.customer_id, intent.intent_id)
    return bool(passes(intent, label_set, identity, ledger, POLICY.check_tables, NOW))


def test_there_is_an_intent_that_each_check_alone_denies() -> None:
    assert list(DENIED) == [check.name for check in CHECKS]


@pytest.mark.parametrize(("name", "asked"), DENIED.items(), ids=DENIED)
def test_no_check_is_left_out(name: str, asked: tuple[Intent, Ledger]) -> None:
    """The explanation has the answer of every check, and this one alone denies."""
    intent, ledger = asked
    answer = decide(intent, ledger, POLICY, NOW)
    assert (answer.is_approved, answer.rule_id) == (False, name)
    denied = [CHECKS[number].name for number, verdict, *_ in answer.entries if verdict != PASSED]
    assert (denied, len(answer.entries)) == ([name], len(CHECKS))


@pytest.mark.parametrize(("name", "asked"), DENIED.items(), ids=DENIED)
def test_what_a_check_denies_does_not_plainly_pass_by_its_own_condition(
    name: str, asked: tuple[Intent, Ledger]
) -> None:
    assert not plainly(*asked)
    others = compiled_conditions(check for check in CHECKS if check.name != name)
    assert plainly(*asked, others)


def test_what_plainly_passes_passes_every_check() -> None:
    for expires_at in (None, NOW + 2_001, NOW + DAY):
        intent = intent_of(expires_at=expires_at)
        assert plainly(intent, EMPTY_LEDGER)
        label_set = LabelSet("sms", POLICY.purpose_of(intent))
        context = CheckContext(intent, label_set, OWN, EMPTY_LEDGER, POLICY.check_tables, NOW, is_plain=True)
        for check in CHECKS:
            answer = check.ask(context)
            assert answer[0] == PASSED
            assert check.notes or answer == PASS

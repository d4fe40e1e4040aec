"""What retention has deleted can no longer be verified, and is no broken promise. What is still certain is found."""

from __future__ import annotations

import json
from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from tests.audit.recorded import HOUR_MS, LATE_NO, Recorded, document
from tests.audit.test_planted import approved_despite_no, cap_exceeded, doubled, lost

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARES = (1 / 3, 2 / 3, 1.0)
INPUTS = ("intents", "preferences", "outcomes", "rerouted")
OUTPUTS = ("approved", "suppressed", "dead_letter")


def names(run: Recorded, *roles: str) -> list[str]:
    return [run.topics.intents[0] if role == "intents" else getattr(run.topics, role) for role in roles]


def deletions() -> Iterator[tuple[str, ...]]:
    every = (*INPUTS, *OUTPUTS, "batches")
    yield from ((role,) for role in every)
    yield from combinations(INPUTS, 2)
    yield from (INPUTS, OUTPUTS, (*INPUTS, *OUTPUTS), every)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("roles", list(deletions()), ids=" ".join)
def test_what_was_deleted_makes_nobody_break_a_promise(sound: Recorded, roles: tuple[str, ...], share: float) -> None:
    trimmed = sound.without_first(share, *names(sound, *roles))
    for run in (trimmed, trimmed.compacted()):
        report = run.audit()
        assert report.is_clean, report.as_text()


def test_answers_deleted_of_batches_of_which_no_record_is_left_are_not_missed(sound: Recorded) -> None:
    """When they were given nobody knows, so each may have been among the first."""
    trimmed = sound.without_first(1 / 3, *names(sound, *OUTPUTS)).without_first(1.0, *names(sound, "batches"))
    for run in (trimmed, trimmed.compacted()):
        assert run.found() == {}


def test_a_first_batch_record_does_not_prove_that_nothing_was_decided_before(sound: Recorded) -> None:
    """A gate of before there were batch records decided what was deleted; its answers are deleted as well."""
    trimmed = sound.edited()
    for log in trimmed.log.logs.values():
        batches = log.records[sound.topics.batches]
        log.records[sound.topics.batches] = batches[len(batches) // 2 :]  # the topic begins at 0 all the same
        served = document(log.records[sound.topics.batches][0])["served"]
        for topic in names(sound, *INPUTS):
            log.starts[topic] = served[topic][0]
            log.records[topic] = [record for record in log.records[topic] if record.offset >= log.starts[topic]]
    report = trimmed.compacted().audit()
    assert report.is_clean, report.as_text()
    assert report.counts["missing"] > 0


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("role", INPUTS)
def test_deleted_inputs_are_counted(sound: Recorded, role: str, share: float) -> None:
    trimmed = sound.without_first(share, *names(sound, role))
    [topic] = names(sound, role)
    gone = sum(log.starts[topic] for log in trimmed.log.logs.values())
    assert trimmed.audit().counts["missing"] == gone


def test_intents_that_were_deleted_leave_in_doubt_only_whoever_was_answered(run: Recorded) -> None:
    """The answers name them; of everybody else everything is known."""
    trimmed = run.without_first(1 / 3, *names(run, "intents"))
    answered = {
        document(answer)["customer_id"]
        for log in trimmed.log.logs.values()
        for topic in names(run, "approved", "suppressed")
        for answer in log.records[topic]
        if int(dict(answer.headers)["mesura.origin.offset"]) < log.starts[run.topics.intents[0]]
        and dict(answer.headers)["mesura.origin.topic"] == run.topics.intents[0].encode()
    }
    assert "capped" in answered
    assert "no" not in answered
    approved_despite_no(trimmed)
    report = trimmed.audit()
    assert report.found == {"approved_despite_no": 1, "ledger_differs": 1}
    assert report.not_verifiable


def without_what_was_said_before(run: Recorded, customer: str) -> Recorded:
    """A copy without the preferences before the customer's first, on its partition; dated by the broker, as planned."""
    trimmed = run.edited()
    log = trimmed.log.logs[trimmed.partition_of(customer)]
    [topic] = names(run, "preferences")
    first = next(n for n, record in enumerate(log.records[topic]) if record.key == customer.encode())
    assert first > 0
    log.records[topic] = [each._replace(appended_ms=each.timestamp_ms) for each in log.records[topic][first:]]
    log.starts[topic] = log.records[topic][0].offset
    return trimmed


def test_an_approval_against_a_no_that_is_there_is_found_whatever_was_deleted(run: Recorded) -> None:
    """What was deleted was said before, so it cannot have taken the no back."""
    trimmed = without_what_was_said_before(run, LATE_NO)
    trimmed.approve(LATE_NO)
    report = trimmed.audit()
    assert report.found == {"approved_despite_no": 1}, report.as_text()


def test_an_approval_against_a_no_that_was_made_earlier_may_have_been_right(run: Recorded) -> None:
    """A no that takes effect before what was deleted may have been taken back by that."""
    trimmed = without_what_was_said_before(run, LATE_NO)
    trimmed.approve(LATE_NO)
    [said] = [each for each in trimmed.records(run.topics.preferences, LATE_NO) if each.key == LATE_NO.encode()]
    earlier = {**document(said), "effective_at": said.timestamp_ms - HOUR_MS}
    trimmed.change(run.topics.preferences, LATE_NO, said, said._replace(value=json.dumps(earlier).encode()))
    report = trimmed.audit()
    assert report.found == {}, report.as_text()
    assert report.not_verifiable["approved_despite_no"] == 1


def test_a_cap_exceeded_by_approvals_that_are_there_is_found_whatever_was_deleted(run: Recorded) -> None:
    """What was deleted had been applied before the first of them, and a cap of seven days has no zone."""
    trimmed = run.edited()
    for log in trimmed.log.logs.values():
        [topic] = names(run, "preferences")
        batch = document(trimmed.batches(log.partition)[0])
        log.starts[topic] = batch["served"][topic][1]
        log.records[topic] = [record for record in log.records[topic] if record.offset >= log.starts[topic]]
    assert trimmed.audit().counts["missing"] > 0
    cap_exceeded(trimmed)
    assert trimmed.found()["cap_exceeded"] == 1


def test_a_cap_exceeded_by_approvals_of_which_an_outcome_may_be_missing_may_not_have_been(run: Recorded) -> None:
    trimmed = run.without_first(1.0, *names(run, "outcomes"))
    cap_exceeded(trimmed)
    report = trimmed.audit()
    assert report.is_clean, report.as_text()
    assert report.not_verifiable["cap_exceeded"] == 1


def test_what_the_ledgers_still_remember_is_where_the_replay_begins(run: Recorded) -> None:
    """Without it, everybody who had said no before the first record that is left would be suppressed without reason."""
    trimmed = run.without_first(1.0, *names(run, "preferences"))
    report = trimmed.audit()
    assert report.is_clean
    assert not report.not_verifiable["wrong_verdict"]


def test_what_hangs_on_nothing_that_was_deleted_is_found(run: Recorded) -> None:
    trimmed = run.without_first(1 / 3, *names(run, "preferences", "outcomes"))
    doubled(trimmed)
    lost(trimmed)
    assert trimmed.found() == {"doubled": 1, "lost": 1}


def test_the_report_says_what_could_not_be_verified(run: Recorded) -> None:
    trimmed = run.without_first(1.0, *names(run, "preferences"))
    report = trimmed.audit()
    assert report.not_verifiable
    assert "Clean: every promise was kept, as far as can still be known." in report.as_text()
    assert "Not verifiable, because what could explain it was deleted or has lost its order:" in report.as_text()
    assert '"not_verifiable": {' in report.as_json()

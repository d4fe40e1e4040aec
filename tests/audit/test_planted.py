"""Each promise broken once in the log of a sound run: exactly that is found, and what it necessarily implies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from streams.audit.report import KINDS, Place
from tests.audit.recorded import META, UNKNOWN_DECISION, Recorded, counted, document, with_header, wrong_partition

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.audit.log import Record

PLANTS: dict[str, tuple[Callable[[Recorded], None], dict[str, int]]] = {}


def plants(*implied: str, name: str = "") -> Callable[[Callable[[Recorded], None]], Callable[[Recorded], None]]:
    """Register a plant. Its name (or `name`) is the kind that must be found, once, with what that implies."""

    def register(plant: Callable[[Recorded], None]) -> Callable[[Recorded], None]:
        PLANTS[plant.__name__] = (plant, counted(name or plant.__name__, *implied))
        return plant

    return register


# ---- answers --------------------------------------------------------------------------------------------------------


@plants()
def lost(run: Recorded) -> None:
    run.change(run.topics.suppressed, "twice", run.answer("twice", "suppressed"), None)


@plants("ledger_invented", name="lost")
def lost_of_a_customer_of_whom_nothing_else_is_known(run: Recorded) -> None:
    run.change(run.topics.approved, "plain-0", run.answer("plain-0", "approved"), None)


@plants()
def doubled(run: Recorded) -> None:
    run.append(run.topics.suppressed, "no", run.answer("no", "suppressed"))


@plants()
def invented(run: Recorded) -> None:
    answer = run.answer("plain-1", "approved")
    run.append(run.topics.approved, "plain-1", with_header(answer, "mesura.origin.offset", "123456789"))


@plants()
def unreadable_answer(run: Recorded) -> None:
    answer = run.answer("twice", "suppressed")
    run.change(run.topics.suppressed, "twice", answer, answer._replace(value=b"[]"))


@plants("ledger_differs")
def wrong_verdict(run: Recorded) -> None:
    answer = run.answer("plain-2", "approved")
    refusal = {**document(answer), "type": "suppressed", "reason": "gap", "rule": "weekly", "next_eligible_at": None}
    run.change(run.topics.approved, "plain-2", answer, None)
    run.append(run.topics.suppressed, "plain-2", answer._replace(value=json.dumps(refusal).encode()))
    run.sort_by_moment(run.topics.suppressed, "plain-2")


@plants("ledger_differs")
def cap_exceeded(run: Recorded) -> None:
    run.approve("capped")


@plants("ledger_differs")
def approved_despite_no(run: Recorded) -> None:
    run.approve("no")


@plants("ledger_missing")
def approved_expired(run: Recorded) -> None:
    run.approve("expired")


@plants()
def wrong_reason(run: Recorded) -> None:
    run.rewrite("capped", run.answer("capped", "suppressed"), reason="gap")


@plants()
def wrong_bounds(run: Recorded) -> None:
    answer = run.answer("capped", "suppressed")
    run.rewrite("capped", answer, next_eligible_at=document(answer)["next_eligible_at"] + 1)


@plants("ledger_differs", name="wrong_bounds")
def valid_for_a_millisecond_longer(run: Recorded) -> None:
    answer = run.answer("plain-3", "approved")
    run.rewrite("plain-3", answer, valid_until=document(answer)["valid_until"] + 1)


@plants(name="wrong_bounds")
def one_more_said_to_remain(run: Recorded) -> None:
    run.rewrite("plain-3", run.answer("plain-3", "approved"), remaining={"weekly": 2})


@plants()
def wrong_explanation(run: Recorded) -> None:
    answer = run.answer("plain-3", "approved")
    explanation = document(answer)["explanation"]
    run.rewrite("plain-3", answer, explanation={**explanation, "rules": explanation["rules"][:-1]})


@plants()
def wrong_contents(run: Recorded) -> None:
    run.rewrite("plain-3", run.answer("plain-3", "approved"), channel="email")


@plants()
def wrong_moment(run: Recorded) -> None:
    answer = run.answer("capped", "suppressed")
    run.rewrite("capped", answer, decided_at=document(answer)["decided_at"] + 1)


@plants()
def wrong_applied(run: Recorded) -> None:
    answer = run.answer("no", "suppressed")
    changed = with_header(answer, f"mesura.applied.{run.topics.preferences}", "0")
    run.change(run.topics.suppressed, "no", answer, changed)


@plants()
def out_of_order(run: Recorded) -> None:
    first, second = run.records(run.topics.suppressed, "expired")[-2:]
    swapped = [second._replace(offset=first.offset), first._replace(offset=second.offset)]
    run.records(run.topics.suppressed, "expired")[-2:] = swapped


@plants()
def committed_late(run: Recorded) -> None:
    """By the broker's clock the batch was written a second after the end of its only approval."""
    end = document(run.answer("alone", "approved"))["valid_until"]
    batch = next(b for b in run.batches(run.partition_of("alone")) if document(b)["latest_ms"] == end - 300_000)
    assert batch.appended_ms is not None
    run.change(run.topics.batches, "alone", batch, batch._replace(appended_ms=end + 1_000))


@plants()
def barrier_broken(run: Recorded) -> None:
    """The opt-out that took the approval back had been published ten seconds before the approval."""
    [said] = [each for each in run.records(run.topics.preferences, "taken-back") if each.key == b"taken-back"]
    decided_at = document(run.answer("taken-back", "approved"))["decided_at"]
    run.change(run.topics.preferences, "taken-back", said, said._replace(timestamp_ms=decided_at - 10_000))


@plants()
def unknown_policy(run: Recorded) -> None:
    other = {"name": "other", "version": "1", "hash": "0" * 16}
    run.rewrite("twice", run.answer("twice", "suppressed"), policy=other)


# ---- withdrawals ----------------------------------------------------------------------------------------------------


@plants()
def withdrawal_missing(run: Recorded) -> None:
    run.change(run.topics.approved, "taken-back", run.answer("taken-back", "withdrawn"), None)


@plants()
def withdrawal_invented(run: Recorded) -> None:
    withdrawal = run.append(run.topics.approved, "taken-back", run.answer("taken-back", "withdrawn"))
    run.rewrite("taken-back", withdrawal, decision_id=UNKNOWN_DECISION)


@plants()
def withdrawal_doubled(run: Recorded) -> None:
    run.append(run.topics.approved, "taken-back", run.answer("taken-back", "withdrawn"))


@plants()
def wrong_withdrawal(run: Recorded) -> None:
    run.rewrite("taken-back", run.answer("taken-back", "withdrawn"), reason="paused")


# ---- records --------------------------------------------------------------------------------------------------------


def dead_letter(run: Recorded, customer: str) -> Record:
    [letter] = [each for each in run.records(run.topics.dead_letter, customer) if each.key == customer.encode()]
    return letter


@plants()
def dead_letter_missing(run: Recorded) -> None:
    run.change(run.topics.dead_letter, "bad", dead_letter(run, "bad"), None)


@plants(name="dead_letter_missing")
def dead_letter_of_what_nobody_could_read_missing(run: Recorded) -> None:
    """That it was taken for a no does not show anybody that it has to be looked at."""
    run.change(run.topics.dead_letter, "unread", dead_letter(run, "unread"), None)


@plants(name="doubled")
def dead_letter_doubled(run: Recorded) -> None:
    run.append(run.topics.dead_letter, "bad", dead_letter(run, "bad"))


@plants()
def dead_letter_needless(run: Recorded) -> None:
    answer = run.answer("twice", "suppressed")
    run.change(run.topics.suppressed, "twice", answer, None)
    headers = tuple((name.replace("mesura.origin", "mesura.error"), value) for name, value in answer.headers)
    run.append(run.topics.dead_letter, "twice", answer._replace(headers=headers))


@plants()
def dead_letter_altered(run: Recorded) -> None:
    letter = dead_letter(run, "bad")
    run.change(run.topics.dead_letter, "bad", letter, letter._replace(value=b"{}"))


@plants()
def dead_letter_reason(run: Recorded) -> None:
    letter = dead_letter(run, "future")
    run.change(run.topics.dead_letter, "future", letter, with_header(letter, "mesura.error.reason", "bad_time"))


@plants()
def misrouted_decided(run: Recorded) -> None:
    log = run.log.logs[wrong_partition("misrouted")]
    [stray] = [each for each in log.records[run.topics.outcomes] if each.key == b"misrouted"]
    pattern = next(each for each in log.records[run.topics.approved] if document(each)["type"] == "approved")
    moved = with_header(pattern, "mesura.origin.topic", run.topics.outcomes)
    moved = with_header(moved, "mesura.origin.offset", str(stray.offset))
    log.records[run.topics.approved].append(moved._replace(offset=log.records[run.topics.approved][-1].offset + 1))


def forwarded(run: Recorded) -> Record:
    [record] = run.records(run.topics.rerouted, "misrouted")
    return record


@plants()
def forward_lost(run: Recorded) -> None:
    run.change(run.topics.rerouted, "misrouted", forwarded(run), None)


@plants()
def forward_doubled(run: Recorded) -> None:
    run.append(run.topics.rerouted, "misrouted", forwarded(run))


@plants("dead_letter_missing")
def forward_misplaced(run: Recorded) -> None:
    """Under another key; where it arrived it was taken all the same, though it is not at home there."""
    record = forwarded(run)
    run.change(run.topics.rerouted, "misrouted", record, record._replace(key=b"somebody"))


@plants()
def forward_altered(run: Recorded) -> None:
    record = forwarded(run)
    changed = json.dumps({**document(record), "detail": "another"}).encode()
    run.change(run.topics.rerouted, "misrouted", record, record._replace(value=changed))


@plants()
def forward_needless(run: Recorded) -> None:
    [sound] = [each for each in run.records(run.topics.outcomes, "sound") if each.key == b"sound"]
    copy = with_header(forwarded(run), "mesura.origin.partition", str(run.partition_of("sound")))
    run.append(run.topics.rerouted, "misrouted", with_header(copy, "mesura.origin.offset", str(sound.offset)))


# ---- ledgers and positions ------------------------------------------------------------------------------------------


def earlier_ledger(run: Recorded, customer: str) -> None:
    """The customer's ledger as it was before the last change."""
    *_, before, last = run.ledgers(customer)
    run.change(run.topics.ledger, customer, last, last._replace(value=before.value))


@plants()
def outcome_not_applied(run: Recorded) -> None:
    earlier_ledger(run, "reported")


@plants("ledger_differs")
def preference_not_applied(run: Recorded) -> None:
    """Neither the no is there nor the mark of what it took back."""
    earlier_ledger(run, "taken-back")


@plants("ledger_differs", name="preference_not_applied")
def what_nobody_could_read_not_applied(run: Recorded) -> None:
    """It is a dead letter, and closes nothing."""
    earlier_ledger(run, "unread")


@plants(name="withdrawal_missing")
def withdrawal_for_what_nobody_could_read_missing(run: Recorded) -> None:
    run.change(run.topics.approved, "unread", run.answer("unread", "withdrawn"), None)


@plants()
def ledger_differs(run: Recorded) -> None:
    ledger = run.ledgers("plain-4")[-1]
    assert ledger.value is not None
    row = msgspec.msgpack.decode(ledger.value)
    row = [*row, *[None] * 17][:17]
    row[15] = True  # a preference was refused
    run.change(run.topics.ledger, "plain-4", ledger, ledger._replace(value=msgspec.msgpack.encode(row)))


@plants()
def ledger_missing(run: Recorded) -> None:
    run.change(run.topics.ledger, "plain-5", run.ledgers("plain-5")[-1], None)


@plants()
def ledger_invented(run: Recorded) -> None:
    run.append(run.topics.ledger, "plain-5", run.ledgers("plain-5")[-1]._replace(key=b"cnobody"))


@plants()
def ledger_unreadable(run: Recorded) -> None:
    ledger = run.ledgers("plain-5")[-1]
    run.change(run.topics.ledger, "plain-5", ledger, ledger._replace(value=b"x"))


def one_more_meta(run: Recorded, *, moment: int = 0, **positions: int) -> None:
    """Another meta record of the first partition; positions by role, added to the last ones."""
    last = run.metas(0)[-1]
    said = document(last)
    moved = {
        **said["positions"],
        **{
            getattr(run.topics, role): said["positions"][getattr(run.topics, role)] + by
            for role, by in positions.items()
        },
    }
    changed = {**said, "positions": moved, "latest_ms": said["latest_ms"] + moment}
    records = run.log.logs[0].records[run.topics.ledger]
    records.append(last._replace(offset=records[-1].offset + 2, value=json.dumps(changed).encode()))


@plants()
def position_back(run: Recorded) -> None:
    one_more_meta(run, preferences=-1)


@plants()
def position_beyond(run: Recorded) -> None:
    one_more_meta(run, outcomes=1_000)


@plants()
def moment_back(run: Recorded) -> None:
    one_more_meta(run, moment=-1)


def one_more_batch(run: Recorded, *, moment: int = 0, **served: tuple[int, int]) -> None:
    """Another batch record of the first partition; by role, from where to where beyond what was served last."""
    said = document(run.metas(0)[-1])
    reached = {role: said["positions"][getattr(run.topics, role)] for role in served}
    changed = {
        "served": {topic: [position, position] for topic, position in said["positions"].items()}
        | {
            getattr(run.topics, role): [reached[role] + first, reached[role] + end]
            for role, (first, end) in served.items()
        },
        "latest_ms": said["latest_ms"] + moment,
    }
    last = run.batches(0)[-1]
    run.batches(0).append(last._replace(offset=last.offset + 2, value=json.dumps(changed).encode()))


@plants(name="position_back")
def a_batch_served_again(run: Recorded) -> None:
    one_more_batch(run, preferences=(-1, 0))


@plants(name="position_back")
def a_batch_beyond_what_a_restore_would_go_on_from(run: Recorded) -> None:
    """The last meta record is that of an earlier batch, so that the last one would be decided again."""
    last = run.metas(0)[-1]
    said = document(last)
    before = {**said["positions"], run.topics.preferences: said["positions"][run.topics.preferences] - 1}
    records = run.log.logs[0].records[run.topics.ledger]
    records[:] = [record for record in records if record.key != META]
    records.append(last._replace(value=json.dumps({**said, "positions": before}).encode()))


@plants(name="position_beyond")
def a_batch_beyond_the_end(run: Recorded) -> None:
    one_more_batch(run, outcomes=(0, 1_000))


@plants(name="moment_back")
def a_batch_before_the_one_before(run: Recorded) -> None:
    one_more_batch(run, moment=-1)


@plants(name="ledger_unreadable")
def a_batch_record_nobody_can_read(run: Recorded) -> None:
    one_more_batch(run)
    run.batches(0)[-1] = run.batches(0)[-1]._replace(value=b"{")


@plants()
def position_behind(run: Recorded) -> None:
    """Nothing tells of the last batch of the partition, though its answer is there."""
    partition = run.partition_of("expired")
    run.change(run.topics.ledger, "expired", run.metas(partition)[-1], None)
    run.batches(partition).pop()


# ---- the tests ------------------------------------------------------------------------------------------------------


def test_the_untouched_log_gives_none(sound: Recorded) -> None:
    report = sound.audit()
    assert report.is_clean, report.as_text()
    counts = report.counts
    assert (counts["approved"], counts["suppressed"], counts["withdrawals"]) == (14, 6, 3)
    assert (counts["dead_letters"], counts["forwarded"], counts["pending"], counts["partitions"]) == (3, 1, 0, 2)


@pytest.mark.parametrize("name", sorted(PLANTS))
def test_a_planted_violation_is_found_and_nothing_else(run: Recorded, name: str) -> None:
    plant, expected = PLANTS[name]
    plant(run)
    report = run.audit()
    assert dict(report.found) == expected, report.as_text()
    assert not report.not_verifiable


@pytest.mark.parametrize("name", sorted(PLANTS))
def test_a_planted_violation_is_found_after_compaction_too(run: Recorded, name: str) -> None:
    plant, expected = PLANTS[name]
    plant(run)
    report = run.compacted().audit()
    assert dict(report.found) == expected, report.as_text()
    assert not report.not_verifiable


def test_every_kind_of_finding_is_planted() -> None:
    assert {kind for _, expected in PLANTS.values() for kind in expected} == set(KINDS)


def test_a_finding_says_where_and_by_which_rule_and_names_nobody(run: Recorded) -> None:
    cap_exceeded(run)
    report = run.audit()
    [finding] = [finding for finding in report.findings if finding.kind == "cap_exceeded"]
    [_, third] = [each for each in run.records(run.topics.intents[0], "capped") if each.key == b"capped"][1:]
    assert finding.rule == "weekly"
    assert finding.places[0] == Place(run.topics.intents[0], run.partition_of("capped"), third.offset)
    assert finding.places[1].topic == run.topics.approved
    assert finding.customer_hash
    for said in (report.as_text(), report.as_json()):
        assert "capped" not in said
        assert "cap_exceeded" in said
    again = run.audit(salt=b"another salt here")
    assert {each.customer_hash for each in again.findings}.isdisjoint(each.customer_hash for each in report.findings)


# ---- what is not decided yet ----------------------------------------------------------------------------------------


def test_what_nobody_has_decided_yet_is_lost_or_pending_as_one_asks(run: Recorded) -> None:
    """A record beyond the last committed position."""
    topic = run.topics.intents[0]
    waiting = run.records(topic, "plain-0")
    run.append(topic, "plain-0", waiting[-1])
    assert run.found() == {"lost": 1}
    report = run.audit(allow_undecided=True)
    assert report.is_clean
    assert report.counts["pending"] == 1


def test_a_decision_that_came_after_the_audit_began_is_no_finding(run: Recorded) -> None:
    position_behind(run)
    assert run.found(allow_undecided=True) == {}


def test_opt_outs_acknowledged_at_a_known_moment_are_judged_by_it(run: Recorded) -> None:
    """An acknowledgement somebody saw is better evidence than a timestamp and five seconds."""
    [said] = [each for each in run.records(run.topics.preferences, "taken-back") if each.key == b"taken-back"]
    place = (run.topics.preferences, run.partition_of("taken-back"), said.offset)
    decided_at = document(run.answer("taken-back", "approved"))["decided_at"]
    assert run.found(acknowledged_ms={place: decided_at - 1}) == {"barrier_broken": 1}
    assert run.found(acknowledged_ms={place: decided_at}) == {}


@pytest.mark.parametrize(("replayed_ms_before", "found"), [(10_000, {"barrier_broken": 1}), (2_000, {})])
def test_a_no_that_was_replayed_counts_from_its_replay(
    run: Recorded, replayed_ms_before: int, found: dict[str, int]
) -> None:
    """It has the time at which it was said first, a minute before the approval."""
    [said] = [each for each in run.records(run.topics.preferences, "taken-back") if each.key == b"taken-back"]
    decided_at = document(run.answer("taken-back", "approved"))["decided_at"]
    replayed = ("mesura.replay.timestamp", str(decided_at - replayed_ms_before).encode())
    again = said._replace(timestamp_ms=decided_at - 60_000, headers=(*said.headers, replayed))
    run.change(run.topics.preferences, "taken-back", said, again)
    assert run.found() == found


# ---- a compacted ledger topic ---------------------------------------------------------------------------------------


def test_a_compacted_ledger_topic_is_audited_as_exactly_as_a_new_one(sound: Recorded) -> None:
    compacted = sound.compacted()
    assert [len(compacted.metas(number)) for number in compacted.log.partitions()] == [1, 1]
    report, before = compacted.audit(), sound.audit()
    assert report.is_clean, report.as_text()
    assert not report.not_verifiable
    assert report.counts == before.counts


def test_without_batch_records_what_has_lost_its_order_is_not_verifiable(run: Recorded) -> None:
    """A cluster of before there were any: answers say the likeliest order, and nothing in it is a broken promise."""
    compacted = run.compacted()
    for log in compacted.log.logs.values():
        log.records[run.topics.batches] = []
    assert compacted.found() == {}
    cap_exceeded(compacted)
    report = compacted.audit()
    assert report.is_clean, report.as_text()
    assert report.not_verifiable == {"cap_exceeded": 1, "ledger_differs": 1}
    lost(compacted)
    assert compacted.found() == {"lost": 1}


# ---- deleted records ------------------------------------------------------------------------------------------------


def test_without_the_erasure_key_ledgers_of_the_erased_are_still_compared(run: Recorded) -> None:
    assert run.found(erasure_key="") == {}
    log = run.log.logs[run.partition_of("erased")]
    log.records[run.topics.ledger] = [r for r in log.records[run.topics.ledger] if (r.key or b"")[:1] != b"e"]
    assert run.found(erasure_key="") == {"ledger_missing": 1}
    assert run.found() == {"ledger_missing": 1}


def test_several_processes_find_the_same(run: Recorded) -> None:
    cap_exceeded(run)
    one, two = run.audit(processes=1), run.audit(processes=2)
    assert one.findings == two.findings
    assert one.counts == two.counts

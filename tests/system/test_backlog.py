"""A first start on topics that hold a backlog, stops in the middle of it, and kill -9."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from streams.exit_codes import ExitCode
from streams.testing.records import intent, preference
from tests.system.conftest import now_ms
from tests.system.harness import (
    START_SECONDS,
    STARTER,
    Gate,
    Progress,
    World,
    account_for,
    ends_of,
    running,
    until_all_decided,
    until_nothing_is_open,
    value_of,
)
from tests.system.replay import ModelReplay, by_batches

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.records import OutgoingRecord

pytestmark = pytest.mark.timeout(400)

BACKLOG = 60_000
"""Of the test that kills: more than a worker can decide before it is killed twice."""
FIRST_BACKLOG = 24_000
"""Several of the largest batches."""
# Five megabytes a partition are kept, ledgers among them; and what it takes longer than two seconds over is decided
# again, which the embedded broker shows.
EMBEDDED_BACKLOG = 4_000
KILLS = 3
CHANNELS = ("sms", "email", "whatsapp", "push")


def backlog(intents: int) -> list[OutgoingRecord]:
    """Intents to few enough customers that caps bite, and opt-outs of some of them."""
    at_ms = now_ms() - 3_000
    records = [
        preference(f"backlog-{number:05d}", f"stop-{number}", at=at_ms, channel="sms")
        for number in range(0, intents // 6, 7)
    ]
    records += [
        intent(
            f"backlog-{number % (intents // 6):05d}",
            f"intent-{number}",
            created_at=at_ms,
            channel=CHANNELS[number % 4],
            purpose=("otp", "emergency", "service")[number % 3],
            timezone="Etc/GMT" + ("+" if number % 2 else "-") + str(number % 12 + 1),
        )
        for number in range(intents)
    ]
    return records


def size_of(world: World) -> int:
    return EMBEDDED_BACKLOG if world.broker.is_embedded else FIRST_BACKLOG


def verdicts(world: World, complete: int) -> Counter[str]:
    account = account_for(world)
    assert len(account.decisions) == complete
    assert not account.dead_letters
    assert not account.forwarded
    return Counter(value_of(record)["type"] for record in account.decisions.values())


def test_a_first_start_decides_the_whole_backlog_and_a_restart_nothing_twice(world: World, tmp_path: Path) -> None:
    count = size_of(world)
    world.publish(backlog(count))
    with running(world, tmp_path) as gate:
        until_all_decided(gate, world)
        assert gate.terminate() == ExitCode.DONE
    first = verdicts(world, count)
    assert min(first["approved"], first["suppressed"]) > count / 100
    again = [intent(f"backlog-{n:05d}", f"intent-{n}", created_at=now_ms(), purpose="otp") for n in range(300)]
    world.publish(again)
    with running(world, tmp_path) as gate:
        until_all_decided(gate, world)
        # What was decided before is known, and not decided again.
        assert gate.counted("decisions_total") == gate.counted("duplicates_total") == 300
    assert verdicts(world, count + 300)["approved"] == first["approved"]


@pytest.mark.kafka
def test_killed_three_times_it_still_answers_everything_once(kafka_world: World, tmp_path: Path) -> None:
    kafka_world.publish(backlog(BACKLOG))
    ends = ends_of(kafka_world)
    killed_at = []
    with Progress(kafka_world) as progress:
        for _ in range(KILLS):
            gate = Gate(kafka_world.settings(), tmp_path)
            try:
                before = committed(progress)
                gate.until(lambda before=before: committed(progress) > before, START_SECONDS, "another batch")
            finally:
                gate.kill()
            killed_at.append(committed(progress))
    with running(kafka_world, tmp_path, ready=False) as gate:
        progress = until_all_decided(gate, kafka_world)
    assert killed_at == sorted(set(killed_at))
    assert killed_at[1] < sum(ends.values()), "killed too late to show anything"
    verdicts(kafka_world, BACKLOG)
    judge_some(kafka_world, progress)


def judge_some(world: World, progress: Progress) -> None:
    """The answers to one customer in ten are the independent model's, over kills and take-overs."""
    account = account_for(world)
    steps = [step for step in by_batches(world, account, progress) if (step.record.key or b"").endswith(b"7")]
    judgement = ModelReplay(STARTER).judge(account, steps)
    assert not judgement.differences, judgement.differences[:10]
    assert judgement.decisions > len(account.decisions) / 20
    assert judgement.approved > 100


@pytest.mark.kafka
def test_two_workers_share_the_partitions_and_one_takes_over_when_the_other_is_killed(
    kafka_world: World, tmp_path: Path
) -> None:
    kafka_world.publish(backlog(BACKLOG // 4))
    with running(kafka_world, tmp_path, slot="0", lanes=2) as survivor:
        until_all_decided(survivor, kafka_world)
        victim = Gate(kafka_world.settings(slot="1", lanes=2), tmp_path)
        try:
            victim.until(lambda: survivor.partitions() == victim.partitions() == 4, START_SECONDS, "half each")
            more = [record._replace(timestamp_ms=now_ms()) for record in backlog(BACKLOG // 4)]
            with Progress(kafka_world) as progress:
                before = committed(progress)
                kafka_world.publish(more[: len(more) // 2])
                victim.until(lambda: committed(progress) > before, START_SECONDS, "another batch")
            kafka_world.publish(more[len(more) // 2 :])
        finally:
            victim.kill()
        progress = until_all_decided(survivor, kafka_world)
        assert survivor.partitions() == kafka_world.partitions
        until_nothing_is_open(kafka_world)
    # The same intents again: all of them duplicates, whoever decided them first.
    assert verdicts(kafka_world, BACKLOG // 2)["suppressed"] >= BACKLOG // 4
    judge_some(kafka_world, progress)


@pytest.mark.kafka
def test_a_killed_worker_is_started_again_by_its_supervisor(kafka_world: World, tmp_path: Path) -> None:
    kafka_world.publish(backlog(BACKLOG // 10))
    with running(kafka_world, tmp_path, supervised=True) as gate:
        first = gate.worker_pid()
        gate.kill_worker()
        gate.until(lambda: gate.worker_pid() not in {0, first}, START_SECONDS, "another worker")
        gate.until_ready()
        until_all_decided(gate, kafka_world)
        assert gate.counted("worker_restarts_total") == 1
        assert gate.terminate() == ExitCode.DONE
    verdicts(kafka_world, BACKLOG // 10)


def committed(progress: Progress) -> int:
    """How many records the committed batches cover."""
    progress.read()
    return sum(sum(batches[-1].meta.positions.values()) for batches in progress.batches.values() if batches)

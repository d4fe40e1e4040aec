"""`mesura run --processes 2`: the partitions are shared, every intent is decided once, and what is counted is true."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from streams.contracts.routing import expected_partition
from streams.exit_codes import ExitCode
from streams.telemetry.logs import REDACTED
from streams.testing.records import intent
from streams.testing.waiting import wait_until
from tests.system.conftest import now_ms
from tests.system.harness import START_SECONDS, Haste, World, account_for, running, until_all_decided
from tests.system.policies import any_hour
from tests.telemetry.malformed import MALFORMED, PLANTED, send

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streams.testing.records import OutgoingRecord
    from tests.system.harness import Gate, Progress

pytestmark = pytest.mark.timeout(240)

PROCESSES = 2
CUSTOMERS = 400
BACKLOG = 4_000
KILLS = 3
LOAD = 12_000
# Time for the group to notice a member that was killed, and for its successor to be ready.
TAKE_OVER_SECONDS = 60.0
SCRAPE_SECONDS = 0.05
HASTE = Haste(session_timeout_seconds=5.0)
"""Eight workers are killed here, and each is missed for a session."""

Counts = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(any_hour(limit=1_000), encoding="utf-8")
    return path


def intents(first: int, count: int) -> Iterable[OutgoingRecord]:
    at_ms = now_ms()
    for number in range(first, first + count):
        yield intent(f"c-{number % CUSTOMERS}", f"i-{number}", created_at=at_ms)


def by_process(gate: Gate, name: str) -> dict[str, float]:
    found = gate.metrics().get(f"mesura_process_{name}", {})
    return {dict(labels)["process"]: value for labels, value in found.items()}


def is_shared(gate: Gate, world: World) -> bool:
    """Whether every process decides for some of the partitions, and together for all of them."""
    owned = by_process(gate, "partitions_assigned")
    return gate.get("/ready")[0] == 200 and all(owned.values()) and sum(owned.values()) == world.partitions


def until_shared(gate: Gate, world: World) -> None:
    gate.until(lambda: is_shared(gate, world), TAKE_OVER_SECONDS, "partitions shared by all processes")


def counters(gate: Gate) -> Counts:
    """Every sample that may never go down."""
    return {
        (name, labels): value
        for name, samples in gate.metrics().items()
        if name.endswith(("_total", "_bucket", "_count", "_sum"))
        for labels, value in samples.items()
    }


@contextmanager
def scraped(gate: Gate) -> Iterator[tuple[list[int], list[str]]]:
    """Scrapes all the while; gives the size of each scrape, and the counters that went down between two of them."""
    scrapes: list[int] = []
    went_down: list[str] = []
    enough = threading.Event()

    def scrape() -> None:
        last: Counts = {}
        while not enough.wait(SCRAPE_SECONDS):
            now = counters(gate)
            if not now:  # no answer in time, on a busy machine, says nothing
                continue
            scrapes.append(len(now))
            went_down.extend(f"{key}: {last[key]} {now.get(key)}" for key in last if now.get(key, -1.0) < last[key])
            last = now

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield scrapes, went_down
    finally:
        enough.set()
        thread.join()


def largest_transaction(progress: Progress) -> int:
    """No transaction has dealt with more records than this."""
    largest: dict[int, int] = defaultdict(int)
    for partition, batches in progress.batches.items():
        for batch in batches:
            records = sum(end - batch.before.get(topic, 0) for topic, end in batch.meta.positions.items())
            largest[partition] = max(largest[partition], records)
    return sum(largest.values())


def test_the_partitions_are_shared_and_each_question_finds_its_process(
    kafka_world: World, policy: Path, tmp_path: Path
) -> None:
    world = kafka_world
    world.publish(intents(0, BACKLOG))
    with running(world, tmp_path, policy=policy, processes=PROCESSES) as gate:
        until_shared(gate, world)
        assert gate.worker_pids().keys() == {"0", "1"}
        world.publish(intents(BACKLOG, BACKLOG))
        until_all_decided(gate, world)
        # Customers of every partition, so of every process; a gate knows only the contacts of its own.
        asked: dict[int, int] = {}
        for number in range(CUSTOMERS):
            asked.setdefault(expected_partition(b"c-%d" % number, world.partitions), number)
        assert len(asked) == world.partitions
        for number in asked.values():
            again = {"customer_id": f"c-{number}", "intent_id": f"i-{number}", "channel": "sms", "created_at": now_ms()}
            status, answer = gate.explain(again)
            assert (status, answer["verdict"], answer["reason"]) == (200, "suppressed", "duplicate")
        counted = gate.counted("decisions_total")
        assert gate.terminate() == ExitCode.DONE
    assert len(account_for(world).decisions) == 2 * BACKLOG
    assert counted == 2 * BACKLOG


def test_a_process_that_is_killed_at_rest_takes_no_count_with_it(
    kafka_world: World, policy: Path, tmp_path: Path
) -> None:
    world = kafka_world
    with running(world, tmp_path, policy=policy, processes=PROCESSES, haste=HASTE) as gate:
        until_shared(gate, world)
        world.publish(intents(0, BACKLOG))
        until_all_decided(gate, world)
        wait_until(lambda: gate.counted("decisions_total") == BACKLOG, START_SECONDS, "every decision counted")
        before = counters(gate)
        for pid in gate.worker_pids().values():
            os.kill(pid, signal.SIGKILL)
        gate.until(lambda: gate.counted("worker_restarts_total") == PROCESSES, START_SECONDS, "both ends seen")
        assert gate.counted("decisions_total") == BACKLOG
        assert by_process(gate, "restarts_total") == {"0": 1, "1": 1}
        until_shared(gate, world)
        world.publish(intents(BACKLOG, BACKLOG))
        until_all_decided(gate, world)
        wait_until(lambda: gate.counted("decisions_total") == 2 * BACKLOG, START_SECONDS, "every decision counted")
        after = counters(gate)
        assert {key for key, value in before.items() if after[key] < value} == set()
    assert len(account_for(world).decisions) == 2 * BACKLOG


def test_a_process_killed_under_load_costs_no_decision_and_sends_no_counter_backwards(
    kafka_world: World, policy: Path, tmp_path: Path
) -> None:
    world = kafka_world
    with running(world, tmp_path, policy=policy, processes=PROCESSES, haste=HASTE) as gate:
        until_shared(gate, world)
        with scraped(gate) as (scrapes, went_down):
            for kill in range(KILLS):
                slot = str(kill % PROCESSES)
                counted = gate.counted("decisions_total")
                world.publish(intents(kill * LOAD, LOAD))
                gate.until(
                    lambda counted=counted: gate.counted("decisions_total") > counted,  # type: ignore[misc]
                    START_SECONDS,
                    "decisions under way",
                )
                os.kill(gate.worker_pids()[slot], signal.SIGKILL)
                gate.until(
                    lambda kill=kill: gate.counted("worker_restarts_total") == kill + 1,  # type: ignore[misc]
                    START_SECONDS,
                    "the end seen",
                )
                until_shared(gate, world)
            progress = until_all_decided(gate, world)
            until_shared(gate, world)
        assert went_down == []
        assert len(scrapes) > 2 * KILLS
        counted = gate.counted("decisions_total")
        assert gate.counted("decision_latency_seconds_count") == counted, "a batch is counted whole or not at all"
        assert gate.terminate() == ExitCode.DONE
    decided = len(account_for(world).decisions)
    assert decided == KILLS * LOAD
    assert decided - KILLS * largest_transaction(progress) <= counted <= decided


def test_what_refuses_every_process_is_said_and_ends_all(kafka_world: World, tmp_path: Path) -> None:
    policy = tmp_path / "broken.yaml"
    policy.write_text("mesura: 1\nname: 7\n", encoding="utf-8")
    with running(kafka_world, tmp_path, policy=policy, processes=PROCESSES, ready=False) as gate:
        assert gate.ended(START_SECONDS) == ExitCode.REFUSED
        assert "line 2: `name` is `7`, but should be text." in gate.said
        assert "Traceback" not in gate.said


OURS = {
    "The policy is in force.",
    "The partitions of this worker have changed.",
    "the state is restored",
    "The worker has ended.",
}
"""What is said below a warning of a start, a take-over and a stop."""
MISLEADING = (
    "Seek stream partitions",
    "Worker ready",
    "Has not committed",
    "Stream stopped",
    "[^",
    "Updating subscribed",
)


def test_what_is_read_of_a_start_a_takeover_and_a_stop_is_true(
    kafka_world: World, policy: Path, tmp_path: Path
) -> None:
    world = kafka_world
    with running(world, tmp_path, policy=policy, processes=PROCESSES, haste=HASTE) as gate:
        until_shared(gate, world)
        world.publish(intents(0, BACKLOG))
        until_all_decided(gate, world)
        os.kill(gate.worker_pids()["1"], signal.SIGKILL)
        gate.until(lambda: gate.counted("worker_restarts_total") == 1, START_SECONDS, "the end seen")
        until_shared(gate, world)
        assert gate.terminate() == ExitCode.DONE
    said = [json.loads(line) for line in gate.said.splitlines()]
    told = [line for line in said if "event" in line]
    assert [list(line) for line in said if "event" not in line] == [["ops", "explain"]]
    assert {line["event"] for line in told if line["level"] == "info"} == OURS
    assert not [line["event"] for line in told if line["event"].startswith(MISLEADING) or not line["event"]]
    assert REDACTED not in gate.said, "whatever is said is shown"
    (restart,) = [line for line in told if line["event"].startswith("Process 1 ended by SIGKILL. Restart 1 in ")]
    assert (restart["exit_code"], restart["level"]) == (-signal.SIGKILL, "warning")
    last = {line["slot"]: line["partitions"] for line in told if "partitions of this worker" in line["event"]}
    assert sorted(partition for owned in last.values() for partition in owned) == list(range(world.partitions))


def policy_faults(gate: Gate) -> set[str]:
    """What is wrong with the policy file, as the metric says it."""
    found = gate.metrics().get("mesura_policy_file_differs", {})
    return {dict(labels)["why"] for labels, value in found.items() if value}


def test_a_policy_file_that_vanishes_or_breaks_ends_nothing(kafka_world: World, policy: Path, tmp_path: Path) -> None:
    world = kafka_world
    text = policy.read_text(encoding="utf-8")
    with running(world, tmp_path, policy=policy, supervised=True, processes=PROCESSES, haste=HASTE) as gate:
        (in_force,) = gate.metrics()["mesura_policy_info"]
        assert policy_faults(gate) == set()
        for number, (fault, broken) in enumerate([("missing", ""), ("refused", "mesura: 1\nname: 7\n")], 1):
            policy.unlink(missing_ok=True)
            if broken:
                policy.write_text(broken, encoding="utf-8")
            gate.until(lambda fault=fault: policy_faults(gate) == {fault}, START_SECONDS, fault)  # type: ignore[misc]
            os.kill(gate.worker_pids()["0"], signal.SIGKILL)
            gate.until(
                lambda number=number: gate.counted("worker_restarts_total") == number,  # type: ignore[misc]
                START_SECONDS,
                "the end seen",
            )
            gate.until_ready()
            gate.until(lambda fault=fault: policy_faults(gate) == {fault}, START_SECONDS, fault)  # type: ignore[misc]
            assert list(gate.metrics()["mesura_policy_info"]) == [in_force]
        world.publish(intents(0, 10))
        until_all_decided(gate, world)
        policy.write_text(text, encoding="utf-8")
        gate.until(lambda: policy_faults(gate) == set(), START_SECONDS, "the file in use again")
        assert gate.counted("worker_restarts_total") == 2
        assert gate.terminate() == ExitCode.DONE
    assert "the last good policy stays in force" in gate.said


@pytest.mark.parametrize("processes", [1, PROCESSES])
def test_whatever_is_sent_to_the_operations_ports_nothing_of_it_is_printed(
    kafka_world: World, policy: Path, tmp_path: Path, processes: int
) -> None:
    world = kafka_world
    with running(world, tmp_path, policy=policy, supervised=True, processes=processes) as gate:
        ports = {urlsplit(gate.ops).port, *map(listening_port, gate.worker_pids().values())}
        assert len(ports) == 1 + processes
        requests = [(port, request) for port in ports for request in MALFORMED.values()]
        with ThreadPoolExecutor(len(requests)) as executor:
            list(executor.map(lambda each: send("127.0.0.1", *each), requests))
        gate.until_ready()
        assert gate.counted("worker_restarts_total") == 0
        assert gate.terminate() == ExitCode.DONE
    assert PLANTED not in gate.said
    assert PLANTED.replace("-", "") not in gate.said
    told = [json.loads(line) for line in gate.said.splitlines()]
    assert "A request to the operations port was malformed or aborted." in {line.get("event") for line in told}


def listening_port(pid: int) -> int:
    """The port on which a process listens, as its system says."""
    links = [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
    inodes = {str(link).removeprefix("socket:[").removesuffix("]") for link in links if "socket:" in str(link)}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    (port,) = [int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in inodes]
    return port

"""A worker is started again when it fails, not when it alone was refused, and is never left behind."""

from __future__ import annotations

import signal

import pytest

from streams.testing.waiting import wait_until
from tests.cli.fake_worker import CUSTOMER, FAILURE, REFUSAL
from tests.cli.supervised import SUPERVISE, events, hear, is_alive, started

ENDS_SECONDS = 20.0


@pytest.mark.parametrize(
    ("plan", "code", "restarts"),
    [
        ("0", 0, 0),
        ("2", 2, 0),
        ("refuse", 2, 0),
        ("3,3,0", 0, 2),
        ("kill,0", 0, 1),
        ("70,0", 0, 1),
        ("3,kill,refuse", 2, 2),
        ("3", 3, 5),
    ],
)
def test_what_follows_an_end(plan: str, code: int, restarts: int) -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN=plan) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    told = [event["event"] for event in events(errors)]
    assert sum("Restart " in event for event in told) == restarts


def test_the_sentence_names_the_signal_and_the_restart() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="kill,0") as process:
        _, errors = process.communicate(timeout=60)
    (told,) = events(errors)
    assert told["event"] == "The worker ended by SIGKILL. Restart 1 in 0.0 s."
    assert told["exit_code"] == -9
    assert told["reason"] == "It ended by SIGKILL without reporting a cause."


def test_what_a_worker_was_ended_by_is_said_with_its_place() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="fail@17,0") as process:
        _, errors = process.communicate(timeout=60)
    (told,) = events(errors)
    assert told["reason"] == FAILURE
    assert (told["topic"], told["partition"], told["offset"], told["exit_code"]) == ("opt-out", 3, 17, 3)


def test_a_failure_that_comes_back_is_recognised_and_one_that_moves_on_is_not() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="fail@1,fail@2,fail@3,fail@4,0") as process:
        _, errors = process.communicate(timeout=60)
    assert not [event for event in events(errors) if "why" in event]
    with started(SUPERVISE, FAKE_WORKER_PLAN="fail@17,fail@17,fail@17,0") as process:
        _, errors = process.communicate(timeout=60)
    (told,) = [event for event in events(errors) if "why" in event]
    assert told["event"] == "A worker fails in the same way again and again."
    assert told["why"] == (
        "a worker has ended 3 times in the same way at offset 17 of opt-out-3, and a restart does not help: " + FAILURE
    )
    assert (told["topic"], told["partition"], told["offset"]) == ("opt-out", 3, 17)


def test_a_failure_that_comes_back_is_given_the_longest_pause() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="fail@17", PAUSE="0.001", PAUSE_MAX="1") as process:
        _, errors = process.communicate(timeout=60)
    pauses = [float(event["event"].split()[-2]) for event in events(errors) if "Restart" in event["event"]]
    assert len(pauses) == 5
    assert max(pauses[:2]) < 0.1
    assert min(pauses[2:]) >= 0.5


def test_a_refusal_that_hangs_is_a_refusal() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="refuse-and-hang", STOP="0.1") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    (told,) = events(errors)
    assert told["event"] == "The worker was refused."
    assert told["reason"] == REFUSAL


def test_of_what_is_no_log_line_only_its_form_is_shown() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="raw,0") as process:
        out, errors = process.communicate(timeout=60)
    assert CUSTOMER not in (out + errors).decode()
    told = events(errors)
    assert {event.get("bytes") for event in told} >= {len(f"customer {CUSTOMER}\n")}
    assert told[-1]["reason"].startswith("It ended with exit code 1 (ValueError in ")
    assert "fake_worker.py:" in told[-1]["reason"]


def test_where_the_interpreter_crashed_is_known() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="crash,0") as process:
        _, errors = process.communicate(timeout=60)
    told = events(errors)[-1]
    assert told["event"].startswith("The worker ended by SIGSEGV.")
    assert told["reason"].startswith("It ended by SIGSEGV (Segmentation fault in ")
    assert "fake_worker.py:" in told["reason"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_asked_to_stop_it_stops_the_worker(number: signal.Signals) -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="3,serve") as process:
        hear(process)
        said = hear(process)
        assert said["restarts"] == 1
        process.send_signal(number)
        assert process.wait(ENDS_SECONDS) == 0
    assert not is_alive(said["pid"])


def test_a_worker_that_does_not_stop_is_killed() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="stubborn", STOP="0.1") as process:
        hear(process)
        said = hear(process)
        process.terminate()
        assert process.wait(ENDS_SECONDS) == 0
    assert not is_alive(said["pid"])


def test_a_second_signal_does_not_wait() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="stubborn", STOP="3600") as process:
        hear(process)
        said = hear(process)
        # Two kinds: two signals of one kind, pending at once, are one.
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(ENDS_SECONDS) == 0
    assert not is_alive(said["pid"])


def test_a_stop_during_a_pause_is_heard() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="3", PAUSE="3600", PAUSE_MAX="3600") as process:
        assert process.stderr is not None
        assert b"Restart 1" in process.stderr.readline()
        process.terminate()
        assert process.wait(ENDS_SECONDS) == 0


def test_no_worker_outlives_a_killed_supervisor() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="stubborn") as process:
        hear(process)
        said = hear(process)
        assert is_alive(said["pid"])
        process.kill()
        process.wait()
        wait_until(lambda: not is_alive(said["pid"]), ENDS_SECONDS, "the worker's end")


OUT_OF_PROCESSES = """
import asyncio
start, calls = asyncio.create_subprocess_exec, []
async def fails_first(*arguments, **options):
    calls.append(arguments)
    if len(calls) == 1:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return await start(*arguments, **options)
asyncio.create_subprocess_exec = fails_first
"""


def test_a_worker_that_the_system_cannot_start_is_tried_again() -> None:
    with started(OUT_OF_PROCESSES + SUPERVISE, FAKE_WORKER_PLAN="0") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    (told,) = events(errors)
    assert told["reason"] == "It could not be started: Resource temporarily unavailable."


def test_a_log_that_nobody_reads_any_more_stops_nobody() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="raw,kill,serve") as process:
        assert process.stderr is not None
        process.stderr.close()
        hear(process)
        assert hear(process)["restarts"] == 2
        process.terminate()
        assert process.wait(ENDS_SECONDS) == 0

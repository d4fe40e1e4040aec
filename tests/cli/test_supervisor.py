"""A worker is started again when it fails, not when it was refused, and is never left behind."""

from __future__ import annotations

import signal

import pytest

from streams.testing.waiting import wait_until
from tests.cli.supervised import SUPERVISE, hear, is_alive, started

ENDS_SECONDS = 20.0


@pytest.mark.parametrize(
    ("plan", "code", "restarts"),
    [
        ("0", 0, 0),
        ("refuse", 2, 0),
        ("3,3,0", 0, 2),
        ("kill,0", 0, 1),
        ("70,0", 0, 1),
        ("3,kill,refuse", 2, 2),
        ("3,3,3,3,3,3", 3, 5),
    ],
)
def test_what_follows_an_end(plan: str, code: int, restarts: int) -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN=plan) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors.decode().count("Restart ") == restarts


def test_the_sentence_names_the_signal_and_the_restart() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="kill,0") as process:
        _, errors = process.communicate(timeout=60)
    assert errors.decode().startswith("The worker ended by SIGKILL. Restart 1 in 0.0 s.")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_asked_to_stop_it_stops_the_worker(number: signal.Signals) -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="3,serve") as process:
        said = hear(process)
        assert said["restarts"] == 1
        process.send_signal(number)
        assert process.wait(ENDS_SECONDS) == 0
    assert not is_alive(said["pid"])


def test_a_worker_that_does_not_stop_is_killed() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="stubborn", STOP="0.1") as process:
        said = hear(process)
        process.terminate()
        assert process.wait(ENDS_SECONDS) == 0
    assert not is_alive(said["pid"])


def test_a_second_signal_does_not_wait() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="stubborn", STOP="3600") as process:
        said = hear(process)
        # Two kinds: two signals of one kind, pending at once, are one.
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(ENDS_SECONDS) == 0
    assert not is_alive(said["pid"])


def test_a_stop_during_a_pause_is_heard() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="3", PAUSE="3600") as process:
        assert process.stderr is not None
        assert b"Restart 1" in process.stderr.readline()
        process.terminate()
        assert process.wait(ENDS_SECONDS) == 0


def test_no_worker_outlives_a_killed_supervisor() -> None:
    with started(SUPERVISE, FAKE_WORKER_PLAN="stubborn") as process:
        said = hear(process)
        assert is_alive(said["pid"])
        process.kill()
        process.wait()
        wait_until(lambda: not is_alive(said["pid"]), ENDS_SECONDS, "the worker's end")

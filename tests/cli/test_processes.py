"""`mesura run --processes`: several workers, kept running one by one, stopped and refused all together."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from streams.cli.main import mesura
from streams.cli.ops_gateway import WORKER_TOKEN_BYTES
from streams.cli.run import slots
from streams.settings import WorkerSettings
from streams.testing.waiting import wait_until
from tests.cli.fake_worker import FAILURE, REFUSAL
from tests.cli.supervised import RUN, events, hear, is_alive, started

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

KEY = "ab" * 32
ENDS_SECONDS = 20.0


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text("mesura: 1\n")
    return path


@contextmanager
def machine(
    policy: Path, plan: str, *arguments: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The supervisor of as many processes as the plan has parts, and where it answers."""
    options = ["run", "--bootstrap", "x:1", "--policy", str(policy), "--ops-port", "0", *arguments]
    processes = str(plan.count(";") + 1)
    environment |= {"MESURA_ERASURE_KEY": KEY, "FAKE_WORKER_PLAN": plan}
    with started(RUN, *options, "--processes", processes, **environment) as process:
        yield process, hear(process)["ops"]


def get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def value(ops: str, name: str, **labels: str) -> float:
    (found,) = [
        sample.value
        for family in text_string_to_metric_families(get(f"{ops}/metrics")[1])
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return found


def settings_of(said: dict[str, Any]) -> WorkerSettings:
    return WorkerSettings.from_environment(said["settings"])


def test_slots_of_machines_do_not_meet() -> None:
    assert slots("0", 3) == ["0", "1", "2"]
    assert slots("1", 3) == ["3", "4", "5"]
    taken = [slot for number in range(5) for slot in slots(str(number), 4)]
    assert len(set(taken)) == len(taken)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--processes", "2", "--slot", "left"], "--slot must be the number of this machine"),
        (["--processes", "2", "--slot", "-1"], "--slot must be the number of this machine"),
        (["--processes", "2", "--clock", "record"], "--clock record decides with one process"),
        (["--processes", "0"], "not in the range"),
    ],
)
def test_what_cannot_be_run_in_several_processes_is_refused(policy: Path, arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(
        mesura,
        ["run", "--bootstrap", "x:1", "--policy", str(policy), *arguments],
        env={"MESURA_ERASURE_KEY": KEY, "MESURA_ERASURE_KEY_FILE": None},
    )
    assert result.exit_code == 2
    assert says in result.stderr


def test_each_process_has_a_slot_of_its_own_and_a_port_nobody_chose(policy: Path) -> None:
    with machine(policy, "serve;serve", "--ops-host", "localhost") as (process, ops):
        said = [settings_of(hear(process)) for _ in range(2)]
        process.terminate()
        assert process.wait(ENDS_SECONDS) == 0
    assert {settings.slot for settings in said} == {"0", "1"}
    assert {settings.ops_port for settings in said} == {0}
    (token,) = {settings.ops_token for settings in said}
    assert len(bytes.fromhex(token)) == WORKER_TOKEN_BYTES
    assert ops.startswith("http://localhost:")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_asked_to_stop_it_stops_every_process(policy: Path, number: signal.Signals) -> None:
    with machine(policy, "serve;serve") as (process, _):
        pids = [hear(process)["pid"] for _ in range(2)]
        process.send_signal(number)
        assert process.wait(ENDS_SECONDS) == 0
    assert not any(map(is_alive, pids))


def test_a_second_signal_does_not_wait(policy: Path) -> None:
    with machine(policy, "stubborn;stubborn") as (process, _):
        pids = [hear(process)["pid"] for _ in range(2)]
        # Two kinds: two signals of one kind, pending at once, are one.
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(ENDS_SECONDS) == 0
    assert not any(map(is_alive, pids))


def test_no_process_outlives_a_killed_supervisor(policy: Path) -> None:
    with machine(policy, "stubborn;stubborn") as (process, _):
        pids = [hear(process)["pid"] for _ in range(2)]
        process.kill()
        process.wait()
        wait_until(lambda: not any(map(is_alive, pids)), ENDS_SECONDS, "the workers' end")


def ready(ops: str) -> dict[str, Any]:
    """What a machine that is not ready says."""
    status, body = get(f"{ops}/ready")
    assert status == 503
    answer: dict[str, Any] = json.loads(body)
    return answer


def test_one_refusal_stops_nobody_who_decides_and_is_tried_again(policy: Path) -> None:
    with machine(policy, "serve;refuse,refuse,serve", PAUSE_MAX="0.5") as (process, ops):
        said = hear(process)
        wait_until(lambda: REFUSAL in ready(ops)["why"], ENDS_SECONDS, "the refusal shown")
        assert "process 1 was refused, and is tried again: " in ready(ops)["why"]
        assert get(f"{ops}/live")[0] == 200
        again = hear(process)
        assert again["restarts"] == 2
        assert is_alive(said["pid"])
        assert value(ops, "mesura_worker_restarts_total") == 2
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [event["reason"] for event in events(errors) if event["event"] == "Process 1 was refused."] == [REFUSAL] * 2


def test_which_process_is_refused_is_a_metric(policy: Path) -> None:
    with machine(policy, "serve;refuse") as (process, ops):
        hear(process)
        wait_until(lambda: value(ops, "mesura_process_refused", process="1") == 1, ENDS_SECONDS, "the refusal")
        assert value(ops, "mesura_process_refused", process="0") == 0
        assert value(ops, "mesura_ready") == 0


@pytest.mark.parametrize("plan", ["refuse;refuse", "refuse;3,refuse", "0;refuse", "refuse;0"])
def test_when_all_that_remain_are_refused_it_ends_with_the_sentence(policy: Path, plan: str) -> None:
    with machine(policy, plan) as (process, _):
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert REFUSAL in {event["reason"] for event in events(errors)}


@pytest.mark.parametrize("plan", ["fail@17", "fail@17;fail@17", "fail@17,fail@17,serve;fail@17,serve"])
def test_a_failure_that_comes_back_is_shown_wherever_it_comes(policy: Path, plan: str) -> None:
    with machine(policy, plan, PAUSE_MAX="0.2") as (_, ops):
        wait_until(lambda: value(ops, "mesura_recurring_failure") == 1, ENDS_SECONDS, "the recurrence")
        why = ready(ops)["why"]
        assert "offset 17 of opt-out-3" in why
        assert FAILURE in why
        # To start everything anew would heal nothing, and forget.
        assert get(f"{ops}/live")[0] == 200
        assert value(ops, "mesura_ready") == 0


def test_between_its_starts_a_single_worker_is_answered_for(policy: Path) -> None:
    with machine(policy, "3,3,serve") as (process, ops):
        assert ready(ops)["why"].startswith("the worker is being started")
        assert hear(process)["restarts"] == 2
        assert value(ops, "mesura_worker_restarts_total") == 2
        assert value(ops, "mesura_process_restarts_total", process="0") == 2


def test_a_failure_is_its_process_alone(policy: Path) -> None:
    with machine(policy, "serve;3,kill,serve") as (process, ops):
        said = [hear(process) for _ in range(2)]
        said.sort(key=lambda each: settings_of(each).slot)
        assert [each["restarts"] for each in said] == [0, 2]
        assert is_alive(said[0]["pid"])
        assert value(ops, "mesura_worker_restarts_total") == 2
        assert value(ops, "mesura_process_restarts_total", process="0") == 0
        assert value(ops, "mesura_process_restarts_total", process="1") == 2
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    told = [event["event"] for event in events(errors)]
    assert [event.partition(" in ")[0] for event in told] == [
        "Process 1 ended with exit code 3. Restart 1",
        "Process 1 ended by SIGKILL. Restart 2",
    ]
    first, second = (float(event.rpartition(" in ")[2].removesuffix(" s.")) for event in told)
    assert 0.2 <= first <= 0.5 <= second <= 1.0


def test_a_process_that_is_not_there_makes_the_machine_not_ready_and_is_named(policy: Path) -> None:
    with machine(policy, "serve;0") as (process, ops):
        hear(process)
        wait_until(lambda: "process 1 has ended" in ready(ops)["why"], ENDS_SECONDS, "the end of process 1")
        assert value(ops, "mesura_ready") == 0
        assert value(ops, "mesura_process_up", process="1") == 0
        # An end is no reason to end the others, nor a supervisor that answers one to start all of them again.
        assert get(f"{ops}/live")[0] == 200
        process.terminate()
        assert process.wait(ENDS_SECONDS) == 0


def test_processes_that_have_all_ended_are_an_end(policy: Path) -> None:
    with machine(policy, "0;0") as (process, _):
        assert process.wait(ENDS_SECONDS) == 0


def test_a_port_in_use_is_said_before_any_worker_is_started(policy: Path) -> None:
    with machine(policy, "serve;serve") as (first, ops):
        hear(first)
        options = ["run", "--bootstrap", "x:1", "--policy", str(policy), "--processes", "2"]
        port = ops.rpartition(":")[2]
        with started(
            RUN, *options, "--ops-port", port, MESURA_ERASURE_KEY=KEY, FAKE_WORKER_PLAN="serve;serve"
        ) as second:
            output, errors = second.communicate(timeout=60)
        assert second.returncode == 2
        assert output == b""
        assert f"port {port}" in errors.decode()
        assert "Traceback" not in errors.decode()


def test_the_key_is_handed_on_in_one_place_only(policy: Path) -> None:
    with machine(policy, "serve") as (process, _):
        pid = hear(process)["pid"]
        names = {entry.partition(b"=")[0] for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")}
        assert b"MESURA_ERASURE_KEY" not in names

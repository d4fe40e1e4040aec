"""`mesura run`: from options and environment to a supervised worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli.main import mesura
from streams.settings import ERASURE_KEY_BYTES_MIN, WorkerSettings
from tests.cli.fake_worker import REFUSAL
from tests.cli.supervised import RUN, events, hear, is_alive, started

KEY = "ab" * 32


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text("mesura: 1\n")
    return path


def test_the_worker_gets_its_settings_and_the_key_apart_from_them(policy: Path, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.touch(mode=0o600)
    key_file.write_text(KEY + "\n")
    arguments = ["run", "--bootstrap", "127.0.0.1:1", "--ops-port", "0", "--intent-topic", "urgent", "--prefix", "a-"]
    # As Kubernetes mounts it: the file is a link into a directory that a new version replaces.
    mounted = tmp_path / "mounted" / "policy.yaml"
    mounted.parent.mkdir()
    mounted.symlink_to(policy)
    environment = {
        "MESURA_POLICY": str(mounted),
        "MESURA_ERASURE_KEY_FILE": str(key_file),
        "MESURA_LANES": "2",
    }
    environment |= {
        "MESURA_TOPIC": "preferences=noes outcomes=ends",
        "FAKE_WORKER_PLAN": "serve",
    }
    with started(RUN, *arguments, **environment) as process:
        assert list(hear(process)) == ["ops"]
        said = hear(process)
        settings = WorkerSettings.from_environment(said["settings"])
        environ = Path(f"/proc/{said['pid']}/environ").read_text() if Path("/proc").is_dir() else ""
        process.terminate()
        assert process.wait(20) == 0
    assert not is_alive(said["pid"])
    assert said["key"] == KEY
    assert settings.erasure_key == ""
    assert KEY not in environ
    assert (settings.lanes, settings.ops_port, settings.clock) == (2, 0, "wall")
    assert not settings.explain
    assert settings.topics.intents == ("a-urgent",)
    assert (settings.topics.preferences, settings.topics.outcomes) == ("a-noes", "a-ends")
    assert settings.topics.approved == "a-approved-send"
    assert settings.policy_path == str(mounted)


def test_a_refusal_ends_with_its_exit_code_and_sentence(policy: Path) -> None:
    arguments = ["run", "--bootstrap", "x:1", "--policy", str(policy), "--ops-port", "0"]
    with started(RUN, *arguments, MESURA_ERASURE_KEY=KEY, FAKE_WORKER_PLAN="refuse") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert events(errors)[-1]["reason"] == REFUSAL


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o644])
def test_a_key_file_that_others_may_read_or_change_is_refused(policy: Path, tmp_path: Path, mode: int) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    key_file.chmod(mode)
    result = CliRunner().invoke(
        mesura,
        ["run", "--bootstrap", "x:1", "--policy", str(policy)],
        env={"MESURA_ERASURE_KEY": None, "MESURA_ERASURE_KEY_FILE": str(key_file)},
    )
    assert result.exit_code == 2
    assert f"chmod 640 {key_file}" in result.stderr
    assert KEY not in result.stderr


def test_a_new_key_is_made_for_its_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mesura.key"
    made = CliRunner().invoke(mesura, ["erasure-key", "create", str(path)])
    assert made.exit_code == 0
    key = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(key)) == ERASURE_KEY_BYTES_MIN
    assert key.strip() not in made.output
    again = CliRunner().invoke(mesura, ["erasure-key", "create", str(path)])
    assert again.exit_code == 2
    assert "is there already, and is left alone" in again.stderr
    assert CliRunner().invoke(mesura, ["erasure-key", "create", "--if-missing", str(path)]).exit_code == 0
    assert path.read_text() == key
    nowhere = CliRunner().invoke(mesura, ["erasure-key", "create", str(tmp_path / "nowhere" / "key")])
    assert nowhere.exit_code == 2
    assert "cannot be made: No such file or directory" in nowhere.stderr


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "There is no erasure key."),
        ({"MESURA_ERASURE_KEY": "abcd"}, "has 2 bytes"),
        ({"MESURA_ERASURE_KEY": "word"}, "is not hexadecimal"),
        ({"MESURA_ERASURE_KEY": KEY, "MESURA_ERASURE_KEY_FILE": "/nowhere"}, "Both "),
        ({"MESURA_ERASURE_KEY_FILE": "/nowhere"}, "cannot be read"),
        ({"MESURA_ERASURE_KEY": KEY, "MESURA_TOPIC": "nonsense"}, "ROLE=NAME"),
        ({"MESURA_ERASURE_KEY": KEY, "MESURA_TOPIC": "approved=suppressed"}, "used twice: suppressed"),
    ],
)
def test_what_cannot_be_used_is_said_without_a_traceback(policy: Path, environment: dict[str, str], says: str) -> None:
    unset = {"MESURA_ERASURE_KEY": None, "MESURA_ERASURE_KEY_FILE": None}
    result = CliRunner().invoke(
        mesura, ["run", "--bootstrap", "x:1", "--policy", str(policy)], env={**unset, **environment}
    )
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert KEY not in result.stderr


def test_the_settings_of_a_worker_survive_the_environment() -> None:
    settings = WorkerSettings(bootstrap_servers="x:1", policy_path="p", erasure_key=KEY)
    assert WorkerSettings.from_environment(settings.to_environment()) == settings
    assert json.loads(settings.to_environment())["bootstrap_servers"] == "x:1"

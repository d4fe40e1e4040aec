"""`mesura run`: from options and environment to a supervised worker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from streams.cli.main import mesura
from streams.settings import WorkerSettings
from tests.cli.fake_worker import REFUSAL
from tests.cli.supervised import RUN, events, hear, is_alive, started

if TYPE_CHECKING:
    from pathlib import Path

KEY = "ab" * 32


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text("mesura: 1\n")
    return path


def test_the_worker_gets_its_settings_and_the_key_in_one_place_only(policy: Path, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
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
        process.terminate()
        assert process.wait(20) == 0
    assert not is_alive(said["pid"])
    assert settings.erasure_key == KEY
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

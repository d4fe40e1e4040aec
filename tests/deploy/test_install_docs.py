"""docs/install.md: the commands of each way to install are carried out, or read by whatever would carry them out."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from streams.cli.main import mesura
from streams.connection.source import ConnectionSource
from streams.policy.loader import load_policy
from tests.charts.files import CHART
from tests.connection.authority import Authority
from tests.deploy.systemd_unit import ROOT, UNIT, only, variables

PAGE = (ROOT / "docs/install.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()


def blocks(section: str) -> list[str]:
    """The commands of a section, block by block."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.+?)```", text, re.DOTALL)


def words_of_mesura(text: str) -> list[list[str]]:
    """What each line of `mesura` says to it."""
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(found[1]) for line in lines if (found := re.match(r"(?:\S*/bin/)?mesura (.+)$", line))]


def test_the_page_installs_what_the_image_installs() -> None:
    """tests/setup carries the Dockerfile's lines out, and looks at what they made."""
    package = blocks("Virtual machine with systemd")[0]
    for line in re.findall(r"/opt/mesura/bin/pip (.+)", package):
        flags = {word for word in line.split() if word.startswith("--")}
        same = [
            step for step in re.findall(r"pip ([^&\n]+)", DOCKERFILE) if step.split()[0] in {line.split()[0], "wheel"}
        ]
        assert any(flags <= set(step.split()) for step in same), line
    assert only("Service", "ExecStart").split()[0] == "/opt/mesura/bin/mesura"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine after steps 2 and 3, below a directory; what only root can do there is left out."""
    _, user, settings, start = blocks("Virtual machine with systemd")
    assert words_of_mesura(start)[0][:2] == ["topics", "create"]
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("systemd-sysusers",):  # test_systemd.py asks the real one
        (commands / name).write_text("#!/bin/sh\n")
        (commands / name).chmod(0o755)
    script = f"{user}\n{settings}".replace(" -g mesura", "").replace(
        "/opt/mesura/bin", str(Path(sys.executable).parent)
    )
    script = re.sub(r"(?<=[\s=:])/etc/", f"{tmp_path}/etc/", script)
    environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-eu", "-c", f"umask 022\n{script}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return tmp_path / "etc"


def test_a_machine_has_every_file_that_the_unit_and_its_settings_name(machine: Path) -> None:
    named = [only("Service", "EnvironmentFile"), only("Service", "LoadCredential").partition(":")[2]]
    named += [value for value in variables((machine / "mesura/mesura.env").read_text()).values() if value[0] == "/"]
    assert len(named) >= 4
    for path in named:
        assert (machine / path.removeprefix("/etc/")).is_file(), path
    assert (machine / "systemd/system/mesura.service").read_text() == UNIT.read_text()
    assert stat.S_IMODE((machine / "mesura/erasure.key").stat().st_mode) == 0o600
    assert load_policy(machine / "mesura/policy.yaml").specification


def test_its_connection_can_be_read_once_the_secrets_are_there(machine: Path) -> None:
    (machine / "mesura/password").write_text("a-password\n")
    (machine / "mesura/ca.crt").write_text(Authority("docs").pem)
    source = ConnectionSource(machine / "mesura/client.properties")
    assert source.read().is_encrypted
    assert not source.passed_over()


def test_every_command_of_mesura_exists() -> None:
    found = [words for block in re.findall(r"```sh\n(.+?)```", PAGE, re.DOTALL) for words in words_of_mesura(block)]
    assert len(found) >= 3
    for words in found:
        path = list(takewhile(lambda word: not word.startswith("-"), words))[:2]
        said = CliRunner().invoke(mesura, [*path, "--help"])
        assert said.exit_code == 0, words
        for option in (word for word in words if word.startswith("--")):
            assert option in said.output, words


def test_the_laptop_is_served_by_a_verb_and_the_compose_file() -> None:
    verb, compose, package = blocks("Laptop")
    assert re.search(rf"^{verb.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert compose == "docker compose up\n"
    assert "pip install .\n" in package  # the same package: tests/setup/test_packages.py runs its demo


def test_kubernetes_is_given_values_that_the_chart_takes(tmp_path: Path) -> None:
    """tests/charts gives them to the real Helm."""
    section = PAGE.partition("\n## Kubernetes\n")[2]
    (text,) = re.findall(r"```yaml\n(.+?)```", section, re.DOTALL)
    values = yaml.safe_load(text)
    jsonschema.validate(values, json.loads((CHART / "values.schema.json").read_text()))
    _, secrets, install, *_ = blocks("Kubernetes")
    made = set(re.findall(r"create secret generic (\S+) --from-file=(\S+)", secrets))
    wanted = {(values["erasureKey"]["existingSecret"], "erasure.key")}
    wanted |= {(values["operations"]["access"]["existingSecret"], "metrics.tokens")}
    wanted |= set(re.findall(r"/etc/mesura/kafka/([\w-]+)[/:]([\w.-]+)", text))
    assert made == wanted
    assert {name for name, _ in made} >= set(values["kafka"]["secrets"])
    for path, content in (("kafka-ca/ca.crt", Authority("docs").pem), ("mesura-gate/password", "a-password")):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(content)
        (tmp_path / path).chmod(0o440)
    properties = values["kafka"]["properties"].replace("/etc/mesura/kafka", str(tmp_path))
    (tmp_path / "client.properties").write_text(properties)
    assert ConnectionSource(tmp_path / "client.properties").read().is_encrypted
    for line in install.splitlines():
        assert "statefulset/gate-mesura" in line or "deploy/helm/mesura --" in line


def test_kubernetes_asks_with_commands_that_exist() -> None:
    *_, asking = blocks("Kubernetes")
    (words,) = (line.partition(" -- mesura ")[2].partition(" < ")[0].split() for line in asking.splitlines())
    said = CliRunner().invoke(mesura, [words[0], "--help"])
    assert said.exit_code == 0
    assert words[1] in said.output


def test_the_broker_named_is_the_one_that_tests_run() -> None:
    image = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["kafka"]["image"]
    assert f"Apache Kafka {image.partition(':')[2]}" in " ".join(PAGE.split())

"""The compose file and the image, read without Docker."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

import click
import pytest
import yaml

from streams.cli.main import PARTS, mesura
from streams.cli.options import ERASURE_KEY_FILE_VARIABLE
from streams.policy.loader import load_policy
from streams.settings import WorkerSettings
from streams.telemetry import registry
from streams.telemetry.logs import LEVEL_VARIABLE
from streams.web.ops import DEFAULT_HOST, DEFAULT_PORT
from streams.web.settings import EndpointSettings, is_loopback

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("topics", "erasure-key", "gate", "demo-feed")
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
DOCKER_LINES = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(OURS)))
def test_images_are_pinned_to_a_version(name: str) -> None:
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_the_broker_is_the_one_the_tests_run() -> None:
    pom = ET.parse(ROOT / "deploy/kafka/pom.xml")
    (version,) = [found.text for found in pom.iter() if found.tag.endswith("kafka.version")]
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version}"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_waits_for_what_it_needs(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        other = SERVICES[needed]
        match how["condition"]:
            case "service_healthy":
                assert other["healthcheck"]["test"], f"{needed} never says that it is healthy"
            case "service_completed_successfully":
                assert other["restart"] == "no", f"{needed} never ends"
            case condition:
                assert condition == "service_started"


def test_the_order_of_starting() -> None:
    def waits(name: str) -> dict[str, str]:
        return {needed: how["condition"] for needed, how in SERVICES[name]["depends_on"].items()}

    assert waits("topics") == {"kafka": "service_healthy"}
    assert waits("gate") == {
        "kafka": "service_healthy",
        "topics": "service_completed_successfully",
        "erasure-key": "service_completed_successfully",
    }
    assert waits("demo-feed") == {"gate": "service_healthy"}
    assert waits("grafana") == {"prometheus": "service_healthy"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_bound_to_this_machine_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_is_mounted_exists(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source, target, *mode = volume.split(":")
        assert PurePosixPath(target).is_absolute()
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert mode == ["ro"], "nothing in a container writes into the sources"
        else:
            assert source in COMPOSE["volumes"]


def test_prometheus_reads_the_rules_where_they_are_mounted() -> None:
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["prometheus"]["volumes"])
    configuration = PurePosixPath(mounted["./deploy/prometheus/prometheus.yml"])
    assert f"--config.file={configuration}" in SERVICES["prometheus"]["command"]
    (rule_files,) = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["rule_files"]
    assert configuration.parent / PurePosixPath(rule_files).parent == PurePosixPath(
        mounted["./deploy/prometheus/rules"]
    )


def test_grafana_reads_the_dashboard_where_it_is_mounted() -> None:
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    (provider,) = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/mesura.yml").read_text())["providers"]
    assert provider["options"]["path"] == mounted["./deploy/grafana/dashboards"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == mounted["./deploy/grafana/dashboards"] + "/mesura.json"


def test_prometheus_scrapes_the_gate() -> None:
    scrapes = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    (mesura,) = [scrape for scrape in scrapes if scrape["job_name"] == "mesura"]
    (discovery,) = mesura["dns_sd_configs"]
    assert discovery["names"] == ["gate"]
    assert str(discovery["port"]) == SERVICES["gate"]["environment"]["MESURA_OPS_PORT"] == str(DEFAULT_PORT)
    assert SERVICES["gate"]["ports"] == [f"127.0.0.1:{DEFAULT_PORT}:{DEFAULT_PORT}"]
    assert f"http://127.0.0.1:{DEFAULT_PORT}/ready" in SERVICES["gate"]["healthcheck"]["test"][-1]


@pytest.mark.parametrize("name", OURS)
def test_environment_variables_are_read_and_documented(name: str) -> None:
    manual = (ROOT / "docs/operations.md").read_text()
    command, _ = command_of(name)
    read = {LEVEL_VARIABLE, ERASURE_KEY_FILE_VARIABLE}
    for option in command.params:
        read |= {option.envvar} if isinstance(option.envvar, str) else set(option.envvar or ())
    for variable in SERVICES[name]["environment"]:
        assert variable in read, f"mesura {' '.join(SERVICES[name]['command'])} does not read {variable}"
        assert f"`{variable}`" in manual, f"{variable} is not in docs/operations.md"


def test_the_gate_would_take_the_settings() -> None:
    environment = SERVICES["gate"]["environment"]
    settings = WorkerSettings(
        bootstrap_servers=environment["MESURA_BOOTSTRAP"],
        policy_path=environment["MESURA_POLICY"],
        erasure_key="ab" * 32,
    )
    assert settings.checked() == settings
    endpoint = EndpointSettings(
        ops_host=environment["MESURA_OPS_HOST"],
        ops_port=int(environment["MESURA_OPS_PORT"]),
        open_metrics=environment["MESURA_OPS_OPEN_METRICS"] == "true",
        explain_port=int(environment["MESURA_EXPLAIN_PORT"]),
    )
    assert endpoint.checked() == endpoint
    assert is_loopback(endpoint.explain_host)


def test_the_key_is_made_at_the_first_start_where_the_gate_reads_it() -> None:
    """And nobody knows it: no service is given one."""
    maker, gate = SERVICES["erasure-key"], SERVICES["gate"]
    file = gate["environment"]["MESURA_ERASURE_KEY_FILE"]
    assert maker["command"] == ["erasure-key", "create", "--if-missing", file]
    (made_in,) = maker["volumes"]
    name, directory = made_in.split(":")
    assert f"{name}:{directory}:ro" in gate["volumes"]
    assert PurePosixPath(file).parent == PurePosixPath(directory)
    assert name in COMPOSE["volumes"]
    # A new volume is owned as the directory in the image is: by the user that writes the key.
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user is not None
    assert f"RUN install --directory --owner={user[1]} --group={user[2]} --mode=0700 {directory}" in DOCKER_LINES
    assert not re.search(r"[0-9a-f]{64}", (ROOT / "docker-compose.yml").read_text())


def test_nothing_is_open_to_others_unless_asked_for() -> None:
    settings = EndpointSettings()
    assert settings.ops_host == settings.explain_host == DEFAULT_HOST == "127.0.0.1"
    assert settings.ops_port == DEFAULT_PORT
    assert settings.explain_port is None


def test_the_policy_is_mounted_where_the_gate_looks_and_can_be_loaded() -> None:
    gate = SERVICES["gate"]
    mounted = {target: source for source, target, *_ in (volume.split(":") for volume in gate["volumes"])}
    path = PurePosixPath(gate["environment"]["MESURA_POLICY"])
    loaded = load_policy(ROOT / mounted[str(path.parent)] / path.name)
    assert set(loaded.specification.channels) == set(registry.CHANNELS.words)


@pytest.mark.parametrize("name", OURS)
def test_our_containers_are_the_image_and_cannot_write(name: str) -> None:
    service = SERVICES[name]
    assert service["build"]["dockerfile"] == "deploy/Dockerfile"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", OURS)
def test_commands_exist(name: str) -> None:
    command, words = command_of(name)
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def command_of(name: str) -> tuple[click.Command, list[str]]:
    """The command that a service runs, and the words that are left for it."""
    words = list(SERVICES[name]["command"])
    pytest.importorskip(PARTS[words[0]].module, reason=f"`mesura {words[0]}` is not there yet")
    command: click.Command = mesura
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None, SERVICES[name]["command"]
        command = found
    return command, words


def test_the_image_is_built_from_the_lock_alone() -> None:
    """tests/setup/test_packages.py carries these lines out and looks at what they made."""
    steps = re.findall(r"pip (?:install|wheel) [^&\n]*", DOCKERFILE)
    assert len(steps) == 3
    for step in steps:
        assert "--no-deps" in step
        assert "--no-index" in step or "--require-hashes --only-binary :all: -r requirements/runtime.lock" in step
    assert DOCKERFILE.index("pip check") > DOCKERFILE.index(steps[-1])
    for line in DOCKER_LINES:
        if line.startswith("FROM "):
            assert re.match(r"FROM python:\d+\.\d+\.\d+-slim-\w+( AS build)?$", line)


def test_the_image_runs_without_privileges() -> None:
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    _, _, *stages = DOCKERFILE.split("\nFROM ")
    assert len(stages) == 1
    assert "USER 10001:10001" in stages[-1]
    assert "pip install" not in stages[-1]


def test_what_the_image_copies_exists_and_is_sent_to_the_builder() -> None:
    sent = {
        line.removeprefix("!")
        for line in (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied: set[str] = set()
    for line in DOCKER_LINES:
        if line.startswith("COPY ") and "--from" not in line:
            copied |= set(line.split()[1:-1])
    assert copied == sent


def test_the_image_is_probed_for_life_not_for_readiness() -> None:
    probe = DOCKERFILE[DOCKERFILE.index("HEALTHCHECK") :]
    assert f"http://127.0.0.1:{DEFAULT_PORT}/live" in probe.split("STOPSIGNAL")[0]

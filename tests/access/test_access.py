"""Who may do what: the table, the commands made of it, and what is said where something is missing.

`make acls` takes every permission away once, under real gates and commands; here the brokers are asked.
"""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from streams.access.check import missing_permissions, sentence
from streams.access.roles import ROLES, permissions_of
from streams.cli.main import mesura
from streams.connection.cluster import Cluster
from streams.testing.kafka_installation import install_kafka
from streams.testing.waiting import wait_until
from streams.topics import TopicNames
from tests.access.commands import said_by
from tests.access.gate import ANSWERS, Gate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from streams.access.permission import Permission
    from streams.access.roles import Role
    from tests.access.authorized_kafka import AuthorizedKafka

NAMES = TopicNames()


@pytest.fixture
def gate(authorized: AuthorizedKafka) -> Gate:
    authorized.take_all_away()
    return Gate.new(authorized)


def as_granted(role: Role, gate: Gate) -> set[tuple[str, str, str, bool]]:
    permissions = permissions_of(role, gate.names, gate.application_id)
    return {(each.resource, each.name, each.operation, each.is_prefix) for each in permissions}


@pytest.mark.parametrize("role", ROLES)
def test_nothing_is_listed_twice_and_nothing_that_another_line_implies(role: Role) -> None:
    permissions = permissions_of(role, NAMES, "mesura")
    assert len({each[:3] for each in permissions}) == len(permissions)
    read_or_written = {each.name for each in permissions if each.operation in {"Read", "Write"}}
    assert not [each for each in permissions if each.operation == "Describe" and each.name in read_or_written]


@pytest.mark.kafka
def test_kafkas_own_tool_grants_exactly_what_the_commands_say(gate: Gate, tmp_path: Path) -> None:
    """And takes away with --remove; of those one is run, because each takes a Java of its own."""
    (tmp_path / "admin.properties").write_text("")
    options = ["--role", "gate", "--principal", "User:gate", "--bootstrap", gate.kafka.kafka.bootstrap_servers]
    options += ["--prefix", gate.prefix, "--application-id", gate.application_id]
    for words in commands_printed(options):
        run_kafkas_tool(words, tmp_path)
    assert gate.kafka.granted("gate") == as_granted("gate", gate)
    run_kafkas_tool(commands_printed([*options, "--remove"])[-1], tmp_path)
    assert {each[0] for each in as_granted("gate", gate) - gate.kafka.granted("gate")} == {"transactional-id"}


def commands_printed(options: list[str]) -> list[list[str]]:
    lines = CliRunner().invoke(mesura, ["topics", "acls", *options]).output.splitlines()
    return [shlex.split(line) for line in lines if not line.startswith("#")]


def run_kafkas_tool(words: list[str], directory: Path) -> None:
    assert words[0] == "kafka-acls.sh"
    installation = install_kafka()
    java = [str(installation.java), "-XX:TieredStopAtLevel=1", *installation.class_options]
    java += ["-cp", installation.class_path, "org.apache.kafka.tools.AclCommand"]
    done = subprocess.run([*java, *words[1:]], cwd=directory, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("role", ROLES)
def test_strimzi_is_given_the_same(role: Role) -> None:
    output = CliRunner().invoke(mesura, ["topics", "acls", "--role", role, "--format", "strimzi"]).output
    acls = yaml.safe_load(output)["authorization"]["acls"]
    kinds = {"transactionalId": "transactional-id"}
    found = {
        (
            kinds.get(each["resource"]["type"], each["resource"]["type"]),
            each["resource"]["name"],
            operation,
            each["resource"]["patternType"] == "prefix",
        )
        for each in acls
        for operation in each["operations"]
    }
    permissions = permissions_of(role, NAMES, "mesura")
    assert found == {(each.resource, each.name, each.operation, each.is_prefix) for each in permissions}


def wait_until_missing(gate: Gate, role: Role, wanted: Sequence[Permission], missing: Sequence[Permission]) -> None:
    """What the controller has granted or taken away the broker learns a moment later."""
    cluster = gate.kafka.cluster(role)
    wait_until(lambda: missing_permissions(cluster, wanted) == list(missing), 20, f"{role} lacks {len(missing)}")


@pytest.mark.kafka
def test_a_gate_with_exactly_its_permissions_decides_and_its_commands_work(gate: Gate, tmp_path: Path) -> None:
    for role in ROLES:
        gate.kafka.grant(role, permissions_of(role, gate.names, gate.application_id))
        wait_until_missing(gate, role, permissions_of(role, gate.names, gate.application_id), [])
    gate.publish()
    with gate.worker(checked=True) as worker:
        wait_until(lambda: gate.answers() >= ANSWERS or worker.poll() is not None, 30, "it decides")
        assert worker.poll() is None, gate.last_sentence()
    said = {role: said_by(role, gate, tmp_path) for role in ROLES[1:]}
    assert not any(said.values()), said


@pytest.mark.kafka
def test_whatever_is_taken_away_is_named(gate: Gate) -> None:
    """Of every role, what a broker tells: transactional ids are no part of that, and what may be created."""
    for role in ROLES:
        permissions = permissions_of(role, gate.names, gate.application_id)
        gate.kafka.grant(role, permissions)
        told = [each for each in permissions if each.resource != "transactional-id" and each.operation != "Create"]
        for each in told:
            gate.kafka.take_away(role, [each])
            wait_until_missing(gate, role, told, [each])
            gate.kafka.grant(role, [each])


@pytest.mark.kafka
def test_a_gate_says_what_is_missing_and_how_it_is_granted(gate: Gate) -> None:
    gate.kafka.grant("gate", gate.permissions)
    taken = [each for each in gate.permissions if each.operation == "Write" and each.name == gate.names.approved]
    gate.kafka.take_away("gate", taken)
    with gate.worker(checked=True) as worker:
        assert worker.wait(30) == 2
    said = gate.last_sentence()
    assert said.startswith(f"User:gate may not do what is needed: Write on the topic {gate.names.approved}. ")
    command = said.partition("`")[2].partition("`")[0]
    expected = f"--add --allow-principal User:gate --operation Write --topic {gate.names.approved}"
    assert command == (
        f"kafka-acls.sh --bootstrap-server {gate.kafka.address} --command-config admin.properties {expected}"
    )


@pytest.mark.kafka
@pytest.mark.parametrize("resource", ["topic", "transactional-id"])
def test_what_is_taken_away_from_a_gate_that_runs_is_named_by_the_next_start(gate: Gate, resource: str) -> None:
    gate.kafka.grant("gate", gate.permissions)
    gate.publish()
    with gate.worker(checked=True) as worker:
        wait_until(lambda: gate.answers() >= ANSWERS or worker.poll() is not None, 30, "it decides")
        names = {gate.names.approved} if resource == "topic" else {f"{gate.application_id}-"}
        taken = [each for each in gate.permissions if each.name in names and each.operation == "Write"]
        gate.kafka.take_away("gate", taken)
        gate.publish()
        wait_until(lambda: worker.poll() is not None, 60, "it ends")
    with gate.worker(checked=True) as worker:
        assert worker.wait(30) == 2
    assert f"User:gate may not do what is needed: {taken[0]}." in gate.last_sentence()


def test_a_principal_that_is_not_known_is_not_invented() -> None:
    said = sentence(Cluster("kafka-1:9092"), permissions_of("intents", NAMES, ""), "intents")
    assert said.startswith("We may not do what is needed: Write on the topic outbound-intent. ")
    assert "--allow-principal User:NAME " in said

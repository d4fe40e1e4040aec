"""Gates with topics of their own on Apache Kafka with its authorizer, and `mesura doctor` for them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from streams.access.roles import permissions_of
from streams.cli.main import mesura
from streams.testing.broker import create_plan
from streams.topics import TopicNames, TopicPlan

if TYPE_CHECKING:
    from tests.access.authorized_kafka import AuthorizedKafka

PARTITIONS = 2

_numbers = count()


@dataclass
class Examined:
    """What `mesura doctor --json` said, and how it ended."""

    result: Result
    findings: list[dict[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        assert self.result.exception is None or isinstance(self.result.exception, SystemExit), self.result.exception
        said = json.loads(self.result.stdout)
        assert said["exit_code"] == self.result.exit_code
        self.findings = said["findings"]
        for each in self.findings:
            assert each["sentence"].endswith((".", "?")), each
            assert each["remedy"] or each["state"] == "ok", each
        assert "-word" not in self.result.output, "the passwords of all users end like that"

    def states(self, check: str) -> set[str]:
        return {each["state"] for each in self.findings if each["check"] == check}

    def sentences(self, check: str) -> str:
        return " ".join(each["sentence"] for each in self.findings if each["check"] == check)

    def remedies(self, check: str) -> str:
        return " ".join(each["remedy"] for each in self.findings if each["check"] == check)

    def failed(self) -> set[str]:
        return {each["check"] for each in self.findings if each["state"] == "failure"}


def examined(*arguments: str, **environment: str) -> Examined:
    words = ["doctor", "--json", "--replication-factor", "1", *arguments]
    return Examined(CliRunner().invoke(mesura, words, env=environment))


@dataclass
class Gate:
    """Topics of a gate that may do what a gate needs, and nothing else."""

    kafka: AuthorizedKafka
    names: TopicNames
    prefix: str

    @property
    def application_id(self) -> str:
        return f"{self.prefix}gate"

    @property
    def everything(self) -> str:
        """The address at which whoever comes may do everything."""
        return self.kafka.kafka.bootstrap_servers

    @property
    def options(self) -> list[str]:
        connection = ["--bootstrap", self.kafka.address, "--command-config", str(self.kafka.properties("gate"))]
        return [*connection, "--prefix", self.prefix, "--application-id", self.application_id]

    def examined(self, *arguments: str, **environment: str) -> Examined:
        return examined(*self.options, *arguments, **environment)


@pytest.fixture
def gate(authorized: AuthorizedKafka) -> Gate:
    prefix = f"doctor{next(_numbers)}-"
    found = Gate(authorized, TopicNames().with_prefix(prefix), prefix)
    create_plan(authorized.kafka, TopicPlan(found.names, PARTITIONS, 1))
    authorized.grant("gate", permissions_of("gate", found.names, found.application_id))
    return found

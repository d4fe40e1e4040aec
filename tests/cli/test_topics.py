"""`mesura topics` plans the topics that `mesura run` uses: the same options, the same variables, the same names."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from streams.cli.main import mesura
from streams.testing.embedded_broker import EmbeddedBroker


def asked(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(mesura, ["topics", *arguments], env=environment)


def planned(result: Result) -> set[str]:
    assert result.exit_code == 0, result.output
    return {line.partition(":")[0] for line in result.stdout.splitlines() if not line.startswith(" ")}


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--prefix", "a-", "--topic", "preferences=noes", "--intent-topic", "otp", "--intent-topic", "bulk"], {}),
        ([], {"MESURA_PREFIX": "a-", "MESURA_TOPIC": "preferences=noes", "MESURA_INTENT_TOPIC": "otp bulk"}),
    ],
)
def test_names_come_from_the_options_that_all_commands_share(arguments: list[str], environment: dict[str, str]) -> None:
    names = planned(asked("describe", *arguments, **environment))
    assert {"a-noes", "a-otp", "a-bulk", "a-contact-outcome", "a-mesura-ledger"} <= names
    assert not {"a-opt-out", "a-outbound-intent", "opt-out"} & names


@pytest.mark.parametrize("variable", ["MESURA_BOOTSTRAP", "MESURA_BOOTSTRAP_SERVERS"])
def test_the_broker_comes_from_the_environment(broker: EmbeddedBroker, prefix: str, variable: str) -> None:
    environment = {variable: broker.bootstrap_servers, "MESURA_PREFIX": prefix}
    result = asked("check", "--replication-factor", "1", "--partitions", "4", **environment)
    assert f"{prefix}opt-out: " in result.stdout
    assert "missing" not in result.stdout


def test_a_role_that_does_not_exist_is_told() -> None:
    result = asked("describe", "--topic", "nonsense=x")
    assert result.exit_code == 2
    assert "ROLE=NAME" in result.stderr

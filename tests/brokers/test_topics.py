"""The topic plan, and `mesura topics` on both brokers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from streams.cli.topics import create_topics, topics
from streams.connection.cluster import Cluster
from streams.engine_settings import engine_settings
from streams.exactly_once.settings import CHANGELOG_RECORD_BYTES
from streams.exactly_once.topic_rules import refuse_unfit, rules_by_topic
from streams.settings import WorkerSettings
from streams.testing.broker import create_plan
from streams.topic_check import State, check_topics
from streams.topics import DEAD_LETTER_BYTES, INPUT_BYTES, LEDGER_BYTES, REROUTED_BYTES, TopicNames, TopicPlan

if TYPE_CHECKING:
    from streams.testing.broker import Broker, KafkaAdmin
    from streams.testing.embedded_broker import EmbeddedBroker


def test_all_but_control_have_the_same_number_of_partitions() -> None:
    plan = TopicPlan(TopicNames(intents=("otp", "outbound-intent")), partitions=12)
    counts = {topic.name: topic.partitions for topic in plan.topics()}
    assert counts.pop("mesura-control") == 1
    assert set(counts.values()) == {12}
    assert sorted([*counts, "mesura-control"]) == sorted(plan.names.all())


def test_state_is_compacted_and_nothing_else() -> None:
    policies = {topic.name: topic.config["cleanup.policy"] for topic in TopicPlan().topics()}
    assert {name for name, policy in policies.items() if policy == "compact"} == {"mesura-ledger", "mesura-control"}


def test_what_customers_say_is_dated_by_the_broker_unless_it_is_replayed() -> None:
    def dated_by_the_broker(plan: TopicPlan) -> list[str]:
        kinds = {topic.name: topic.config.get("message.timestamp.type") for topic in plan.topics()}
        return [name for name, kind in kinds.items() if kind == "LogAppendTime"]

    written_by_the_gate = ["mesura-ledger", "mesura-batches"]
    assert dated_by_the_broker(TopicPlan()) == ["opt-out", "contact-outcome", *written_by_the_gate]
    assert dated_by_the_broker(TopicPlan(recorded_times=True)) == written_by_the_gate


def test_whatever_comes_in_fits_where_it_may_have_to_go() -> None:
    assert INPUT_BYTES < REROUTED_BYTES < DEAD_LETTER_BYTES
    sizes = {topic.name: topic.config.get("max.message.bytes") for topic in TopicPlan().topics()}
    assert sizes["opt-out"] == str(INPUT_BYTES)
    assert sizes["mesura-rerouted"] == str(REROUTED_BYTES)
    assert sizes["mesura-dead-letter"] == str(DEAD_LETTER_BYTES)


@pytest.mark.parametrize("recorded_times", [False, True])
def test_topics_as_planned_are_those_the_engine_runs_with(*, recorded_times: bool) -> None:
    plan = TopicPlan(recorded_times=recorded_times)
    planned = {topic.name: topic for topic in plan.topics()}
    settings = engine_settings(WorkerSettings(bootstrap_servers="x:1", policy_path="x", topics=plan.names))
    rules = rules_by_topic(settings)
    assert rules == {name: topic.rules for name, topic in planned.items()}
    refuse_unfit(rules, {name: topic.config for name, topic in planned.items()})
    assert planned["mesura-ledger"].config["max.message.bytes"] == str(LEDGER_BYTES) == str(CHANGELOG_RECORD_BYTES)


@pytest.mark.parametrize(("copies", "acknowledged"), [(1, 1), (2, 1), (3, 2), (5, 2)])
def test_a_write_is_acknowledged_by_all_but_one_at_most_two(copies: int, acknowledged: int) -> None:
    plan = TopicPlan(replication_factor=copies)
    assert {topic.config["min.insync.replicas"] for topic in plan.topics()} == {str(acknowledged)}


def test_every_setting_has_a_reason_and_appears_once() -> None:
    for topic in TopicPlan().topics():
        keys = [setting.key for setting in topic.settings]
        assert len(keys) == len(set(keys))
        assert all(setting.reason for setting in topic.settings)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: TopicPlan(partitions=0), "partitions must be between 1 and 1024"),
        (lambda: TopicPlan(partitions=1025), "partitions must be between 1 and 1024"),
        (lambda: TopicPlan(replication_factor=0), "replication factor"),
        (lambda: TopicPlan(retention_ms=-1), "retention"),
        (lambda: TopicNames(intents=()), "at least one intent topic"),
        (lambda: TopicNames(intents=("a", "a")), "used twice: a"),
        (lambda: TopicNames(suppressed="opt-out"), "used twice: opt-out"),
    ],
)
def test_what_cannot_work_is_refused(make: object, complaint: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=complaint):
        make()


def test_prefix_goes_before_every_name() -> None:
    names = TopicNames(intents=("otp", "bulk")).with_prefix("t-")
    assert names.intents == ("t-otp", "t-bulk")
    assert all(name.startswith("t-") for name in names.all())


# --- on a cluster -----------------------------------------------------------------------------------------------------


def _run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(topics, arguments, catch_exceptions=False)
    return result.exit_code, result.output


def test_create_is_idempotent_and_check_agrees(real_kafka: KafkaAdmin, topic_prefix: str) -> None:
    where = ["--bootstrap", real_kafka.bootstrap_servers]
    shape = ["--prefix", topic_prefix, "--partitions", "2", "--replication-factor", "1"]
    code, output = _run("check", *where, *shape)
    assert (code, output.count("missing")) == (1, 10)
    assert output.endswith("`mesura topics create` creates the topics that do not exist.\n")
    code, output = _run("create", *where, *shape)
    assert (code, output.count("created")) == (0, 10)
    code, output = _run("create", *where, *shape)
    assert (code, output.count("exists")) == (0, 10)
    assert _run("check", *where, *shape) == (0, output)
    code, output = _run("create", *where, *shape, "--intent-topic", "outbound-intent", "--intent-topic", "otp")
    assert (code, output.count("exists"), output.count("created")) == (0, 10, 1)
    code, output = _run("check", *where, "--prefix", topic_prefix, "--partitions", "3", "--replication-factor", "2")
    assert code == 1
    assert "pass the existing count with --partitions" in output
    assert "pass the existing number with --replication-factor" in output
    assert "kafka-configs.sh" not in output


def test_differences_are_told_and_nothing_is_changed(real_kafka: KafkaAdmin, topic_prefix: str) -> None:
    plan = TopicPlan(TopicNames().with_prefix(topic_prefix), partitions=2, replication_factor=1)
    real_kafka.create_topics([plan.names.ledger], partitions=3)
    reports = {report.topic.name: report for report in create_topics(Cluster(real_kafka.bootstrap_servers), plan)}
    ledger = reports.pop(plan.names.ledger)
    assert (ledger.state, ledger.is_as_planned) == (State.DIFFERS, False)
    assert ledger.differences[0] == "partitions: 3, planned 2"
    assert any(text.startswith("cleanup.policy: delete, planned compact, because") for text in ledger.differences)
    assert {report.state for report in reports.values()} == {State.CREATED}
    checked = {report.topic.name: report for report in check_topics(Cluster(real_kafka.bootstrap_servers), plan)}
    assert checked[plan.names.ledger] == ledger
    assert [danger.partition(": ")[0] for danger in ledger.dangers] == [
        f"{plan.names.ledger} has cleanup.policy=delete",
        f"{plan.names.ledger} has message.timestamp.type=CreateTime",
        f"{plan.names.ledger} has max.message.bytes=1048588",
    ]


def test_check_says_what_run_would_refuse(real_kafka: KafkaAdmin, topic_prefix: str) -> None:
    plan = TopicPlan(TopicNames().with_prefix(topic_prefix), partitions=2, replication_factor=1)
    settings = {"cleanup.policy": "compact", "unclean.leader.election.enable": "true"}
    real_kafka.create_topics([plan.names.preferences], partitions=2, config=settings)
    shape = ["--bootstrap", real_kafka.bootstrap_servers, "--prefix", topic_prefix]
    shape += ["--partitions", "2", "--replication-factor", "1"]
    _run("create", *shape)
    code, output = _run("check", *shape)
    assert code == 1
    assert "message.timestamp.type: CreateTime, planned LogAppendTime" in output
    refused = [line for line in output.splitlines() if line.startswith("  refused by mesura run: ")]
    assert len(refused) == 2
    assert refused[0].endswith("would be lost. Set cleanup.policy=delete on it.")
    assert refused[1].endswith("would be lost. Set unclean.leader.election.enable=false on it.")


def test_too_few_brokers_for_the_copies_is_told(real_kafka: KafkaAdmin, topic_prefix: str) -> None:
    code, output = _run("create", "--bootstrap", real_kafka.bootstrap_servers, "--prefix", topic_prefix)
    assert code == 2
    assert "replication factor" in output.lower()


def test_a_plan_can_be_created_for_a_test(broker: Broker, topic_prefix: str) -> None:
    plan = TopicPlan(TopicNames().with_prefix(topic_prefix), partitions=3, replication_factor=1)
    create_plan(broker, plan)
    for report in check_topics(Cluster(broker.bootstrap_servers), plan):
        told = [difference for difference in report.differences if not difference.startswith("settings: this broker")]
        assert (report.state is not State.MISSING, told) == (True, [])


def test_the_embedded_broker_makes_topics_its_own_way(embedded_broker: EmbeddedBroker, topic_prefix: str) -> None:
    plan = TopicPlan(TopicNames().with_prefix(topic_prefix), partitions=4, replication_factor=1)
    reports = create_topics(Cluster(embedded_broker.bootstrap_servers), plan)
    assert {report.state for report in reports} == {State.CREATED}
    assert not any(report.is_as_planned for report in reports)
    control = next(report for report in reports if report.topic.name == plan.names.control)
    assert control.differences == ("partitions: 4, planned 1", "settings: this broker cannot report them")


def test_describe_needs_no_broker() -> None:
    code, output = _run("describe", "--partitions", "3")
    assert code == 0
    assert "mesura-ledger: changelog of every customer's ledger\n  partitions 3, replication factor 3\n" in output
    assert "  message.timestamp.type=LogAppendTime  # " in output


def test_wrong_usage_is_told() -> None:
    assert _run("describe", "--partitions", "0")[0] == 2
    assert _run("create")[0] == 2


def test_no_broker_is_told() -> None:
    from streams.cli import topics as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ANSWER_SECONDS", 0.2)
        code, output = _run("check", "--bootstrap", "127.0.0.1:1")
    assert code == 2
    assert "127.0.0.1:1" in output

"""`mesura topics`: creates, checks and describes the topics of the plan.

Exit codes: 0 everything is as planned; 1 something differs or is missing (one line each); 2 wrong usage or no broker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypedDict, Unpack

import click
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from streams.access.check import sentence
from streams.access.roles import permissions_of
from streams.cli.acls import acls
from streams.cli.errors import CommandError
from streams.cli.options import (
    cluster_option,
    refuse_unpermitted,
    refuse_unreachable,
    topic_names,
    topic_options,
)
from streams.connection.cluster import Cluster
from streams.exit_codes import ExitCode
from streams.topic_check import ANSWER_SECONDS, CANNOT_TELL, State, TopicReport, check_topics, compare
from streams.topics import DEFAULT_PARTITIONS, DEFAULT_REPLICATION_FACTOR, PlannedTopic, TopicPlan

_NOT_PERMITTED: Final = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}
"""To create a topic: what we may do with one that does not exist, no broker tells beforehand."""


def create_topics(cluster: Cluster, plan: TopicPlan) -> list[TopicReport]:
    """Create what is missing, change nothing that exists, and report every topic of the plan.

    A broker that does not know CreateTopics (the embedded one) makes a topic when its metadata is asked for, with a
    number of partitions of its own and no settings: those topics are reported as created, with what differs.

    Raises:
        CommandError: we may not create some of them; the others are there.
        KafkaException: the cluster is not reachable, or refused for another reason than that a topic exists.
    """
    client = AdminClient({**cluster.client_settings(), "log_level": 0})
    existing = client.list_topics(timeout=ANSWER_SECONDS).topics
    missing = [topic for topic in plan.topics() if topic.name not in existing]
    created, refused = _create(client, missing)
    if refused:
        wanted = permissions_of("operator", plan.names, "")
        lacking = [each for each in wanted if each.operation == "Create" and each.name in refused]
        raise CommandError(sentence(cluster, lacking, "operator"))
    return [
        replace(report, state=State.CREATED) if report.topic.name in created else report
        for report in compare(client, plan)
    ]


def _create(client: AdminClient, topics: Iterable[PlannedTopic]) -> tuple[set[str], set[str]]:
    """The names of those that were created, and of those that we may not create."""
    wanted = [NewTopic(t.name, t.partitions, t.replication_factor, config=dict(t.config)) for t in topics]
    if not wanted:
        return set(), set()
    created, refused = set(), set()
    for name, future in client.create_topics(wanted, request_timeout=ANSWER_SECONDS).items():
        try:
            future.result()
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.TOPIC_ALREADY_EXISTS:
                continue  # somebody else was faster
            if code in _NOT_PERMITTED:
                refused.add(name)
                continue
            if code != KafkaError._UNSUPPORTED_FEATURE:  # noqa: SLF001  # its public name
                raise
            client.list_topics(name, timeout=ANSWER_SECONDS)
        created.add(name)
    return created, refused


@click.group()
def topics() -> None:
    """Create and check the topics."""


topics.add_command(acls)


class _PlanOptions(TypedDict):
    prefix: str
    intent_topics: tuple[str, ...]
    renamed_topics: tuple[str, ...]
    partitions: int
    replication_factor: int
    recorded_times: bool


def _plan_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--partitions", type=int, default=DEFAULT_PARTITIONS, show_default=True),
        click.option("--replication-factor", type=int, default=DEFAULT_REPLICATION_FACTOR, show_default=True),
        click.option(
            "--recorded-times",
            is_flag=True,
            help="Preferences and outcomes keep their producers' times, which a replay of recorded history needs "
            "(run --clock record).",
        ),
    ):
        command = option(command)
    return topic_options(command)


def _plan(
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
    partitions: int,
    replication_factor: int,
    recorded_times: bool,
) -> TopicPlan:
    names = topic_names(prefix, intent_topics, renamed_topics)
    try:
        return TopicPlan(names, partitions, replication_factor, recorded_times=recorded_times)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@topics.command()
@_plan_options
@cluster_option
def create(cluster: Cluster, **plan: Unpack[_PlanOptions]) -> None:
    """Create what is missing, without changing anything that exists."""
    _report(create_topics, cluster, _plan(**plan))


@topics.command()
@_plan_options
@cluster_option
def check(cluster: Cluster, **plan: Unpack[_PlanOptions]) -> None:
    """Compare the topics with the plan, without changing anything, and say what mesura run would refuse."""
    _report(check_topics, cluster, _plan(**plan))


@topics.command()
@_plan_options
def describe(**plan: Unpack[_PlanOptions]) -> None:
    """Print the plan, with the reason for each setting. This needs no broker."""
    for topic in _plan(**plan).topics():
        click.echo(f"{topic.name}: {topic.purpose}")
        click.echo(f"  partitions {topic.partitions}, replication factor {topic.replication_factor}")
        for setting in topic.settings:
            click.echo(f"  {setting.key}={setting.value}  # {setting.reason}")


_REMEDIES: Final[Mapping[int, str]] = {
    KafkaError.INVALID_REPLICATION_FACTOR: "Give a --replication-factor of at most the number of brokers.",
    KafkaError.POLICY_VIOLATION: "The cluster has rules for topics. Ask its operators, or create the topics as "
    "`mesura topics describe` says.",
}


def _remedy(error: KafkaException) -> str:
    return _REMEDIES.get(error.args[0].code(), "Try again. If it keeps failing, look into the brokers' logs.")


def _report(act: Callable[[Cluster, TopicPlan], list[TopicReport]], cluster: Cluster, plan: TopicPlan) -> None:
    refuse_unreachable(cluster)
    permissions = permissions_of("operator", plan.names, "")
    refuse_unpermitted(cluster, [each for each in permissions if each.operation != "Create"], "operator")
    try:
        reports = act(cluster, plan)
    except KafkaException as error:
        # Of a topic that was just created the brokers tell more than before.
        refuse_unpermitted(cluster, [each for each in permissions if each.operation != "Create"], "operator")
        raise CommandError(f"The cluster at {cluster} refused: {error.args[0].str()}. {_remedy(error)}") from None
    for report in reports:
        click.echo(f"{report.topic.name}: {report.state.value}")
        for difference in report.differences:
            click.echo(f"  {difference}")
        for danger in report.dangers:
            click.echo(f"  refused by mesura run: {danger}")
    for remedy in _what_to_do(reports):
        click.echo(remedy, err=True)
    if not all(report.is_as_planned for report in reports):
        raise SystemExit(ExitCode.ANSWER_IS_NO)


def _what_to_do(reports: Sequence[TopicReport]) -> Iterator[str]:
    if any(report.state is State.MISSING for report in reports):
        yield "`mesura topics create` creates the topics that do not exist."
    differences = [difference for report in reports for difference in report.differences]
    if any(not difference.startswith(("partitions", "replicas", CANNOT_TELL)) for difference in differences):
        yield "Change settings with kafka-configs.sh --alter. `mesura topics describe` gives the reason for each."
    if any(difference.startswith("partitions") for difference in differences):
        yield "Change a partition count only as docs/operations.md says, or pass the existing count with --partitions."
    if any(difference.startswith("replicas") for difference in differences):
        yield "Add replicas with kafka-reassign-partitions.sh, or pass the existing number with --replication-factor."

"""Options that several commands have in common, so that they are spelled and explained alike.

Rules of this module
1. Every option may also be given in the environment as `MESURA_…`. The command line takes precedence.
2. A secret has no option, because everybody on the machine can see a command line.
3. Every command that connects has `--bootstrap` and `--command-config`, and is given one `Cluster` made of both.
"""

from __future__ import annotations

import functools
import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from streams.addresses import AddressRefused, as_text, read_addresses
from streams.brokers import BrokersNotReached, reach_brokers
from streams.cli.errors import CommandError, Unreachable, Unreadable
from streams.connection.cluster import Cluster
from streams.connection.errors import ConnectionRefused
from streams.connection.files import read_secret
from streams.connection.source import ConnectionSource
from streams.topics import TopicNames

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from confluent_kafka import KafkaException

    from streams.access.permission import Permission
    from streams.access.roles import Role

Command = TypeVar("Command", bound="Callable[..., object]")

ERASURE_KEY_VARIABLE: Final = "MESURA_ERASURE_KEY"
ERASURE_KEY_FILE_VARIABLE: Final = "MESURA_ERASURE_KEY_FILE"


class Bootstrap(click.ParamType):
    """Addresses of brokers; the value is the list as every client takes it."""

    name = "HOST:PORT"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        try:
            return as_text(read_addresses(value))
        except AddressRefused as refused:
            # This is not wrong usage, because it may come from the environment, and the sentence says everything.
            raise CommandError(f"--bootstrap: {refused}") from None


def cluster_option_for(
    what: str, *, required: bool = False, envvars: Sequence[str] = ("MESURA_BOOTSTRAP", "MESURA_BOOTSTRAP_SERVERS")
) -> Callable[[Command], Command]:
    """`--bootstrap` and `--command-config`, as every command spells them: the command is given a `cluster`.

    `what` is the help of `--bootstrap`. Where that is not given, there is no cluster.
    """

    def with_options(command: Any) -> Any:  # noqa: ANN401  # click's decorators take any command
        @functools.wraps(command)
        def with_cluster(*arguments: Any, bootstrap: str | None, command_config: Path | None, **options: Any) -> Any:  # noqa: ANN401
            return command(*arguments, cluster=_cluster(bootstrap, command_config), **options)

        with_cluster = click.option(
            "--command-config",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            envvar="MESURA_COMMAND_CONFIG",
            show_envvar=True,
            help="Kafka client properties that say how to connect (TLS, login), as Kafka's own tools take them. "
            "MESURA_KAFKA_… variables say the same: see docs/connections.md.",
        )(with_cluster)
        return click.option(
            "--bootstrap",
            required=required,
            type=Bootstrap(),
            metavar="HOST:PORT",
            envvar=list(envvars),
            show_envvar=bool(envvars),
            help=what,
        )(with_cluster)

    return with_options


cluster_option = cluster_option_for("A Kafka broker, or several separated by commas.", required=True)


def _cluster(bootstrap: str | None, command_config: Path | None) -> Cluster | None:
    if bootstrap is None:
        return None
    # Not resolved: behind a link of Kubernetes' there is another file after each change.
    source = ConnectionSource(None if command_config is None else command_config.absolute(), os.environ)
    try:
        source.read()
        passed_over = source.passed_over()
    except ConnectionRefused as refused:
        raise CommandError(str(refused)) from None
    if passed_over:
        click.echo(f"{command_config}: without effect here: {', '.join(passed_over)}.", err=True)
    return Cluster(bootstrap, source)


def refuse_unreachable(cluster: Cluster) -> None:
    """Report at once what is wrong with the addresses, before a client waits for an answer that never comes.

    Raises:
        Unreachable: none of them leads to a broker.
    """
    try:
        reach_brokers(cluster.bootstrap_servers, cluster.connection)
    except (BrokersNotReached, ConnectionRefused) as not_reached:
        raise Unreachable(str(not_reached)) from None


def refuse_unpermitted(cluster: Cluster, permissions: Sequence[Permission], role: Role) -> None:
    """Report what the brokers do not allow us to do, before a client takes it for topics that do not exist.

    Raises:
        CommandError: says what, and how it is granted.
    """
    # Here, because it loads librdkafka, which commands that need no broker do without.
    from streams.access.check import PermissionsMissing, refuse_without

    try:
        refuse_without(cluster, permissions, role)
    except PermissionsMissing as missing:
        raise CommandError(str(missing)) from None


def stopped_answering(cluster: Cluster | str, error: KafkaException) -> Unreachable:
    """The error for a broker that was there and then gave no answer, or a bad one."""
    return Unreachable(
        f"The Kafka broker at {cluster} answered at first, but then failed: {error.args[0].str()}. Try again. "
        "If it keeps failing, look into the broker's log."
    )


def topic_options(command: Command) -> Command:
    """`--prefix`, `--intent-topic` and `--topic`; `topic_names` makes names of them."""
    for option in (
        click.option(
            "--topic",
            "renamed_topics",
            multiple=True,
            metavar="ROLE=NAME",
            envvar="MESURA_TOPIC",
            show_envvar=True,
            help="Another name for a topic, by role: preferences, outcomes, approved, suppressed, dead_letter, "
            "rerouted, ledger, control. Repeatable.",
        ),
        click.option(
            "--intent-topic",
            "intent_topics",
            multiple=True,
            metavar="NAME",
            envvar="MESURA_INTENT_TOPIC",
            show_envvar=True,
            help="Intent topic, most urgent first. Repeatable.",
        ),
        click.option(
            "--prefix",
            default="",
            metavar="TEXT",
            envvar="MESURA_PREFIX",
            show_envvar=True,
            help="Put this before every topic name.",
        ),
    ):
        command = option(command)
    return command


def topic_names(prefix: str, intent_topics: tuple[str, ...], renamed_topics: tuple[str, ...]) -> TopicNames:
    """The names that the topic options ask for.

    Raises:
        click.UsageError: a role does not exist, or two topics would have the same name.
    """
    renamed: dict[str, Any] = {}
    roles = [each.name for each in fields(TopicNames) if each.name != "intents"]
    for text in renamed_topics:
        role, equals, name = text.partition("=")
        if role not in roles or not equals or not name:
            raise click.UsageError(f"--topic needs ROLE=NAME with one of these roles: {', '.join(roles)}.")
        renamed[role] = name
    try:
        names = TopicNames(intents=intent_topics, **renamed) if intent_topics else TopicNames(**renamed)
    except ValueError as error:
        raise click.UsageError(f"Topics: {error}.") from None
    return names.with_prefix(prefix)


def erasure_key() -> str:
    """The erasure key, in hexadecimal, from the environment or from the file that the environment names.

    Raises:
        CommandError: neither or both are given, or the file cannot be read, or is open to others.
    """
    key, file = os.environ.get(ERASURE_KEY_VARIABLE), os.environ.get(ERASURE_KEY_FILE_VARIABLE)
    if key and file:
        raise CommandError(f"Both {ERASURE_KEY_VARIABLE} and {ERASURE_KEY_FILE_VARIABLE} are set. Keep one.")
    if key:
        return key.strip()
    if not file:
        raise CommandError(
            f"There is no erasure key. Set {ERASURE_KEY_VARIABLE}, or {ERASURE_KEY_FILE_VARIABLE} to a file that "
            "contains it. Make one with `mesura erasure-key create FILE`, and keep it, because the opt-outs of erased "
            "customers can be found again only with it."
        )
    try:
        return read_secret(Path(file), "erasure key file").strip()
    except ConnectionRefused as refused:
        raise CommandError(str(refused)) from None


def read_text(path: Path, what: str) -> str:
    """The text of a file.

    Raises:
        Unreadable: there is no such file, it may not be read, or it is not UTF-8.
    """
    try:
        # Editors on Windows put a byte order mark before the text. It is not part of the text.
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Unreadable(f"The {what} {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Unreadable(f"The {what} {path} is not UTF-8 text. Save it as UTF-8.") from None

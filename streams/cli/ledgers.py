"""`mesura rebuild` and `mesura ledger`: repair, backup and restore of what a gate knows.

Rules of this module
1. Nothing is recovered here. This module only collects the options and shows the report.
2. Nothing is written to the cluster without `--execute`.

Exit codes: 0 done, or nothing to do; 1 the ledger topic differs, and nothing was written; 2 refused.
"""

from __future__ import annotations

import functools
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from streams.access.roles import permissions_of
from streams.cli.errors import CommandError
from streams.cli.options import (
    cluster_option,
    erasure_key,
    read_text,
    refuse_unpermitted,
    refuse_unreachable,
    topic_names,
    topic_options,
)
from streams.cli.policy_source import policy_file
from streams.exit_codes import ExitCode
from streams.recovery.backup import BackupHead, read_backup, write_backup
from streams.recovery.errors import RecoveryRefused
from streams.recovery.ledger_topic import LedgerTopic
from streams.recovery.move import move as move_ledgers
from streams.recovery.rebuild import rebuild as rebuild_ledgers
from streams.recovery.settings import RecoverySettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.connection.cluster import Cluster
    from streams.recovery.replay import Ledgers
    from streams.topics import TopicNames

Command = TypeVar("Command", bound="Callable[..., object]")

_application_id = click.option(
    "--application-id",
    default="mesura",
    metavar="NAME",
    envvar="MESURA_APPLICATION_ID",
    show_envvar=True,
    show_default=True,
    help="The gate's application id: its consumer group.",
)
_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


def _rebuilding(command: Command) -> Any:  # noqa: ANN401  # click's decorators take any command
    """The options that `rebuild` and `restore` have in common."""
    for option in (
        topic_options,
        cluster_option,
        click.option("--json", "as_json", is_flag=True, help="The report as one JSON object."),
        click.option(
            "--accept-missing-records",
            is_flag=True,
            help="Go on although records are deleted that nothing else tells of. Somebody has to have decided that.",
        ),
        click.option(
            "--clock",
            type=click.Choice(["wall", "record"]),
            default="wall",
            show_default=True,
            help="The clock with which the gate was run.",
        ),
        click.option(
            "--policy",
            "policies",
            multiple=True,
            metavar="FILE",
            help="A policy that decided and that the control topic does not hold. Repeatable.",
        ),
        _application_id,
        click.option("--execute", is_flag=True, help="Write what was rebuilt. Without it, it is only compared."),
    ):
        command = option(command)
    return command


def _reporting_refusals(command: Command) -> Any:  # noqa: ANN401
    @functools.wraps(command)
    def with_refusals(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        try:
            return command(*arguments, **options)
        except RecoveryRefused as refused:
            raise CommandError(str(refused)) from None

    return with_refusals


@click.command()
@_rebuilding
@_reporting_refusals
def rebuild(**options: Any) -> int:  # noqa: ANN401
    """Make the ledgers of a stopped gate again from its topics, and compare them with the ledger topic or replace it.

    Read are the inputs, the batch records and the committed answers. Nothing is decided and nothing is answered. The
    gate goes on where it stopped.
    """
    return _rebuild(None, **options)


@click.group()
def ledger() -> None:
    """Back the ledger topic up, bring it back, and move it."""


@ledger.command()
@_file
@_rebuilding
@_reporting_refusals
def restore(file: Path, **options: Any) -> int:  # noqa: ANN401
    """Bring a stopped gate's ledgers back from a backup, and lead them on to where its decisions end.

    What was decided since the backup is taken from the topics, as with `mesura rebuild`. So nothing is decided a second
    time, and no answer is given twice.
    """
    return _rebuild(file, **options)


@ledger.command()
@_file
@_application_id
@cluster_option
@topic_options
@_reporting_refusals
def backup(
    file: Path,
    application_id: str,
    cluster: Cluster,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> int:
    """Write the ledgers of a gate to a file. It may go on deciding meanwhile.

    The file holds what customers said, and is readable by its owner alone.
    """
    names = topic_names(prefix, intent_topics, renamed_topics)
    refuse_unreachable(cluster)
    refuse_unpermitted(cluster, permissions_of("auditor", names, application_id), "auditor")
    topic = LedgerTopic(cluster, names.ledger, application_id)
    partitions = topic.partitions()
    head = BackupHead(application_id, names.ledger, partitions, time.time_ns() // 1_000_000, version("mesura"))
    count = write_backup(file, head, ((number, topic.read(number, is_running=True)) for number in range(partitions)))
    click.echo(f"{file}: {count} records of {partitions} partitions of {names.ledger}.")
    return ExitCode.DONE


@ledger.command()
@click.option("--to-prefix", required=True, metavar="TEXT", help="The prefix of the new gate's topics.")
@click.option("--to-application-id", required=True, metavar="NAME", help="The new gate's application id.")
@click.option("--execute", is_flag=True, help="Write to the new topics. Without it, it is only checked.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@_application_id
@cluster_option
@topic_options
@_reporting_refusals
def move(
    to_prefix: str,
    to_application_id: str,
    execute: bool,
    as_json: bool,
    application_id: str,
    cluster: Cluster,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> int:
    """Move a stopped gate's ledgers to new topics with another partition count.

    Everything on the old topics must be decided. The new ones were made by `mesura topics create --prefix …`, and no
    gate has run on them.
    """
    names = topic_names(prefix, intent_topics, renamed_topics)
    settings = RecoverySettings(cluster=cluster, names=names, application_id=application_id, erasure_key=_key())
    new_names = topic_names(to_prefix, intent_topics, renamed_topics)
    refuse_unreachable(cluster)
    refuse_unpermitted(cluster, permissions_of("auditor", names, application_id), "auditor")
    report = move_ledgers(settings, new_names, to_application_id, write=execute, tell=_tell)
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    return ExitCode.DONE


def _rebuild(
    file: Path | None,
    *,
    execute: bool,
    application_id: str,
    policies: tuple[str, ...],
    clock: Literal["wall", "record"],
    accept_missing_records: bool,
    as_json: bool,
    cluster: Cluster,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> int:
    names = topic_names(prefix, intent_topics, renamed_topics)
    settings = RecoverySettings(
        cluster=cluster,
        names=names,
        application_id=application_id,
        erasure_key=_key(),
        policies=[read_text(policy_file(name), "policy") for name in policies],
        clock=clock,
        accept_missing_records=accept_missing_records,
    )
    beginning = None if file is None else _beginning(file, names)
    refuse_unreachable(cluster)
    refuse_unpermitted(cluster, permissions_of("auditor", names, application_id), "auditor")
    report = rebuild_ledgers(settings, write=execute, beginning=beginning, tell=_tell)
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    return ExitCode.DONE if execute or report.is_same else ExitCode.ANSWER_IS_NO


def _beginning(file: Path, names: TopicNames) -> Mapping[int, Ledgers]:
    head, found = read_backup(file)
    if head.topic != names.ledger:
        raise RecoveryRefused(
            f"{file} is a backup of {head.topic}, not of {names.ledger}. Give the --prefix of its gate."
        )
    _tell(f"{file}: {head.topic} of {head.application_id}, {head.partitions} partitions, written by {head.version}")
    return found


def _key() -> bytes:
    try:
        return bytes.fromhex(erasure_key())
    except ValueError:
        raise CommandError(
            "The erasure key is not hexadecimal. Give the key with which the gate was first started."
        ) from None


def _tell(line: str) -> None:
    click.echo(line, err=True)

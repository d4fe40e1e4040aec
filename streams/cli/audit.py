"""`mesura audit`: replays from the outside what a gate committed, and reports every promise that it broke.

Rules of this module
1. Nothing is judged here. This module only collects the options and shows the report.
2. Nothing is written to the cluster, and no customer is named. A finding has a hash made for this run.

Exit codes: 0 every promise was kept; 1 some were not, one line each; 2 the audit could not run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import click

from streams.access.roles import permissions_of
from streams.audit.run import audit as run_audit
from streams.audit.settings import ACKNOWLEDGED_WITHIN_MS, DEFAULT_PROCESSES, AuditError, AuditSettings
from streams.cli.errors import CommandError
from streams.cli.options import (
    ERASURE_KEY_FILE_VARIABLE,
    ERASURE_KEY_VARIABLE,
    cluster_option,
    erasure_key,
    refuse_unpermitted,
    refuse_unreachable,
    topic_names,
    topic_options,
)
from streams.cli.policy_source import policy_file
from streams.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from streams.connection.cluster import Cluster


@click.command()
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="FILE",
    envvar="MESURA_POLICY",
    show_envvar=True,
    help="A policy that decided. Repeatable. Without any, the texts that the gate published are trusted.",
)
@click.option(
    "--application-id",
    default="mesura",
    metavar="NAME",
    show_default=True,
    help="The gate's application id, for the report.",
)
@click.option(
    "--allow-undecided",
    is_flag=True,
    help="For a running gate: whatever lies beyond the last committed position is pending, not lost.",
)
@click.option("--no-ledgers", is_flag=True, help="Do not compare the stored ledgers.")
@click.option(
    "--clock",
    type=click.Choice(["wall", "record"]),
    default="wall",
    show_default=True,
    help="The clock with which the gate was run.",
)
@click.option(
    "--acknowledged-within",
    type=click.FloatRange(0),
    default=ACKNOWLEDGED_WITHIN_MS / 1000,
    show_default=True,
    metavar="SECONDS",
    help="How long after its timestamp an opt-out is assumed to be acknowledged. Later approvals must take it into "
    "account.",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=DEFAULT_PROCESSES,
    show_default=True,
    help="Number of partitions to audit at once.",
)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@cluster_option
@topic_options
def audit(
    policies: tuple[str, ...],
    application_id: str,
    allow_undecided: bool,
    no_ledgers: bool,
    clock: Literal["wall", "record"],
    acknowledged_within: float,
    processes: int,
    as_json: bool,
    cluster: Cluster,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> int:
    """Replay what a gate committed with a second implementation of its rules, and report every broken promise."""
    files: list[Path] = [policy_file(name) for name in policies]
    names = topic_names(prefix, intent_topics, renamed_topics)
    settings = AuditSettings(
        bootstrap_servers=cluster.bootstrap_servers,
        client_settings=cluster.client_settings(),
        topics=names,
        policies=files,
        application_id=application_id,
        check_ledgers=not no_ledgers,
        allow_undecided=allow_undecided,
        clock=clock,
        processes=processes,
        acknowledged_within_ms=round(acknowledged_within * 1000),
        erasure_key=_erasure_key_if_any(),
    )
    refuse_unreachable(cluster)
    refuse_unpermitted(cluster, permissions_of("auditor", names, application_id), "auditor")
    try:
        report = run_audit(settings)
    except AuditError as error:
        raise CommandError(str(error)) from None
    click.echo(report.as_json() if as_json else report.as_text())
    return ExitCode.DONE if report.is_clean else ExitCode.ANSWER_IS_NO


def _erasure_key_if_any() -> str:
    """The key is needed only to determine whose ledgers are stored under a hash."""
    if not (os.environ.get(ERASURE_KEY_VARIABLE) or os.environ.get(ERASURE_KEY_FILE_VARIABLE)):
        return ""
    key = erasure_key()
    try:
        bytes.fromhex(key)
    except ValueError:
        raise CommandError(
            "The erasure key is not hexadecimal. Give the key with which the gate was first started."
        ) from None
    return key

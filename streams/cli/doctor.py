"""`mesura doctor`: looks for what is wrong around a gate, and changes nothing.

Exit codes: 0 no failure was found; 1 a failure was found; 2 wrong usage, or no broker answers.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.cli.errors import CommandError
from streams.cli.options import (
    ERASURE_KEY_FILE_VARIABLE,
    ERASURE_KEY_VARIABLE,
    cluster_option,
    erasure_key,
    topic_names,
    topic_options,
)
from streams.doctor.examine import examine
from streams.doctor.finding import State
from streams.doctor.subject import Subject
from streams.exit_codes import ExitCode
from streams.topics import DEFAULT_REPLICATION_FACTOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.connection.cluster import Cluster
    from streams.doctor.finding import Finding

# Wide enough for a sentence if the output is not a terminal and has no width of its own.
PIPED_WIDTH: Final = 160

_STYLES: Final = {State.OK: "green", State.WARNING: "yellow", State.FAILURE: "bold red", State.NOT_POSSIBLE: "dim"}


@click.command(
    epilog="The erasure key comes from MESURA_ERASURE_KEY or from the file named by MESURA_ERASURE_KEY_FILE. Give "
    "doctor the login, the topics and the application id of the gate."
)
@cluster_option
@click.option(
    "--policy",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="MESURA_POLICY",
    show_envvar=True,
    help="The gate's policy file.",
)
@click.option(
    "--application-id",
    default="mesura",
    show_default=True,
    envvar="MESURA_APPLICATION_ID",
    show_envvar=True,
    help="Of the gate.",
)
@click.option(
    "--replication-factor",
    type=click.IntRange(1),
    default=DEFAULT_REPLICATION_FACTOR,
    show_default=True,
    help="That the topics should have.",
)
@click.option("--recorded-times", is_flag=True, help="The topics were created with `topics create --recorded-times`.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@topic_options
def doctor(
    cluster: Cluster,
    policy: Path | None,
    application_id: str,
    replication_factor: int,
    recorded_times: bool,
    as_json: bool,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> None:
    """Look for what is wrong around a gate, without changing anything."""
    key, refusal = _key()
    subject = Subject(
        cluster=cluster,
        names=topic_names(prefix, intent_topics, renamed_topics),
        application_id=application_id,
        replication_factor=replication_factor,
        recorded_times=recorded_times,
        policy=policy,
        erasure_key=key,
        erasure_key_refusal=refusal,
    )
    with _client_is_silent():
        findings = examine(subject)
    code = exit_code_of(findings)
    if as_json:
        click.echo(json.dumps({"exit_code": int(code), "findings": [_as_json(each) for each in findings]}, indent=2))
    else:
        _print(findings)
    click.get_current_context().exit(code)


@contextmanager
def _client_is_silent() -> Iterator[None]:
    """What goes wrong with a connection is a finding here, and not also lines of the client's."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def exit_code_of(findings: Sequence[Finding]) -> ExitCode:
    """What could not be looked at is no failure. Without a connection nothing was looked at."""
    failed = {finding.check for finding in findings if finding.state is State.FAILURE}
    if "connection" in failed:
        return ExitCode.REFUSED
    return ExitCode.ANSWER_IS_NO if failed else ExitCode.DONE


def _key() -> tuple[str, str]:
    """The key, and why it cannot be used. Both empty: none was given."""
    if not (os.environ.get(ERASURE_KEY_VARIABLE) or os.environ.get(ERASURE_KEY_FILE_VARIABLE)):
        return "", ""
    try:
        return erasure_key(), ""
    except CommandError as refused:
        return "", refused.message


def _as_json(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "state": finding.state.value,
        "sentence": finding.sentence,
        "remedy": finding.remedy,
    }


def _print(findings: Sequence[Finding]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPED_WIDTH)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for heading in ("check", "state", "what was found", "what to do"):
        table.add_column(heading, no_wrap=heading in {"check", "state"}, overflow="fold")
    for finding in findings:
        state = Text(finding.state.value.replace("_", " "), style=_STYLES[finding.state])
        table.add_row(finding.check, state, Text(finding.sentence), Text(finding.remedy))
    console.print(table)

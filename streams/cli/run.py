"""`mesura run`: runs the gate against a cluster and keeps it running.

Exit codes: 0 stopped as asked, or a bounded run (`--clock record`) has ended; 2 refused, with a sentence on standard
error, because starting again would not help. Standard output carries one line of JSON, `{"ops": "http://…"}`, from the
supervisor, which answers for its worker processes; with `--explain-port`, `"explain"` is in it too. A refusal before
anything is started is a plain sentence. After that, everything on standard error is a log line.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click
import structlog
from msgspec.structs import replace

from streams.cli.endpoint_options import endpoint_options
from streams.cli.errors import CommandError
from streams.cli.ops_gateway import MachineOpsGateway
from streams.cli.options import (
    ERASURE_KEY_FILE_VARIABLE,
    ERASURE_KEY_VARIABLE,
    cluster_option,
    erasure_key,
    topic_names,
    topic_options,
)
from streams.cli.supervisor import Supervisor
from streams.exit_codes import ExitCode
from streams.settings import (
    COUNTERS_VARIABLE,
    KEY_VARIABLE,
    LANES_MAX,
    PROCESSES_MAX,
    SETTINGS_VARIABLE,
    SettingsRefused,
    WorkerSettings,
)
from streams.telemetry.logs import configure_logging, log_what_nobody_catches
from streams.telemetry.opentelemetry_export.switch import OpenTelemetryRefused, exported
from streams.telemetry.recurrence import Recurrence
from streams.web.settings import EndpointRefused

if TYPE_CHECKING:
    from streams.connection.cluster import Cluster
    from streams.web.settings import EndpointSettings

WORKER_MODULE: Final = "streams.worker"

log = structlog.get_logger(__name__)


@click.command(
    epilog="The erasure key comes from MESURA_ERASURE_KEY or from the file named by MESURA_ERASURE_KEY_FILE."
)
@cluster_option
@click.option(
    "--policy",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="MESURA_POLICY",
    show_envvar=True,
    help="The policy file. It is read again when it changes. If it cannot be used, the last good policy stays in "
    "force.",
)
@click.option(
    "--application-id",
    default="mesura",
    show_default=True,
    envvar="MESURA_APPLICATION_ID",
    show_envvar=True,
    help="Consumer group, and prefix of the transactional ids.",
)
@click.option(
    "--slot",
    default="0",
    show_default=True,
    envvar="MESURA_SLOT",
    show_envvar=True,
    help="Identifies a worker of the application. A worker must keep its slot when it is restarted. With N processes: "
    "the number K of this machine, whose workers have the slots from K x N on.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, PROCESSES_MAX),
    default=1,
    show_default=True,
    envvar="MESURA_PROCESSES",
    show_envvar=True,
    help="Worker processes on this machine. They share the partitions, and one operations endpoint.",
)
@click.option(
    "--clock",
    type=click.Choice(["wall", "record"]),
    default="wall",
    show_default=True,
    envvar="MESURA_CLOCK",
    show_envvar=True,
    help="wall: run as a service. record: decide what the topics hold now by the records' own timestamps, then end.",
)
@click.option(
    "--lanes",
    type=click.IntRange(1, LANES_MAX),
    default=1,
    show_default=True,
    envvar="MESURA_LANES",
    show_envvar=True,
    help="Number of transactions that may be in progress at once.",
)
@endpoint_options
@click.option(
    "--accept-missing-records",
    is_flag=True,
    envvar="MESURA_ACCEPT_MISSING_RECORDS",
    show_envvar=True,
    help="Continue, and count, where records were deleted before they were decided.",
)
@click.option(
    "--accept-new-erasure-key",
    is_flag=True,
    help="Once, after the erasure key was lost for good: what is kept of erased customers under the old one is never "
    "found again. See docs/operations.md.",
)
@click.option(
    "--count-by",
    multiple=True,
    metavar="FIELD=WORD",
    envvar="MESURA_COUNT_BY",
    show_envvar=True,
    help="Count decisions of this campaign, sender or country apart in the metrics: campaign=spring, sender=bank-co, "
    "country=CO. Repeatable.",
)
@click.option(
    "--check-crcs/--no-check-crcs",
    default=True,
    show_default=True,
    envvar="MESURA_CHECK_CRCS",
    show_envvar=True,
    help="Check every batch's checksum. Only the embedded broker, whose transaction markers have none, needs "
    "--no-check-crcs.",
)
@topic_options
def run(
    cluster: Cluster,
    policy: Path,
    application_id: str,
    slot: str,
    processes: int,
    clock: Literal["wall", "record"],
    lanes: int,
    endpoint: EndpointSettings,
    accept_missing_records: bool,
    accept_new_erasure_key: bool,
    count_by: tuple[str, ...],
    check_crcs: bool,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> None:
    """Run the gate in one or several processes, and restart any that end."""
    settings = WorkerSettings(
        bootstrap_servers=cluster.bootstrap_servers,
        command_config="" if cluster.connection.path is None else str(cluster.connection.path),
        policy_path=str(policy.absolute()),  # links stay: one that is swapped, as Kubernetes does, is a new policy
        application_id=application_id,
        slot=slot,
        topics=topic_names(prefix, intent_topics, renamed_topics),
        clock=clock,
        lanes=lanes,
        ops_port=0,
        explain=endpoint.explain_port is not None,
        accept_missing_records=accept_missing_records,
        accept_new_erasure_key=accept_new_erasure_key,
        count_by=count_by,
        check_crcs=check_crcs,
        erasure_key=erasure_key(),
    )
    try:
        settings.checked()
        endpoint.checked()
        exported(os.environ)
    except (SettingsRefused, EndpointRefused, OpenTelemetryRefused) as error:
        raise CommandError(str(error)) from None
    if clock == "record" and processes > 1:
        raise click.UsageError("--clock record decides with one process, so leave --processes out.")
    supervisor = _supervisor(settings, endpoint, processes)
    configure_logging()
    log_what_nobody_catches()
    try:
        code = supervisor.run()
    except OSError as error:
        raise CommandError(
            f"The operations endpoint cannot listen: {error}. Give it another address or port."
        ) from None
    except Exception as error:  # from here on everything is a log line, and a new start may cure it
        log.critical("An uncaught error ended the supervisor.", exc_info=error)
        code = ExitCode.START_AGAIN
    click.get_current_context().exit(code)


def _supervisor(settings: WorkerSettings, endpoint: EndpointSettings, processes: int) -> Supervisor:
    recurrence = Recurrence()
    gateway = MachineOpsGateway(
        processes,
        endpoint=endpoint,
        access_key=bytes.fromhex(settings.erasure_key),
        recurrence=recurrence,
        announce=click.echo,
    )
    own_slots = [settings.slot] if processes == 1 else slots(settings.slot, processes)
    environments = [
        {
            **worker_environment(replace(settings, slot=slot, ops_token=gateway.worker_token, erasure_key="")),
            COUNTERS_VARIABLE: str(gateway.descriptor(number)),
        }
        for number, slot in enumerate(own_slots)
    ]
    return Supervisor(WORKER_MODULE, environments, key=settings.erasure_key, gateway=gateway, recurrence=recurrence)


def slots(machine: str, processes: int) -> list[str]:
    """The slots of a machine's workers: those of machine K with N processes are K x N to K x N + N - 1.

    Raises:
        click.UsageError: the machine is not a number.
    """
    if not (machine.isascii() and machine.isdecimal()):
        raise click.UsageError(
            "With several --processes, --slot must be the number of this machine: 0, 1, 2 and so on."
        )
    first = int(machine) * processes
    return [str(first + number) for number in range(processes)]


def worker_environment(settings: WorkerSettings) -> dict[str, str]:
    """The environment of a worker: ours and its settings, without the erasure key."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {ERASURE_KEY_VARIABLE, ERASURE_KEY_FILE_VARIABLE, COUNTERS_VARIABLE, KEY_VARIABLE}
    }
    return {**inherited, SETTINGS_VARIABLE: settings.to_environment()}

"""The options of the operations endpoint, for commands that serve one."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from streams.web.settings import EndpointSettings

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., object]")

DIRECTORY = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
PORT = click.IntRange(0, 65_535)


def _option(*name: str, envvar: str, **attributes: Any) -> Callable[[Any], Any]:  # noqa: ANN401  # click's own
    return click.option(*name, envvar=envvar, show_envvar=True, **attributes)


_OPTIONS = (
    _option(
        "--ops-host", envvar="MESURA_OPS_HOST", default="127.0.0.1", show_default=True,
        help="Address of /metrics, /live and /ready. Beyond the loopback address it needs --ops-access or "
        "--ops-open-metrics.",
    ),
    _option(
        "--ops-port", envvar="MESURA_OPS_PORT", default=9464, show_default=True, type=PORT, help="0: any free port."
    ),
    _option(
        "--ops-open-metrics", envvar="MESURA_OPS_OPEN_METRICS", is_flag=True,
        help="Let everybody who reaches the port read /metrics. They name no customer.",
    ),
    _option(
        "--ops-access", envvar="MESURA_OPS_ACCESS", type=DIRECTORY,
        help="Who may ask: files ROLE.tokens and ROLE.subjects, of the roles metrics, operator, support, compliance. "
        "Read again when they change. See docs/endpoint.md.",
    ),
    _option(
        "--ops-tls", envvar="MESURA_OPS_TLS", type=DIRECTORY,
        help="Serve over TLS, with tls.crt and tls.key of this directory; ca.crt there is the authority of clients. "
        "Read again when they change.",
    ),
    _option(
        "--ops-name", "ops_names", envvar="MESURA_OPS_NAME", multiple=True, metavar="NAME",
        help="A further host name by which the endpoint may be asked. Addresses, localhost and the machine's own name "
        "need none. Repeatable.",
    ),
    _option(
        "--explain-port", envvar="MESURA_EXPLAIN_PORT", type=PORT,
        help="Answer on this port what would be decided about a customer now. `mesura explain` asks there. Without it "
        "nobody is answered. 0: any free port.",
    ),
    _option(
        "--explain-host", envvar="MESURA_EXPLAIN_HOST", default="127.0.0.1", show_default=True,
        help="Address of --explain-port. Beyond the loopback address it needs --ops-access.",
    ),
    _option(
        "--access-log", envvar="MESURA_ACCESS_LOG", type=FILE,
        help="Where each look-up of a customer is recorded, a line each; the customer is hashed. Default: stderr.",
    ),
)  # fmt: skip


def endpoint_options(command: Command) -> Command:
    """The options; the command is given one `endpoint`."""

    @functools.wraps(command)
    def with_endpoint(
        *arguments: Any,  # noqa: ANN401
        ops_access: Path | None,
        ops_tls: Path | None,
        ops_names: tuple[str, ...],
        ops_open_metrics: bool,
        ops_host: str,
        ops_port: int,
        explain_host: str,
        explain_port: int | None,
        access_log: Path | None,
        **options: Any,  # noqa: ANN401
    ) -> object:
        endpoint = EndpointSettings(
            ops_host=ops_host,
            ops_port=ops_port,
            explain_host=explain_host,
            explain_port=explain_port,
            access=ops_access,
            tls=ops_tls,
            names=ops_names,
            open_metrics=ops_open_metrics,
            access_log=access_log,
        )
        return command(*arguments, endpoint=endpoint, **options)

    wrapped: Any = with_endpoint
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    result: Command = wrapped
    return result

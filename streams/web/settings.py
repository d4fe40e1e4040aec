"""Where the operations endpoint of a machine listens, and who may ask it.

Rules of this module
1. Beyond the loopback address nothing but `/live` and `/ready` is open unless somebody chose it. A start that would
   open more is refused.
2. Whatever is refused says the option that mends it.
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from msgspec import Struct

from streams.access_log.writer import AccessLog, AccessNotRecorded
from streams.web.access import AccessRefused, Credentials, Role, read_credentials
from streams.web.customer_questions import ASKERS
from streams.web.ops import DEFAULT_HOST, DEFAULT_PORT, SCRAPERS
from streams.web.server_tls import TlsRefused, read_context


class EndpointRefused(ValueError):
    """The endpoint cannot be served so. The message says why, and what to do."""


class EndpointSettings(Struct, frozen=True, kw_only=True):
    """The operations endpoint of `mesura run`."""

    ops_host: str = DEFAULT_HOST
    ops_port: int = DEFAULT_PORT
    explain_host: str = DEFAULT_HOST
    explain_port: int | None = None
    """None: questions about customers are not answered."""
    access: Path | None = None
    """The directory of `streams.web.access`."""
    tls: Path | None = None
    """The directory of `streams.web.server_tls`."""
    names: tuple[str, ...] = ()
    open_metrics: bool = False
    access_log: Path | None = None
    """None: standard error."""

    def checked(self) -> EndpointSettings:
        """These settings, if they can be used.

        Raises:
            EndpointRefused: they cannot.
        """
        try:
            if self.tls is not None:
                read_context(self.tls)
            credentials = None if self.access is None else read_credentials(self.access)
        except (AccessRefused, TlsRefused) as refused:
            raise EndpointRefused(str(refused)) from None
        self._check_metrics(credentials)
        if self.explain_port is not None:
            self._check_questions(credentials)
        return self

    def _check_metrics(self, credentials: Credentials | None) -> None:
        if self.open_metrics:
            return
        if credentials is None:
            if not is_loopback(self.ops_host):
                raise EndpointRefused(
                    f"--ops-host {self.ops_host} is not the loopback address, and nothing says who may read /metrics. "
                    "Give --ops-access DIRECTORY with tokens or certificate subjects, or let everybody who reaches the "
                    "port read them with --ops-open-metrics, or listen on 127.0.0.1."
                )
        elif not credentials.roles() & SCRAPERS:
            raise EndpointRefused(
                f"Nobody in {self.access} may read /metrics: put a token into metrics.tokens there, or start with "
                "--ops-open-metrics."
            )

    def _check_questions(self, credentials: Credentials | None) -> None:
        if credentials is None:
            if not is_loopback(self.explain_host):
                raise EndpointRefused(
                    f"--explain-host {self.explain_host} is not the loopback address, and nothing says who may ask "
                    "about customers. Give --ops-access DIRECTORY with tokens or subjects, or listen on 127.0.0.1."
                )
        elif not credentials.roles() & ASKERS:
            raise EndpointRefused(
                f"Nobody in {self.access} may ask about customers: put a token into {Role.SUPPORT}.tokens or "
                f"{Role.COMPLIANCE}.tokens there, or leave out --explain-port."
            )
        try:
            AccessLog(b"", self.access_log).check()
        except AccessNotRecorded as error:
            raise EndpointRefused(
                f"Look-ups of customers cannot be recorded in {self.access_log}: {error}. Give --access-log a file "
                "that can be written."
            ) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there. A name is, if all its addresses are."""
    try:
        found = socket.getaddrinfo(host or None, None, flags=socket.AI_PASSIVE, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)

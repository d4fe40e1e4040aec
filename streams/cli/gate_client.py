"""Asks a running gate about a customer, at the port of `mesura run --explain-port`.

Rules of this module
1. A token comes from a file or from a variable, never from an option, because everybody on the machine sees those.
2. It goes to the address that was given and nowhere else: no redirection is followed, and no proxy is asked.
3. Whatever is missing is said in one sentence with its remedy.
"""

from __future__ import annotations

import functools
import http.client
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click
import orjson

from streams.cli.errors import CommandError, Unreachable, Unreadable
from streams.connection.errors import ConnectionRefused
from streams.connection.files import read_secret

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., object]")

ANSWER_SECONDS: Final = 10.0
"""A gate answers between two batches. One that takes longer is considered not to answer."""

ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
"""An answer has some kilobytes."""

DEFAULT_GATE: Final = "http://127.0.0.1:9465"

TOKEN_VARIABLE: Final = "MESURA_GATE_TOKEN"  # noqa: S105  # a name
TOKEN_FILE_VARIABLE: Final = "MESURA_GATE_TOKEN_FILE"  # noqa: S105  # a name

_HOW_TO_START: Final = "`mesura run --explain-port 9465` answers there and prints the address."


class GateAddress(NamedTuple):
    """Where a gate answers, and what it is shown."""

    url: str
    token_file: Path | None = None
    authority: Path | None = None
    certificate: Path | None = None

    def ask(self, intent: bytes) -> bytes:
        """What the gate would answer now, as JSON.

        Raises:
            Unreachable: no gate answers there.
            CommandError: it refused the question; its sentence is passed on.
        """
        if not _is_url(self.url):
            raise click.UsageError(f"--gate needs the address of a gate, such as {DEFAULT_GATE}. {_HOW_TO_START}")
        headers = {"Content-Type": "application/json"}
        if token := self._token():
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(f"{self.url.rstrip('/')}/explain", data=intent, headers=headers)  # noqa: S310  # checked above
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), _NoRedirection, urllib.request.HTTPSHandler(context=self._context())
        )
        try:
            with opener.open(request, timeout=ANSWER_SECONDS) as response:
                content: bytes = response.read(ANSWER_BYTES_MAX)
        except urllib.error.HTTPError as error:
            with error:
                raise CommandError(self._refusal(error, has_token=bool(token))) from None
        except (urllib.error.URLError, OSError) as error:
            raise Unreachable(self._silence(getattr(error, "reason", error))) from None
        except http.client.HTTPException:
            raise Unreachable(f"What answers at {self.url} is not a web server. {_HOW_TO_START}") from None
        if not content.lstrip().startswith(b"{"):
            raise Unreachable(f"What answers at {self.url} is not a gate. {_HOW_TO_START}")
        return content

    def _token(self) -> str:
        given = os.environ.get(TOKEN_VARIABLE, "").strip()
        if given and self.token_file is not None:
            raise CommandError(f"Both {TOKEN_VARIABLE} and a token file are given. Keep one.")
        try:
            token = given if self.token_file is None else read_secret(self.token_file, "token file").strip()
        except ConnectionRefused as refused:
            raise Unreadable(str(refused)) from None
        if not (token.isascii() and token.isprintable() and " " not in token):
            where = TOKEN_VARIABLE if self.token_file is None else f"The token file {self.token_file}"
            raise CommandError(f"{where} must hold one token and nothing else, on one line and without its name.")
        return token

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        try:
            if self.authority is not None:
                context = ssl.create_default_context(cafile=self.authority)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, password=lambda: "")
        except (ssl.SSLError, OSError):
            raise Unreadable(
                "--gate-authority and --gate-certificate need readable files in PEM: the authority's certificate, and "
                "a certificate with its key without a password."
            ) from None
        return context

    def _silence(self, why: object) -> str:
        if isinstance(why, ssl.SSLCertVerificationError):
            return (
                f"The certificate of {self.url} is not trusted: {why.verify_message}. Give its authority with "
                "--gate-authority, and the host name that is in the certificate with --gate."
            )
        if isinstance(why, ssl.SSLError):
            return f"What answers at {self.url} speaks no TLS, or refuses ours. Try http://, or a client certificate."
        if isinstance(why, ConnectionResetError | http.client.RemoteDisconnected) and self.url.startswith("http:"):
            return f"What answers at {self.url} closed the connection. If it speaks TLS, give https://. {_HOW_TO_START}"
        return f"No gate answers at {self.url}: {why}. {_HOW_TO_START}"

    def _refusal(self, error: urllib.error.HTTPError, *, has_token: bool) -> str:
        if error.code == HTTPStatus.UNAUTHORIZED:
            if has_token:
                return (
                    f"The gate at {self.url} does not know this token. It may have been changed: ask for the new one."
                )
            return (
                f"The gate at {self.url} needs a token. Give the file that holds it with --gate-token-file "
                f"({TOKEN_FILE_VARIABLE}), or the token itself in {TOKEN_VARIABLE}, or a certificate with "
                "--gate-certificate."
            )
        if error.code == HTTPStatus.NOT_FOUND:
            return (
                f"What answers at {self.url} does not explain. It is the port of /metrics, or something else: "
                f"{_HOW_TO_START} Or ask with --ledger and --policy."
            )
        try:
            return str(orjson.loads(error.read(ANSWER_BYTES_MAX))["error"])
        except (ValueError, KeyError, TypeError, OSError):
            return f"What answers at {self.url} answered with status {error.code}. {_HOW_TO_START}"


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any, **_more: Any) -> None:  # noqa: ANN401
        """Nowhere: the token would go along."""


def gate_options(command: Command) -> Command:
    """`--gate` and what it is shown; the command is given one `gate`."""

    @functools.wraps(command)
    def with_gate(
        *arguments: Any,  # noqa: ANN401
        gate: str,
        gate_token_file: Path | None,
        gate_authority: Path | None,
        gate_certificate: Path | None,
        **options: Any,  # noqa: ANN401
    ) -> object:
        address = GateAddress(gate, gate_token_file, gate_authority, gate_certificate)
        return command(*arguments, gate=address, **options)

    file = click.Path(dir_okay=False, path_type=Path)
    wrapped: Any = with_gate
    for name, variable, help_text in (
        ("--gate-certificate", "MESURA_GATE_CERTIFICATE", "Our certificate and its key, PEM, in place of a token."),
        ("--gate-authority", "MESURA_GATE_AUTHORITY", "The authority of the gate's certificate, PEM."),
        ("--gate-token-file", TOKEN_FILE_VARIABLE, f"The file with the token. {TOKEN_VARIABLE} may hold it instead."),
    ):
        wrapped = click.option(name, type=file, envvar=variable, show_envvar=True, help=help_text)(wrapped)
    wrapped = click.option(
        "--gate",
        default=DEFAULT_GATE,
        show_default=True,
        envvar="MESURA_GATE",
        show_envvar=True,
        help="The gate to ask.",
    )(wrapped)
    result: Command = wrapped
    return result


def _is_url(gate: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(gate)
        has_port = parts.port != 0
    except ValueError:
        return False
    is_plain = not any(character.isspace() for character in gate)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and has_port and is_plain

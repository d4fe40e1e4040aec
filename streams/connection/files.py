"""Files with what is secret, or trusted.

Rules of this module
1. A file with a secret may be read by its owner and its group, and written by its owner: mode & 0o027 is 0. The group,
   because Kubernetes gives a container its secrets as files of root's that the pod's group reads (`fsGroup`), and
   systemd services share files by group. It is asked of the file that was opened, behind all links.
2. A file that holds nothing secret may be read by all.
3. What a file holds is never quoted.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from streams.connection.errors import ConnectionRefused
from streams.connection.pem import validity_in

if TYPE_CHECKING:
    from pathlib import Path

BYTES_MAX: Final = 4 * 1024 * 1024
"""Of one file. A bundle of every public authority has 250 KB."""

_MAY_NOT: Final = stat.S_IWGRP | stat.S_IRWXO


def refuse_open_to_others(path: Path, what: str, mode: int) -> None:
    """Refuse a file with a secret that others may read, or the group may change.

    Raises:
        ConnectionRefused: says the command that mends it.
    """
    if os.name == "posix" and mode & _MAY_NOT:
        whom = "others" if mode & stat.S_IRWXO else "its group"
        how = "read or change" if mode & stat.S_IRWXO else "change"
        raise ConnectionRefused(
            f"The {what} {path} holds a secret, and {whom} may {how} it (mode {stat.S_IMODE(mode):04o}): run "
            f"`chmod 640 {path}`, or `chmod 600` if its group need not read it. In Kubernetes give the volume "
            "`defaultMode: 0440` and the pod an `fsGroup`."
        )


def read_file(path: Path, what: str) -> tuple[bytes, int]:
    """The content of a file, and its mode.

    Raises:
        ConnectionRefused: it cannot be read, or is far too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
            mode = os.fstat(file.fileno()).st_mode
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no path"
        raise ConnectionRefused(f"The {what} {path} cannot be read: {why}.") from None
    if len(content) > BYTES_MAX:
        raise ConnectionRefused(f"The {what} {path} has more than {BYTES_MAX >> 20} MiB: it is another file.")
    return content, mode


def read_secret(path: Path, what: str) -> str:
    """The text of a file that holds one secret, without the line end that editors put behind it.

    Raises:
        ConnectionRefused: it cannot be read, is open to others, or is not text.
    """
    content, mode = read_file(path, what)
    refuse_open_to_others(path, what, mode)
    return _text(content, path, what).removesuffix("\n").removesuffix("\r")


def read_pem(path: Path, what: str) -> tuple[str, int]:
    """The text of a PEM file, and its mode.

    Raises:
        ConnectionRefused: it cannot be read, or is a store of Java's; says how to convert it.
    """
    content, mode = read_file(path, what)
    if content[:4] in {b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce"}:
        raise ConnectionRefused(f"The {what} {path} is in Java's own format (JKS). {conversion('JKS', str(path))}")
    if validity_in(content) is not None:
        raise ConnectionRefused(
            f"The {what} {path} is a certificate in DER, not PEM. Convert it with `openssl x509 -inform DER -in {path} "
            "-out certificate.pem`, and give that."
        )
    if content[:1] == b"\x30" and b"-----BEGIN" not in content:
        raise ConnectionRefused(f"The {what} {path} is not PEM, but PKCS12. {conversion('PKCS12', str(path))}")
    return _text(content, path, what), mode


def conversion(kind: str, path: str) -> str:
    """How to make PEM of a store, as commands; it asks for the passwords."""
    convert = f"openssl pkcs12 -in {'store.p12' if kind == 'JKS' else path} -out store.pem"
    if kind == "JKS":
        convert = (
            f"keytool -importkeystore -srckeystore {path} -destkeystore store.p12 -deststoretype PKCS12 && {convert}"
        )
    return (
        f"Convert it with `{convert}` (with -nokeys if it is a trust store), `chmod 640 store.pem`, and give that with "
        "type=PEM."
    )


def _text(content: bytes, path: Path, what: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConnectionRefused(f"The {what} {path} is not text in UTF-8.") from None

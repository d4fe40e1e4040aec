"""What is in PEM: certificates, keys, and until when a certificate is valid."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s*(.*?)-----END \1-----", re.DOTALL)
_CERTIFICATE: Final = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


class Validity(NamedTuple):
    begins: datetime
    ends: datetime


def certificates_in(text: str) -> str:
    """The certificates of a text, in their order; empty if there is none."""
    return "".join(f"{block[0]}\n" for block in _BLOCK.finditer(text) if block[1] in _CERTIFICATE)


def keys_in(text: str) -> list[str]:
    """The private keys of a text."""
    return [f"{block[0]}\n" for block in _BLOCK.finditer(text) if block[1].endswith("PRIVATE KEY")]


def is_encrypted(key: str) -> bool:
    """Whether a key needs a password."""
    return "BEGIN ENCRYPTED PRIVATE KEY" in key or "Proc-Type: 4,ENCRYPTED" in key


def on_lines(text: str) -> str:
    """PEM that was given on one line, as properties files have it, with the line ends that PEM needs.

    Kafka takes such values too: `-----BEGIN CERTIFICATE----- MII… -----END CERTIFICATE-----`.
    """

    def laid_out(block: re.Match[str]) -> str:
        body = block[2]
        if ":" in body:  # an encrypted key of the older kind has headers, which stand on lines of their own
            return block[0]
        packed = "".join(body.split())
        lines = "\n".join(packed[place : place + 64] for place in range(0, len(packed), 64))
        return f"-----BEGIN {block[1]}-----\n{lines}\n-----END {block[1]}-----"

    return _BLOCK.sub(laid_out, text)


def validity_of(pem: str) -> Validity | None:
    """From when until when the first certificate is valid; None if that cannot be read."""
    block = _BLOCK.search(pem)
    if block is None:
        return None
    try:
        return validity_in(base64.b64decode(block[2]))
    except binascii.Error:
        return None


def validity_in(certificate: bytes) -> Validity | None:
    """The same of a certificate in DER.

    A certificate (RFC 5280) is a sequence whose first part is a sequence: version, serial number, algorithm, issuer,
    and then the validity, a sequence of two times.
    """
    try:
        _, body, _ = _element(certificate)
        _, rest, _ = _element(body)
        if rest[0] == _VERSION:
            rest = _element(rest)[2]
        for _ in ("serial number", "algorithm", "issuer"):
            rest = _element(rest)[2]
        kind, times, _ = _element(rest)
        if kind != _SEQUENCE:
            return None
        first_kind, first, rest = _element(times)
        second_kind, second, _ = _element(rest)
        return Validity(_moment(first_kind, first), _moment(second_kind, second))
    except (IndexError, ValueError):
        return None


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """The kind and the content of the first element, and what follows it."""
    kind, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start])
    if start + length > len(data):
        raise ValueError("cut off")
    return kind, data[start : start + length], data[start + length :]


def _moment(kind: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if kind == _UTC_TIME:  # two digits of the year: 50 to 99 are of the last century
        text = ("19" if text[:2] >= "50" else "20") + text
    elif kind != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)

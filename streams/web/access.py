"""Who may ask the operations endpoint what: roles, and how a caller shows to have one.

A directory holds, for each role, tokens in `ROLE.tokens` and subjects of client certificates in `ROLE.subjects`, one a
line. A token may have a name before it (`scraper-a 5f0c…`), by which the access log calls whoever holds it. Several
tokens of one role are valid at once, so that they can be changed one after the other.

Rules of this module
1. A token is compared in constant time, with every token there is.
2. A token is never quoted. Without a name its holder is called by eight digits of its hash.
3. A file name that is no role's is refused, because a misspelt one would lock somebody out without a word.
"""

from __future__ import annotations

import hmac
import re
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streams.connection.errors import ConnectionRefused
from streams.connection.files import read_file, refuse_open_to_others

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

TOKEN_CHARACTERS_MIN: Final = 32
"""128 bits in hexadecimal: nobody guesses that, however often they may try."""
TOKEN_CHARACTERS_MAX: Final = 512

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
"""What may follow `Bearer` (RFC 6750, section 2.1)."""
_NAME: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")


class Role(StrEnum):
    """What a caller may ask."""

    METRICS = "metrics"
    """`/metrics`: a scraper."""
    SUPPORT = "support"
    """`/explain`, masked: the decision and what stood against it, without counts, moments and identifiers."""
    COMPLIANCE = "compliance"
    """`/explain`, whole."""
    OPERATOR = "operator"
    """Everything about the machine, nothing about customers."""


class Caller(NamedTuple):
    """Who asks, as the access log calls them, and as what."""

    who: str
    role: Role


class AccessRefused(ValueError):
    """The files cannot be used. The message says which and why, and quotes none of them."""


class Credentials:
    """Everything that is accepted."""

    def __init__(self, tokens: Mapping[bytes, Caller], subjects: Mapping[str, Caller]) -> None:
        self._tokens = tokens
        self._subjects = subjects

    def by_token(self, token: str) -> Caller | None:
        digest, found = sha256(token.encode()).digest(), None
        for known, caller in self._tokens.items():
            if hmac.compare_digest(known, digest):
                found = caller
        return found

    def by_subject(self, subject: str) -> Caller | None:
        return self._subjects.get(subject)

    def roles(self) -> frozenset[Role]:
        """The roles that somebody can have."""
        return frozenset(caller.role for caller in (*self._tokens.values(), *self._subjects.values()))


def read_credentials(directory: Path) -> Credentials:
    """The credentials of a directory.

    Raises:
        AccessRefused: it or one of its files cannot be used.
    """
    try:
        files = sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise AccessRefused(f"The access directory {directory} cannot be read: {error.strerror}.") from None
    tokens: dict[bytes, Caller] = {}
    subjects: dict[str, Caller] = {}
    for path in files:
        stem, _, kind = path.name.rpartition(".")
        if stem not in list(Role) or kind not in {"tokens", "subjects"}:
            raise AccessRefused(
                f"{path} is neither a list of tokens nor of subjects: name it ROLE.tokens or ROLE.subjects, with a "
                f"role of {', '.join(Role)}."
            )
        role = Role(stem)
        if kind == "subjects":
            for line in _lines(path, "list of subjects", is_secret=False):
                _add(subjects, normal_subject(line), Caller(line, role), path)
            continue
        for line in _lines(path, "list of tokens", is_secret=True):
            digest, who = _token(line, path)
            _add(tokens, digest, Caller(who, role), path)
    return Credentials(tokens, subjects)


def only_token(token: str) -> Callable[[], Credentials] | None:
    """What accepts this token alone, as the operator's; None if it is empty."""
    if not token:
        return None
    known = Credentials({sha256(token.encode()).digest(): Caller("supervisor", Role.OPERATOR)}, {})
    return lambda: known


def _add(known: dict[Any, Caller], key: bytes | str, caller: Caller, path: Path) -> None:
    if key in known:
        raise AccessRefused(f"A line of {path} stands twice, there or under another role: every line has one role.")
    known[key] = caller


def _lines(path: Path, what: str, *, is_secret: bool) -> Iterator[str]:
    try:
        content, mode = read_file(path, what)
        if is_secret:
            refuse_open_to_others(path, what, mode)
        text = content.decode("utf-8-sig")
    except ConnectionRefused as refused:
        raise AccessRefused(str(refused)) from None
    except UnicodeDecodeError:
        raise AccessRefused(f"The {what} {path} is not text in UTF-8.") from None
    return (line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))


def _token(line: str, path: Path) -> tuple[bytes, str]:
    name, _, token = line.rpartition(" ")
    name = name.strip()
    if (name and not _NAME.fullmatch(name)) or not _TOKEN.fullmatch(token):
        raise AccessRefused(
            f"A line of {path} is no token: write the token alone, or a name, a space and the token. Make one with: "
            "openssl rand -hex 32"
        )
    if not TOKEN_CHARACTERS_MIN <= len(token) <= TOKEN_CHARACTERS_MAX:
        raise AccessRefused(
            f"A token of {path} has {len(token)} characters; {TOKEN_CHARACTERS_MIN} to {TOKEN_CHARACTERS_MAX} are "
            "needed. Make one with: openssl rand -hex 32"
        )
    digest = sha256(token.encode())
    return digest.digest(), name or f"token {digest.hexdigest()[:8]}"


# ---- subjects of certificates ---------------------------------------------------------------------------------------

_SHORT: Final = {
    "commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "localityName": "L",
    "stateOrProvinceName": "ST", "countryName": "C", "domainComponent": "DC", "userId": "UID",
}  # fmt: skip
_SPECIAL: Final = re.compile(r'([,+"\\<>;])')


def subject_of(certificate: Mapping[str, Any]) -> str:
    """The subject as RFC 4514 writes it; `openssl x509 -subject -nameopt RFC2253` prints it."""
    parts = [
        "+".join(_SHORT.get(name, name) + "=" + _SPECIAL.sub(r"\\\1", value) for name, value in names)
        for names in reversed(certificate.get("subject", ()))
    ]
    return ",".join(parts)


def normal_subject(text: str) -> str:
    """The same without spaces after its commas, as people write them, and without the word before it."""
    return re.sub(r"(?<!\\),\s+", ",", text.removeprefix("subject=").strip())

"""Reads `sasl.jaas.config`: one login module of Kafka's and its options.

    org.apache.kafka.common.security.scram.ScramLoginModule required username="gate" password="…";

Rules of this module
1. The text is never quoted, because it holds a password.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from streams.connection.errors import ConnectionRefused

_PACKAGE: Final = "org.apache.kafka.common.security."
PLAIN, SCRAM, OAUTH = (
    f"{_PACKAGE}plain.PlainLoginModule",
    f"{_PACKAGE}scram.ScramLoginModule",
    f"{_PACKAGE}oauthbearer.OAuthBearerLoginModule",
)
MODULES: Final = {PLAIN: ("PLAIN",), SCRAM: ("SCRAM-SHA-256", "SCRAM-SHA-512"), OAUTH: ("OAUTHBEARER",)}
"""The mechanisms that each module is for."""

_TOKEN: Final = re.compile(
    r"""\s+ | //[^\n]* | /\*.*?\*/ | "(?P<double>(?:[^"\\\n]|\\.)*)" | '(?P<single>(?:[^'\\\n]|\\.)*)'
    | (?P<word>[A-Za-z0-9_$.\-]+) | (?P<sign>[=;])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(?:([0-3][0-7]{0,2}|[4-7][0-7]?)|(.))", re.DOTALL)
_ESCAPED: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class LoginModule(NamedTuple):
    name: str
    options: dict[str, str]


def read_login_module(text: str, origin: str) -> LoginModule:
    """The module and its options.

    Raises:
        ConnectionRefused: it is not written like that, or there is another module.
    """
    form = f'{origin}: write it as `{SCRAM} required username="…" password="…";`'
    words = _words(text, form)
    if len(words) < 3 or words[-1] != (";", True):
        raise ConnectionRefused(f"{form}, with a semicolon at its end.")
    name, flag = words[0][0], words[1][0]
    if name not in MODULES:
        raise ConnectionRefused(
            f"{origin}: the login module is none of {', '.join(MODULES)}. Use the one for sasl.mechanism."
        )
    if flag.lower() not in {"required", "requisite", "sufficient", "optional"}:
        raise ConnectionRefused(f"{form}: behind the module stands `required`.")
    options: dict[str, str] = {}
    rest = words[2:-1]
    if (";", True) in rest:
        raise ConnectionRefused(f"{origin}: there is more than one login module. Keep one.")
    for place in range(0, len(rest), 3):
        option = rest[place : place + 3]
        if len(option) < 3 or option[0][1] or option[1] != ("=", True) or option[2][1]:
            raise ConnectionRefused(f'{form}: behind `required` stand options as name="value".')
        key, value = option[0][0], option[2][0]
        if key in options:
            raise ConnectionRefused(f"{origin}: the option `{key}` is given twice. Keep one.")
        options[key] = value
    return LoginModule(name, options)


def _words(text: str, form: str) -> list[tuple[str, bool]]:
    """Words, and whether each is a sign."""
    found = []
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise ConnectionRefused(
                f"{form}: a value with other than letters, digits, `_$.-` stands in quotation marks."
            )
        place = token.end()
        if token["sign"] is not None:
            found.append((token["sign"], True))
        elif token["word"] is not None:
            found.append((token["word"], False))
        else:
            quoted = token["double"] if token["double"] is not None else token["single"]
            if quoted is not None:
                found.append((_ESCAPE.sub(_unescaped, quoted), False))
    return found


def _unescaped(escape: re.Match[str]) -> str:
    if escape[1] is not None:
        return chr(int(escape[1], 8))
    return _ESCAPED.get(escape[2], escape[2])

"""Reads the text of a properties file as Java does: escapes, continued lines, comments.

Rules of this module
1. A key given twice is refused. Java takes the last one, and which one was meant nobody can know.
2. Letters beyond ASCII are refused outside of comments: Java reads them as ISO 8859-1, whatever the editor has written.
   `\\u00e4` means the same to everybody.
"""

from __future__ import annotations

import javaproperties

from streams.connection.errors import ConnectionRefused


def read_properties(content: bytes, origin: str) -> dict[str, str]:
    """The values by key. `origin` names the file in errors.

    Raises:
        ConnectionRefused: it is no properties file, or one that can be understood in two ways.
    """
    found: dict[str, str] = {}
    line = 1
    try:
        for element in javaproperties.parse(content.removeprefix(b"\xef\xbb\xbf")):
            if isinstance(element, javaproperties.KeyValue):
                if not element.source.isascii():
                    raise ConnectionRefused(
                        f"{origin}, line {line}: a letter beyond ASCII may stand in comments only, because Java and "
                        "editors disagree about its bytes. Write it as \\uXXXX."
                    )
                if element.key in found:
                    raise ConnectionRefused(f"{origin}, line {line}: `{element.key}` is given twice. Keep one.")
                found[element.key] = element.value
            line += element.source.count("\n") or 1
    except javaproperties.InvalidUEscapeError:
        raise ConnectionRefused(
            f"{origin}, line {line}: `\\u` needs four hexadecimal digits behind it. Write a backslash as `\\\\`."
        ) from None
    return found

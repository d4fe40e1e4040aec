"""Searches every byte of directories for planted identifiers, in every form in which they may stand there."""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def forms(text: str) -> Iterator[bytes]:
    """The text as UTF-8, UTF-16 and UTF-32, escaped as in JSON, in hexadecimal, and in base64 at each alignment."""
    plain = text.encode()
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        yield text.encode(encoding)
    yield json.dumps(text)[1:-1].encode()
    yield "".join(f"\\u{ord(character):04x}" for character in text).encode()
    yield plain.hex().encode()
    for before in range(3):
        # Only whole groups of three bytes are coded alike whatever stands around them.
        whole = plain[-before % 3 :]
        whole = whole[: len(whole) // 3 * 3]
        yield base64.b64encode(whole)
        yield base64.urlsafe_b64encode(whole)


class Search:
    """Looks for identifiers by name; an identifier is a text, or bytes that stand as they are or in hexadecimal."""

    def __init__(self, identifiers: Mapping[str, str | bytes]) -> None:
        self._forms = {
            name: {*forms(found)} if isinstance(found, str) else {found, found.hex().encode()}
            for name, found in identifiers.items()
        }

    def in_bytes(self, content: bytes) -> set[str]:
        """The names of those that stand in it."""
        return {name for name, wanted in self._forms.items() if any(form in content for form in wanted)}

    def below(self, directory: Path) -> Counter[tuple[str, str]]:
        """In how many files of each directory (or by themselves) each identifier stands, by directory and name."""
        found: Counter[tuple[str, str]] = Counter()
        for path in sorted(directory.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            try:
                # Index files are made in their full size, a megabyte of zeros each.
                content = path.read_bytes().rstrip(b"\0") + b"\0"
            except FileNotFoundError:  # deleted meanwhile
                continue
            place = str(path.parent.relative_to(directory))
            found.update((place, name) for name in self.in_bytes(content + path.name.encode()))
        return found

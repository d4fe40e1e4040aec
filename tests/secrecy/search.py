"""Finds planted markers in bytes, in every form in which they may stand there.

Rules of this module
1. It looks for the stem of the markers, then reads what follows. A marker that was cut is found too.
2. Keys have no stem. They are looked for in pieces of 16 digits, so that half a key is found as well.
3. What was found is named by kind and form, never quoted.
"""

from __future__ import annotations

import base64
import re
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.secrecy.markers import NUMBER_STEM, SERIAL_DIGITS, WORD_STEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

UNKNOWN: Final = "a part of a marker"
KEY_PIECE_CHARACTERS: Final = 16
"""Of hexadecimal: 64 bits, which nothing holds by chance."""

MARKER_CHARACTERS_MAX: Final = 64
"""So much behind a stem is read, to see which marker it is."""

_ESCAPES: Final = {
    "as \\u0000": ("\\u{:04x}", 6, 16),
    "as \\x00": ("\\x{:02x}", 4, 16),
    "URL-encoded": ("%{:02x}", 3, 16),
    "as &#0;": ("&#{};", 6, 10),
    "as numbers": ("{}, ", 5, 10),
}
"""By name: how one character is written, its length at most, and its base."""


class Found(NamedTuple):
    """A marker, by its kind, and the form in which it stands."""

    kind: str
    form: str


class _Form(NamedTuple):
    name: str
    needle: bytes
    """In lower case, except base64."""
    width: int
    """Bytes of one character at most."""
    read: Callable[[bytes], str]


def _forms(stem: str) -> Iterator[_Form]:
    plain = stem.encode()
    yield _Form("plain", plain, 1, lambda found: found.decode("latin-1"))
    yield _Form("reversed", plain[::-1], 1, lambda _: "")
    for encoding, width in (("utf-16-le", 2), ("utf-16-be", 2), ("utf-32-le", 4), ("utf-32-be", 4)):
        yield _Form(encoding, stem.encode(encoding), width, partial(_in_encoding, encoding=encoding))
    yield _Form("hexadecimal", plain.hex().encode(), 2, partial(_unescaped, looks=rb"[0-9a-f]{2}", base=16))
    for name, (written, width, base) in _ESCAPES.items():
        needle = "".join(written.format(ord(letter)) for letter in stem).encode()
        before, _, behind = (re.escape(part).encode() for part in re.sub(r"\{.*\}", "|", written).partition("|"))
        digits = rb"[0-9]{2,3}" if base == 10 else b"[0-9a-f]{%d}" % (width - len(re.sub(r"\{.*\}", "", written)))
        yield _Form(name, needle, width, partial(_unescaped, looks=before + b"(" + digits + b")" + behind, base=base))
    for skipped in range(3):
        # Only whole groups of three bytes are coded alike whatever stands around them.
        whole = plain[skipped:]
        coded = base64.b64encode(whole[: len(whole) // 3 * 3])
        assert not {b"+"[0], b"/"[0]} & set(coded), "the same in both alphabets"
        yield _Form("base64", coded, 2, partial(_decoded, before=stem[:skipped]))


def _in_encoding(found: bytes, encoding: str) -> str:
    return found.decode(encoding, errors="replace")


def _unescaped(found: bytes, looks: bytes, base: int) -> str:
    text = ""
    at = 0
    while (match := re.compile(looks).match(found, at)) is not None:
        text += chr(int(match[match.re.groups], base))
        at = match.end()
    return text


def _decoded(found: bytes, before: str) -> str:
    coded = re.match(rb"[A-Za-z0-9+/_-]*", found)[0]  # type: ignore[index]  # matches the empty text too
    coded = coded[: len(coded) // 4 * 4].translate(bytes.maketrans(b"-_", b"+/"))
    return before + base64.b64decode(coded).decode("latin-1")


class Search:
    """Looks for markers of these kinds, and for keys by name."""

    def __init__(self, kinds: Mapping[str, str], keys: Mapping[str, bytes] | None = None) -> None:
        self._kinds = kinds
        self._forms = [*_forms(WORD_STEM), *_forms(NUMBER_STEM)]
        self._keys = [(name, form, piece) for name, key in (keys or {}).items() for form, piece in _pieces(key)]

    def in_bytes(self, content: bytes) -> set[Found]:
        """The markers and keys that stand in it."""
        lower = content.lower()
        found = {
            Found(self._kind_of(form.read(within[at : at + form.width * MARKER_CHARACTERS_MAX])), form.name)
            for form in self._forms
            for within in [content if form.name == "base64" else lower]
            for at in _places(within, form.needle)
        }
        return found | {Found(name, form) for name, form, piece in self._keys if piece in content}

    def _kind_of(self, text: str) -> str:
        found = _MARKER.match(text.lower())
        return UNKNOWN if found is None else self._kinds.get(found[0], UNKNOWN)


_MARKER: Final = re.compile(rf"{WORD_STEM}-[a-z-]+-[0-9]{{{SERIAL_DIGITS}}}x*|{NUMBER_STEM}[0-9]{{6}}")


def _places(content: bytes, needle: bytes) -> Iterator[int]:
    at = content.find(needle)
    while at >= 0:
        yield at
        at = content.find(needle, at + len(needle))


def _pieces(key: bytes) -> Iterator[tuple[str, bytes]]:
    digits = key.hex()
    size = KEY_PIECE_CHARACTERS
    for at in range(0, len(digits) - size + 1, size):
        piece = digits[at : at + size]
        yield "hexadecimal", piece.encode()
        yield "hexadecimal", piece.upper().encode()
        yield "utf-16", piece.encode("utf-16-le")
        yield "as it is", bytes.fromhex(piece)
        for coded in (piece.encode(), bytes.fromhex(piece)):
            for skipped in range(3):
                whole = coded[skipped:]
                whole = whole[: len(whole) // 3 * 3]
                yield "base64", base64.b64encode(whole)
                yield "base64", base64.urlsafe_b64encode(whole)

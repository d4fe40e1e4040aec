"""The search itself: what it must find, in forms made by others than those it looks for."""

from __future__ import annotations

import base64
import binascii
import json
import urllib.parse
from typing import TYPE_CHECKING

import pytest

from tests.secrecy.markers import Markers
from tests.secrecy.search import UNKNOWN, Found, Search

if TYPE_CHECKING:
    from collections.abc import Callable

FORMS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "upper case": lambda text: text.upper().encode(),
    "a sentence": lambda text: f"no such customer {text}.".encode(),
    "repr": lambda text: repr([text]).encode(),
    "json": lambda text: json.dumps({"id": text}).encode(),
    "url, as a browser writes it": lambda text: urllib.parse.quote(f"a b/{text}").encode(),
    "url, every byte": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()).encode(),
    "escaped": lambda text: "".join(f"\\u{ord(letter):04X}" for letter in text).encode(),
    "bytes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()).encode(),
    "entities": lambda text: "".join(f"&#{byte};" for byte in text.encode()).encode(),
    "a list of bytes": lambda text: repr(list(text.encode())).encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "hexadecimal": lambda text: binascii.hexlify(text.encode()),
    "HEXADECIMAL": lambda text: text.encode().hex().upper().encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64 behind one byte": lambda text: base64.b64encode(b"a" + text.encode() + b"b"),
    "base64 behind two bytes": lambda text: base64.b64encode(b"ab" + text.encode() + b"c"),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(b"{?>" + text.encode()),
    "reversed": lambda text: text[::-1].encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_marker_is_found_in_every_form(form: str) -> None:
    markers = Markers()
    word, number = markers.word("customer"), str(markers.number("phone"))
    search = Search(markers.kinds)
    for marker, kind in ((word, "customer"), (number, "phone")):
        found = search.in_bytes(b"\0something before " + FORMS[form](marker) + b" and behind\n")
        assert found, kind
        assert {each.kind for each in found} <= {kind, UNKNOWN}


def test_what_was_found_is_named_by_its_kind_and_a_cut_one_too() -> None:
    markers = Markers()
    campaign = markers.word("campaign")
    search = Search(markers.kinds)
    assert search.in_bytes(f"{campaign}_7".encode()) == {Found("campaign", "plain")}
    assert search.in_bytes(campaign[:9].encode()) == {Found(UNKNOWN, "plain")}
    assert search.in_bytes(campaign[:7].encode()) == set()


@pytest.mark.parametrize(
    "form",
    [
        lambda key: key,
        lambda key: key.hex().encode(),
        lambda key: key.hex().upper().encode(),
        lambda key: key.hex()[:20].encode(),
        lambda key: key.hex()[30:].encode(),
        base64.b64encode,
        lambda key: base64.b64encode(b"a" + key),
        lambda key: base64.b64encode(key.hex().encode()),
        lambda key: key.hex().encode("utf-16"),
    ],
)
def test_a_key_is_found_whole_and_in_part(form: Callable[[bytes], bytes]) -> None:
    key = bytes(range(17, 49))
    assert Search({}, {"erasure key": key}).in_bytes(b"x" + form(key) + b"y")


def test_nothing_is_found_where_nothing_is() -> None:
    everything = bytes(range(256)) * 100 + json.dumps(list(range(10_000))).encode()
    assert Search(Markers().kinds, {"key": b"\x91" * 32}).in_bytes(everything) == set()

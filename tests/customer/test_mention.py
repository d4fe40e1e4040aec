"""By what a record is found to be a customer's, and what is left alone."""

from __future__ import annotations

import base64
import json

import pytest

from streams.customer.mention import CustomerId, Mention

CUSTOMER = CustomerId("c-1")
UMLAUT = CustomerId("kündin-17-äöü")


def event(customer_id: object = "c-1", **more: object) -> bytes:
    return json.dumps({"event_id": "e", "customer_id": customer_id, "type": "opt_out", **more}).encode()


STRUCTURED = (("content-type", b"application/cloudevents+json"),)
CONTENT = {
    "under another key": (event(), ()),
    "escaped": (event().replace(b'"c-1"', rb'"\u0063-1"'), ()),
    "UTF-16": (event().decode().encode("utf-16"), ()),
    "a registry's prefix": (b"\0\0\0\0\x07" + event(), ()),
    "a CloudEvent": (json.dumps({"specversion": "1.0", "data": json.loads(event())}).encode(), STRUCTURED),
    "a CloudEvent in base64": (
        json.dumps({"specversion": "1.0", "data_base64": base64.b64encode(event()).decode()}).encode(),
        STRUCTURED,
    ),
    "JSON in a string": (json.dumps(event().decode()).encode(), ()),
}


@pytest.mark.parametrize("name", CONTENT)
def test_an_event_names_its_customer_in_every_envelope(name: str) -> None:
    value, headers = CONTENT[name]
    assert CUSTOMER.mention(b"somebody", value, headers) is Mention.CONTENT
    assert CUSTOMER.mention(None, value, headers) is Mention.CONTENT
    assert CustomerId("c-2").mention(b"somebody", value, headers) is None


def test_a_key_is_enough() -> None:
    assert CUSTOMER.mention(b"c-1", None, ()) is Mention.KEY
    assert CUSTOMER.mention(b"c-1", b"\xff", ()) is Mention.KEY
    assert CUSTOMER.mention(b"c-10", None, ()) is None


@pytest.mark.parametrize(
    "value",
    [
        event("c-10"),
        event("xc-1"),
        event("c-1-b"),
        event("a.c-1"),
        b"{broken c-10",
        b"nothing",
        b"",
        None,
        event("c-2", attributes={"note": "c-12"}),
    ],
)
def test_somebody_else_is_not_found(value: bytes | None) -> None:
    assert CUSTOMER.mention(b"somebody", value, ()) is None


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (None, b'{"customer_id": "c-1", "type', ()),
        (b"somebody", event("c-2", attributes={"referred_by": "c-1"}), ()),
        (b"somebody", b"unreadable", (("origin", b"c-1"),)),
        (b"crm:c-1", b"unreadable", ()),
        (None, '{"customer_id": "c-1"'.encode("utf-16-le"), ()),
        (None, '{"customer_id": "c-1"'.encode("utf-16-be"), ()),
    ],
)
def test_where_the_id_only_stands_a_person_has_to_look(
    key: bytes | None, value: bytes, headers: tuple[tuple[str, bytes], ...]
) -> None:
    assert CUSTOMER.mention(key, value, headers) is Mention.TEXT


@pytest.mark.parametrize("before", range(5))
def test_base64_that_nobody_can_open_is_looked_into(before: int) -> None:
    coded = base64.b64encode(b"x" * before + UMLAUT.key + b"rest")
    assert UMLAUT.mention(None, b'{"payload":"' + coded, ()) is Mention.TEXT
    assert CustomerId("kündin-18-äöü").mention(None, b'{"payload":"' + coded, ()) is None


def test_an_id_that_json_escapes_is_found_in_what_nobody_can_read() -> None:
    assert UMLAUT.mention(None, json.dumps({"customer_id": UMLAUT.text}).encode()[:-1], ()) is Mention.TEXT

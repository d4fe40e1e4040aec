"""Records as producers, connectors and accidents make them: events in envelopes, and values nobody can read.

Nothing here knows what a gate makes of them.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.versions.choice import Choice

Headers = tuple[tuple[str, bytes], ...]
Damaged = tuple[bytes | None, Headers]

STRUCTURED: Final[Headers] = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
BINARY: Final[Headers] = (("ce_specversion", b"1.0"), ("ce_type", b"intent"), ("content-type", b"application/json"))
TOO_LONG: Final = 70_000


def _changed(value: bytes, choice: Choice, change: Callable[[dict[str, Any], list[str]], None]) -> Damaged:
    event = json.loads(value)
    change(event, sorted(event))
    return json.dumps(event, separators=(",", ":")).encode(), ()


def _without_a_field(value: bytes, choice: Choice) -> Damaged:
    return _changed(value, choice, lambda event, names: event.pop(choice.one_of(names)))


def _of_another_type(value: bytes, choice: Choice) -> Damaged:
    def change(event: dict[str, Any], names: list[str]) -> None:
        event[choice.one_of(names)] = choice.one_of((17, -1, 2.5, True, [], ["sms"], {}, "", "x" * 300, None))

    return _changed(value, choice, change)


def _more_is_said(value: bytes, choice: Choice) -> Damaged:
    def change(event: dict[str, Any], names: list[str]) -> None:
        event[choice.one_of(("channels", "note", "priority", "timezone", "address_hash"))] = choice.one_of(("x", None))

    return _changed(value, choice, change)


def _strange_time(value: bytes, choice: Choice) -> Damaged:
    def change(event: dict[str, Any], names: list[str]) -> None:
        times = [name for name in names if name.endswith(("_at", "until"))] or ["effective_at"]
        event[choice.one_of(times)] = choice.one_of(
            ("2026-11-24T10:00:00", "tomorrow", "1795532400250", 1_795_532_400, 0, -5, 1_795_532_400_250_000, 1.5,
             "2026-02-30T10:00:00Z", "2016-12-31T23:59:60Z", "2026-11-24T10:00-05:00[America/Bogota]")
        )  # fmt: skip

    return _changed(value, choice, change)


def _another_type(value: bytes, choice: Choice) -> Damaged:
    def change(event: dict[str, Any], names: list[str]) -> None:
        event["type"] = choice.one_of(("OPT-OUT", "Unsubscribe", "stop", "Opt-In", "granted", "STOPALL", "Erasure", 7))

    return _changed(value, choice, change)


def _twice(value: bytes, choice: Choice) -> Damaged:
    event = json.loads(value)
    name = choice.one_of(sorted(event))
    again = json.dumps({name: choice.one_of((event[name], "stop", "c-other"))})
    return value[:-1] + b"," + again[1:].encode(), ()


def _cut_short(value: bytes, choice: Choice) -> Damaged:
    return value[: choice.between(1, len(value) - 1)], ()


def _not_text(value: bytes, choice: Choice) -> Damaged:
    return choice.one_of(
        (b"\xff\xfe\xfd", value[:20] + b"\xe9" + value[20:], b"\x1f\x8b\x08" + value, b"\xff" + value)
    ), ()


def _no_event(value: bytes, choice: Choice) -> Damaged:
    return choice.one_of((b"[]", b"null", b"{}", b"7", b'"stop"', b"[" * 600, b"{} {}", b"stop")), ()


def _nothing(value: bytes, choice: Choice) -> Damaged:
    return choice.one_of((None, b"", b"\0\0\0\0\7")), ()


def _too_long(value: bytes, choice: Choice) -> Damaged:
    return value[:-1] + b',"text":"' + b"x" * TOO_LONG + b'"}', ()


def _prefixed(value: bytes, choice: Choice) -> Damaged:
    return choice.one_of((b"\0\0\0\0\7", b"\0\0\0\0\0\0\0\1\5", b"\0", b"\1\2")) + value, ()


def _encoded(value: bytes, choice: Choice) -> Damaged:
    encoding = choice.one_of(("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"))
    return value.decode().encode(encoding), ()


def _cloud_event(value: bytes, choice: Choice) -> Damaged:
    around: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/crm", "type": "event"}
    if choice.chance(0.3):
        around["data_base64"] = base64.b64encode(value).decode()
    else:
        around["data"] = json.loads(value)
    spoilt = choice.random()
    if spoilt < 0.1:
        around["specversion"] = "0.3"
    elif spoilt < 0.2:
        around.pop("data", None)
    elif spoilt < 0.25:
        around["data_base64"] = "no base64"
    headers = STRUCTURED if choice.chance(0.7) else ()
    if spoilt > 0.95:
        headers = (("content-type", b"application/cloudevents-batch+json"),)
    return json.dumps(around).encode(), headers


def _binary_event(value: bytes, choice: Choice) -> Damaged:
    return value, BINARY


def _connect(value: bytes, choice: Choice) -> Damaged:
    held = json.loads(value) if choice.chance(0.7) else value.decode()
    around: dict[str, Any] = {"schema": {"type": "struct"}, "payload": held}
    if choice.chance(0.2):
        around["more"] = 1
    return json.dumps(around).encode(), ()


def _debezium(value: bytes, choice: Choice) -> Damaged:
    around = {"before": None, "after": json.loads(value), "op": choice.one_of("curd"), "ts_ms": 1}
    return json.dumps(around).encode(), ()


def _as_a_string(value: bytes, choice: Choice) -> Damaged:
    return json.dumps(value.decode()).encode(), ()


def _compressed(value: bytes, choice: Choice) -> Damaged:
    return choice.one_of((b"\0\0\0\0\7", b"")) + zlib.compress(value), ()


DAMAGE: Final = (
    _without_a_field, _without_a_field, _of_another_type, _of_another_type, _more_is_said, _strange_time, _strange_time,
    _another_type, _twice, _cut_short, _not_text, _no_event, _nothing, _prefixed, _encoded, _cloud_event, _cloud_event,
    _binary_event, _connect, _debezium, _as_a_string, _compressed,
)  # fmt: skip
TOO_LONG_SHARE: Final = 0.01
"""Of the damaged: what is longer than a gate reads costs a campaign as much as a hundred others."""


def damaged(value: bytes, choice: Choice) -> Damaged:
    """What stands on the topic instead of the event, and the headers it has for that."""
    if choice.chance(TOO_LONG_SHARE):
        return _too_long(value, choice)
    return choice.one_of(DAMAGE)(value, choice)

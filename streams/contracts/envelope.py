"""What stands around a payload: nothing, a schema-registry prefix, or a CloudEvents envelope.

Rules of this module
1. The payload is found, never changed, and nothing of the envelope is merged into it: attributes of an envelope do not
   override fields of the payload.
2. The header `content-type` alone tells the mode, as the CloudEvents Kafka binding 1.0, section 3, says. An event in
   binary mode (headers `ce_*`) need not be opened, because its value is the payload. Envelopes that no header announces
   are a matter of `bare_envelopes.py`.
3. What serializers of schema registries put before the JSON is removed (`prefixes.py`).
4. Text that is certainly in another encoding than UTF-8 is converted first. UTF-16 without a mark, which only the
   second byte shows, is left to `bare_envelopes.py`: to look for it in every record would cost more than it is worth.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Raw, Struct

from streams.contracts.duplicate_fields import refuse_duplicate_fields
from streams.contracts.errors import REMEDIES, RecordRefused
from streams.contracts.prefixes import FIRST_BYTES, INPUT_VALUE_BYTES_MAX, without_prefix
from streams.contracts.refusals import check_text, refusal_of
from streams.contracts.text import as_utf8

if TYPE_CHECKING:
    from streams.records import Headers

_BRACE: Final = ord("{")
_STRUCTURED: Final = "application/cloudevents+json"
_CLOUDEVENTS: Final = "application/cloudevents"


class _Envelope(Struct, gc=False):
    """The parts of a structured CloudEvent that are looked at."""

    specversion: Literal["1.0"]
    data: Raw = Raw(b"null")
    data_base64: str | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def payload_of(value: bytes | None, headers: Headers) -> bytes:
    """The payload of a record's value: JSON text, not yet read.

    Raises:
        RecordRefused: `no_value`, `too_large`, `bad_envelope`, or for an envelope what any JSON can be refused for.
    """
    if not value:
        raise RecordRefused("no_value")
    if len(value) > INPUT_VALUE_BYTES_MAX:
        raise RecordRefused("too_large", f"more than {INPUT_VALUE_BYTES_MAX} bytes. {REMEDIES['too_large']}")
    if value[0] != _BRACE:
        value = as_utf8(value)
        if value[:1] and value[0] in FIRST_BYTES:
            value = without_prefix(value)
        if not value:
            raise RecordRefused("no_value")
    for name, content in headers:
        if len(name) == 12 and name.lower() == "content-type" and content:
            media_type = content.split(b";", 1)[0].strip().decode("latin-1").lower()
            if media_type == _STRUCTURED:
                return opened_cloud_event(as_utf8(value))
            if media_type.startswith(_CLOUDEVENTS):
                raise RecordRefused(
                    "bad_envelope",
                    "a CloudEvent in a form that is not read; write application/cloudevents+json, one event a record",
                )
    return value


def opened_cloud_event(value: bytes) -> bytes:
    """What a structured CloudEvent holds.

    Raises:
        RecordRefused: `bad_envelope` if it is none or holds nothing, or what any JSON can be refused for.
    """
    check_text(value)
    try:
        envelope = _decode_envelope(value)
    except msgspec.ValidationError:
        raise RecordRefused(
            "bad_envelope", f"not an object with `specversion` 1.0 as text. {REMEDIES['bad_envelope']}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise refusal_of(error) from None
    refuse_duplicate_fields(value, 0, 0, _Envelope.__struct_fields__)
    inline = bytes(envelope.data)
    if envelope.data_base64 is None:
        if inline == b"null":
            raise RecordRefused("bad_envelope", "neither `data` nor `data_base64`; write the event as `data`")
        return inline
    if inline != b"null":
        raise RecordRefused("bad_envelope", "both `data` and `data_base64`; write the event as `data` alone")
    try:
        payload = binascii.a2b_base64(envelope.data_base64.encode(), strict_mode=True)
    except ValueError:
        raise RecordRefused(
            "bad_envelope", "`data_base64`: no base64 (RFC 4648, with padding); write the event as `data`"
        ) from None
    if not payload:
        raise RecordRefused("no_value")
    return as_utf8(payload)

"""What serializers of schema registries put before the JSON of a record.

Rules of this module
1. Only what is unmistakable is read: bytes with which neither JSON nor text begins, an id of the length that goes with
   them, and directly after it the brace with which every event begins. After the four-byte id, which is the commonest,
   there may be whatever JSON may begin with.
2. The id is not looked up: the contract is the same whoever wrote the record.
3. If what follows the prefix is not JSON, the refusal names the format as far as it can be told, and how to write JSON
   instead. Avro and Protobuf are not read: a registry would have to answer first, and an opt-out would depend on it.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

from streams.contracts.errors import REMEDIES, RecordRefused
from streams.contracts.text import MARKS_BEGIN, as_utf8

# The largest intent written in plain UTF-8 has 34 KiB (18 texts of 128 and 16 attributes, four bytes a character); in
# base64, 46. Less would refuse what the contract allows; more would let one producer's mistake fill a transaction.
INPUT_VALUE_BYTES_MAX: Final = 65_536

FIRST_BYTES: Final = b"\0\1\3"
"""A value with a prefix begins with one of these."""

_BEGINS: Final = frozenset(b'{["\t\n\r -0123456789tfn' + MARKS_BEGIN)
_SHORT_BYTES: Final = 5  # 0 and a four-byte id: Confluent, Karapace, Apicurio since 3, Redpanda
# Whole prefixes before a brace. No registry has an id 0, and none has reached the one whose bytes begin as these do.
_LONG: Final = re.compile(
    rb"\x00{6}...(?=\{)"  # Apicurio before 3: 0 and an eight-byte id
    rb"|\x00{4}[0-9A-Fa-f]{32}(?=\{)"  # Azure: a format that is 0 and the id in hexadecimal digits
    rb"|\x01.{16}(?=\{)"  # Confluent's GUID
    rb"|\x03\x00.{16}(?=\{)",  # AWS Glue: version, no compression, a UUID
    re.DOTALL,
)
_AZURE: Final = re.compile(rb"\x00{4}[0-9A-Fa-f]{32}")
_GLUE: Final = re.compile(rb"\x03[\x00\x05].{16}", re.DOTALL)
_COMPRESSED_BY_GLUE: Final = 5
_INSTEAD: Final = (
    "Avro and Protobuf are not read; publish JSON, with the registry's JSON serializer, or convert the topic"
)


def without_prefix(value: bytes) -> bytes:
    """The JSON behind the prefix of a value that begins with one of `FIRST_BYTES`; UTF-8 if that can be told.

    Raises:
        RecordRefused: `not_json`, `too_large` or `no_value`: there is none.
    """
    long = _LONG.match(value)
    if long is not None:
        return value[long.end() :]
    if value[0] == 0 and _AZURE.match(value) is None:
        return _behind_short(value[_SHORT_BYTES:])
    if _GLUE.match(value) is not None:
        behind = value[18:]
        found = _inflated(behind) if value[1] == _COMPRESSED_BY_GLUE else behind
        if found.startswith(b"{"):
            return found
    raise RecordRefused("not_json", f"begins as a schema registry's prefix, and no JSON stands behind it: {_INSTEAD}")


def _behind_short(behind: bytes) -> bytes:
    if behind and behind[0] not in _BEGINS:
        raise RecordRefused("not_json", f"no JSON behind the id of a schema registry: {_INSTEAD}")
    return as_utf8(behind)


def _inflated(compressed: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(compressed, INPUT_VALUE_BYTES_MAX + 1)
    except zlib.error:
        found = b""
    if len(found) > INPUT_VALUE_BYTES_MAX:
        raise RecordRefused(
            "too_large", f"more than {INPUT_VALUE_BYTES_MAX} bytes when decompressed. {REMEDIES['too_large']}"
        )
    if not inflater.eof or inflater.unused_data:
        raise RecordRefused("not_json", "behind AWS Glue's header, what says it is zlib is none; publish JSON")
    return found

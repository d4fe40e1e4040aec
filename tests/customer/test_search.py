"""The search of `make forget` finds what it looks for, in every form; it would be a proof of nothing otherwise."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from tests.customer.search import Search

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "planted-customer-4711"
SEARCH = Search({"customer": TEXT, "decision": b"\x01\x02\x03\xff\xfe\xfd"})


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize(
    "written",
    [
        lambda text: text,
        base64.b64encode,
        base64.urlsafe_b64encode,
        lambda text: text.hex().encode(),
        lambda text: text.decode().encode("utf-16-le"),
        lambda text: text.decode().encode("utf-16-be"),
        lambda text: json.dumps(text.decode()).encode(),
    ],
)
def test_each_form_is_found(before: int, written: object) -> None:
    content = written(b"x" * before + TEXT.encode() + b"yz")  # type: ignore[operator]
    assert SEARCH.in_bytes(b"\0" + content + b"\0") == {"customer"}
    assert SEARCH.in_bytes(content.replace(b"4711", b"4712")) in (set(), {"customer"})


def test_bytes_and_files(tmp_path: Path) -> None:
    (tmp_path / "topic-0").mkdir()
    (tmp_path / "topic-0" / "00.log").write_bytes(b"a\x01\x02\x03\xff\xfe\xfdb")
    (tmp_path / TEXT).write_bytes(b"")
    (tmp_path / "clean").write_bytes(b"planted-customer-4712")
    assert dict(SEARCH.below(tmp_path)) == {("topic-0", "decision"): 1, (".", "customer"): 1}

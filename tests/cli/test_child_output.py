"""What a worker wrote past its logging: nothing of its content is kept, and what it died of is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.cli.child_output import Ended, UnloggedLines, is_log_line, lines, worker_message

if TYPE_CHECKING:
    from collections.abc import Iterable

CUSTOMER = "+57-300-555-0199"
BROKEN = {
    "uncaught": f"raise ValueError({CUSTOMER!r})",
    "own type": f"class LaneError(Exception): pass\nraise LaneError({CUSTOMER!r})",
    "chained": f"try:\n  int({CUSTOMER!r})\nexcept ValueError as e:\n  raise KeyError({CUSTOMER!r}) from e",
    "aborted": "import faulthandler, os\nfaulthandler.enable()\nos.abort()",
}


def unlogged(output: Iterable[bytes]) -> tuple[UnloggedLines, str]:
    """What is left of it, and all that was said of its lines."""
    found = UnloggedLines()
    return found, str([found.add(line) for line in output])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("uncaught", "ValueError in <string>:1"),
        ("own type", "LaneError in <string>:2"),
        ("chained", "KeyError in <string>:4"),
        ("aborted", "Aborted in <string>:3"),
    ],
)
def test_what_an_interpreter_dies_of(kind: str, words: str) -> None:
    died = subprocess.run([sys.executable, "-c", BROKEN[kind]], capture_output=True, check=False, timeout=60)
    found, told = unlogged(died.stderr.splitlines(keepends=True))
    assert found.in_words() == words
    assert CUSTOMER not in told


@given(st.lists(st.binary(max_size=60)))
def test_nothing_of_the_content_of_any_line_is_kept(texts: list[bytes]) -> None:
    found, told = unlogged([text + CUSTOMER.encode() + text + b"\n" for text in texts])
    assert CUSTOMER not in told
    assert CUSTOMER not in found.in_words()


def test_lines_of_a_worker() -> None:
    assert worker_message(b"no json") is None
    assert worker_message(b"[1]") is None
    assert worker_message(b'{"ops": 7}') is None
    assert worker_message(b'{"pid": 7}\n') is not None
    ops = worker_message(b'{"ops": "http://127.0.0.1:1"}\n')
    assert ops is not None
    assert ops.ops == "http://127.0.0.1:1"
    ended = worker_message(
        b'{"ended": {"sentence": "no", "kind": "LaneError", "topic": null, "partition": null, "offset": null}}'
    )
    assert ended is not None
    assert ended.ended == Ended("no", "LaneError")


def test_what_is_a_log_line() -> None:
    assert is_log_line(b'{"event": "x"}\n')
    assert not is_log_line(b"Traceback (most recent call last):\n")
    assert not is_log_line(b"\xff\n")
    assert not is_log_line(b"17\n")


async def test_a_line_without_an_end_stops_nothing() -> None:
    stream = asyncio.StreamReader(limit=64)
    stream.feed_data(b"first\n" + b"x" * 1_000 + b"\nlast\n")
    stream.feed_eof()
    found = [line async for line in lines(stream)]
    assert found[0] == b"first\n"
    assert found[-1] == b"last\n"
    assert max(map(len, found)) <= 64

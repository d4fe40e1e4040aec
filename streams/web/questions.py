"""What workers and their supervisor share about questions: the path, the greatest size, and the refusal of more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.web.http import problem

if TYPE_CHECKING:
    from aiohttp import web

EXPLAIN_PATH: Final = "/explain"

QUESTION_BYTES_MAX: Final = 64 * 1024
"""A question about an intent is one intent: more is not a question."""


def too_large() -> web.Response:
    """The body is larger than a question may be."""
    return problem(413, f"A question is one intent, of at most {QUESTION_BYTES_MAX} bytes.")

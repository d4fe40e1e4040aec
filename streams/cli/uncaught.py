"""What a command says of an error that nobody foresaw.

Rules of this module
1. Its type and its place are said, and nothing of its text: that may quote a record, a customer or a secret, and so may
   the lines and the causes of a traceback.
2. This holds for every thread, for what occurs where it cannot be raised, and for warnings.
"""

from __future__ import annotations

import sys
import threading
import traceback
import warnings
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from typing import TextIO


def say(error: BaseException) -> None:
    """Say on standard error what happened, in one sentence."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('site-packages/')[2]}:{frames[-1].lineno}" if frames else ""
    click.echo(
        f"Error: mesura itself failed: {kind}{place}. Please report it. Its text is not shown, because it might name a "
        "customer or a secret.",
        err=True,
    )


def say_what_nobody_catches() -> None:
    """Have the same said of other threads, and of warnings. The main program of a command calls this once."""

    def in_thread(uncaught: threading.ExceptHookArgs) -> None:
        if uncaught.exc_value is not None:
            say(uncaught.exc_value)

    def nowhere(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_value is not None:
            say(unraisable.exc_value)

    def warned(
        message: Warning | str,  # noqa: ARG001 - it may quote anything
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG001
        line: str | None = None,  # noqa: ARG001
    ) -> None:
        place = f"{filename.rpartition('site-packages/')[2]}:{lineno}"
        click.echo(f"Warning: {category.__name__} at {place}.", err=True)

    warnings.showwarning = warned
    threading.excepthook = in_thread
    sys.unraisablehook = nowhere

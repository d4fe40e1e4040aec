"""The exit codes of every command and of every worker process: part of the contract, for scripts and supervisors.

Rules of this module
1. It holds all of them, and docs/operations.md has the same table. No other module writes a number.
2. 1 is also how Python ends when nobody caught an error. A worker therefore never ends with it on purpose.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a process of `mesura` ended."""

    DONE = 0
    """Done. That includes a suppression that was explained, and a gate that ended because it was asked to."""

    ANSWER_IS_NO = 1
    """Done, and the answer is no: something was rejected, differs, or did not add up. One line reports each."""

    REFUSED = 2
    """Not done: wrong usage, a file that cannot be read, no broker, start-up refused. Starting again does not help
    until somebody has done what the sentence says."""

    START_AGAIN = 3
    """The gate ended because of something that a restart may repair."""

    INTERRUPTED = 130
    """A command other than `mesura run`, interrupted by Ctrl-C."""

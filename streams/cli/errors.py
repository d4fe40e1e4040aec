"""What the command line says when it cannot do what it was asked, and with which exit code it ends.

Rules of this module
1. A text says what is wrong and what to do about it; it never quotes a record, and never shows a traceback.
2. `streams.exit_codes` holds the codes; what a command raises on purpose ends with `REFUSED`.

CommandError            the command was not carried out
├── Unreachable         no broker or no gate answers there
└── Unreadable          a file, or what was given in its place, is not what it should be
"""

from __future__ import annotations

import click

from streams.exit_codes import ExitCode


class CommandError(click.ClickException):
    """The command could not be carried out."""

    exit_code = ExitCode.REFUSED


class Unreachable(CommandError):
    """Nobody answers at that address."""


class Unreadable(CommandError):
    """A file, or what was given in its place, is not what it should be."""

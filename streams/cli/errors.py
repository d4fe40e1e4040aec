"""What the command line says when it cannot do what it was asked, and with which exit code it ends.

Rules of this module
1. A text says what is wrong and what to do about it; it never quotes a record, and never shows a traceback.
2. Exit codes are part of the contract, for scripts:

   0    done; also a suppression that was explained, and `run` when it was asked to end (Ctrl-C)
   1    done, and the answer is no: something was rejected, differs, or did not add up (each said in a line)
   2    not done: wrong usage, a file that cannot be read, no broker, start-up refused
   130  any other command, interrupted (Ctrl-C)

CommandError            exit 2
├── Unreachable         no broker or no gate answers there
└── Unreadable          a file, or what was given in its place, is not what it should be
"""

from __future__ import annotations

from typing import Final

import click

EXIT_ANSWER_IS_NO: Final = 1
EXIT_NOT_DONE: Final = 2
EXIT_INTERRUPTED: Final = 130


class CommandError(click.ClickException):
    """The command could not be carried out."""

    exit_code = EXIT_NOT_DONE


class Unreachable(CommandError):
    """Nobody answers at that address."""


class Unreadable(CommandError):
    """A file, or what was given in its place, is not what it should be."""

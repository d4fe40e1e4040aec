"""A customer's id, as a command is given it: on standard input or in a file, never on the command line.

Everybody on the machine can see a command line, and shells keep it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from streams.cli.errors import Unreadable
from streams.customer.mention import CustomerId
from streams.decision.intent import TEXT_CHARACTERS_MAX


def read_customer_id(file: str) -> CustomerId:
    """The customer whose id stands in the file.

    Raises:
        Unreadable: there is no such file, or it holds no id.
    """
    if file == "-" and sys.stdin.isatty():
        click.echo("The customer's id, then Enter:", err=True)
    try:
        content = sys.stdin.buffer.readline() if file == "-" else Path(file).read_bytes()
        text = content.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise Unreadable(f"The file with the customer's id cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Unreadable("The customer's id is not UTF-8 text.") from None
    if not text or "\n" in text or len(text) > TEXT_CHARACTERS_MAX:
        raise Unreadable(
            f"There is no customer's id: one line with 1 to {TEXT_CHARACTERS_MAX} characters is needed, on standard "
            "input or in --customer-file."
        )
    return CustomerId(text)

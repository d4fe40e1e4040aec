"""`mesura erasure-key create`: a new erasure key, in a file that only its owner can read.

Exit codes: 0 the file is there; 2 it could not be made, or there was one already.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click

from streams.cli.errors import CommandError
from streams.settings import ERASURE_KEY_BYTES_MIN


@click.group("erasure-key")
def erasure_key_group() -> None:
    """Make the key under which opt-outs of erased customers are kept."""


@erasure_key_group.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--if-missing", is_flag=True, help="Leave a file alone that is there already.")
def create(file: Path, if_missing: bool) -> None:
    """Write a new random key to FILE. Nothing is ever overwritten: a lost key cannot be made again."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if if_missing:
            return
        raise CommandError(f"{file} is there already, and is left alone. Keep it, or name another file.") from None
    except OSError as error:
        raise CommandError(f"{file} cannot be made: {error.strerror}.") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as out:
        out.write(f"{secrets.token_hex(ERASURE_KEY_BYTES_MIN)}\n")
        out.flush()
        os.fsync(out.fileno())
    click.echo(f"{file} holds the key. Keep a copy where you keep what must not be lost, and not with the ledger's.")

"""The first stage of `deploy/Dockerfile`, carried out in a folder: the same lines, without Docker.

What the second stage copies is what a user of the image has, and what anyone has who installs the wheel.
"""

from __future__ import annotations

import re
import shlex
import shutil
from typing import TYPE_CHECKING, Final

from tests.setup.environments import ROOT, Interpreter, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCKERFILE: Final = ROOT / "deploy" / "Dockerfile"
IMAGE_ENVIRONMENT: Final = "/opt/mesura"


def build_stage(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of the first stage, each with the rest of its line."""
    first, *_ = re.sub(r"(?m)^#.*\n", "", text).strip().replace("\\\n", " ").split("\nFROM ")
    for line in first.splitlines():
        if line.strip():
            instruction, _, rest = line.partition(" ")
            yield instruction, rest.strip()


def carry_out(tree: Path, python: Interpreter, target: Path, **more: str) -> Path:
    """What stands at `/opt/mesura` after the first stage, here at `target/mesura`; the tree gives what is copied.

    More variables go before those of the Dockerfile.
    """
    environment = target / "mesura"
    commands = target / "commands"
    commands.mkdir(parents=True)
    # Not a link: through one an interpreter would look for its library beside the link.
    (commands / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(str(python.path))} "$@"\n')
    (commands / "python").chmod(0o755)
    variables: dict[str, str] = {}
    folder = target
    for instruction, rest in build_stage(DOCKERFILE.read_text()):
        match instruction:
            case "FROM":
                pass
            case "ENV":
                variables |= dict(word.split("=", 1) for word in shlex.split(rest))
            case "WORKDIR":
                folder = target / rest.lstrip("/")
                folder.mkdir()
            case "COPY":
                *sources, to = rest.split()
                for source in sources:
                    _copy(tree / source, folder / to)
            case "RUN":
                command = rest.replace(IMAGE_ENVIRONMENT, str(environment))
                run(["sh", "-ec", f"PATH={shlex.quote(str(commands))}:$PATH; {command}"], folder, **variables | more)
            case _:
                raise AssertionError(f"the Dockerfile's first stage says {instruction}, which is not known here")
    return environment


def _copy(source: Path, to: Path) -> None:
    """A folder's content into a folder; a file into a folder."""
    if source.is_dir():
        shutil.copytree(source, to)
    else:
        to.mkdir(exist_ok=True)
        shutil.copy2(source, to)

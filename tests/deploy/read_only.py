"""A process that can write nowhere but in memory, at one place: every other file system of its namespace is read-only.

Needs Linux and the right to make a mount namespace. A container has the same whose root is read-only,
with a small `/tmp` in memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.deploy.conftest import installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

LOCKED_UP: Final = r"""
set -eu
mount --make-rprivate /
mount -t tmpfs -o size="$TEMPORARY_BYTES" tmpfs "$TMPDIR"
while read -r _ where kind options _; do
    [ "$where" != "$TMPDIR" ] || continue
    case "$kind" in proc | sysfs | devpts) continue ;; esac
    case "$options" in rw*) mount -o remount,bind,ro "$where" 2>/dev/null || true ;; esac
done < /proc/self/mounts
# It is locked up only if this is refused.
for where in / /tmp /dev/shm /var/tmp "$HOME" "$PWD"; do
    if (: > "$where/.mesura-was-here") 2>/dev/null; then
        rm "$where/.mesura-was-here"
        echo "$where can be written" >&2
        exit 90
    fi
done
exec "$@"
"""

TEMPORARY_BYTES: Final = 1024 * 1024
"""Of the temporary directory: what the chart and compose give is larger, and it needs 4 KiB for each process."""


@contextlib.contextmanager
def running_locked_up(
    command: Sequence[str], environment: Mapping[str, str], directory: Path, *, before: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A gate that can write nothing, and the address of its operations endpoint; ended when the block ends.

    `before`: a program that runs it.
    """
    temporary = directory / "tmp"
    temporary.mkdir()
    with (directory / "gate.err").open("wb") as errors:
        process = subprocess.Popen(
            [*_namespace(), "sh", "-c", LOCKED_UP, "locked-up", *before, *command],
            env={**_inherited(), **environment, "TMPDIR": str(temporary), "TEMPORARY_BYTES": str(TEMPORARY_BYTES)},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (directory / "gate.err").read_text()
            yield process, json.loads(line)["ops"]
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _namespace() -> list[str]:
    """The command that makes the namespace. Where that is not allowed the test is skipped, and fails under CI=true."""
    command = [installed("unshare"), "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",))]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
        refused = "mount namespaces are not allowed here: run the tests as root"
        if os.environ.get("CI") == "true":
            pytest.fail(refused)
        pytest.skip(refused)
    return command


def mesura(*words: str) -> list[str]:
    """The command of this environment."""
    return [sys.executable, "-m", "streams.cli.main", *words]


def _inherited() -> dict[str, str]:
    """What the tests were started with, but for what would set the gate."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MESURA_")}

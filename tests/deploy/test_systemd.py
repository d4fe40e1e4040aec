"""The unit of systemd: systemd's own tools accept it, and it knows how the gate ends and what it reads."""

from __future__ import annotations

import re
import shlex
import stat
import sys
from pathlib import Path

import pytest

from streams.cli.main import mesura
from streams.cli.options import ERASURE_KEY_FILE_VARIABLE
from streams.cli.supervisor import STOP_SECONDS
from streams.connection.files import refuse_open_to_others
from streams.exit_codes import ExitCode
from tests.deploy.conftest import installed
from tests.deploy.systemd_unit import ROOT, SETTINGS, UNIT, only, run, said, variables

SYSTEM_CALLS = frozenset(
    re.findall(
        r"\w+",
        """
    accept4 bind brk clone3 close_range connect epoll_create1 epoll_ctl epoll_wait execve fcntl ftruncate futex
    getrandom getsockopt ioctl kill listen madvise memfd_create mkdir mmap mprotect mremap pipe2 poll prctl
    prlimit64 recvfrom recvmsg rmdir rseq rt_sigaction sendmsg sendto set_robust_list setsid setsockopt sigaltstack
    socket socketpair sysinfo unlink vfork wait4 write
    """,
    )
)
"""What `strace -f -c mesura run` counted from start to stop, without what every program does with files."""

EXPOSURE_MAX = 15
"""In tenths, as systemd-analyze counts: 0 is shut off, 100 is unprotected. It is 13 under systemd 252. What is left
is the network, which a gate needs, the host's own root directory, and users."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there: systemd asks whether it can be executed."""
    (program,) = shlex.split(only("Service", "ExecStart"))[:1]
    assert program == "/opt/mesura/bin/mesura"
    here = Path(sys.executable).parent / "mesura"
    copy = tmp_path / "mesura.service"
    copy.write_text(UNIT.read_text().replace(program, str(here)))
    return copy


def test_systemd_has_nothing_against_the_unit(unit: Path) -> None:
    assert run(installed("systemd-analyze"), "verify", "--man=no", unit) == ""
    security = ("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", unit)
    run(installed("systemd-analyze"), *security)


def test_systemd_makes_the_user_that_the_unit_names(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    run(installed("systemd-sysusers"), f"--root={tmp_path}", ROOT / "deploy/systemd/mesura.sysusers")
    (name, _, user, group, _, home, shell) = (tmp_path / "etc/passwd").read_text().strip().split(":")
    assert name == only("Service", "User") == only("Service", "Group")
    assert int(user) > 0
    assert f"{name}:x:{group}:" in (tmp_path / "etc/group").read_text()
    assert (home, shell) == ("/nonexistent", "/usr/sbin/nologin")


def test_it_is_started_again_unless_that_cannot_help() -> None:
    """`on-failure` is every exit code but 0, and every signal but those by which somebody stops it."""
    assert only("Service", "Restart") == "on-failure"
    not_again = {int(code) for code in only("Service", "RestartPreventExitStatus").split()}
    assert not_again == {ExitCode.REFUSED}
    assert only("Unit", "StartLimitIntervalSec") == "0"
    manual = (ROOT / "docs/operations.md").read_text()
    (row,) = re.findall(rf"^\| {ExitCode.REFUSED.value} \| (.+) \|$", manual, re.MULTILINE)
    assert "Starting again does not help" in row


def test_it_has_time_to_stop() -> None:
    assert int(only("Service", "TimeoutStopSec")) > 2 * STOP_SECONDS
    assert only("Service", "KillMode") == "mixed", "the supervisor passes SIGTERM on, and what is left is killed"


def test_every_variable_is_one_that_the_gate_reads() -> None:
    command = mesura.get_command(None, "run")  # type: ignore[arg-type]  # click asks for a context that it does not use
    assert command is not None
    read = {ERASURE_KEY_FILE_VARIABLE, "PYTHONDONTWRITEBYTECODE"}
    for option in command.params:
        read |= {option.envvar} if isinstance(option.envvar, str) else set(option.envvar or ())
    named = {value.partition("=")[0] for value in said("Service", "Environment")}
    named |= set(re.findall(r"(?m)^#?(MESURA_\w+)=", SETTINGS.read_text()))
    assert named <= read
    assert {"MESURA_BOOTSTRAP", "MESURA_POLICY", "MESURA_SLOT"} <= variables(SETTINGS.read_text()).keys()


def test_the_key_is_a_credential_where_the_gate_looks() -> None:
    name, _, source = only("Service", "LoadCredential").partition(":")
    assert f"{ERASURE_KEY_FILE_VARIABLE}=%d/{name}" in said("Service", "Environment")
    assert source == "/etc/mesura/erasure.key"
    # As systemd makes a credential's file: its owner's alone, or with an access list, whose mask stands at the group.
    for mode in (0o400, 0o440):
        refuse_open_to_others(Path(name), "erasure key", stat.S_IFREG | mode)


def test_what_a_gate_asks_of_the_kernel_is_allowed() -> None:
    """Its processes' shared memory, their parent watch, sockets, threads; and nothing by which it would get further."""
    listed = run(installed("systemd-analyze"), "syscall-filter")
    sets = {
        block.splitlines()[0]: {line.strip() for line in block.splitlines()[1:] if line.startswith("    ")}
        for block in re.split(r"\n(?=@)", listed)
    }

    def calls(name: str) -> set[str]:
        return {call for each in sets[name] for call in (calls(each) if each.startswith("@") else {each})}

    allowed, forbidden = (value.removeprefix("~").split() for value in said("Service", "SystemCallFilter"))
    left = set().union(*map(calls, allowed)) - set().union(*map(calls, forbidden))
    assert not SYSTEM_CALLS - left
    assert not {"mount", "ptrace", "reboot", "bpf", "init_module"} & left

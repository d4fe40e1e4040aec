"""Watching a policy file, so that a new policy takes effect without a restart.

Rules of this module
1. The last good policy stays in force whatever happens to the file. A problem of the file is reported once.
2. A file is read only after it has stopped changing, and what was read counts only if the file did not change in the
   meantime, so a half-written policy is never loaded. Atomic replacement and swapped links (as Kubernetes does) are
   ordinary changes.
3. This module is pure logic: time and file are parameters. The lane calls `poll` between batches, so that a policy
   never changes within a batch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from streams.policy.findings import PolicyRefused
from streams.policy.loader import decoded, load_policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.policy.loader import LoadedPolicy

# One stat a second costs nothing, and nobody who saves a policy expects it sooner.
POLL_MS: Final = 1_000
# An editor, rsync or a mounted volume writes a policy in well under this.
SETTLE_MS: Final = 500
# Some file systems keep times only to the second or not at all, so the content itself is checked once a minute.
CONTENT_CHECK_MS: Final = 60_000


class Stamp(NamedTuple):
    """What distinguishes one state of a file from another without reading it."""

    modified_ns: int
    size: int
    inode: int


class FileView(Protocol):
    """The file as the watcher sees it."""

    def stamp(self) -> Stamp | None:
        """State of the file now, links followed; None if there is none."""

    def read(self) -> bytes:
        """The whole content. Raises `OSError`."""


class Listener(Protocol):
    """Receives the changes. All calls come from within `poll`."""

    def policy_changed(self, policy: LoadedPolicy) -> None:
        """Another policy (another hash) is in force from now on."""

    def policy_refused(self, error: PolicyRefused | OSError) -> None:
        """The file cannot be used, and the policy in force stays. Called once for each state of the file."""

    def policy_restored(self) -> None:
        """The file had been refused and now contains the policy in force again."""


def fault_of(error: PolicyRefused | OSError) -> Literal["missing", "unreadable", "refused"]:
    """What is wrong with the file, in a word."""
    if isinstance(error, PolicyRefused):
        return "refused"
    return "missing" if isinstance(error, (FileNotFoundError, NotADirectoryError)) else "unreadable"


@dataclass(frozen=True, slots=True)
class PathView:
    """A real file."""

    path: Path

    def stamp(self) -> Stamp | None:
        """State of the file the path leads to."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return Stamp(status.st_mtime_ns, status.st_size, status.st_ino)

    def read(self) -> bytes:
        """The whole content."""
        return self.path.read_bytes()


class PolicyWatcher:
    """Keeps the policy in force in step with its file. Not thread-safe: one caller polls."""

    def __init__(
        self,
        view: FileView,
        in_force: LoadedPolicy,
        listener: Listener,
        load: Callable[[str], LoadedPolicy] = load_policy,
        *,
        fault: PolicyRefused | OSError | None = None,
    ) -> None:
        """`in_force` was loaded from the file by the caller. The first poll checks whether the file still says the
        same.

        `fault`: what was wrong with the file, if `in_force` comes from elsewhere. The first poll checks the file again.
        """
        self.in_force = in_force
        self.error = fault
        self._view = view
        self._listener = listener
        self._load = load
        self._judged = None if fault is not None else hashlib.sha256(in_force.text.encode()).hexdigest()
        self._judged_stamp: Stamp | None = None
        self._pending: tuple[Stamp | None, int] | None = None
        self._last_poll_ms = 0
        self._next_poll_ms: int | None = None
        self._next_content_check_ms: int | None = None

    def poll(self, now_ms: int) -> None:
        """Check the file if it is time to, and tell the listener the result. Raises no error of the file.

        Costs one comparison until a second has passed, then one stat. Loading a changed policy takes some 50 ms, and
        half a second for 200 rules. A caller that cannot wait that long polls from another thread.
        """
        if now_ms < self._last_poll_ms:  # the clock was set back, so the planned moments are void
            self._pending = self._next_poll_ms = self._next_content_check_ms = None
        self._last_poll_ms = now_ms
        if self._next_poll_ms is not None and now_ms < self._next_poll_ms:
            return
        self._next_poll_ms = now_ms + (SETTLE_MS if self._pending else POLL_MS)
        stamp = self._view.stamp()
        is_due = self._next_content_check_ms is None or now_ms >= self._next_content_check_ms
        if stamp == self._judged_stamp and stamp is not None and not is_due:
            self._pending = None
            return
        if self._pending is None or self._pending[0] != stamp:
            self._pending = stamp, now_ms
            self._next_poll_ms = now_ms + SETTLE_MS
            return
        if now_ms - self._pending[1] >= SETTLE_MS:
            self._pending = None
            self._next_poll_ms = now_ms + POLL_MS
            self._next_content_check_ms = now_ms + CONTENT_CHECK_MS
            self._judge(stamp)

    def _judge(self, stamp: Stamp | None) -> None:
        try:
            content = self._view.read()
        except OSError as error:
            self._refuse(error, f"unreadable:{error.errno}", stamp)
            return
        if self._view.stamp() != stamp:
            return  # it changed while it was read; the next poll sees that
        state = hashlib.sha256(content).hexdigest()
        if state == self._judged:
            self._judged_stamp = stamp
            return
        try:
            policy = self._load(decoded(content))
        except PolicyRefused as error:
            self._refuse(error, state, stamp)
            return
        self._judged, self._judged_stamp = state, stamp
        was_refused, self.error = self.error is not None, None
        if policy.specification.content_hash != self.in_force.specification.content_hash:
            self.in_force = policy
            self._listener.policy_changed(policy)
        elif was_refused:
            self._listener.policy_restored()

    def _refuse(self, error: PolicyRefused | OSError, state: str, stamp: Stamp | None) -> None:
        is_news = state != self._judged
        self._judged, self._judged_stamp, self.error = state, stamp, error
        if is_news:
            self._listener.policy_refused(error)

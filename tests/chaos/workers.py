"""The workers of a campaign in their slots, each started again at once when it has ended, as a supervisor would.

Invariants
1. A slot has at most one process, and the same settings every time.
2. Every end of a process is kept, with its exit code, what it said last, and the faults that explain it. An end that
   nothing explains is a finding.
"""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from streams.exit_codes import ExitCode
from tests.system.harness import Gate
from tests.system.worker_with_clock import FILE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.settings import WorkerSettings

MODULE: Final = "tests.chaos.worker"
KILLED: Final = -signal.SIGKILL
ENDS_BY_ITSELF: Final = (ExitCode.START_AGAIN,)
"""It is to be started again, whether or not it could end in good order: without a broker it cannot."""

EXPLAINED_SECONDS: Final = 60.0
"""How long after a fault an end of the worker it struck may still come from it: a request over a line that was reset is
given up after 40 seconds, and ten batches in a row that come too late take as long on a busy machine."""

READY_ANSWER_SECONDS: Final = 0.5
"""A worker that is well answers in milliseconds; one that is not must not hold up the campaign."""


LAST_WORDS_CHARACTERS: Final = 1_500
"""Of a worker's log, in a report of what went wrong: its last ten lines or so."""


@dataclass
class Ended:
    """One end of a worker process."""

    slot: int
    at_seconds: float
    exit_code: int
    said: str
    """Its reason, as it stands in its last line."""
    explained_by: str
    """Empty: by nothing."""


@dataclass
class Slot:
    """One worker's place."""

    number: int
    settings: WorkerSettings
    directory: Path
    gate: Gate | None = None
    is_wanted: bool = True
    """Whether it is started again when it has ended."""
    excuses: dict[int, tuple[str, float]] = field(default_factory=dict)
    """By exit code: the fault that explains it, and until when on the monotonic clock."""

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._clock = self.directory / "clock"
        self.shift_clock(0)

    def start(self) -> None:
        """Start its process."""
        with _environment(FILE_VARIABLE, str(self._clock)):
            self.gate = Gate(self.settings, self.directory, module=MODULE)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its process, if it runs."""
        if self.gate is not None:
            self.gate._process.send_signal(number)

    def shift_clock(self, milliseconds: int) -> None:
        """Make its clock so wrong, at once."""
        new = self._clock.with_suffix(".new")
        new.write_text(str(milliseconds), encoding="ascii")
        new.replace(self._clock)

    def excuse(self, fault: str, *codes: int, seconds: float = EXPLAINED_SECONDS) -> None:
        """From now on for so long, an end with one of these codes comes from this fault."""
        for code in codes:
            self.excuses[code] = fault, time.monotonic() + seconds

    def explanation(self, code: int) -> str:
        """The fault that explains an end with this code now."""
        fault, until = self.excuses.get(code, ("", 0.0))
        return fault if time.monotonic() <= until else ""

    def ready_sentence(self) -> str:
        """What `/ready` says if it is not; empty if it is, or does not answer."""
        if self.gate is None:
            return ""
        try:
            with urllib.request.urlopen(f"{self.gate.ops_so_far}/ready", timeout=READY_ANSWER_SECONDS):
                return ""
        except urllib.error.HTTPError as error:
            return str(error.read().decode(errors="replace"))
        except (OSError, ValueError):
            return ""

    def said(self) -> str:
        """Its reason for ending: of the last log line that gives one, else its last line."""
        assert self.gate is not None
        lines = self.gate.said.strip().splitlines()
        for line in reversed(lines):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and "reason" in entry:
                return str(entry["reason"])
        return lines[-1] if lines else ""


class Workers:
    """All slots."""

    def __init__(self, slots: list[Slot]) -> None:
        self.slots = {slot.number: slot for slot in slots}
        self.ended: list[Ended] = []
        self.starts = 0
        self._began = time.monotonic()

    def __getitem__(self, number: int) -> Slot:
        return self.slots[number]

    def tick(self) -> None:
        """Note who has ended, and start again who is wanted."""
        for slot in self.slots.values():
            if slot.gate is not None and (code := slot.gate.exit_code) is not None:
                self._note(slot, code)
            if slot.gate is None and slot.is_wanted:
                slot.start()
                self.starts += 1

    def stop(self) -> None:
        """Ask all to end, and wait; ends that are not in good order are noted like any other."""
        for slot in self.slots.values():
            slot.is_wanted = False
            slot.excuse("the end of the campaign", ExitCode.DONE)
            slot.signal(signal.SIGTERM)
        for slot in self.slots.values():
            if slot.gate is not None:
                slot.gate.terminate()
        self.tick()

    def close(self) -> None:
        """Make sure that all have ended, whatever happened."""
        for slot in self.slots.values():
            if slot.gate is not None and slot.gate.exit_code is None:
                slot.gate.kill()

    def last_words(self) -> str:
        """Of all that run, for a campaign that does not go on."""
        running = [slot for slot in self.slots.values() if slot.gate is not None]
        return "\n".join(
            f"worker {slot.number}: {slot.ready_sentence() or 'ready'}\n{slot.gate.said[-LAST_WORDS_CHARACTERS:]}"
            for slot in running
            if slot.gate is not None
        )

    @property
    def unexplained(self) -> list[Ended]:
        """Ends that no fault explains."""
        return [ended for ended in self.ended if not ended.explained_by]

    def _note(self, slot: Slot, code: int) -> None:
        at_seconds = time.monotonic() - self._began
        self.ended.append(Ended(slot.number, at_seconds, code, slot.said(), slot.explanation(code)))
        slot.gate = None


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable for a process that is started in the block."""
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]

"""Plays one act: each of its faults is done, its alerts are waited for, looked into, mended and seen to be over."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from streams.testing.errors import DeadlineError
from streams.testing.waiting import wait_until
from tests.drill import runbook
from tests.drill.fault import time_passes
from tests.drill.shortened import alerts, clock_of, seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.drill.fault import Fault
    from tests.drill.scene import Scene
    from tests.drill.watch import Told

FIRES_SECONDS: Final = 600.0
"""Longer than any alert takes on the shortened clock, with what the gate itself takes, on a busy machine."""

RESOLVES_SECONDS: Final = 700.0
"""Seven days last seven minutes."""

SHOWS_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.2


@dataclass
class Seen:
    """What became of one alert of a fault."""

    alert: str
    act: str
    fault: str
    mended: str
    clock: str
    held_seconds: float
    """What of the seconds to fire is the rule's own `for`."""
    fired_seconds: float | None = None
    """From the fault to the pager."""
    resolved_seconds: float | None = None
    """From the mending to the pager; where time mends it, from the firing."""
    shown: list[str] = field(default_factory=list)
    failure: str = ""


class Act:
    """One act."""

    def __init__(self, name: str, scene: Scene, say: Callable[[str], None]) -> None:
        self._name = name
        self._scene = scene
        self._say = say
        self.seen: list[Seen] = []
        self._fired_at: dict[str, float] = {}

    def play(self, faults: Sequence[Fault]) -> None:
        """All of them. An alert that does not come is a failure of its row, and the others go on."""
        waiting: list[tuple[Seen, float]] = []
        for fault in faults:
            rows = self._provoke(fault)
            firing = self._scene.watch.pager.firing(self._scene.job)
            mended_at = time.monotonic()
            fault.mend(self._scene)
            pending = []
            for row in rows:
                if row.fired_seconds is not None and row.alert not in firing and fault.mend is not time_passes:
                    self._fails(row, "was over before anything was mended")
                elif row.fired_seconds is not None:
                    # Where nobody does anything, it may be over before the last alert of the fault has fired.
                    pending.append((row, self._fired_at[row.alert] if fault.mend is time_passes else mended_at))
            if fault.holds_up:
                self._until_over(pending)
            else:
                waiting += pending
        self._until_over(waiting)

    def _provoke(self, fault: Fault) -> list[Seen]:
        scene, pager = self._scene, self._scene.watch.pager
        wait_until(
            lambda: not set(fault.alerts) & pager.firing(scene.job),
            RESOLVES_SECONDS,
            f"{' and '.join(fault.alerts)} quiet before the fault",
            poll_seconds=POLL_SECONDS,
        )
        fault.prepare(scene)
        began = time.monotonic()
        fault.provoke(scene)
        rows = {alert: self._row(fault, alert) for alert in fault.alerts}
        self.seen += rows.values()
        missing = set(rows)
        until = time.monotonic() + FIRES_SECONDS
        while missing and time.monotonic() < until:
            for alert in sorted(missing):
                told = pager.told(alert, job=scene.job, firing=True, since=began)
                if told is not None:
                    missing.remove(alert)
                    rows[alert].fired_seconds = told.at - began
                    self._fired_at[alert] = told.at
                    self._say(f"{self._name}: {alert} fired after {told.at - began:.1f} s")
                    self._look(rows[alert], fault.alerts[alert])
            time.sleep(POLL_SECONDS)
        for alert in missing:
            self._fails(rows[alert], f"has not fired within {FIRES_SECONDS:.0f} s")
        return list(rows.values())

    @staticmethod
    def _row(fault: Fault, alert: str) -> Seen:
        clock = clock_of(alert)
        held = seconds_of(alerts()[alert].get("for", "0s")) / clock.factor
        return Seen(alert, fault.act, fault.what, fault.mended, clock.name, held)

    def _fails(self, row: Seen, why: str) -> None:
        row.failure = row.failure or why
        self._say(f"{self._name}: {row.alert} FAILED: {why}")

    def _look(self, row: Seen, pattern: str) -> None:
        """At everything that the runbook names; it may take a scrape until it shows."""
        until = time.monotonic() + SHOWS_SECONDS
        while True:
            shown = runbook.check(row.alert, self._scene)
            row.shown = [str(each) for each in shown]
            if any(re.search(pattern, each.whole, re.DOTALL) for each in shown):
                return None
            if time.monotonic() > until:
                return self._fails(row, f"nothing that the section names shows {pattern!r}: {row.shown}")

    def _until_over(self, rows: Sequence[tuple[Seen, float]]) -> None:
        for row, since in rows:
            try:
                told = wait_until(
                    partial(self._told_over, row.alert, since),
                    RESOLVES_SECONDS,
                    f"{row.alert} is over",
                    poll_seconds=POLL_SECONDS,
                )
            except DeadlineError as error:
                self._fails(row, str(error))
            else:
                assert told is not None
                row.resolved_seconds = told.at - since
                self._say(f"{self._name}: {row.alert} over after {row.resolved_seconds:.1f} s")

    def _told_over(self, alert: str, since: float) -> Told | None:
        return self._scene.watch.pager.told(alert, job=self._scene.job, firing=False, since=since)

"""Whether every query of the dashboard returns data: asked as Grafana asks, over the time of the drill."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from tests.drill.runbook import DASHBOARD, for_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.drill.watch import Prometheus

STEP_SECONDS: Final = 5.0


def queries() -> Iterator[tuple[str, str]]:
    """Everything that the dashboard asks, with where: panels and annotations."""
    board: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"]


def points(prometheus: Prometheus, expression: str, jobs: Sequence[str], *, start: float, end: float) -> int:
    """How many points an expression has over this time, in all jobs together; what is not a number is none."""
    return sum(
        not math.isnan(float(value))
        for job in jobs
        for series in prometheus.query_range(for_job(expression, job), start=start, end=end, step=STEP_SECONDS)
        for _, value in series["values"]
    )

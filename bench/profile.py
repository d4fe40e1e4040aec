"""Where the processor time of a decision goes: the running gate on Apache Kafka, two workers, small and starter policy.

    make bench-profile
    python -m bench.profile --intents 500000

Interpreted: a compiled core has no frames to look at. The workers are looked at while they work off a backlog
(`bench.sampled`). The shares are of their own processor time; the microseconds are those shares of what the kernel
counted for each decision. Looking costs some of it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from bench import meter
from bench.compare_runs import Backlog, word
from bench.contenders import Contender, workers
from bench.peers.roster import MESURA, MESURA_STARTER, Entrant, Place, worker_settings
from bench.report import keep, table
from bench.sampled import SUFFIX
from bench.workload import SEED, Workload
from streams.testing.policies import open_all_hours
from streams.testing.real_kafka import RealKafka


def profiled(kafka: RealKafka, entrant: Entrant, intents: int, directory: Path) -> dict[str, Any]:
    """One backlog: the microseconds of each part, and what was measured beside them."""
    name = f"profile-{os.getpid()}-{word(entrant.name)}"
    backlog = Backlog(Workload.now(intents, intents // 10, SEED), name)
    backlog.create(kafka)
    backlog.publish_preferences(kafka.bootstrap_servers)
    backlog.publish_intents(kafka.bootstrap_servers)
    preferences = backlog.preferences if entrant.policy == "starter" else backlog.opt_outs
    place = Place(kafka.bootstrap_servers, f"{name}-gate", backlog.intents, preferences)
    created = entrant.create_topics(kafka, place)
    settings = worker_settings(place, open_all_hours(entrant.policy, directory))
    with workers(settings, entrant.members, directory, entrant.tree, "bench.sampled") as contender:
        progress = _Progress(meter.CommittedOffsets(kafka.bootstrap_servers, place.group, [backlog.intents]), contender)
        samples = meter.watch(
            lambda: progress.done(begins_at=round(meter.EDGE_SHARE * intents)),
            progress.offsets.members,
            total=intents,
            pids=contender.pids,
            broker_pid=kafka.pid,
            still_running=contender.still_running,
            members_wanted=entrant.members,
        )
    found = meter.rate(samples, intents, entrant.members, meter.EDGE_SHARE)
    seen: Counter[str] = Counter()
    for pid in contender.pids:
        seen.update(json.loads((directory / f"{pid}{SUFFIX}").read_text(encoding="utf-8")))
    meter.delete_topics(kafka.bootstrap_servers, created)
    backlog.delete(kafka.bootstrap_servers)
    return {
        "who": entrant.name,
        "decisions/s": round(found.per_second),
        "CPU µs each": round(found.cpu_microseconds, 1),
        "broker µs each": round(found.broker_cpu_microseconds, 1),
        "looks": seen.total(),
        "parts": {
            part: round(count / seen.total() * found.cpu_microseconds, 2) for part, count in sorted(seen.items())
        },
    }


class _Progress:
    """What is committed; once enough is, the workers are looked at."""

    def __init__(self, offsets: meter.CommittedOffsets, contender: Contender) -> None:
        self.offsets = offsets
        self._contender = contender
        self._has_begun = False

    def done(self, begins_at: int) -> int:
        """How much is committed."""
        so_far = self.offsets()
        if so_far >= begins_at and not self._has_begun:
            self._has_begun = True
            for pid in self._contender.pids:
                os.kill(pid, signal.SIGUSR1)
        return so_far


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intents", type=int, default=600_000)
    asked = parser.parse_args()
    meter.use_two_cores()
    with (
        RealKafka(heap_megabytes=1_024) as kafka,
        tempfile.TemporaryDirectory(prefix="mesura-profile-") as directory,
    ):
        found = [profiled(kafka, entrant, asked.intents, Path(directory)) for entrant in (MESURA, MESURA_STARTER)]
    parts = sorted({part for row in found for part in row["parts"]}, key=lambda part: -found[0]["parts"].get(part, 0.0))
    rows = [{"µs of a decision": part} | {row["who"]: row["parts"].get(part, 0.0) for row in found} for part in parts]
    beside = [{key: value for key, value in row.items() if key != "parts"} for row in found]
    how = (
        "Two workers, looked at every 2 ms of their processor time while they work off a backlog of "
        f"{asked.intents:,} intents. Each share is of what the kernel counted for a decision; looking costs some of it."
    )
    keep(
        "profile",
        "Where the processor time of a decision goes",
        [(how, table(rows)), ("Beside it:", table(beside))],
        {"profile": found},
    )


if __name__ == "__main__":
    main()

"""A gate with many ledgers on Apache Kafka: backed up, lost, rebuilt, restored and moved, measured and compared.

    make recovery ARGS="--intents 100000 --customers 20000"
    python -m tests.recovery.campaign --intents 100000

The report goes to bench/results/recovery.md. Exit code 1 if anything came out otherwise than it was.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams.testing.real_kafka import open_kafka
from streams.testing.records import intent, preference
from tests.recovery.scenes import Scene, now_ms
from tests.system.harness import World, running, until_all_decided

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.testing.records import OutgoingRecord

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PARTITIONS: Final = 8
MORE: Final = 12


def records(intents: int, customers: int, first: int) -> Iterator[OutgoingRecord]:
    """Intents of everybody in turn, and before them what every fifth customer has said."""
    at = now_ms() - 5_000
    for each in range(0, customers, 5):
        yield preference(f"c{each}", f"p{first}-{each}", "opt_out" if each % 3 else "pause", at=at)
    for each in range(first, first + intents):
        yield intent(f"c{each % customers}", f"i{each}", channel=("sms", "email", "voice")[each % 3], created_at=at)


class Campaign:
    """One gate, and how long each step took."""

    def __init__(self, scene: Scene, new: Scene) -> None:
        self.scene = scene
        self.new = new
        self.seconds: dict[str, float] = {}
        self.wrong: list[str] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One of them."""
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
        print(f"{self.seconds[name]:7.1f} s  {name}", flush=True)

    def expect(self, what: str, is_so: bool) -> None:
        """One more thing that has to be so."""
        if not is_so:
            self.wrong.append(what)
            print(f"WRONG: {what}", flush=True)

    def run(self, intents: int, customers: int) -> Path:
        """From end to end; the backup."""
        scene, ledger = self.scene, self.scene.world.names.ledger
        with running(scene.world, scene.directory, policy=scene.policy) as gate, self.step("decide"):
            for half in range(2):
                scene.world.publish(records(intents // 2, customers, half * intents // 2))
                until_all_decided(gate, scene.world, 500)
                if not half:
                    scene.back_up()
            assert gate.terminate() == 0
        before = scene.ledgers()
        with self.step("back up"):
            scene.back_up()
        with self.step("rebuild, and compare"):
            self.expect("rebuilt as it was", scene.recover("rebuild").return_value == 0)
        scene.lose(ledger)
        with self.step("rebuild what was lost, and write"):
            scene.recover("rebuild", "--execute")
        self.expect("the same to the byte after a rebuild", scene.ledgers() == before)
        scene.lose(ledger)
        with self.step("restore a backup from half-way, lead it on, and write"):
            scene.recover("ledger", "restore", str(scene.backups[0]), "--execute")
        self.expect("the same to the byte after a restore", scene.ledgers() == before)
        with self.step(f"move to {MORE} partitions"):
            scene.recover(
                *("ledger", "move", "--to-prefix", self.new.world.prefix),
                *("--to-application-id", self.new.application_id, "--execute"),
            )
        held = {key for each in before.values() for key in each.store}
        self.expect("everything was moved", held == {key for each in self.new.ledgers().values() for key in each.store})
        with self.step("audit"):
            self.expect("a clean audit", bool(scene.audit()["is_clean"]))
        return scene.backups[-1]


def report(campaign: Campaign, intents: int, customers: int, backup_bytes: int) -> str:
    """For people."""
    ledgers = sum(len(each.store) for each in campaign.scene.ledgers().values())
    lines = [
        "# Recovery of ledgers",
        "",
        f"`make recovery`: {intents:,} intents of {customers:,} customers, {ledgers:,} ledgers,",
        f"{PARTITIONS} partitions; Apache Kafka on the same machine, {os.cpu_count()} processors, Python "
        + platform.python_version(),
        "",
        "| step | seconds |",
        "|---|---|",
        *(f"| {name} | {seconds:.1f} |" for name, seconds in campaign.seconds.items()),
        "",
        f"The backup has {backup_bytes:,} bytes. "
        + (
            "Everything came out as it was, to the byte."
            if not campaign.wrong
            else f"Wrong: {'; '.join(campaign.wrong)}."
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description="Lose ledgers and bring them back, measured.")
    parser.add_argument("--intents", type=int, default=100_000)
    parser.add_argument("--customers", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mesura-recovery-") as name, open_kafka() as broker:
        prefix = f"recovery-{int(time.time())}-"
        campaign = Campaign(
            Scene(World(broker, prefix, partitions=PARTITIONS), Path(name)),
            Scene(World(broker, f"{prefix}new-", partitions=MORE), Path(name)),
        )
        backup = campaign.run(arguments.intents, arguments.customers)
        text = report(campaign, arguments.intents, arguments.customers, backup.stat().st_size)
    (REPOSITORY / "bench" / "results" / "recovery.md").write_text(text, encoding="utf-8")
    print(text)
    return 1 if campaign.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

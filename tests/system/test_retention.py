"""Ledgers of customers whom nobody contacts any more: what is past its horizon leaves the changelog, what counts stays.

The worker runs in this process, by a clock of its own, so that a year may pass: it begins in the past, because a topic
refuses records that lie ahead.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from streams.app import SystemClock, Worker
from streams.contracts.dead_letters import VALUE_BYTES_MAX
from streams.decision.ledger.retention import LONGEST_MEMORY_MS
from streams.decision.policy import compile_policy
from streams.engine_settings import engine_settings
from streams.exactly_once.changelog import CUSTOMER_PREFIX, ERASED_PREFIX, META_KEY, customer_key
from streams.gate import Gate, GateSettings
from streams.policy.loader import load_policy
from streams.telemetry.health import Health
from streams.telemetry.metrics import Telemetry
from streams.telemetry.observer import TelemetryObserver
from streams.testing.records import intent, preference
from streams.testing.waiting import wait_until_async
from tests.system.harness import DECIDE_SECONDS, ERASURE_KEY, Progress, account_for, ends_of
from tests.system.policies import any_hour
from tests.system.replay import ModelReplay, by_batches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.system.harness import World

pytestmark = pytest.mark.timeout(300)

DAY_MS = 86_400_000
BEGAN_MS = LONGEST_MEMORY_MS + 40 * DAY_MS
"""So long ago that, once it is now, nothing at all needs to be remembered of whom nobody contacted since."""
PAST_HISTORY_MS = BEGAN_MS - 40 * DAY_MS
EVERYBODY = [f"c-{number}" for number in range(60)]
SAID_NO, ERASED, ACTIVE = EVERYBODY[:15], EVERYBODY[15:25], EVERYBODY[25:30]
IDLE = EVERYBODY[30:]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(any_hour(limit=2), encoding="utf-8")
    return path


class ShiftedClock(SystemClock):
    """The machine's clock, so many milliseconds back."""

    def __init__(self) -> None:
        self.back_ms = BEGAN_MS

    def now_ms(self) -> int:
        return super().now_ms() - self.back_ms


class Looks(TelemetryObserver):
    """Counts how often it was looked whether anything is due."""

    looks = 0

    def examined(self, keys: int) -> None:
        super().examined(keys)
        self.looks += 1


class InProcess:
    """A worker as in production, but for its clock, and for how long retention takes to look at everything."""

    def __init__(self, world: World, policy: Path) -> None:
        self.world = world
        self.clock = ShiftedClock()
        self.telemetry = Telemetry(version="0")
        settings = replace(
            engine_settings(world.settings(policy)), clock_difference_limit_seconds=1e9, due_look_seconds=0.0
        )
        gate = Gate(
            compile_policy(load_policy(policy).specification),
            GateSettings(world.names, world.partitions, bytes.fromhex(ERASURE_KEY), False, VALUE_BYTES_MAX),
        )
        observer = self.observer = Looks(self.telemetry, Health())
        self._stop = asyncio.Event()
        self.task = asyncio.create_task(Worker(settings, gate, observer, self.clock).run(self._stop))

    def counted(self, name: str) -> float:
        return self.telemetry.registry.get_sample_value(f"mesura_{name}") or 0.0

    async def stop(self) -> None:
        self._stop.set()
        await self.task

    async def until_all_decided(self) -> Progress:
        ends = await asyncio.to_thread(ends_of, self.world)
        with Progress(self.world) as progress:

            async def reached() -> bool:
                assert not self.task.done(), self.task.result()
                return await asyncio.to_thread(progress.has_reached, ends)

            await wait_until_async(reached, DECIDE_SECONDS, "everything decided")
        return progress

    async def ledger(self) -> dict[bytes, bytes]:
        """What a restore would find."""
        found: dict[bytes, bytes] = {}
        for record in await asyncio.to_thread(self.world.read, self.world.names.ledger):
            assert record.key is not None
            if record.value is None:
                found.pop(record.key, None)
            elif record.key != META_KEY:
                found[record.key] = record.value
        return found

    async def at_rest(self) -> None:
        """Until it was looked three times more whether anything is due."""
        looks = self.observer.looks
        await wait_until_async(lambda: self.observer.looks >= looks + 3, DECIDE_SECONDS, "three looks")


@asynccontextmanager
async def running(world: World, policy: Path) -> AsyncIterator[InProcess]:
    one = InProcess(world, policy)
    try:
        yield one
    finally:
        await one.stop()


async def test_idle_customers_leave_the_ledger_and_nobody_is_answered_otherwise(world: World, policy: Path) -> None:
    async with running(world, policy) as worker:
        await _contact(worker, EVERYBODY, "first")
        now = worker.clock.now_ms()
        refusals = [preference(customer, f"no-{customer}", at=now) for customer in SAID_NO]
        erasures = [preference(customer, f"gone-{customer}", "erasure", at=now) for customer in ERASED]
        await asyncio.to_thread(world.publish, [*refusals, *erasures])
        await worker.until_all_decided()
        await _contact(worker, ERASED, "after-the-erasure")
        whole = await worker.ledger()
        assert {key for key in whole if key.startswith(CUSTOMER_PREFIX)} == set(map(_key, EVERYBODY))

        worker.clock.back_ms = PAST_HISTORY_MS
        await wait_until_async(
            lambda: worker.counted("ledgers_pruned_total") >= len(EVERYBODY), DECIDE_SECONDS, "everybody pruned"
        )
        shorter = await worker.ledger()
        # Of the erased nothing but the mark is left, and that under no name. The others still name what was forgotten.
        assert {key for key in shorter if key.startswith(CUSTOMER_PREFIX)} == set(map(_key, EVERYBODY)) - set(
            map(_key, ERASED)
        )
        assert all(len(shorter[_key(customer)]) < len(whole[_key(customer)]) for customer in [*SAID_NO, *IDLE])
        await _contact(worker, ACTIVE, "meanwhile")

        worker.clock.back_ms = 0
        await wait_until_async(
            lambda: worker.counted("ledgers_removed_total") >= len(IDLE), DECIDE_SECONDS, "the idle removed"
        )
        await worker.at_rest()
        left = await worker.ledger()
        assert {key for key in left if key.startswith(CUSTOMER_PREFIX)} == set(map(_key, [*SAID_NO, *ACTIVE]))
        assert len([key for key in left if key.startswith(ERASED_PREFIX)]) == len(ERASED)

        length = len(await asyncio.to_thread(world.read, world.names.ledger))
        await worker.at_rest()
        assert len(await asyncio.to_thread(world.read, world.names.ledger)) == length, (
            "a transaction with nothing in it"
        )

        for name in ("again", "and-again", "too-often"):
            await _contact(worker, EVERYBODY, name)
        progress = await worker.until_all_decided()
    account = account_for(world)
    judgement = ModelReplay(policy).judge(account, by_batches(world, account, progress))
    assert not judgement.differences, "\n".join(judgement.differences[:10])
    assert judgement.decisions == 4 * len(EVERYBODY) + len(ERASED) + len(ACTIVE)


async def _contact(worker: InProcess, customers: list[str], name: str) -> None:
    """Ask for a message to each of them now, and wait for the answers."""
    now = worker.clock.now_ms()
    wanted = [intent(customer, f"{name}-{customer}", created_at=now) for customer in customers]
    await asyncio.to_thread(worker.world.publish, wanted)
    await worker.until_all_decided()


def _key(customer: str) -> bytes:
    return customer_key(customer.encode())

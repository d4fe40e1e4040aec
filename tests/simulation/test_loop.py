"""Time, processes and what is left of those that were killed."""

from __future__ import annotations

import asyncio
import gc

from tests.simulation.loop import Process, SimulatedLoop


def test_time_passes_only_when_nothing_else_is_left_to_do() -> None:
    loop = SimulatedLoop()
    seen: list[tuple[str, float]] = []

    async def work() -> None:
        seen.append(("begun", loop.time()))
        await asyncio.sleep(0)
        seen.append(("next", loop.time()))
        await asyncio.sleep(5)
        seen.append(("slept", loop.time()))
        try:
            async with asyncio.timeout(2):
                await loop.create_future()
        except TimeoutError:
            seen.append(("timed out", loop.time()))

    loop.create_task(work())
    assert loop.run(lambda: len(seen) == 4, until=100.0)
    assert seen == [("begun", 0.0), ("next", 0.0), ("slept", 5.0), ("timed out", 7.0)]


def test_it_ends_when_nothing_more_can_happen_or_the_time_is_over() -> None:
    loop = SimulatedLoop()
    loop.call_later(50.0, lambda: None)
    assert not loop.run(lambda: False, until=10.0)
    assert loop.time() == 0.0
    assert not loop.run(lambda: False, until=100.0)
    assert loop.time() == 50.0


def test_of_a_killed_process_nothing_runs_any_more_until_everything_is_closed_down() -> None:
    loop = SimulatedLoop()
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
            seen.append("survived")
        finally:
            seen.append("cleaned up")

    killed, other = Process(loop, "killed"), Process(loop, "other")
    killed.start(work())
    loop.call_later(5.0, killed.kill)
    other.start(work())
    loop.run(lambda: False, until=100.0)
    assert seen == ["survived", "cleaned up"]
    loop.close_down()
    assert seen == ["survived", "cleaned up", "cleaned up"]


def test_a_frozen_process_resumes_where_it_was_in_order() -> None:
    loop = SimulatedLoop()
    seen: list[tuple[int, float]] = []
    process = Process(loop, "frozen")

    async def work() -> None:
        for number in range(3):
            await asyncio.sleep(1)
            seen.append((number, loop.time()))

    process.start(work())
    loop.call_at(1.5, process.freeze)
    loop.call_at(9.0, process.thaw)
    loop.run(lambda: len(seen) == 3, until=100.0)
    assert seen == [(0, 1.0), (1, 9.0), (2, 10.0)]


def test_what_nobody_caught_is_kept_and_the_loop_continues() -> None:
    loop = SimulatedLoop()
    seen: list[str] = []
    loop.call_soon([].pop)
    loop.call_soon(lambda: seen.append("after"))
    loop.run(lambda: bool(seen), until=1.0)
    assert [type(error["exception"]) for error in loop.errors] == [IndexError]


def test_what_a_process_that_was_frozen_and_killed_had_not_begun_is_closed_too() -> None:
    loop = SimulatedLoop()
    begun: list[str] = []

    async def other() -> None:
        begun.append("other")

    async def work() -> None:
        await asyncio.sleep(1)
        process.freeze()
        task = loop.create_task(other())
        try:
            await task
        finally:
            begun.append("cleaned up")

    process = Process(loop, "frozen")
    process.start(work())
    loop.call_at(2.0, process.kill)
    loop.run(lambda: False, until=10.0)
    assert begun == []
    loop.close_down()
    gc.collect()  # a coroutine that was never begun would say so now: warnings are errors
    assert begun == ["cleaned up"]

"""The offset client asks until it is answered, reports what it waits for, and gives up only when it is told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from streams.exactly_once import offsets
from streams.exactly_once.offsets import OffsetClient

if TYPE_CHECKING:
    from collections.abc import Sequence

WHERE = TopicPartition("asks", 3)


class Reader:
    """Fails with each of the errors in turn, then answers. None hangs."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.questions: list[str] = []
        self.is_stopped = False

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return await self._answer("ends", partitions, 7)

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return await self._answer("starts", partitions, 2)

    async def stop(self) -> None:
        self.is_stopped = True

    async def _answer(self, question: str, partitions: Sequence[TopicPartition], offset: int) -> dict[Any, int]:
        self.questions.append(question)
        if self.failures:
            failure = self.failures.pop(0)
            if failure is None:
                await asyncio.Event().wait()
            else:
                raise failure
        return dict.fromkeys(partitions, offset)


class Clients:
    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    async def offset_reader(self) -> Reader:
        return self.reader


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "ATTEMPT_SECONDS", 0.01)
    monkeypatch.setattr(offsets, "RETRY_SECONDS", 0.0)


async def started(reader: Reader, unanswered: list[float]) -> OffsetClient:
    client = OffsetClient(Clients(reader), unanswered.append)  # type: ignore[arg-type]
    await client.start()
    return client


async def test_starts_and_ends_are_answered_at_once_by_a_healthy_broker() -> None:
    reader, unanswered = Reader(), list[float]()
    client = await started(reader, unanswered)
    assert await client.ends([WHERE]) == {WHERE: 7}
    assert await client.starts([WHERE]) == {WHERE: 2}
    assert (reader.questions, unanswered) == (["ends", "starts"], [])


async def test_a_question_is_asked_again_after_errors_and_silence_and_each_time_is_reported() -> None:
    reader, unanswered = Reader(KafkaConnectionError(), None, OSError()), list[float]()
    client = await started(reader, unanswered)
    assert await client.ends([WHERE]) == {WHERE: 7}
    assert len(reader.questions) == 4
    assert len(unanswered) == 3
    assert unanswered == sorted(unanswered)  # counted from the first attempt


async def test_it_gives_up_only_when_it_is_told_to() -> None:
    reader, unanswered = Reader(*[OSError()] * 10), list[float]()
    client = await started(reader, unanswered)
    assert await client.ends([WHERE], lambda: len(unanswered) == 3) is None
    assert len(reader.questions) == 3


async def test_anything_unforeseen_is_not_asked_again() -> None:
    reader = Reader(ValueError("unforeseen"))
    client = await started(reader, [])
    with pytest.raises(ValueError, match="unforeseen"):
        await client.ends([WHERE])
    assert len(reader.questions) == 1


async def test_of_no_partitions_nobody_is_asked() -> None:
    reader = Reader(None)
    client = await started(reader, [])
    assert await client.ends([]) == {}
    assert reader.questions == []


async def test_stopping_twice_disconnects_once() -> None:
    reader = Reader()
    client = await started(reader, [])
    await client.stop()
    assert reader.is_stopped
    reader.is_stopped = False
    await client.stop()
    assert not reader.is_stopped

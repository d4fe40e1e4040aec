"""The parts of the engine that need no broker."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest
from aiokafka.structs import OffsetAndMetadata
from hypothesis import given
from hypothesis import strategies as st

from streams.exactly_once import changelog, topic_rules
from streams.exactly_once.barrier import ALARM_SECONDS, Barrier
from streams.exactly_once.clients import loop_seconds
from streams.exactly_once.errors import BatchUnreadableError, StartupRefusedError, TopicUnfitError
from streams.exactly_once.fetched_records import FetchedRecords
from streams.exactly_once.input_queue import FULL_BYTES, FULL_RECORDS, InputQueue, Missing
from streams.exactly_once.interfaces import BatchResult, InputTopic
from streams.exactly_once.live_scheduler import LiveScheduler
from streams.exactly_once.partition import Limits, PartitionState
from streams.exactly_once.replay_scheduler import is_finished, merge_heads
from streams.exactly_once.settings import COMMIT_MARK, EngineSettings
from streams.exactly_once.startup import (
    check_counts,
    check_positions,
    check_recorded_count,
)
from streams.exactly_once.topic_rules import refuse_unfit
from streams.exactly_once.wake_signal import WakeSignal
from streams.records import InputRecord
from streams.topics import input_topics
from tests.engine.toy import Clock, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aiokafka.structs import TopicPartition

STOPS = InputTopic("stops", 0, barrier=True)
ASKS = InputTopic("asks", 1, barrier=False)
MANY = Limits(1_000, 1_000_000)


def record(topic: InputTopic, offset: int, timestamp_ms: int = 0, value: bytes = b"v") -> InputRecord:
    return InputRecord(topic.name, offset, timestamp_ms, b"k", value, ())


def arrive(
    input_queue: InputQueue, records: Iterable[InputRecord], *, start: int | None = None, end: int | None = None
) -> Missing | None:
    listed = list(records)
    start = input_queue.arrived if start is None else start
    end = listed[-1].offset + 1 if end is None else end
    return input_queue.add(FetchedRecords(input_queue.topic.name, 0, listed, start, end, 0))


def state_of(*input_queues: InputQueue) -> PartitionState:
    return PartitionState(0, input_queues, {}, 0)


def test_an_intent_goes_before_others_unless_its_topic_is_the_last() -> None:
    urgent = InputQueue(InputTopic("urgent", 1, barrier=False), 0)
    ordinary = InputQueue(InputTopic("ordinary", 2, barrier=False), 0)
    stops = InputQueue(STOPS, 0)
    state = state_of(stops, urgent, ordinary)
    arrive(stops, [record(STOPS, 0)])
    arrive(ordinary, [record(ordinary.topic, 0)])
    assert not state.has_preferred()
    arrive(urgent, [record(urgent.topic, 0)])
    assert state.has_preferred()


class TestInputQueue:
    def test_looking_changes_nothing_and_advancing_moves_the_position(self) -> None:
        input_queue = InputQueue(ASKS, 5)
        arrive(input_queue, [record(ASKS, offset) for offset in range(5, 10)])
        assert [r.offset for r in input_queue.peek(3, 100).records] == [5, 6, 7]
        assert input_queue.position == 5
        input_queue.advance(3)
        assert (input_queue.position, input_queue.oldest_offset, len(input_queue.queue)) == (8, 8, 2)

    def test_markers_move_what_has_arrived_but_not_the_position(self) -> None:
        input_queue = InputQueue(ASKS, 0)
        arrive(input_queue, [record(ASKS, 0)], end=2)  # offset 1 is a marker
        assert input_queue.peek(10, 100).next_position == 2
        input_queue.advance(1)
        assert (input_queue.position, input_queue.arrived, input_queue.oldest_offset) == (1, 2, 2)

    def test_a_jump_forward_is_missing_records(self) -> None:
        input_queue = InputQueue(ASKS, 5)
        assert arrive(input_queue, [record(ASKS, 8)], start=8) == Missing(first_offset=5, offset_count=3)

    def test_what_has_arrived_before_is_not_queued_again(self) -> None:
        input_queue = InputQueue(ASKS, 5)
        arrive(input_queue, [record(ASKS, 5), record(ASKS, 6)])
        assert arrive(input_queue, [record(ASKS, 6), record(ASKS, 7)], start=6) is None
        assert [r.offset for r in input_queue.queue] == [5, 6, 7]

    def test_behind_what_cannot_be_read_nothing_is_fetched(self) -> None:
        calls: list[str] = []
        input_queue = InputQueue(ASKS, 0, lambda: calls.append("pause"), lambda: calls.append("resume"))
        last = FetchedRecords("asks", 0, [record(ASKS, offset) for offset in range(FULL_RECORDS)], 0, FULL_RECORDS, 0)
        last.unreadable = BatchUnreadableError("asks", 0, FULL_RECORDS, "its checksum is wrong")
        input_queue.add(last)
        assert calls == ["pause", "pause"]
        input_queue.advance(FULL_RECORDS - 1)
        assert not input_queue.is_stopped
        input_queue.advance(1)
        assert input_queue.is_stopped
        assert "resume" not in calls
        input_queue.restart_at(0)
        assert not input_queue.is_stopped

    def test_the_byte_limit_lets_at_least_one_record_through(self) -> None:
        input_queue = InputQueue(ASKS, 0)
        arrive(input_queue, [record(ASKS, 0, value=b"x" * 100), record(ASKS, 1)])
        assert len(input_queue.peek(10, 50).records) == 1

    @pytest.mark.parametrize(("count", "size"), [(FULL_RECORDS, 1), (5, FULL_BYTES // 5)])
    def test_a_full_queue_pauses_and_half_a_queue_resumes(self, count: int, size: int) -> None:
        calls: list[str] = []
        input_queue = InputQueue(ASKS, 0, lambda: calls.append("pause"), lambda: calls.append("resume"))
        arrive(input_queue, [record(ASKS, offset, value=b"x" * size) for offset in range(count)])
        assert calls == ["pause"]
        input_queue.advance(count // 2 + 1)
        assert calls == ["pause", "resume"]


class TestChangelog:
    def test_kinds_of_keys_never_meet(self) -> None:
        made = [changelog.customer_key, changelog.erased_key, changelog.hold_key, changelog.register_key]
        assert len({make(b"same") for make in made} | {changelog.META_KEY}) == 5

    def test_a_meta_record_comes_back(self) -> None:
        meta = changelog.Meta(positions={"asks": 5, "stops": 7}, latest_ms=1_700_000_000_000)
        assert changelog.decode_meta(changelog.encode_meta(meta)) == meta

    def test_a_newer_format_is_refused(self) -> None:
        with pytest.raises(StartupRefusedError, match="newer version"):
            changelog.decode_meta(changelog.encode_meta(changelog.Meta({}, version=changelog.META_VERSION + 1)))

    def test_something_else_is_refused_without_being_quoted(self) -> None:
        with pytest.raises(StartupRefusedError) as refused:
            changelog.decode_meta(b"secret")
        assert "secret" not in str(refused.value)


class TestRefusals:
    def test_counts(self) -> None:
        assert check_counts({"a": 4, "b": 4}) == 4
        with pytest.raises(StartupRefusedError, match="a 4, b 8"):
            check_counts({"a": 4, "b": 8})
        with pytest.raises(StartupRefusedError, match="started with 4"):
            check_recorded_count(4, 8)

    @pytest.mark.parametrize("policy", ["delete", "compact,delete"])
    def test_compaction(self, policy: str) -> None:
        refuse_unfit({"control": topic_rules.CONTROL}, {"control": {"cleanup.policy": "compact"}})
        with pytest.raises(TopicUnfitError, match="Set cleanup"):
            refuse_unfit({"control": topic_rules.CONTROL}, {"control": {"cleanup.policy": policy}})

    @pytest.mark.parametrize("policy", ["compact", "compact,delete", "delete,compact"])
    def test_no_compaction(self, policy: str) -> None:
        refuse_unfit({"asks": topic_rules.RECORDS}, {"asks": {"cleanup.policy": "delete"}})
        with pytest.raises(TopicUnfitError, match=r"asks has cleanup\.policy=.* Set cleanup\.policy=delete on it\."):
            refuse_unfit({"asks": topic_rules.RECORDS}, {"asks": {"cleanup.policy": policy}})

    def test_changelog(self) -> None:
        good = {
            "cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime", "max.message.bytes": "4194304"
        }  # fmt: skip

        def refuse(**changed: str) -> None:
            changes = {name.replace("_", "."): value for name, value in changed.items()}
            refuse_unfit({"ledger": topic_rules.CHANGELOG}, {"ledger": good | changes})

        refuse()
        refuse(max_message_bytes="4194305", unclean_leader_election_enable="false")
        with pytest.raises(TopicUnfitError, match=r"Set message\.timestamp\.type=LogAppendTime on it\."):
            refuse(message_timestamp_type="CreateTime")
        with pytest.raises(TopicUnfitError, match=r"Set max\.message\.bytes=4194304 on it, or more\."):
            refuse(max_message_bytes="4194303")
        with pytest.raises(TopicUnfitError, match=r"Set unclean\.leader\.election\.enable=false on it\."):
            refuse(unclean_leader_election_enable="true")

    def test_all_that_is_wrong_is_said_at_once(self) -> None:
        rules = {"asks": topic_rules.RECORDS, "stops": topic_rules.RECORDS}
        with pytest.raises(TopicUnfitError) as refused:
            refuse_unfit(rules, {topic: {"cleanup.policy": "compact"} for topic in rules})
        assert refused.value.topic == "asks"
        assert str(refused.value).count("Set cleanup.policy=delete on it.") == 2

    def test_positions(self) -> None:
        settings = EngineSettings(bootstrap_servers="127.0.0.1:9092", input_topics=input_topics())
        ours, anothers = OffsetAndMetadata(6, COMMIT_MARK), OffsetAndMetadata(6, "")
        check_positions(settings, 0, {"asks": 6}, {"asks": ours}, {"asks": 9})
        check_positions(settings, 0, {"asks": 6}, {"asks": anothers}, {"asks": 9})
        check_positions(settings, 0, {"asks": 5}, {}, {"asks": 5})
        with pytest.raises(StartupRefusedError, match="mesura-ledger has lost state"):
            check_positions(settings, 0, {"asks": 5}, {"asks": ours}, {"asks": 9})
        with pytest.raises(StartupRefusedError, match="mesura-ledger has lost state"):
            check_positions(settings, 0, {}, {"asks": ours}, {"asks": 9})
        with pytest.raises(StartupRefusedError, match="Somebody has moved the offsets of the group mesura"):
            check_positions(settings, 0, {"asks": 5}, {"asks": anothers}, {"asks": 9})
        with pytest.raises(StartupRefusedError, match="was emptied: stop every worker") as refused:
            check_positions(settings, 0, {}, {"asks": anothers}, {"asks": 9})
        assert "delete" not in str(refused.value).lower(), "with an empty ledger, that forgets every customer"
        with pytest.raises(StartupRefusedError, match="created anew"):
            check_positions(settings, 0, {"asks": 5}, {}, {"asks": 4})

    def test_settings(self) -> None:
        good = EngineSettings(bootstrap_servers="127.0.0.1:9092", input_topics=input_topics())
        for topics in ((), (ASKS, ASKS), (ASKS, replace(STOPS, rank=2))):
            with pytest.raises(StartupRefusedError):
                replace(good, input_topics=topics)
        with pytest.raises(StartupRefusedError):
            replace(good, lanes=0)


class TestRecordedPositions:
    def test_those_of_topics_that_are_not_read_are_kept(self) -> None:
        asks = InputQueue(ASKS, 4)
        state = PartitionState(0, [asks], {}, 0, {"asks": 4, "elsewhere": 9})
        arrive(asks, [record(ASKS, 4)])
        partition_batch = state.partition_batch([record(ASKS, 4)], [1], {"asks": asks.peek(1, 100)})
        assert partition_batch.meta().positions == {"asks": 5, "elsewhere": 9}
        assert partition_batch.next_positions == {"asks": 5}
        state.merge(partition_batch, BatchResult())
        assert state.recorded == {"asks": 5, "elsewhere": 9}

    def test_they_never_get_lower(self) -> None:
        stops, asks = InputQueue(STOPS, 0), InputQueue(ASKS, 0)
        state = state_of(stops, asks)
        arrive(asks, [record(ASKS, 0)], end=2)  # offset 1 is a marker
        first = state.partition_batch([record(ASKS, 0)], [1], {"asks": asks.peek(1, 100)})
        assert first.next_positions == {"stops": 0, "asks": 2}
        state.merge(first, BatchResult())
        arrive(stops, [record(STOPS, 0)])
        arrive(asks, [record(ASKS, 2)], start=2)  # waits, while what came on the other topic goes first
        second = state.partition_batch([record(STOPS, 0)], [2], {"stops": stops.peek(1, 100)})
        assert second.next_positions == {"stops": 1, "asks": 2}


class FixedEnds:
    """An offset client that gives every log the same end."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.asked = 0

    async def ends(self, partitions: Mapping[TopicPartition, object], _: object) -> dict[TopicPartition, int]:
        self.asked += 1
        return dict.fromkeys(partitions, self.end)


def live_scheduler(
    ends: FixedEnds,
    clock: Clock | None = None,
    recorder: Recorder | None = None,
    monotonic: Callable[[], float] = loop_seconds,
) -> LiveScheduler:
    """Behind a barrier whose answer is fixed."""
    observer = recorder or Recorder()
    barrier = Barrier(ends, observer, monotonic)  # type: ignore[arg-type]
    return LiveScheduler(barrier, clock or Clock(), observer, ahead_limit_seconds=5)


def resumed() -> WakeSignal:
    """Of a lane that may decide."""
    wake_signal = WakeSignal()
    wake_signal.resume()
    return wake_signal


class TestLiveScheduler:
    def order(self, end: int) -> tuple[LiveScheduler, WakeSignal]:
        return live_scheduler(FixedEnds(end)), resumed()

    async def test_preferences_come_first(self) -> None:
        stops, asks = InputQueue(STOPS, 0), InputQueue(ASKS, 0)
        arrive(asks, [record(ASKS, 0)])
        arrive(stops, [record(STOPS, 0)])
        order, wake_signal = self.order(1)
        [partition_batch], moment_ms = await order.choose([state_of(stops, asks)], MANY, wake_signal)
        assert [r.topic for r in partition_batch.records] == ["stops", "asks"]
        assert list(partition_batch.moments_ms) == [moment_ms, moment_ms]
        assert partition_batch.next_positions == {"stops": 1, "asks": 1}

    async def test_while_the_barrier_is_not_reached_preferences_go_alone(self) -> None:
        stops, asks = InputQueue(STOPS, 0), InputQueue(ASKS, 0)
        arrive(asks, [record(ASKS, 0)])
        arrive(stops, [record(STOPS, 0)])
        order, wake_signal = self.order(5)
        [partition_batch], _ = await order.choose([state_of(stops, asks)], MANY, wake_signal)
        assert [r.topic for r in partition_batch.records] == ["stops"]

    async def test_more_preferences_than_fit_leave_no_room_for_decisions(self) -> None:
        stops, asks = InputQueue(STOPS, 0), InputQueue(ASKS, 0)
        arrive(asks, [record(ASKS, 0)])
        arrive(stops, [record(STOPS, offset) for offset in range(10)])
        order, wake_signal = self.order(10)
        [partition_batch], _ = await order.choose([state_of(stops, asks)], Limits(5, 1_000), wake_signal)
        assert [r.topic for r in partition_batch.records] == ["stops"] * 5

    async def test_a_partition_behind_its_barrier_does_not_hold_up_others(self) -> None:
        behind = state_of(InputQueue(STOPS, 0), InputQueue(ASKS, 0))
        ready = PartitionState(1, [InputQueue(STOPS, 5), InputQueue(ASKS, 0)], {}, 0)
        arrive(behind.by_topic["asks"], [record(ASKS, 0)])
        arrive(ready.by_topic["asks"], [record(ASKS, 0)])
        order, wake_signal = self.order(5)
        partition_batches, _ = await order.choose([behind, ready], MANY, wake_signal)
        assert [partition_batch.state.partition for partition_batch in partition_batches] == [1]

    async def test_a_partition_that_stays_behind_is_reported_though_others_continue(self) -> None:
        behind = state_of(InputQueue(STOPS, 0), InputQueue(ASKS, 0))
        ready = PartitionState(1, [InputQueue(STOPS, 5), InputQueue(ASKS, 0)], {}, 0)
        for state in (behind, ready):
            arrive(state.by_topic["asks"], [record(ASKS, 0)])
        wake_signal, recorder, seconds = resumed(), Recorder(), count(0.0, 0.1)
        order = live_scheduler(FixedEnds(5), recorder=recorder, monotonic=lambda: next(seconds))
        await order.choose([behind, ready], MANY, wake_signal)
        assert recorder.unanswered == 0
        while next(seconds) < 2 * ALARM_SECONDS:
            await order.choose([behind, ready], MANY, wake_signal)
        assert recorder.unanswered >= 1

    async def test_a_partition_decided_too_far_ahead_of_the_clock_chooses_nothing(self) -> None:
        clock, recorder, wake_signal = Clock(), Recorder(), resumed()
        order = live_scheduler(FixedEnds(1), clock, recorder)
        ahead = PartitionState(0, [InputQueue(STOPS, 0), InputQueue(ASKS, 0)], {}, clock.now_ms() + 60_000)
        near = PartitionState(1, [InputQueue(STOPS, 0), InputQueue(ASKS, 0)], {}, clock.now_ms() + 4_000)
        for state in (ahead, near):
            arrive(state.by_topic["stops"], [record(STOPS, 0)])
            arrive(state.by_topic["asks"], [record(ASKS, 0)])
        [partition_batch], _ = await order.choose([ahead, near], MANY, wake_signal)
        assert partition_batch.state is near
        assert partition_batch.moments_ms == [near.latest_ms] * 2
        assert order.is_clock_wrong
        assert recorder.differences == [pytest.approx(60, abs=1)]
        clock.shift_ms = 58_000
        partition_batches, _ = await order.choose([ahead, near], MANY, wake_signal)
        assert [partition_batch.state for partition_batch in partition_batches] == [ahead, near]
        assert not order.is_clock_wrong

    async def test_halted_while_waiting_it_chooses_nothing(self) -> None:
        stops, asks = InputQueue(STOPS, 0), InputQueue(ASKS, 0)
        arrive(asks, [record(ASKS, 0)])
        order, wake_signal = self.order(5)
        wake_signal.halt()
        assert (await order.choose([state_of(stops, asks)], MANY, wake_signal))[0] == []


stamps = st.lists(st.integers(0, 20), max_size=15)


class TestReplayScheduler:
    @given(
        stops=stamps, asks=stamps, limit=st.integers(1, 6), cuts=st.lists(st.integers(0, 5), min_size=60, max_size=60)
    )
    def test_order_and_moments_do_not_depend_on_arrivals_or_batches(
        self, stops: list[int], asks: list[int], limit: int, cuts: list[int]
    ) -> None:
        inputs = {
            STOPS: [record(STOPS, offset, at) for offset, at in enumerate(stops)],
            ASKS: [record(ASKS, offset, at) for offset, at in enumerate(asks)],
        }
        at_once = self._run(inputs, Limits(1_000, 1_000_000), [100, 100])
        assert len(at_once) == len(stops) + len(asks)
        assert self._run(inputs, Limits(limit, 1_000_000), [*cuts, 100, 100]) == at_once
        assert [moment for _, moment in at_once] == sorted(moment for _, moment in at_once)

    def _run(
        self, inputs: Mapping[InputTopic, list[InputRecord]], limits: Limits, cuts: list[int]
    ) -> list[tuple[InputRecord, int]]:
        input_queues = [InputQueue(topic, 0) for topic in inputs]
        state = state_of(*input_queues)
        state.ends = {topic.name: len(records) for topic, records in inputs.items()}
        given_so_far = [0, 0]
        decided: list[tuple[InputRecord, int]] = []
        for turn, cut in enumerate(cuts):
            input_queue = input_queues[turn % 2]
            records = inputs[input_queue.topic][given_so_far[turn % 2] :][:cut]
            given_so_far[turn % 2] += len(records)
            if records:
                arrive(input_queue, records)
            while (partition_batch := merge_heads(state, limits)) is not None:
                decided += zip(partition_batch.records, partition_batch.moments_ms, strict=True)
                state.merge(partition_batch, BatchResult())
        assert is_finished(state)
        return decided

    def test_records_beyond_the_end_are_left_alone(self) -> None:
        asks = InputQueue(ASKS, 0)
        state = state_of(asks)
        state.ends = {"asks": 2}
        arrive(asks, [record(ASKS, offset) for offset in range(5)])
        partition_batch = merge_heads(state, MANY)
        assert partition_batch is not None
        assert len(partition_batch.records) == 2
        state.merge(partition_batch, BatchResult())
        assert merge_heads(state, MANY) is None
        assert is_finished(state)
        assert partition_batch.next_positions == {"asks": 2}

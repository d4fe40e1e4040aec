"""The parts of the engine that need no broker."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest
from aiokafka.structs import OffsetAndMetadata
from hypothesis import given
from hypothesis import strategies as st

from streams.app import input_topics
from streams.exactly_once import changelog, topic_rules
from streams.exactly_once.errors import BatchUnreadableError, StartupRefusedError, TopicUnfitError
from streams.exactly_once.intake import FULL_BYTES, FULL_RECORDS, Intake, Missing
from streams.exactly_once.interfaces import BatchResult, InputRecord, InputTopic
from streams.exactly_once.partition import Limits, PartitionState
from streams.exactly_once.record_order import is_finished, merge_heads
from streams.exactly_once.rest import Rest
from streams.exactly_once.service_order import ALARM_SECONDS, ServiceOrder
from streams.exactly_once.settings import COMMIT_MARK, EngineSettings
from streams.exactly_once.slices import Slice
from streams.exactly_once.startup import (
    check_counts,
    check_positions,
    check_recorded_count,
)
from streams.exactly_once.topic_rules import refuse_unfit
from tests.engine.toy import Clock, Recorder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiokafka.structs import TopicPartition

STOPS = InputTopic("stops", 0, barrier=True)
ASKS = InputTopic("asks", 1, barrier=False)
MANY = Limits(1_000, 1_000_000)


def record(topic: InputTopic, offset: int, timestamp_ms: int = 0, value: bytes = b"v") -> InputRecord:
    return InputRecord(topic.name, offset, timestamp_ms, b"k", value, ())


def arrive(
    intake: Intake, records: Iterable[InputRecord], *, start: int | None = None, end: int | None = None
) -> Missing | None:
    listed = list(records)
    start = intake.arrived if start is None else start
    end = listed[-1].offset + 1 if end is None else end
    return intake.add(Slice(intake.topic.name, 0, listed, start, end, 0))


def state_of(*intakes: Intake) -> PartitionState:
    return PartitionState(0, intakes, {}, 0)


def test_an_intent_goes_before_others_unless_its_topic_is_the_last() -> None:
    urgent = Intake(InputTopic("urgent", 1, barrier=False), 0)
    ordinary = Intake(InputTopic("ordinary", 2, barrier=False), 0)
    stops = Intake(STOPS, 0)
    state = state_of(stops, urgent, ordinary)
    arrive(stops, [record(STOPS, 0)])
    arrive(ordinary, [record(ordinary.topic, 0)])
    assert not state.has_preferred()
    arrive(urgent, [record(urgent.topic, 0)])
    assert state.has_preferred()


class TestIntake:
    def test_looking_changes_nothing_and_advancing_moves_the_position(self) -> None:
        intake = Intake(ASKS, 5)
        arrive(intake, [record(ASKS, offset) for offset in range(5, 10)])
        assert [r.offset for r in intake.peek(3, 100).records] == [5, 6, 7]
        assert intake.position == 5
        intake.advance(3)
        assert (intake.position, intake.oldest_offset, len(intake.queue)) == (8, 8, 2)

    def test_markers_move_what_has_arrived_but_not_the_position(self) -> None:
        intake = Intake(ASKS, 0)
        arrive(intake, [record(ASKS, 0)], end=2)  # offset 1 is a marker
        assert intake.peek(10, 100).next_position == 2
        intake.advance(1)
        assert (intake.position, intake.arrived, intake.oldest_offset) == (1, 2, 2)

    def test_a_jump_forward_is_missing_records(self) -> None:
        intake = Intake(ASKS, 5)
        assert arrive(intake, [record(ASKS, 8)], start=8) == Missing(first_offset=5, offset_count=3)

    def test_what_has_arrived_before_is_not_queued_again(self) -> None:
        intake = Intake(ASKS, 5)
        arrive(intake, [record(ASKS, 5), record(ASKS, 6)])
        assert arrive(intake, [record(ASKS, 6), record(ASKS, 7)], start=6) is None
        assert [r.offset for r in intake.queue] == [5, 6, 7]

    def test_behind_what_cannot_be_read_nothing_is_asked_for(self) -> None:
        calls: list[str] = []
        intake = Intake(ASKS, 0, lambda: calls.append("pause"), lambda: calls.append("resume"))
        last = Slice("asks", 0, [record(ASKS, offset) for offset in range(FULL_RECORDS)], 0, FULL_RECORDS, 0)
        last.unreadable = BatchUnreadableError("asks", 0, FULL_RECORDS, "its checksum is wrong")
        intake.add(last)
        assert calls == ["pause", "pause"]
        intake.advance(FULL_RECORDS - 1)
        assert not intake.is_stopped
        intake.advance(1)
        assert intake.is_stopped
        assert "resume" not in calls
        intake.restart_at(0)
        assert not intake.is_stopped

    def test_the_byte_limit_lets_at_least_one_record_through(self) -> None:
        intake = Intake(ASKS, 0)
        arrive(intake, [record(ASKS, 0, value=b"x" * 100), record(ASKS, 1)])
        assert len(intake.peek(10, 50).records) == 1

    @pytest.mark.parametrize(("count", "size"), [(FULL_RECORDS, 1), (5, FULL_BYTES // 5)])
    def test_a_full_queue_pauses_and_half_a_queue_resumes(self, count: int, size: int) -> None:
        calls: list[str] = []
        intake = Intake(ASKS, 0, lambda: calls.append("pause"), lambda: calls.append("resume"))
        arrive(intake, [record(ASKS, offset, value=b"x" * size) for offset in range(count)])
        assert calls == ["pause"]
        intake.advance(count // 2 + 1)
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
        with pytest.raises(StartupRefusedError, match="If this is the application's first start"):
            check_positions(settings, 0, {}, {"asks": anothers}, {"asks": 9})
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
        asks = Intake(ASKS, 4)
        state = PartitionState(0, [asks], {}, 0, {"asks": 4, "elsewhere": 9})
        arrive(asks, [record(ASKS, 4)])
        contribution = state.contribution([record(ASKS, 4)], [1], {"asks": asks.peek(1, 100)})
        assert contribution.meta().positions == {"asks": 5, "elsewhere": 9}
        assert contribution.next_positions == {"asks": 5}
        state.merge(contribution, BatchResult())
        assert state.recorded == {"asks": 5, "elsewhere": 9}

    def test_they_never_get_lower(self) -> None:
        stops, asks = Intake(STOPS, 0), Intake(ASKS, 0)
        state = state_of(stops, asks)
        arrive(asks, [record(ASKS, 0)], end=2)  # offset 1 is a marker
        first = state.contribution([record(ASKS, 0)], [1], {"asks": asks.peek(1, 100)})
        assert first.next_positions == {"stops": 0, "asks": 2}
        state.merge(first, BatchResult())
        arrive(stops, [record(STOPS, 0)])
        arrive(asks, [record(ASKS, 2)], start=2)  # waits, while what came on the other topic goes first
        second = state.contribution([record(STOPS, 0)], [2], {"stops": stops.peek(1, 100)})
        assert second.next_positions == {"stops": 1, "asks": 2}


class FixedBarrier:
    """Answers with fixed ends."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.asked = 0

    async def ends(self, partitions: Mapping[TopicPartition, object], _: object) -> dict[TopicPartition, int]:
        self.asked += 1
        return dict.fromkeys(partitions, self.end)


class TestServiceOrder:
    def order(self, end: int) -> tuple[ServiceOrder, Rest]:
        rest = Rest()
        rest.called_off = False
        order = ServiceOrder(FixedBarrier(end), Clock(), Recorder(), ahead_limit_seconds=5)  # type: ignore[arg-type]
        return order, rest

    async def test_preferences_come_first(self) -> None:
        stops, asks = Intake(STOPS, 0), Intake(ASKS, 0)
        arrive(asks, [record(ASKS, 0)])
        arrive(stops, [record(STOPS, 0)])
        order, rest = self.order(1)
        [contribution], moment_ms = await order.choose([state_of(stops, asks)], MANY, rest)
        assert [r.topic for r in contribution.records] == ["stops", "asks"]
        assert list(contribution.moments_ms) == [moment_ms, moment_ms]
        assert contribution.next_positions == {"stops": 1, "asks": 1}

    async def test_while_the_barrier_is_not_reached_preferences_go_alone(self) -> None:
        stops, asks = Intake(STOPS, 0), Intake(ASKS, 0)
        arrive(asks, [record(ASKS, 0)])
        arrive(stops, [record(STOPS, 0)])
        order, rest = self.order(5)
        [contribution], _ = await order.choose([state_of(stops, asks)], MANY, rest)
        assert [r.topic for r in contribution.records] == ["stops"]

    async def test_more_preferences_than_fit_leave_no_room_for_decisions(self) -> None:
        stops, asks = Intake(STOPS, 0), Intake(ASKS, 0)
        arrive(asks, [record(ASKS, 0)])
        arrive(stops, [record(STOPS, offset) for offset in range(10)])
        order, rest = self.order(10)
        [contribution], _ = await order.choose([state_of(stops, asks)], Limits(5, 1_000), rest)
        assert [r.topic for r in contribution.records] == ["stops"] * 5

    async def test_a_partition_behind_its_barrier_does_not_hold_up_others(self) -> None:
        behind = state_of(Intake(STOPS, 0), Intake(ASKS, 0))
        ready = PartitionState(1, [Intake(STOPS, 5), Intake(ASKS, 0)], {}, 0)
        arrive(behind.by_topic["asks"], [record(ASKS, 0)])
        arrive(ready.by_topic["asks"], [record(ASKS, 0)])
        order, rest = self.order(5)
        contributions, _ = await order.choose([behind, ready], MANY, rest)
        assert [contribution.state.partition for contribution in contributions] == [1]

    async def test_a_partition_that_stays_behind_is_reported_though_others_go_on(self) -> None:
        behind = state_of(Intake(STOPS, 0), Intake(ASKS, 0))
        ready = PartitionState(1, [Intake(STOPS, 5), Intake(ASKS, 0)], {}, 0)
        for state in (behind, ready):
            arrive(state.by_topic["asks"], [record(ASKS, 0)])
        rest, recorder, seconds = Rest(), Recorder(), count(0.0, 0.1)
        rest.called_off = False
        barrier = FixedBarrier(5)
        order = ServiceOrder(barrier, Clock(), recorder, lambda: next(seconds), ahead_limit_seconds=5)  # type: ignore[arg-type]
        await order.choose([behind, ready], MANY, rest)
        assert recorder.unanswered == 0
        while next(seconds) < 2 * ALARM_SECONDS:
            await order.choose([behind, ready], MANY, rest)
        assert recorder.unanswered >= 1

    async def test_a_partition_decided_too_far_ahead_of_the_clock_chooses_nothing(self) -> None:
        clock, recorder, rest = Clock(), Recorder(), Rest()
        rest.called_off = False
        order = ServiceOrder(FixedBarrier(1), clock, recorder, ahead_limit_seconds=5)  # type: ignore[arg-type]
        ahead = PartitionState(0, [Intake(STOPS, 0), Intake(ASKS, 0)], {}, clock.now_ms() + 60_000)
        near = PartitionState(1, [Intake(STOPS, 0), Intake(ASKS, 0)], {}, clock.now_ms() + 4_000)
        for state in (ahead, near):
            arrive(state.by_topic["stops"], [record(STOPS, 0)])
            arrive(state.by_topic["asks"], [record(ASKS, 0)])
        [contribution], _ = await order.choose([ahead, near], MANY, rest)
        assert contribution.state is near
        assert contribution.moments_ms == [near.latest_ms] * 2
        assert order.is_clock_wrong
        assert recorder.differences == [pytest.approx(60, abs=1)]
        clock.shift_ms = 58_000
        contributions, _ = await order.choose([ahead, near], MANY, rest)
        assert [contribution.state for contribution in contributions] == [ahead, near]
        assert not order.is_clock_wrong

    async def test_called_off_while_waiting_it_chooses_nothing(self) -> None:
        stops, asks = Intake(STOPS, 0), Intake(ASKS, 0)
        arrive(asks, [record(ASKS, 0)])
        order, rest = self.order(5)
        rest.called_off = True
        assert (await order.choose([state_of(stops, asks)], MANY, rest))[0] == []


stamps = st.lists(st.integers(0, 20), max_size=15)


class TestRecordOrder:
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
        intakes = [Intake(topic, 0) for topic in inputs]
        state = state_of(*intakes)
        state.ends = {topic.name: len(records) for topic, records in inputs.items()}
        given_so_far = [0, 0]
        decided: list[tuple[InputRecord, int]] = []
        for turn, cut in enumerate(cuts):
            intake = intakes[turn % 2]
            records = inputs[intake.topic][given_so_far[turn % 2] :][:cut]
            given_so_far[turn % 2] += len(records)
            if records:
                arrive(intake, records)
            while (contribution := merge_heads(state, limits)) is not None:
                decided += zip(contribution.records, contribution.moments_ms, strict=True)
                state.merge(contribution, BatchResult())
        assert is_finished(state)
        return decided

    def test_records_beyond_the_end_are_left_alone(self) -> None:
        asks = Intake(ASKS, 0)
        state = state_of(asks)
        state.ends = {"asks": 2}
        arrive(asks, [record(ASKS, offset) for offset in range(5)])
        contribution = merge_heads(state, MANY)
        assert contribution is not None
        assert len(contribution.records) == 2
        state.merge(contribution, BatchResult())
        assert merge_heads(state, MANY) is None
        assert is_finished(state)
        assert contribution.next_positions == {"asks": 2}

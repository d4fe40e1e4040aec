"""What goes wrong around a gate, and what it then does: it refuses, raises the alarm, or forwards. It never guesses.

Each alarm is shown twice: the running gate's own exposition has the sample, and the shipped alert fires on a series of
that very name with those very labels.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from streams.audit import AuditSettings, audit
from streams.engine_settings import engine_settings
from streams.exactly_once.errors import StartupRefusedError
from streams.exactly_once.input_queue import FULL_RECORDS
from streams.exactly_once.lane import REFUSED_IN_A_ROW_MAX
from streams.exactly_once.startup import check_topics
from streams.exit_codes import ExitCode
from streams.testing.kafka_io import read_topic
from streams.testing.records import intent, murmur2_partition, outcome, preference
from streams.testing.waiting import wait_until
from tests.deploy.conftest import promtool
from tests.system.conftest import now_ms
from tests.system.harness import (
    ERASURE_KEY,
    REPOSITORY,
    START_SECONDS,
    Gate,
    World,
    account_for,
    ends_of,
    running,
    until_all_decided,
    value_of,
)
from tests.system.policies import any_hour
from tests.system.worker_with_clock import FILE_VARIABLE, QUEUE_IS_FULL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from confluent_kafka import Message

    from streams.testing.broker import Broker
    from streams.testing.kafka_io import StoredRecord
    from streams.testing.records import OutgoingRecord

__all__ = ["promtool"]  # the fixture

pytestmark = [pytest.mark.timeout(300), pytest.mark.kafka]

RULES = REPOSITORY / "deploy/prometheus/rules"
TWO_MINUTES_MS = 120_000
FORTY_DAYS_MS = 40 * 86_400_000
WRONG_CLOCK = "tests.system.worker_with_clock"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(any_hour(), encoding="utf-8")
    return path


def decided(world: World) -> dict[tuple[str, str], dict[str, Any]]:
    """Every decision by customer and intent; what retention took from the inputs is of no concern."""
    found = {}
    for record in read_topic(world.address, world.names.approved, world.names.suppressed):
        answer = value_of(record)
        if answer["type"] != "withdrawn":
            key = answer["customer_id"], answer["intent_id"]
            assert key not in found, "answered twice"
            found[key] = answer
    return found


def judged(world: World, policy: Path) -> None:
    """The outside check finds nothing."""
    settings = AuditSettings(
        world.address,
        topics=world.names,
        policies=[policy],
        application_id=f"{world.prefix}gate",
        erasure_key=ERASURE_KEY,
        processes=1,
    )
    report = audit(settings)
    assert report.is_clean, report.as_text()


def raise_partitions(world: World, count: int, *topics: str) -> None:
    client = AdminClient({"bootstrap.servers": world.address})
    for future in client.create_partitions([NewPartitions(topic, count) for topic in topics]).values():
        future.result(20)
    wait_until(
        lambda: all(len(client.list_topics(topic, timeout=20).topics[topic].partitions) == count for topic in topics),
        START_SECONDS,
        "the new partitions",
    )


# ---- alarms ---------------------------------------------------------------------------------------------------------


class Alarm:
    """Whether a shipped alert fires on what a gate shows."""

    def __init__(self, promtool: Callable[..., str], directory: Path) -> None:
        self._promtool = promtool
        self._directory = directory

    def fires(
        self, alert: str, samples: Mapping[str, Mapping[tuple[tuple[str, str], ...], float]], *, minutes: int
    ) -> None:
        """The alert is quiet while these samples are 0, and fires once they have been as they are for so long."""
        groups = yaml.safe_load((RULES / "alerts.yml").read_text(encoding="utf-8"))["groups"]
        rule = next(rule for group in groups for rule in group["rules"] if rule["alert"] == alert)
        series, raised = [], []
        for name, by_labels in samples.items():
            assert name in rule["expr"], f"{alert} does not look at {name}"
            for labels, value in by_labels.items():
                listed = dict(labels) | {"job": "mesura", "instance": "gate"}
                written = ", ".join(f'{label}="{text}"' for label, text in listed.items())
                series.append({"series": f"{name}{{{written}}}", "values": f"0x10 {value}x{minutes + 10}"})
                if value:
                    raised.append(listed)
        assert raised, f"nothing to raise {alert} with"
        case = {
            "rule_files": [str(path) for path in sorted(RULES.glob("*.yml"))],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": series,
                    "promql_expr_test": [
                        self._firing(alert, "10m", 0),
                        self._firing(alert, f"{11 + minutes}m", len(raised)),
                    ],
                }
            ],
        }
        path = self._directory / f"{alert}.yml"
        path.write_text(yaml.safe_dump(case), encoding="utf-8")
        self._promtool("test", "rules", path)

    @staticmethod
    def _firing(alert: str, at: str, count: int) -> dict[str, Any]:
        expression = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
        return {
            "expr": expression,
            "eval_time": at,
            "exp_samples": [{"labels": "{}", "value": count}] if count else [],
        }


@pytest.fixture
def alarm(promtool: Callable[..., str], tmp_path: Path) -> Alarm:
    return Alarm(promtool, tmp_path)


# ---- partition counts -----------------------------------------------------------------------------------------------


def test_partitions_raised_under_a_running_gate_end_it_and_nothing_moved_is_decided(
    kafka_world: World, policy: Path, tmp_path: Path
) -> None:
    """Supervised: the refusal is the end, not a restart. A customer on an old partition is where she always was."""
    world = kafka_world
    customers = [f"c-{number}" for number in range(64)]
    with running(world, tmp_path, policy=policy, supervised=True) as gate:
        world.publish(intent(customer, "before", created_at=now_ms()) for customer in customers)
        until_all_decided(gate, world)
        raise_partitions(world, 16, *(topic.name for topic in world.plan.topics() if topic.partitions > 1))
        world.publish(_at(16, preference(customer, f"e-{customer}", at=now_ms())) for customer in customers)
        world.publish(_at(16, intent(customer, "after", created_at=now_ms())) for customer in customers)
        assert gate.ended() == ExitCode.REFUSED, gate.said[-3000:]
    assert "has appeared, the application was started with 8" in gate.said
    assert "Follow the runbook for changing the count" in gate.said
    again = Gate(world.settings(policy), tmp_path)
    assert again.ended(START_SECONDS) == ExitCode.REFUSED
    assert "The topics have 16 partitions, the application was started with 8" in again.said
    answers = decided(world)
    moved = {customer for customer in customers if murmur2_partition(customer.encode(), 16) >= 8}
    assert moved
    assert {key for key in answers if key[1] == "before"} == {(customer, "before") for customer in customers}
    after = {customer: answer for (customer, which), answer in answers.items() if which == "after"}
    assert not after.keys() & moved
    assert {answer.get("reason") for answer in after.values()} <= {"opt_out"}


def test_one_topic_raised_under_a_running_gate_ends_it_too(kafka_world: World, policy: Path, tmp_path: Path) -> None:
    with running(kafka_world, tmp_path, policy=policy, supervised=True) as gate:
        raise_partitions(kafka_world, 16, kafka_world.names.preferences)
        assert gate.ended() == ExitCode.REFUSED, gate.said[-3000:]
    assert "unequal partition counts" in gate.said
    assert f"{kafka_world.names.preferences} 16" in gate.said


def _at(partitions: int, record: OutgoingRecord) -> OutgoingRecord:
    """Where a producer puts it that knows of this many partitions."""
    assert record.key is not None
    return record._replace(partition=murmur2_partition(record.key, partitions))


OTHER_COUNTS = {
    "preferences": 16,
    "outcomes": 4,
    "intents": 16,
    "approved": 4,
    "suppressed": 16,
    "dead_letter": 4,
    "rerouted": 16,
    "ledger": 4,
}


@pytest.mark.parametrize("role", OTHER_COUNTS)
async def test_one_topic_with_another_count_is_refused_whichever_it_is(
    real_kafka: Broker, topic_prefix: str, role: str
) -> None:
    """What it is at the command line, exit code and sentence, is shown in test_refusals.py for one of them."""
    world, count = World(real_kafka, topic_prefix, create=False), OTHER_COUNTS[role]
    named = getattr(world.names, role)
    other = named[0] if isinstance(named, tuple) else named
    for topic in world.plan.topics():
        partitions = count if topic.name == other else topic.partitions
        real_kafka.create_topics([topic.name], partitions=partitions, config=topic.config)
    with pytest.raises(StartupRefusedError, match=f"unequal partition counts .*{other} {count}") as refused:
        await check_topics(engine_settings(world.settings()))
    assert "Give all of them the same count" in str(refused.value)
    assert not world.read(world.names.control), "nothing was begun"


# ---- another partitioner --------------------------------------------------------------------------------------------


class CrcProducer:
    """librdkafka as it comes: CRC32 of the key says where a record goes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._producer = Producer({"bootstrap.servers": world.address, "acks": "all"})
        self.misrouted = 0

    def publish(self, records: Iterable[OutgoingRecord]) -> None:
        def told(key: bytes, error: object, message: Message) -> None:
            assert error is None
            self.misrouted += message.partition() != murmur2_partition(key, self._world.partitions)

        for record in records:
            assert record.key is not None
            self._producer.produce(
                self._world.prefix + record.topic,
                value=record.value,
                key=record.key,
                timestamp=record.timestamp_ms,
                on_delivery=partial(told, record.key),
            )
        assert self._producer.flush(30) == 0


def test_a_producer_with_another_partitioner_is_put_right_once_and_told_of(
    kafka_world: World, policy: Path, tmp_path: Path, alarm: Alarm
) -> None:
    """Of three hundred customers a third say no, a third say stop in a reply; all of it, and the intents, by CRC32."""
    world = kafka_world
    customers = [f"c-{number}" for number in range(300)]
    began_ms = now_ms()

    def said(number: int, customer: str) -> OutgoingRecord:
        if number % 3 == 1:
            return preference(customer, f"e-{number}", at=began_ms)
        if number % 3 == 2:
            return outcome(customer, None, "reply", occurred_at=began_ms, channel="sms", detail="stop")
        return preference(customer, f"e-{number}", "opt_in", at=began_ms)

    producer = CrcProducer(world)
    with running(world, tmp_path, policy=policy) as gate:
        producer.publish(said(number, customer) for number, customer in enumerate(customers))
        until_all_decided(gate, world)
        forwarded = producer.misrouted
        assert 0 < forwarded < len(customers), "some are right by chance, most are not"
        producer.publish(intent(customer, "by-crc", created_at=now_ms()) for customer in customers)
        until_all_decided(gate, world)
        assert producer.misrouted > forwarded
        world.publish(intent(customer, "by-murmur", created_at=now_ms()) for customer in customers)
        until_all_decided(gate, world)
        metrics = gate.metrics()
        assert gate.get("/ready")[0] == 200
    account = account_for(world)
    assert len(account.forwarded) == producer.misrouted
    assert not account.dead_letters
    counted = metrics["mesura_rerouted_records_total"]
    assert sum(counted.values()) == producer.misrouted
    by_topic = {topic: count for ((_, topic),), count in counted.items() if count}
    assert by_topic.keys() == {world.names.preferences, world.names.outcomes, world.names.intents[0]}
    answers = decided(world)
    assert len(answers) == 2 * len(customers)
    for (customer, _), answer in answers.items():
        number = customers.index(customer)
        assert (answer.get("reason") == "opt_out") == (number % 3 != 0), "decided without what was said"
    for place, second in account.forwarded.items():
        home = account.rerouted[second]
        customer_id = value_of(account.inputs[place])["customer_id"].encode()
        assert home.key == customer_id
        assert home.partition == murmur2_partition(customer_id, world.partitions)
    judged(world, policy)
    alarm.fires("MesuraMisroutedRecords", {"mesura_rerouted_records_total": counted}, minutes=1)


# ---- a wrong clock --------------------------------------------------------------------------------------------------


@pytest.fixture
def shift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how wrong the clock of a worker is, at once and also while it runs."""
    file = tmp_path / "shift"
    monkeypatch.setenv(FILE_VARIABLE, str(file))

    def to(milliseconds: int) -> None:
        new = tmp_path / "shift.new"
        new.write_text(str(milliseconds), encoding="ascii")
        new.replace(file)

    to(0)
    return to


def until_told(gate: Gate, seconds: float) -> str:
    """Wait until the gate is not ready because of its clock; returns the sentence."""

    def told() -> str:
        status, said = gate.get("/ready")
        return said if status == 503 and "clock" in said else ""

    return gate.until(told, START_SECONDS, f"a clock {seconds} s off to be told")


def aborted(gate: Gate, reason: str) -> float:
    return gate.metrics()["mesura_batches_aborted_total"][("reason", reason),]


@pytest.mark.parametrize(
    "milliseconds", [TWO_MINUTES_MS, -TWO_MINUTES_MS, FORTY_DAYS_MS], ids=["ahead", "behind", "forty-days-ahead"]
)
def test_a_clock_that_is_off_holds_everything_back_until_it_is_right(
    kafka_world: World, policy: Path, tmp_path: Path, alarm: Alarm, shift: Callable[[int], None], milliseconds: int
) -> None:
    """One contact is allowed in seven days: whoever had it before still has had it after, so nothing was forgotten."""
    world = kafka_world
    policy.write_text(any_hour(limit=1), encoding="utf-8")
    began_ms = now_ms()
    with running(world, tmp_path, policy=policy, module=WRONG_CLOCK) as gate:
        world.publish(intent(f"c-{number}", "right", created_at=now_ms()) for number in range(20))
        until_all_decided(gate, world)
        ledgers = len(world.read(world.names.ledger))
        shift(milliseconds)
        world.publish(preference(f"c-{number}", f"e-{number}", at=now_ms()) for number in range(10))
        world.publish(intent(f"c-{number}", "wrong", created_at=now_ms()) for number in range(20))
        said = until_told(gate, milliseconds / 1000)
        difference = gate.metrics()["mesura_clock_difference_seconds"]
        assert abs(gate.counted("clock_difference_seconds")) == pytest.approx(abs(milliseconds) / 1000, abs=30), said
        assert gate.counted("ready") == 0
        assert gate.get("/live")[0] == 200, "starting again would not put a clock right"
        if milliseconds > 0:  # behind, it does not even try
            # With intents too: the broker itself refuses answers of more than an hour ahead of its clock.
            gate.until(lambda: aborted(gate, "clock") > REFUSED_IN_A_ROW_MAX, START_SECONDS, "looks at the clock again")
        assert len(world.read(world.names.ledger)) == ledgers, "nothing was changed, nothing pruned"
        shift(0)
        until_all_decided(gate, world)
        gate.until_ready()
        assert gate.exit_code is None, "the process that began is the one that decides"
    answers = decided(world)
    assert all(began_ms <= answer["decided_at"] <= now_ms() for answer in answers.values())
    assert {key: answer.get("reason") for key, answer in answers.items()} == {
        **{(f"c-{number}", "right"): None for number in range(20)},
        **{(f"c-{number}", "wrong"): "opt_out" if number < 10 else "cap_reached" for number in range(20)},
    }
    judged(world, policy)
    alarm.fires("MesuraClockDifference", {"mesura_clock_difference_seconds": difference}, minutes=2)


@pytest.mark.parametrize("milliseconds", [TWO_MINUTES_MS, -TWO_MINUTES_MS], ids=["ahead", "behind"])
def test_a_gate_started_with_a_wrong_clock_decides_nothing(
    kafka_world: World, policy: Path, tmp_path: Path, shift: Callable[[int], None], milliseconds: int
) -> None:
    world = kafka_world
    shift(milliseconds)
    world.publish(intent(f"c-{number}", "i", created_at=now_ms()) for number in range(20))
    with running(world, tmp_path, policy=policy, module=WRONG_CLOCK, ready=False) as gate:
        until_told(gate, milliseconds / 1000)
        # The difference is told while its transaction is still being aborted, which is counted afterwards.
        gate.until(lambda: aborted(gate, "clock"), START_SECONDS, "aborts")
        assert gate.counted("decisions_total") == 0
        assert not decided(world)
        shift(0)
        until_all_decided(gate, world)
        gate.until_ready()
    assert len(decided(world)) == 20
    judged(world, policy)


# ---- records that are gone ------------------------------------------------------------------------------------------


def delete_before(world: World, topic: str, offsets: Mapping[int, int]) -> None:
    """What retention does, now."""
    client = AdminClient({"bootstrap.servers": world.address})
    wanted = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
    for future in client.delete_records(wanted).values():
        future.result(20)


def lose(world: World, topic: str, share: float, begins: Mapping[tuple[str, int], int]) -> int:
    """Delete this share of what stands on each partition since `begins`; returns how many records that are."""
    ends = ends_of(world, topic)
    offsets = {
        partition: begins[topic, partition] + int((end - begins[topic, partition]) * share)
        for (_, partition), end in ends.items()
    }
    delete_before(world, topic, offsets)
    return sum(offset - begins[topic, partition] for partition, offset in offsets.items())


def test_records_gone_before_they_were_decided_are_refused_then_counted_exactly_once_accepted(
    kafka_world: World, policy: Path, tmp_path: Path, alarm: Alarm
) -> None:
    world = kafka_world
    preferences, intents = world.names.preferences, world.names.intents[0]
    with running(world, tmp_path, policy=policy) as gate:
        world.publish(intent(f"c-{number}", "before", created_at=now_ms()) for number in range(100))
        world.publish(preference(f"c-{number}", f"a-{number}", "opt_in", at=now_ms()) for number in range(100))
        until_all_decided(gate, world)
    begins = ends_of(world)
    world.publish(preference(f"c-{number}", f"e-{number}", at=now_ms()) for number in range(100))
    world.publish(intent(f"c-{number}", "after", created_at=now_ms()) for number in range(100))
    lost = {topic: lose(world, topic, 0.5, begins) for topic in (preferences, intents)}
    kept = {value_of(record)["customer_id"] for record in left(world, preferences, begins)}
    asked = {value_of(record)["customer_id"] for record in left(world, intents, begins)}
    assert len(kept) == 100 - lost[preferences]
    assert len(asked) == 100 - lost[intents]

    refusing = Gate(world.settings(policy), tmp_path)
    assert refusing.ended(START_SECONDS) == ExitCode.REFUSED, refusing.said[-3000:]
    assert "are gone before they were decided" in refusing.said
    assert "start with accept_missing_records" in refusing.said
    assert len(decided(world)) == 100, "nothing was decided on what is left"

    with running(world, tmp_path, policy=policy, accept_missing_records=True) as gate:
        until_all_decided(gate, world)
        metrics = gate.metrics()
        assert gate.get("/ready")[0] == 200
    missing = metrics["mesura_missing_records_total"]
    assert {topic: count for ((_, topic),), count in missing.items() if count} == lost
    after = {customer: answer for (customer, which), answer in decided(world).items() if which == "after"}
    assert after.keys() == asked, "what is gone has no answer, what is left has one"
    assert {customer for customer, answer in after.items() if answer.get("reason") == "opt_out"} == kept & asked
    alarm.fires("MesuraMissingRecords", {"mesura_missing_records_total": missing}, minutes=1)

    with running(world, tmp_path, policy=policy) as gate:  # accepted once is accepted: the positions are past it
        assert gate.counted("missing_records_total") == 0
        assert gate.terminate() == ExitCode.DONE


def left(world: World, topic: str, begins: Mapping[tuple[str, int], int]) -> list[StoredRecord]:
    """What still stands on the topic beyond those offsets."""
    return [one for one in read_topic(world.address, topic) if one.offset >= begins[topic, one.partition]]


@pytest.mark.parametrize("accept", [False, True], ids=["refused", "accepted"])
def test_records_gone_under_a_running_gate_are_noticed_where_it_comes_to_the_hole(
    kafka_world: World, policy: Path, tmp_path: Path, shift: Callable[[int], None], *, accept: bool
) -> None:
    """A clock that is off holds it up; its queue fills; what it has not fetched is deleted; the clock is right."""
    world, total, first_left = kafka_world, 4 * FULL_RECORDS, 4 * FULL_RECORDS - 500
    customers = [name for number in range(2_000) if murmur2_partition((name := f"c-{number}").encode(), 8) == 0]
    intents = world.names.intents[0]
    options: dict[str, Any] = {"accept_missing_records": accept, "module": WRONG_CLOCK}
    with running(world, tmp_path, policy=policy, **options) as gate:
        shift(TWO_MINUTES_MS)
        world.publish(
            intent(customers[number % len(customers)], f"i-{number}", created_at=now_ms()) for number in range(total)
        )
        until_told(gate, TWO_MINUTES_MS / 1000)
        gate.until(lambda: QUEUE_IS_FULL in gate.said, START_SECONDS, "a full queue")
        delete_before(world, intents, {0: first_left})
        shift(0)
        if accept:
            until_all_decided(gate, world)
            missing = gate.metrics()["mesura_missing_records_total"][("topic", intents),]
        else:
            assert gate.ended() == ExitCode.REFUSED, gate.said[-3000:]
            assert "are gone before they were decided" in gate.said
    numbers = sorted(int(which.removeprefix("i-")) for _, which in decided(world))
    fetched = next((place for place, number in enumerate(numbers) if place != number), len(numbers))
    assert FULL_RECORDS <= fetched < first_left, "what stood in its queue was decided"
    if accept:
        assert numbers[fetched:] == list(range(first_left, total))
        assert missing == first_left - fetched
    else:
        assert numbers[fetched:] == []

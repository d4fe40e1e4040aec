"""The commands on Apache Kafka, over dead letters made as a gate makes them: filters, what is shown, whose time a topic
has, and a replay that is killed in between.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from streams.contracts.dead_letters import dead_letter
from streams.contracts.errors import RecordRefused
from streams.contracts.routing import reroute
from streams.dead_letters.letter import Place
from streams.dead_letters.replayed import Replayed, with_replay
from streams.exit_codes import ExitCode
from streams.records import InputRecord
from streams.testing.kafka_io import StoredRecord, publish, read_topic
from streams.testing.records import OutgoingRecord, intent, murmur2_partition, outcome, preference
from tests.dead_letters.commands import arguments, dead_letters
from tests.system.conftest import now_ms
from tests.system.harness import REPOSITORY, World, ends_of

if TYPE_CHECKING:
    from pathlib import Path

    from streams.contracts.errors import RefusalReason
    from streams.testing.broker import Broker

pytestmark = pytest.mark.kafka

PARTITIONS = 2
SECRET = "customer-000001"
HOUR_MS = 3_600_000
MANY = 400
ENDED_AFTER = 150

KILLED = """
import os, sys
from streams.dead_letters import publishing
signal, after = int(sys.argv.pop(1)), int(sys.argv.pop(1))
send, sent = publishing._send, []
def send_some(producer, *arguments):
    if len(sent) == after:
        while producer.poll(0.1):  # as far as they are acknowledged; the rest dies with the process
            pass
        os.kill(os.getpid(), signal)
    send(producer, *arguments)
    sent.append(1)
publishing._send = send_some
from streams.cli.main import main
main(sys.argv[1:])
"""


def world(broker: Broker, prefix: str, *, recorded_times: bool = True) -> World:
    """The topics that are read and written without a gate."""
    found = World(broker, prefix, partitions=PARTITIONS, recorded_times=recorded_times, create=False)
    for topic in found.plan.topics():
        if topic.name in {*found.inputs, found.names.dead_letter, found.names.control}:
            broker.create_topics([topic.name], partitions=topic.partitions, config=topic.config)
    return found


def set_aside(
    world: World,
    records: list[OutgoingRecord],
    reason: RefusalReason = "unknown_word",
    *,
    forwarded: bool = False,
    lost: int = 0,
    bytes_max: int = 1_000_000,
) -> None:
    """Publish them, and put them onto the dead-letter topic as a gate does. `lost`: so many records stood before them
    when they were set aside, and neither these nor they themselves are there any more.
    """
    letters = []
    ends = ends_of(world)
    for record in records:
        partition = murmur2_partition(record.key or b"", PARTITIONS) if record.partition is None else record.partition
        stands = world.prefix + record.topic, partition
        number = ends[stands] + lost
        ends[stands] += 1
        read = InputRecord(stands[0], number, record.timestamp_ms, record.key, record.value, tuple(record.headers))
        if forwarded:
            sent_on = reroute(read, 1 - partition, SECRET, partitions=PARTITIONS, topic=world.names.rerouted)
            read = InputRecord(world.names.rerouted, number, now_ms(), sent_on.key, sent_on.value, sent_on.headers)
        letter = dead_letter(
            read, partition, RecordRefused(reason), topic=world.names.dead_letter, value_bytes_max=bytes_max
        )
        letters.append(OutgoingRecord(letter.topic, letter.key, letter.value, now_ms(), letter.headers, partition))
    if not lost:
        world.publish(records)
    publish(world.address, letters)


def replayed(world: World) -> list[StoredRecord]:
    found = read_topic(world.address, *world.inputs)
    return [record for record in found if "mesura.replay.count" in dict(record.headers)]


def test_the_time_that_the_broker_says_is_said_and_never_makes_a_yes_later(
    real_kafka: Broker, topic_prefix: str
) -> None:
    broker_time = world(real_kafka, topic_prefix, recorded_times=False)
    said = now_ms() - HOUR_MS
    set_aside(
        broker_time,
        [
            intent(SECRET, "i1", created_at=said),
            preference(SECRET, "e1", "opt_in", at=said, purpose="x"),
            preference(SECRET, "e2", "opt_in", at=said, effective_at=said - 1, purpose="x"),
            preference(SECRET, "e3", "opt_out", at=said),
            outcome(SECRET, None, "reply", channel="sms", occurred_at=said),
        ],
    )
    done = dead_letters(broker_time, "replay", "--execute")
    assert done.exit_code == 1
    assert done.error.startswith(f"The policy in force is not in {broker_time.names.control}")
    assert "Refused, order_lost: 1. It permits something" in done.output
    assert "message.timestamp.type=LogAppendTime or they had none: 3. " in done.output
    assert "Noes among them without an `effective_at`: 1. " in done.output
    assert "Published: 4" in done.output
    found = replayed(broker_time)
    events = [json.loads(record.value or b"") for record in found]
    assert "e1" not in {event.get("event_id") for event in events}
    times = {record.topic.removeprefix(topic_prefix): record.timestamp_ms for record in found}
    [sent] = [record for record in found if record.topic == broker_time.names.intents[0]]
    acknowledged = max(record.timestamp_ms for record in found if record is not sent)
    assert acknowledged <= int(dict(sent.headers)["mesura.replay.timestamp"]), "what was said comes before any intent"
    assert times["outbound-intent"] == said
    assert times["opt-out"] > said + HOUR_MS // 2
    assert SECRET not in done.output + done.error


def test_a_replay_that_was_killed_goes_on_where_it_was(real_kafka: Broker, topic_prefix: str, tmp_path: Path) -> None:
    many = world(real_kafka, topic_prefix)
    now = now_ms()
    set_aside(many, [intent(f"c{number}", f"i{number}", created_at=now) for number in range(MANY)])
    killed = ended_by(signal.SIGKILL, many)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    at_first = len(replayed(many))
    assert 0 < at_first <= ENDED_AFTER
    interrupted = ended_by(signal.SIGINT, many)
    assert interrupted.returncode == ExitCode.INTERRUPTED, interrupted.stderr
    before = len(replayed(many))
    assert f"Published before that: {before - at_first} of {MANY - at_first}." in interrupted.stderr
    assert at_first < before < MANY
    again = dead_letters(many, "replay", "--execute", "--json")
    assert again.exit_code == 0
    assert again.summary["already_replayed"] == before
    assert again.summary["published"] == MANY - before
    assert Counter(record.key for record in replayed(many)) == {f"c{number}".encode(): 1 for number in range(MANY)}


def ended_by(number: signal.Signals, world: World) -> subprocess.CompletedProcess[str]:
    """A replay that gets this signal when it has sent some."""
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(int(number)), str(ENDED_AFTER), *arguments(world, "replay", "--execute")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def test_each_replay_is_counted_and_found_again_right_behind_its_record(real_kafka: Broker, topic_prefix: str) -> None:
    here = world(real_kafka, topic_prefix)
    said = Replayed(1, "not_json", here.names.dead_letter, 0, 0, 1)
    headers = tuple(with_replay((("own", b"1"),), said))
    own = [("own", b"1")]
    set_aside(here, [intent(SECRET, "i", created_at=now_ms())._replace(headers=headers)])  # type: ignore[arg-type]
    place = Place(*dead_letters(here, "list", "--json").lines[0]["dead_letter"].rsplit("-", 2))
    assert dead_letters(here, "replay", "--execute").exit_code == 0
    found = [record for record in replayed(here) if record.offset == 1]
    assert [each for each in found[0].headers if not each[0].startswith("mesura.")] == own
    block = dict(found[0].headers)
    assert len(block) == len(found[0].headers)
    assert (block["mesura.replay.count"], block["mesura.replay.reason"]) == (b"2", b"unknown_word")
    assert block["mesura.replay.offset"] == str(place.offset).encode()
    assert dead_letters(here, "replay", "--execute", "--json").fates() == {str(place): "already_replayed"}


def test_topics_that_were_made_anew_are_read_from_their_start(real_kafka: Broker, topic_prefix: str) -> None:
    here = world(real_kafka, topic_prefix)
    set_aside(here, [intent(SECRET, "i", created_at=now_ms())], lost=1_000)
    for fate in ("replay", "already_replayed"):
        assert list(dead_letters(here, "replay", "--execute", "--json").fates().values()) == [fate]


def test_only_what_is_meant_is_replayed(real_kafka: Broker, topic_prefix: str) -> None:
    here = world(real_kafka, topic_prefix)
    now = now_ms()
    set_aside(here, [intent(f"c{number}", f"i{number}", created_at=now) for number in range(6)])
    set_aside(here, [preference(SECRET, "e", at=now)], "implausible_time")
    set_aside(here, [preference(SECRET, "f", at=now)], "not_utf8", forwarded=True)

    def count(*words: str) -> int:
        return int(dead_letters(here, "list", "--json", *words).summary["count"])

    filters = [
        "--reason",
        "not_utf8",
        "--reason",
        "implausible_time",
        "--since",
        str(now),
        "--until",
        "2999-01-01T00:00Z",
    ]
    own = str(murmur2_partition(SECRET.encode(), PARTITIONS))
    assert count(*filters, "--from-topic", "opt-out", "--partition", own, "--offset", "0-99") == 2
    assert count(*filters, "--from-topic", here.names.outcomes) == 0
    assert count("--until", str(now)) == 0

    limited = dead_letters(here, "replay", "--execute", "--from-topic", here.names.intents[0], "--limit", "2", "--json")
    assert (limited.summary["published"], limited.summary["beyond_limit"]) == (2, 4)
    rest = dead_letters(here, "replay", "--execute", "--from-topic", here.names.intents[0], "--limit", "2", "--json")
    assert (rest.summary["published"], rest.summary["already_replayed"]) == (2, 2)
    assert Counter(record.topic for record in replayed(here)) == {here.names.intents[0]: 4}


def test_nothing_of_a_record_is_shown_unless_it_is_asked_for(real_kafka: Broker, topic_prefix: str) -> None:
    here = world(real_kafka, topic_prefix)
    hostile = preference(SECRET, "e", at=now_ms())._replace(
        value=b'{"customer_id": "customer-000001", "note": "\x1b]0;owned\x07\xff"}',
        headers=[("x-\x1b[2J", b"secret-header")],
    )
    set_aside(here, [hostile], "not_utf8")
    place = dead_letters(here, "list", "--json").lines[0]["dead_letter"]
    for words in (["list"], ["list", "--json"], ["show", place], ["show", place, "--json"], ["replay"]):
        said = dead_letters(here, *words)
        assert SECRET not in said.output + said.error
        assert "secret-header" not in said.output
        assert "\x1b" not in said.output
    shown = dead_letters(here, "show", place)
    assert shown.exit_code == 0
    for part in ("The value is not UTF-8.", "Remedy", f"Value          {len(hostile.value or b'')} bytes", place):
        assert part in shown.output
    whole = dead_letters(here, "show", place, "--payload").output
    assert SECRET in whole
    assert "secret-header" in whole
    assert "\\x1b]0;owned\\x07\\xff" in whole
    assert "\x1b" not in whole
    assert dead_letters(here, "show", place[:-1] + "99").exit_code == 2
    assert dead_letters(here, "show", "opt-out-0-0").exit_code == 2


def test_what_was_cut_is_refused_and_strangers_are_left_out(real_kafka: Broker, topic_prefix: str) -> None:
    here = world(real_kafka, topic_prefix)
    set_aside(here, [intent(SECRET, "i", created_at=now_ms())], bytes_max=20)
    publish(here.address, [OutgoingRecord(here.names.dead_letter, b"k", b"v", now_ms())])
    done = dead_letters(here, "replay", "--execute", "--force", "--json")
    assert list(done.fates().values()) == ["cut"]
    assert done.exit_code == 1
    listed = dead_letters(here, "list")
    assert "that no gate wrote, left out: 1." in listed.error
    assert "without its value" in listed.output
    assert replayed(here) == []


def test_what_cannot_be_asked_for(real_kafka: Broker, topic_prefix: str) -> None:
    here = world(real_kafka, topic_prefix)
    for words in (
        ["replay", "--execute", "--dry-run"],
        ["list", "--offset", "5-2"],
        ["list", "--since", "yesterday"],
        ["list", "--reason", "nonsense"],
        ["list", "--from-topic", "nonsense"],
        ["show", "nonsense"],
    ):
        assert dead_letters(here, *words).exit_code == 2
    here.prefix = "nowhere-"
    said = dead_letters(here, "replay")
    assert said.exit_code == 2
    assert "These topics do not exist: nowhere-" in said.error

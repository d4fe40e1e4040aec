"""Everybody who is compared by the benchmarks gives the same answers to the same small stream, or nobody is compared.

Our gate and Faust always run. Quix Streams and Kafka Streams need more than `make setup` installs: they run where
`python -m bench.peers.installation` has installed them and are skipped by name where not; with CI=true they are
installed here, and fail if they cannot be. Quix Streams makes its checkpoints sooner here than by default, or most of
the time would be spent waiting for them.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

import bench.peers.conformance
from bench.peers.conformance import APPROVED, STARTS, Asked, NotHeardError, Refused, Stream, check, expected, stream
from bench.peers.installation import is_there, java_folder, java_peer, quix_folder, quix_python
from bench.peers.roster import FAUST, KAFKA_STREAMS, MESURA, PARTITIONS, QUIX_100_MS, Entrant
from streams.testing.records import murmur2_partition

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.broker import KafkaAdmin

INSTALLED_HERE = pytest.mark.timeout(600)
"""With CI=true a peer is fetched and built first, which the network decides."""


def in_ci() -> bool:
    return os.environ.get("CI") == "true"


def decides_the_stream(kafka: KafkaAdmin, entrant: Entrant, prefix: str, directory: Path) -> None:
    found = check(kafka, entrant, f"{prefix}conformance", directory)
    assert not found, f"{len(found)} answers differ, first: {found[:5]}"


def test_mesura_conforms(real_kafka: KafkaAdmin, topic_prefix: str, tmp_path: Path) -> None:
    decides_the_stream(real_kafka, MESURA, topic_prefix, tmp_path)


def test_faust_conforms(real_kafka: KafkaAdmin, topic_prefix: str, tmp_path: Path) -> None:
    decides_the_stream(real_kafka, FAUST, topic_prefix, tmp_path)


@INSTALLED_HERE
def test_quix_streams_conforms(real_kafka: KafkaAdmin, topic_prefix: str, tmp_path: Path) -> None:
    if in_ci():
        quix_python()
    if not is_there(quix_folder()):
        pytest.skip("Quix Streams is not installed: python -m bench.peers.installation")
    decides_the_stream(real_kafka, QUIX_100_MS, topic_prefix, tmp_path)


@INSTALLED_HERE
def test_kafka_streams_conforms(real_kafka: KafkaAdmin, topic_prefix: str, tmp_path: Path) -> None:
    if in_ci():
        java_peer()
    if not is_there(java_folder()):
        pytest.skip("the Kafka Streams peer is not built: python -m bench.peers.installation")
    decides_the_stream(real_kafka, KAFKA_STREAMS, topic_prefix, tmp_path)


@pytest.mark.parametrize("deaf", range(STARTS + 1))
def test_who_has_heard_nothing_is_started_anew_but_not_for_ever(
    deaf: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefixes: list[str] = []

    def judged(_kafka: object, _entrant: object, prefix: str, *_: object) -> list[str]:
        prefixes.append(prefix)
        if len(prefixes) <= deaf:
            raise NotHeardError("the refusals")
        return ["a difference"]

    monkeypatch.setattr(bench.peers.conformance, "judged", judged)
    with pytest.raises(NotHeardError) if deaf == STARTS else nullcontext():
        assert check(None, FAUST, "peer", tmp_path) == ["a difference"]  # type: ignore[arg-type]
    assert len(set(prefixes)) == min(deaf + 1, STARTS)


def test_the_stream_asks_for_every_answer_on_every_partition() -> None:
    everything = stream()
    answers = Counter(answer for (_, answer), times in expected(everything).items() for _ in range(times))
    assert answers.keys() == {APPROVED, "duplicate", "opt_out", "channel-weekly", "all-weekly"}
    assert min(answers.values()) >= 5
    assert 280 <= len(everything.intents) + len(everything.refusals) <= 350
    placed = {murmur2_partition(asked.customer.encode(), PARTITIONS) for asked in everything.intents}
    assert placed == set(range(PARTITIONS))


def test_what_is_expected_by_hand() -> None:
    asked = tuple(Asked(number, "c", f"i{number}", "sms") for number in range(4))
    again = Asked(4, "c", "i0", "email")
    barred = Asked(5, "d", "i0", "voice")
    found = expected(Stream((Refused("d", None),), (*asked, again, barred)))
    assert found == {
        ("c/i0", APPROVED): 1,
        ("c/i1", APPROVED): 1,
        ("c/i2", APPROVED): 1,
        ("c/i3", "channel-weekly"): 1,
        ("c/i0", "duplicate"): 1,
        ("d/i0", "opt_out"): 1,
    }

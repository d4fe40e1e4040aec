"""A small fixed stream, and the answer that every contender must give to each of its intents.

    python -m bench.peers.conformance           everybody, on an Apache Kafka of its own; a minute

About three hundred events over ten days: caps reached on one channel and over all, refusals that came before, repeated
intents, contacts that age out, on every partition. What is expected is recounted from the whole past for each intent,
by a few lines that share nothing with anybody who is judged.

Refusals are published and acknowledged before the intents that they bar, and a peer is given the time to hear them:
peers have no barrier. Our own gate runs by the record clock over what has been published, because a week must pass.

In `make test` (`tests/bench/test_conformance.py`) our gate and Faust always run; Quix Streams and Kafka Streams run
where `python -m bench.peers.installation` has installed them, and are skipped by name where it has not. With CI=true
nothing is skipped: what is missing is installed, and what cannot be installed fails.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from bench import meter
from bench.contenders import Contender
from bench.peers.roster import MESURA, PARTITIONS, PEERS, Entrant, Place
from streams.testing.broker import KafkaAdmin
from streams.testing.errors import DeadlineError
from streams.testing.kafka_io import publish, read_topic
from streams.testing.real_kafka import RealKafka
from streams.testing.records import OutgoingRecord, intent, preference
from streams.testing.waiting import wait_until

SEED: Final = 11
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS
STEP_MS: Final = 50 * 60_000
"""Times are whole steps apart. No number of steps is within five minutes of a week, so an unconfirmed approval, which
our gate counts from the last moment at which it may be sent, leaves the window at the same step as everybody's."""

BEGAN_MS: Final = 1_767_225_600_000
CHANNELS: Final = ("sms", "email", "whatsapp", "voice")
HEARD_SECONDS: Final = 60.0
STARTS: Final = 3
"""A peer that has not heard the refusals in time is started anew, on new topics: a Faust worker has been seen that
committed nothing in a whole minute. No intent is published by then, so nothing that is judged can be lost this way."""

ANSWERED_SECONDS: Final = 60.0
INPUT: Final = {"retention.ms": "-1"}

APPROVED: Final = "approved"
Answers = Counter[tuple[str, str]]
"""How often which intent got which answer: `approved`, or the reason why not."""


class Asked(NamedTuple):
    """One intent."""

    at: int
    customer: str
    intent_id: str
    channel: str


class Refused(NamedTuple):
    """One opt-out, said before everything; no channel means all."""

    customer: str
    channel: str | None


@dataclass(frozen=True, slots=True)
class Stream:
    """All of it, in the order of time."""

    refusals: tuple[Refused, ...]
    intents: tuple[Asked, ...]

    def refusal_records(self, topic: str) -> Iterator[OutgoingRecord]:
        """An hour before the first intent."""
        for number, (customer, channel) in enumerate(self.refusals):
            scope = {} if channel is None else {"channel": channel}
            yield preference(customer, f"no-{number}", at=BEGAN_MS - HOUR_MS, to=topic, **scope)

    def intent_records(self, topic: str) -> Iterator[OutgoingRecord]:
        """As an upstream system publishes them."""
        for asked in self.intents:
            yield intent(
                asked.customer,
                asked.intent_id,
                channel=asked.channel,
                created_at=asked.at,
                to=topic,
                purpose="service",
            )


def stream() -> Stream:
    """The one stream: cases made to be hard, then customers at random."""
    source = random.Random(SEED)
    intents = [*_cases()]
    for number in range(24):
        customer = f"random-{number:02d}"
        steps = sorted(source.sample(range(260), 9))
        for place, step in enumerate(steps):
            again = place > 0 and source.random() < 0.15
            name = f"{customer}-{place - 1 if again else place}"
            intents.append(Asked(BEGAN_MS + step * STEP_MS, customer, name, source.choice(CHANNELS)))
    refusals = [Refused(f"random-{number:02d}", source.choice(CHANNELS)) for number in range(0, 24, 2)]
    refusals += [Refused("no-sms", "sms"), Refused("no-sms", "sms"), Refused("nothing", None)]
    return Stream(tuple(refusals), tuple(sorted(intents, key=lambda asked: asked.at)))


def _cases() -> Iterator[Asked]:
    """A customer for each thing that can go wrong."""

    def ask(customer: str, step: int, channel: str, name: str | None = None) -> Asked:
        at = BEGAN_MS + step * STEP_MS
        return Asked(at, customer, f"{customer}-{name or step}", channel)

    week = WEEK_MS // STEP_MS + 1
    # The fourth on a channel; another channel is still open; the sixth of all.
    yield from (ask("channel-cap", step, "sms") for step in range(4))
    yield from (ask("channel-cap", step, "email") for step in range(4, 7))
    yield from (ask("all-cap", step, CHANNELS[step % 4]) for step in range(7))
    # Both caps reached: the channel's is named.
    yield from (ask("both-caps", step, "email" if step in {3, 4} else "sms") for step in range(6))
    # A refusal of one channel, of all; the refused does not count.
    yield from (ask("no-sms", step, "sms" if step % 2 else "email") for step in range(9))
    yield from (ask("nothing", step, channel) for step, channel in enumerate(CHANNELS))
    # Repeats: of an approval, of a refusal, of what a cap denied; a repeat takes no place.
    yield from (ask("repeats", step, "sms", "same") for step in range(4))
    yield from (ask("repeats", step, "sms") for step in range(4, 8))
    yield from (ask("repeats", step, "sms", "7") for step in range(8, 10))
    yield from (ask("no-sms", step, "sms", "1") for step in range(9, 11))
    # A week later the place is free again, and not a step before; the name may be used again too.
    yield from (ask("ages", step, "voice") for step in range(3))
    yield from (ask("ages", week - 1, "voice", "early"), ask("ages", week, "voice", "late"))
    yield from (ask("ages", week + 1, "voice", "0"), ask("ages", week + 2, "voice", "after"))
    # The same name with two customers is two intents.
    yield from (Asked(BEGAN_MS, customer, "shared-name", "email") for customer in ("one", "two"))


def expected(everything: Stream) -> Answers:
    """Recounted for each intent from all that came before it."""
    refused = set(everything.refusals)
    past: list[tuple[Asked, str]] = []
    for asked in everything.intents:
        week = [each for each in past if each[0].customer == asked.customer and asked.at - each[0].at < WEEK_MS]
        sent = [before.channel for before, answer in week if answer == APPROVED]
        if any(before.intent_id == asked.intent_id for before, answer in week if answer != "duplicate"):
            answer = "duplicate"
        elif refused & {Refused(asked.customer, asked.channel), Refused(asked.customer, None)}:
            answer = "opt_out"
        elif sent.count(asked.channel) >= 3:
            answer = "channel-weekly"
        else:
            answer = "all-weekly" if len(sent) >= 5 else APPROVED
        past.append((asked, answer))
    return Counter((f"{asked.customer}/{asked.intent_id}", answer) for asked, answer in past)


def given(place: Place) -> Answers:
    """What can be read from the outputs. A cap is named by its rule."""
    found: Answers = Counter()
    for record in read_topic(place.bootstrap_servers, *place.outputs):
        document = orjson.loads(record.value or b"{}")
        if record.topic == place.outputs[0]:
            answer = APPROVED
        else:
            answer = document["rule"] if document["reason"] == "cap_reached" else document["reason"]
        found[f"{document['customer_id']}/{document['intent_id']}", answer] += 1
    return found


def differences(place: Place, everything: Stream) -> list[str]:
    """What was answered otherwise than expected, a line each. Intents are named by their place in the stream."""
    wanted, found = expected(everything), given(place)
    places = {f"{asked.customer}/{asked.intent_id}": at for at, asked in reversed([*enumerate(everything.intents)])}
    return [
        f"intent {places.get(name, '?')}: {answer} {found[name, answer]} times instead of {wanted[name, answer]}"
        for name, answer in sorted(wanted.keys() | found.keys())
        if found[name, answer] != wanted[name, answer]
    ]


def check(kafka: KafkaAdmin, entrant: Entrant, prefix: str, directory: Path) -> list[str]:
    """Have it decide the stream, on topics of its own; returns what it answered otherwise than expected.

    Raises:
        DeadlineError: it did not answer in time, or heard nothing in any of `STARTS` starts.
        RuntimeError: it ended.
    """
    everything = stream()
    for start in range(1, STARTS):
        try:
            return judged(kafka, entrant, f"{prefix}-{start}", directory, everything)
        except NotHeardError as error:
            print(f"{entrant.name}: {error}; started anew")
    return judged(kafka, entrant, f"{prefix}-{STARTS}", directory, everything)


class NotHeardError(DeadlineError):
    """The refusals were not heard in time; nothing has been asked yet."""


def judged(kafka: KafkaAdmin, entrant: Entrant, prefix: str, directory: Path, everything: Stream) -> list[str]:
    """One start: what it answered otherwise than expected."""
    inputs = f"{prefix}-intents", f"{prefix}-preferences"
    kafka.create_topics(list(inputs), partitions=PARTITIONS, config=INPUT)
    place = Place(kafka.bootstrap_servers, f"{prefix}-gate", *inputs)
    entrant.create_topics(kafka, place)
    refusals, intents = everything.refusal_records(place.preferences), everything.intent_records(place.intents)
    if entrant.kind == "mesura":
        publish(place.bootstrap_servers, chain(refusals, intents))
        with entrant.start(place, directory, clock="record") as contender:
            wait_until(lambda: _has_ended(contender), ANSWERED_SECONDS, "the end of a bounded run")
    else:
        heard = meter.CommittedOffsets(place.bootstrap_servers, place.group, [place.preferences])
        with entrant.start(place, directory) as contender:
            try:
                has_members = running(contender, lambda: heard.members() >= entrant.members)
                wait_until(has_members, HEARD_SECONDS, "every member")
                publish(place.bootstrap_servers, refusals)
                has_heard = running(contender, lambda: heard() >= len(everything.refusals))
                wait_until(has_heard, HEARD_SECONDS, "the refusals")
            except DeadlineError as error:
                raise NotHeardError(str(error)) from error
            publish(place.bootstrap_servers, intents)
            answered = running(contender, lambda: given(place).total() >= len(everything.intents))
            wait_until(answered, ANSWERED_SECONDS, "an answer to every intent")
    return differences(place, everything)


def running(contender: Contender, condition: Callable[[], bool]) -> Callable[[], bool]:
    """The condition, as long as nobody has ended; then the RuntimeError of `Contender.still_running`."""

    def looked() -> bool:
        contender.still_running()
        return condition()

    return looked


def _has_ended(contender: Contender) -> bool:
    codes = [process.poll() for process in contender.processes]
    if any(codes):
        contender.still_running()
    return None not in codes


def main() -> None:
    """Everybody, one after the other."""
    everything = stream()
    print(f"{len(everything.refusals)} refusals, {len(everything.intents)} intents")
    broken = False
    with RealKafka() as kafka, tempfile.TemporaryDirectory(prefix="mesura-conformance-") as directory:
        for number, entrant in enumerate((MESURA, *PEERS)):
            found = check(kafka, entrant, f"conformance-{number}", Path(directory))
            print(f"{entrant.name}: {'conforms' if not found else f'{len(found)} differences'}", *found, sep="\n  ")
            broken = broken or bool(found)
    if broken:
        sys.exit("Not everybody decides the same.")


if __name__ == "__main__":
    main()

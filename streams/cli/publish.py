"""`mesura publish`: send intents, preference events and outcomes from a file, each line checked before it is sent.

Rules of this module
1. What the gate would set aside is not sent: every line is read by the gate's own decoder first.
2. A rejected line is named by its number and the reason, never by its content.
3. A line that is not reported was acknowledged by all in-sync replicas, once, under its customer's key, on the
   partition that murmur2 gives.

Exit codes: 0 every line was published; 1 lines were rejected, the others were published; 2 there is nothing to send
to, or records were not acknowledged.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

import click
import msgspec
from confluent_kafka import KafkaException, Producer

from streams.cli.errors import EXIT_ANSWER_IS_NO, CommandError, Unreachable
from streams.cli.options import bootstrap_option, topic_names, topic_options
from streams.contracts.decode import decode_intent, decode_outcome, decode_preference
from streams.contracts.errors import RecordRefused
from streams.decision.outcome import OutcomeType
from streams.decision.preference import PreferenceType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from confluent_kafka import KafkaError

    from streams.topics import TopicNames

Kind = Literal["intents", "preferences", "outcomes"]

CONNECT_SECONDS: Final = 10.0
"""How long a cluster may take to say which topics it has. A wrong address must not look like slow work."""

ACKNOWLEDGE_SECONDS: Final = 120.0
"""How long a record may wait for its acknowledgement: longer than a broker takes to restart."""

QUEUED_RECORDS_MAX: Final = 100_000
"""What may be under way at once: about 50 MB of records of a few hundred bytes."""

REJECTIONS_SHOWN: Final = 20
"""A file of the wrong kind would fill the screen with one sentence; the count and the reject file have them all."""

_PREFERENCE_TYPES: Final = frozenset(get_args(PreferenceType))
_OUTCOME_TYPES: Final = frozenset(get_args(OutcomeType))
_TIME_FIELDS: Final = {"intents": "created_at", "preferences": "effective_at", "outcomes": "occurred_at"}


class _Glance(msgspec.Struct):
    """The fields that tell what a line is."""

    type: Any = None
    intent_id: Any = None


_glance: Final = msgspec.json.Decoder(_Glance).decode
_DECODERS: Final[Mapping[Kind, Callable[[bytes], tuple[Any, int]]]] = {
    "intents": decode_intent,
    "preferences": decode_preference,
    "outcomes": decode_outcome,
}


class Sound(NamedTuple):
    """A line that may be sent."""

    kind: Kind
    key: bytes
    value: bytes
    timestamp_ms: int | None


class NotToBeTold(Exception):
    """Neither type nor fields say what the line is."""


def kind_of(line: bytes) -> Kind:
    """What the line is, by the fields that only one kind has.

    Raises:
        NotToBeTold: it is none of the three, or no JSON object.
    """
    try:
        glance = _glance(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotToBeTold from None
    if isinstance(glance.type, str):
        if glance.type in _PREFERENCE_TYPES:
            return "preferences"
        if glance.type in _OUTCOME_TYPES:
            return "outcomes"
    if glance.intent_id is not None:
        return "intents"
    raise NotToBeTold


def checked(line: bytes, to: Kind | None, *, with_own_time: bool) -> Sound:
    """The line as it may be sent. `with_own_time`: its record's timestamp is the event's own time, if it has one.

    Raises:
        RecordRefused: the gate could not read it.
        NotToBeTold: `to` is None, and what it is cannot be told.
    """
    kind = to or kind_of(line)
    event, _ = _DECODERS[kind](line)
    own_time = getattr(event, _TIME_FIELDS[kind]) if with_own_time else None
    return Sound(kind, event.customer_id.encode(), line, own_time)


@dataclass(slots=True)
class Report:
    """What became of the lines."""

    sent: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    not_acknowledged: list[str] = field(default_factory=list)


class Publisher:
    """Sends sound lines; a line that is refused is told to `reject` with its number and why."""

    def __init__(self, bootstrap: str, names: TopicNames, reject: Callable[[int, bytes, str], None]) -> None:
        self.report = Report()
        self._topics = {"intents": names.intents[-1], "preferences": names.preferences, "outcomes": names.outcomes}
        self._reject = reject
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "queue.buffering.max.messages": QUEUED_RECORDS_MAX,
                "delivery.timeout.ms": int(ACKNOWLEDGE_SECONDS * 1000),
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
                "log_level": 0,
                "error_cb": lambda _: None,
            }
        )
        self._check_topics(bootstrap)

    def publish(self, lines: Iterable[bytes], to: Kind | None, *, with_own_time: bool) -> Report:
        """Send every sound line, and return when all were acknowledged or given up."""
        for number, raw in enumerate(lines, 1):
            line = raw.strip()
            if line:
                self._publish(number, line, to, with_own_time=with_own_time)
        unsent = self._producer.flush(ACKNOWLEDGE_SECONDS + 5)
        if unsent:
            self.report.not_acknowledged += ["no answer"] * unsent
        return self.report

    def _publish(self, number: int, line: bytes, to: Kind | None, *, with_own_time: bool) -> None:
        try:
            sound = checked(line, to, with_own_time=with_own_time)
        except RecordRefused as refused:
            self.report.rejected[refused.reason] += 1
            self._reject(number, line, str(refused))
            return
        except NotToBeTold:
            self.report.rejected["kind_unknown"] += 1
            self._reject(number, line, "neither `type` nor `intent_id` says what it is; see --to")
            return
        timestamp = int(time.time() * 1000) if sound.timestamp_ms is None else sound.timestamp_ms
        while True:
            try:
                self._producer.produce(self._topics[sound.kind], key=sound.key, value=sound.value, timestamp=timestamp)
            except BufferError:
                self._producer.poll(0.1)
            else:
                break
        self.report.sent[sound.kind] += 1
        self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self.report.not_acknowledged.append(error.str())

    def _check_topics(self, bootstrap: str) -> None:
        # Before anything is sent: a topic that appears by being written to has the wrong number of partitions.
        try:
            existing = self._producer.list_topics(timeout=CONNECT_SECONDS).topics
        except KafkaException as error:
            raise Unreachable(f"No Kafka broker answers at {bootstrap}: {error.args[0].str()}.") from None
        missing = sorted({topic for topic in self._topics.values() if topic not in existing})
        if missing:
            raise CommandError(
                f"These topics do not exist: {', '.join(missing)}. Make them with `mesura topics create`."
            )


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--to",
    type=click.Choice(["auto", "intents", "preferences", "outcomes"]),
    default="auto",
    show_default=True,
    help="What the lines are. auto: by the fields of each line.",
)
@click.option(
    "--timestamps",
    type=click.Choice(["now", "created"]),
    default="now",
    show_default=True,
    help="The records' timestamps: the moment of sending, or each event's own (created_at, effective_at, occurred_at).",
)
@click.option("--reject-file", type=click.File("wb", lazy=True), help="Write rejected lines there, as they are.")
@bootstrap_option
@topic_options
def publish(
    file: IO[bytes],
    to: str,
    timestamps: str,
    reject_file: IO[bytes] | None,
    bootstrap: str,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> None:
    """Publish the lines of FILE (JSON, one event a line; - is standard input).

    Intents, preference events and outcomes may be mixed. With several intent topics, intents go to the last one named,
    the least urgent.
    """
    rejections = _Rejections(reject_file)
    publisher = Publisher(bootstrap, topic_names(prefix, intent_topics, renamed_topics), rejections)
    kind: Any = None if to == "auto" else to
    report = publisher.publish(_with_progress(file), kind, with_own_time=timestamps == "created")
    rejections.conclude()
    for name, count in sorted(report.sent.items()):
        click.echo(f"{name}: {count} published")
    if report.not_acknowledged:
        count = len(report.not_acknowledged)
        raise CommandError(f"{count} records were not acknowledged; the first: {report.not_acknowledged[0]}")
    if report.rejected:
        click.get_current_context().exit(EXIT_ANSWER_IS_NO)


class _Rejections:
    """Says which lines were rejected, the first ones one by one."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file
        self._count = 0

    def __call__(self, number: int, line: bytes, why: str) -> None:
        self._count += 1
        if self._count <= REJECTIONS_SHOWN:
            click.echo(f"line {number}: {why}", err=True)
        if self._file is not None:
            self._file.write(line + b"\n")

    def conclude(self) -> None:
        """Say how many there were, if not all were named."""
        if self._count > REJECTIONS_SHOWN:
            click.echo(f"… and {self._count - REJECTIONS_SHOWN} more lines were rejected.", err=True)


def _with_progress(file: Any) -> Iterator[bytes]:  # noqa: ANN401  # click's and rich's files have no type in common
    """The lines, with a bar on standard error if that is a terminal and the file's size is known."""
    if not (sys.stderr.isatty() and file.seekable()):
        return iter(file)
    from rich.console import Console
    from rich.progress import wrap_file

    size = file.seek(0, 2)
    file.seek(0)
    return _lines_of(
        wrap_file(file, total=size, description="Publishing", console=Console(stderr=True), transient=True)
    )


def _lines_of(context: Any) -> Iterator[bytes]:  # noqa: ANN401  # rich's reader has no public type
    with context as file:
        yield from file

"""`mesura publish`: sends intents, preference events and outcomes from a file, and checks each line before sending it.

Rules of this module
1. What would be a dead letter is not sent, because the gate's own decoder reads every line first.
2. A rejected line is named by its number and the reason, never by its content.
3. A line that is not reported was acknowledged by all in-sync replicas, once, under its customer's key, on the
   partition that murmur2 gives.
4. `--check` does everything except sending. It reports the same about the same lines, without a broker.

Exit codes: 0 every line was published; 1 lines were rejected, and the others were published; 2 there is no cluster or
topic to send to, the file is one document over several lines, or records were not acknowledged.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final

import click
from confluent_kafka import KafkaException, Producer

from streams.access.roles import permissions_of
from streams.cli.errors import CommandError
from streams.cli.event_lines import UTF8_MARK, CheckedLine, Kind, KindUnknown, checked, one_event_a_line
from streams.cli.options import cluster_option_for, refuse_unreachable, stopped_answering, topic_names, topic_options
from streams.cli.spellings import Spellings
from streams.contracts.errors import RecordRefused
from streams.decision.ledger.preferences import FUTURE_TOLERANCE_MS
from streams.exit_codes import ExitCode
from streams.policy.horizons import IDENTITIES
from streams.policy.notation import duration_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from confluent_kafka import KafkaError

    from streams.connection.cluster import Cluster
    from streams.topics import TopicNames

CONNECT_SECONDS: Final = 10.0
"""How long a cluster may take to list its topics. A wrong address must not look like slow work."""

ACKNOWLEDGE_SECONDS: Final = 120.0
"""How long a record may wait for its acknowledgement: longer than a broker takes to restart."""

QUEUED_RECORDS_MAX: Final = 100_000
"""How many records may be in flight at once: about 50 MB with records of a few hundred bytes."""

REJECTIONS_SHOWN: Final = 20
"""A file of the wrong kind would fill the screen with one sentence. The count and the reject file cover all of them."""

DOUBTS_SHOWN: Final = 5
"""How many lines with something not understood are named. The count covers all of them."""


@dataclass(slots=True)
class Report:
    """The result for the lines. `ahead`, `old`: valid intents that a gate cannot decide yet, or cannot
    decide any more.
    """

    sound: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    ahead: int = 0
    old: int = 0
    doubtful: int = 0
    doubtful_lines: list[int] = field(default_factory=list)
    spellings: Spellings = field(default_factory=Spellings)

    def warnings(self) -> Iterator[str]:
        """How many valid lines will not be approved whatever the policy's rules say, and why."""
        if self.ahead:
            yield (
                f"Warning: intents created more than {duration_in_words(FUTURE_TOLERANCE_MS)} from now: {self.ahead}. "
                "The gate decides none of them. They become dead letters (from_the_future)."
            )
        if self.old:
            yield (
                f"Warning: intents created more than {duration_in_words(IDENTITIES.default_ms)} ago: {self.old}. "
                "They will be suppressed as expired, unless the policy's `identities` is longer."
            )
        if self.doubtful:
            lines = ", ".join(map(str, self.doubtful_lines)) + (", …" if self.doubtful > DOUBTS_SHOWN else "")
            yield (
                f"Warning: events that restrict and contain something that cannot be read: {self.doubtful}, on lines "
                f"{lines}. The gate applies them without it, and so restricts more. schemas/ describes the fields."
            )
        if (spelled := self.spellings.warning()) is not None:
            yield spelled


class Inspector:
    """Reads lines as the gate would. Valid lines are handed on. For the others `reject` gets the number and
    the reason.
    """

    def __init__(self, hand_on: Callable[[CheckedLine, int], None], reject: Callable[[int, bytes, str], None]) -> None:
        self.report = Report()
        self._hand_on = hand_on
        self._reject = reject

    def inspect(self, lines: Iterable[bytes], to: Kind | None, *, with_own_time: bool) -> None:
        """Every line that is not empty."""
        for number, raw in enumerate(lines, 1):
            line = raw.strip().removeprefix(UTF8_MARK)
            if line:
                self._inspect(number, line, to, with_own_time=with_own_time)

    def _inspect(self, number: int, line: bytes, to: Kind | None, *, with_own_time: bool) -> None:
        try:
            sound = checked(line, to, with_own_time=with_own_time)
        except RecordRefused as refused:
            self.report.rejected[refused.reason] += 1
            self._reject(number, line, str(refused))
            return
        except KindUnknown:
            self.report.rejected["kind_unknown"] += 1
            self._reject(number, line, "it has neither `type` nor `intent_id`, so its kind is not known; see --to")
            return
        now = int(time.time() * 1000)
        self._hand_on(sound, now)
        self._count(number, sound, now)

    def _count(self, number: int, sound: CheckedLine, now: int) -> None:
        self.report.sound[sound.kind] += 1
        self.report.spellings.add(sound.customer_id, number)
        if sound.is_doubtful:
            self.report.doubtful += 1
            if len(self.report.doubtful_lines) < DOUBTS_SHOWN:
                self.report.doubtful_lines.append(number)
        if sound.created_ms is not None:
            self.report.ahead += sound.created_ms > now + FUTURE_TOLERANCE_MS
            self.report.old += sound.created_ms < now - IDENTITIES.default_ms


class Publisher:
    """Sends sound lines, each once, to the topic of its kind."""

    def __init__(self, cluster: Cluster, names: TopicNames) -> None:
        self.not_acknowledged: list[str] = []
        self._topics = {"intents": names.intents[-1], "preferences": names.preferences, "outcomes": names.outcomes}
        refuse_unreachable(cluster)
        self._not_permitted = _not_permitted(cluster, names)
        self._producer = None if len(self._not_permitted) == len(_KINDS) else self._connect(cluster)

    def _connect(self, cluster: Cluster) -> Producer:
        producer = Producer(
            {
                **cluster.client_settings(),
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
        self._check_topics(cluster, producer)
        return producer

    def send(self, sound: CheckedLine, now: int) -> None:
        """Start sending the line. Whether it arrived is known after `finish`.

        Raises:
            CommandError: we may not publish anything at all.
        """
        timestamp = now if sound.timestamp_ms is None else sound.timestamp_ms
        why = self._not_permitted.get(sound.kind)
        if why is not None:
            if self._producer is None:
                raise CommandError(why)
            self.not_acknowledged.append(why)
            return
        assert self._producer is not None, "something may be published"
        while True:
            try:
                self._producer.produce(self._topics[sound.kind], key=sound.key, value=sound.value, timestamp=timestamp)
            except BufferError:
                self._producer.poll(0.1)
            else:
                break
        self._producer.poll(0)

    def finish(self) -> None:
        """Return when all were acknowledged or given up."""
        unsent = 0 if self._producer is None else self._producer.flush(ACKNOWLEDGE_SECONDS + 5)
        if unsent:
            self.not_acknowledged += ["no answer"] * unsent

    def _delivered(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self.not_acknowledged.append(error.str())

    def _check_topics(self, cluster: Cluster, producer: Producer) -> None:
        # Before anything is sent, because a topic that is created by writing to it has the wrong number of partitions.
        try:
            existing = producer.list_topics(timeout=CONNECT_SECONDS).topics
        except KafkaException as error:
            raise stopped_answering(cluster, error) from None
        permitted = {topic for kind, topic in self._topics.items() if kind not in self._not_permitted}
        missing = sorted(topic for topic in permitted if topic not in existing)
        if missing:
            raise CommandError(
                f"These topics do not exist: {', '.join(missing)}. Create them with `mesura topics create`, or give "
                "the --prefix of the gate."
            )


_KINDS: Final[tuple[Kind, ...]] = ("intents", "preferences", "outcomes")
"""Each has a role of the same name."""


def _not_permitted(cluster: Cluster, names: TopicNames) -> dict[Kind, str]:
    """Why we may not publish, by the kinds that we may not: a system publishes what it is for, and need not be allowed
    more.
    """
    # Here, because it loads librdkafka's administration, which --check does without.
    from streams.access.check import missing_permissions, sentence

    wanted = {role: permissions_of(role, names, "")[-1:] for role in _KINDS}
    missing = missing_permissions(cluster, [each for permissions in wanted.values() for each in permissions])
    return {
        role: sentence(cluster, permissions, role)
        for role, permissions in wanted.items()
        if any(each in missing for each in permissions)
    }


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--to",
    type=click.Choice(["auto", "intents", "preferences", "outcomes"]),
    default="auto",
    show_default=True,
    help="The kind of the lines. auto: determined by the fields of each line.",
)
@click.option(
    "--timestamps",
    type=click.Choice(["now", "created"]),
    default="now",
    show_default=True,
    help="The records' timestamps: the moment of sending, or each event's own time (created_at, effective_at, "
    "occurred_at).",
)
@click.option("--reject-file", type=click.File("wb", lazy=True), help="Write rejected lines to this file, unchanged.")
@click.option(
    "--check", is_flag=True, help="Only read the lines as a gate would. Nothing is sent, and no broker is needed."
)
@cluster_option_for("A Kafka broker, or several separated by commas. Required unless --check is given.")
@topic_options
def publish(
    file: IO[bytes],
    to: str,
    timestamps: str,
    reject_file: IO[bytes] | None,
    check: bool,
    cluster: Cluster | None,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> None:
    """Publish the lines of FILE (JSON, one event per line; - is standard input).

    Each line is read as a gate would read it. A line that the gate would refuse is named by its number and not sent.
    With --check nothing is sent at all.

    Intents, preference events and outcomes may be mixed. With several intent topics, intents go to the last one named,
    which is the least urgent.
    """
    if cluster is None and not check:
        raise click.UsageError(
            "Missing option '--bootstrap'. Without a broker, use --check to learn what a gate would refuse."
        )
    rejections = _Rejections(reject_file)
    publisher = None
    if cluster is not None and not check:
        publisher = Publisher(cluster, topic_names(prefix, intent_topics, renamed_topics))
    inspector = Inspector(_hold_back if publisher is None else publisher.send, rejections)
    kind: Any = None if to == "auto" else to
    lines = one_event_a_line(file) if publisher is None else _with_progress(file)
    inspector.inspect(lines, kind, with_own_time=timestamps == "created")
    if publisher is not None:
        publisher.finish()
    rejections.conclude()
    _say(inspector.report, "sound" if publisher is None else "published")
    if publisher is not None and publisher.not_acknowledged:
        count = len(publisher.not_acknowledged)
        raise CommandError(
            f"{count} records were not acknowledged; the first: {publisher.not_acknowledged[0]}. Publish the file "
            "again once the cluster is well. Records that had arrived are answered as duplicates, or change nothing."
        )
    if inspector.report.rejected:
        click.get_current_context().exit(ExitCode.ANSWER_IS_NO)


def _hold_back(_sound: CheckedLine, _now: int) -> None:
    pass


def _say(report: Report, done: str) -> None:
    for name, count in sorted(report.sound.items()):
        click.echo(f"{name}: {count} {done}")
    if report.rejected:
        reasons = ", ".join(f"{reason} {count}" for reason, count in report.rejected.most_common())
        click.echo(f"rejected: {report.rejected.total()} ({reasons})")
    for warning in report.warnings():
        click.echo(warning, err=True)


class _Rejections:
    """Reports which lines were rejected, the first ones individually, and what to do about them."""

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
        """Report how many there were, if not all were named, and what to do."""
        if self._count > REJECTIONS_SHOWN:
            click.echo(f"… and {self._count - REJECTIONS_SHOWN} more lines were rejected.", err=True)
        if self._count:
            where = "--reject-file FILE keeps them" if self._file is None else f"they are in {self._file.name}"
            click.echo(f"Correct these lines as schemas/ says and publish them alone; {where}.", err=True)


def _with_progress(file: Any) -> Iterator[bytes]:  # noqa: ANN401  # click's and rich's files have no type in common
    """The lines, with a bar on standard error if that is a terminal and the file's size is known."""
    if not (sys.stderr.isatty() and file.seekable()):
        return one_event_a_line(file)
    from rich.console import Console
    from rich.progress import wrap_file

    size = file.seek(0, 2)
    file.seek(0)
    return _lines_of(
        wrap_file(file, total=size, description="Publishing", console=Console(stderr=True), transient=True)
    )


def _lines_of(context: Any) -> Iterator[bytes]:  # noqa: ANN401  # rich's reader has no public type
    with context as file:
        yield from one_event_a_line(file)

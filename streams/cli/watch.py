"""`mesura watch`: shows decisions as they are committed, and records that could not be read, one line each.

Rules of this module
1. Only committed records are shown, because a decision of an aborted transaction is not a decision.
2. Nothing is written to the cluster: no group, no offsets.
3. Of a dead letter only what the gate added is shown, never the record itself, because nobody has checked its content.

Exit codes: 0 the limit or the end was reached; 2 no broker or no topics; 130 interrupted.
"""

from __future__ import annotations

import threading
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import click
import orjson
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from streams.access.permission import Permission
from streams.cli.customer_id import read_customer_id
from streams.cli.errors import CommandError
from streams.cli.options import (
    cluster_option,
    refuse_unpermitted,
    refuse_unreachable,
    stopped_answering,
    topic_names,
    topic_options,
)
from streams.cli.render import PolicyView, moment_in_words, verdict_in_words, zone_of
from streams.contracts.header_names import ERROR_DETAIL, ERROR_OFFSET, ERROR_PARTITION, ERROR_REASON, ERROR_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from confluent_kafka import Message

    from streams.connection.cluster import Cluster

CONNECT_SECONDS: Final = 10.0
"""How long a cluster may take to list its topics."""

_POLL_SECONDS: Final = 0.2
_BATCH: Final = 500


class Filter:
    """Selects the decisions that are shown. Without any condition all are shown."""

    def __init__(
        self, *, channels: tuple[str, ...], verdicts: tuple[str, ...], reasons: tuple[str, ...], customer: str | None
    ) -> None:
        self._wanted = {"channel": channels, "type": verdicts, "reason": reasons}
        self._customer = customer

    def takes(self, decision: Mapping[str, Any]) -> bool:
        """Whether it is shown."""
        if self._customer is not None and decision.get("customer_id") != self._customer:
            return False
        return all(not words or decision.get(name) in words for name, words in self._wanted.items())


def line_of(decision: Mapping[str, Any]) -> str:
    """A decision in one line: when, which channel, who, and the answer in words."""
    zone = zone_of((decision.get("explanation") or {}).get("zone"), PolicyView())
    decided = moment_in_words(int(decision["decided_at"]), UTC)
    who = f"{decision.get('customer_id')} {decision.get('intent_id') or decision.get('decision_id')}"
    return f"{decided}  {decision.get('channel')}  {who}  {verdict_in_words(decision, zone)}"


def dead_letter_of(message: Message) -> dict[str, Any]:
    """What the gate says about a record that it could not read: its position and the reason. Nothing of the record
    itself.

    Raises:
        KeyError, ValueError: the gate did not write it.
    """
    # If a header occurs twice, the last one is the gate's.
    headers = {name: content for name, content in message.headers() or () if isinstance(content, bytes)}
    return {
        "type": "dead_letter",
        "topic": headers[ERROR_TOPIC].decode(),
        "partition": int(headers[ERROR_PARTITION]),
        "offset": int(headers[ERROR_OFFSET]),
        "reason": headers[ERROR_REASON].decode(),
        "detail": headers[ERROR_DETAIL].decode(),
        "set_aside_at": message.timestamp()[1],
    }


def dead_letter_in_words(letter: Mapping[str, Any]) -> str:
    """A dead letter in one line: when it was written, the position of the record, and the reason."""
    place = f"{letter['topic']}[{letter['partition']}] {letter['offset']}"
    when = moment_in_words(letter["set_aside_at"], UTC)
    return f"{when}  dead letter  {place}  Not decided: {letter['reason']}. {letter['detail']}"


def follow(cluster: Cluster, topics: tuple[str, ...], *, from_beginning: bool, to_the_end: bool) -> Iterator[Message]:
    """Every committed record of the topics, without end or up to the present end.

    Raises:
        Unreachable: no broker answers.
        CommandError: the topics do not exist.
    """
    refuse_unreachable(cluster)
    refuse_unpermitted(cluster, [Permission("topic", topic, "Read", "show it") for topic in topics], "reader")
    refused = threading.Event()
    consumer = _consumer(cluster, refused)
    try:
        existing = consumer.list_topics(timeout=CONNECT_SECONDS).topics
        missing = [topic for topic in topics if topic not in existing]
        if missing:
            raise CommandError(
                f"These topics do not exist: {', '.join(missing)}. Create them with `mesura topics create`, or give "
                "the --prefix of the gate."
            )
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        unread = {(topic, partition) for topic in topics for partition in existing[topic].partitions}
        consumer.assign([TopicPartition(topic, partition, start) for topic, partition in sorted(unread)])
        while unread or not to_the_end:
            for message in consumer.consume(_BATCH, _POLL_SECONDS):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
                    unread.discard((message.topic(), message.partition()))
                elif not error.retriable() and error.code() not in _PASSED_OVER:
                    raise CommandError(
                        f"{message.topic()} cannot be read: {error.str()}. Try again. If access is refused, ask the "
                        "operators of the cluster for the right to read it."
                    )
            if refused.is_set():
                refuse_unreachable(cluster)
                consumer = _connected_again(consumer, cluster, refused, start)
    except KafkaException as error:
        raise stopped_answering(cluster, error) from None
    finally:
        consumer.close()


_NOT_LET_IN: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})  # noqa: SLF001  # their public names
"""What a client says if its certificate or its login is refused. It goes on trying with what it was given at first."""

_PASSED_OVER: Final = _NOT_LET_IN | {KafkaError.GROUP_AUTHORIZATION_FAILED}
"""The client looks for the coordinator of its group, which is never used, and need not be allowed to."""


def _consumer(cluster: Cluster, refused: threading.Event) -> Consumer:
    """A consumer that connects as is described on disk now, and sets the event when it is not let in."""

    def heard(error: KafkaError) -> None:
        if error.code() in _NOT_LET_IN:
            refused.set()

    return Consumer(
        {
            **cluster.client_settings(),
            "group.id": "mesura-watch",  # required, never used: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 50,
            "log_level": 0,
            "error_cb": heard,
        }
    )


def _connected_again(consumer: Consumer, cluster: Cluster, refused: threading.Event, start: int) -> Consumer:
    """Another consumer that goes on where this one was: certificates or the login have changed on disk."""
    places = consumer.position(consumer.assignment())
    for place in places:
        if place.offset < 0:  # nothing was read there yet
            place.offset = start
    consumer.close()
    refused.clear()
    another = _consumer(cluster, refused)
    another.assign(places)
    return another


@click.command()
@click.option("--channel", "channels", multiple=True, help="Only this channel. Repeatable.")
@click.option(
    "--verdict",
    "verdicts",
    multiple=True,
    type=click.Choice(["approved", "suppressed", "withdrawn"]),
    help="Only these answers; repeatable.",
)
@click.option("--reason", "reasons", multiple=True, help="Only this reason's code, as cap_reached; repeatable.")
@click.option(
    "--customer-file",
    metavar="FILE",
    help="Only the customer whose id is all that this file holds. -: standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="The decisions as they stand on the topic, one a line.")
@click.option(
    "--dead-letters/--no-dead-letters",
    "with_dead_letters",
    default=None,
    help="Show records that could not be read: where they stood and why, never what they hold. Shown if not said "
    "otherwise, but for --json (there: objects with the type dead_letter) and where only some decisions are wanted.",
)
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest decision.")
@click.option("--limit", type=click.IntRange(1), help="End after this many lines.")
@click.option("--no-follow", is_flag=True, help="End at the present end of the topics.")
@cluster_option
@topic_options
def watch(
    channels: tuple[str, ...],
    verdicts: tuple[str, ...],
    reasons: tuple[str, ...],
    customer_file: str | None,
    as_json: bool,
    with_dead_letters: bool | None,
    from_beginning: bool,
    limit: int | None,
    no_follow: bool,
    cluster: Cluster,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> None:
    """Show decisions as they come, and records that could not be read."""
    names = topic_names(prefix, intent_topics, renamed_topics)
    customer = None if customer_file is None else read_customer_id(customer_file).text
    wanted = Filter(channels=channels, verdicts=verdicts, reasons=reasons, customer=customer)
    if with_dead_letters is None:
        with_dead_letters = not (as_json or channels or verdicts or reasons or customer is not None)
    topics = (names.approved, names.suppressed, *((names.dead_letter,) if with_dead_letters else ()))
    shown = 0
    for message in follow(cluster, topics, from_beginning=from_beginning, to_the_end=no_follow):
        is_dead_letter = message.topic() == names.dead_letter
        try:
            text = (
                _dead_letter(message, as_json=as_json)
                if is_dead_letter
                else _decision(message, wanted, as_json=as_json)
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            what = "a dead letter" if is_dead_letter else "a decision"
            place = f"{message.topic()}[{message.partition()}] {message.offset()}"
            click.echo(f"{place}: not {what} of mesura, ignored; only a gate should write there", err=True)
            continue
        if text is None:
            continue
        click.echo(text)
        shown += 1
        if shown == limit:
            return


def _decision(message: Message, wanted: Filter, *, as_json: bool) -> str | None:
    value: Any = message.value()
    decision = orjson.loads(value)
    if not wanted.takes(decision):
        return None
    return value.decode() if as_json else line_of(decision)


def _dead_letter(message: Message, *, as_json: bool) -> str:
    letter = dead_letter_of(message)
    return orjson.dumps(letter).decode() if as_json else dead_letter_in_words(letter)

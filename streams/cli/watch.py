"""`mesura watch`: decisions as they are committed, one line each, in words or as JSON.

Rules of this module
1. Only what is committed is shown: a decision of an aborted transaction never was one.
2. Nothing is written to the cluster: no group, no offsets.

Exit codes: 0 the limit or the end was reached; 2 no broker or no topics; 130 interrupted.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import click
import orjson
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from streams.cli.errors import CommandError, Unreachable
from streams.cli.options import bootstrap_option, topic_names, topic_options
from streams.cli.words import PolicyView, moment_in_words, verdict_in_words, zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from confluent_kafka import Message

    from streams.topics import TopicNames

CONNECT_SECONDS: Final = 10.0
"""How long a cluster may take to say which topics it has."""

_POLL_SECONDS: Final = 0.2
_BATCH: Final = 500


class Filter:
    """Which decisions are shown. Nothing given: all."""

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


def follow(bootstrap: str, names: TopicNames, *, from_beginning: bool, to_the_end: bool) -> Iterator[Message]:
    """Every committed record of the decision topics; without end, or up to the present end.

    Raises:
        Unreachable: no broker answers.
        CommandError: the topics do not exist.
    """
    topics = (names.approved, names.suppressed)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "mesura-watch",  # required, never used: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 50,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
    )
    try:
        existing = consumer.list_topics(timeout=CONNECT_SECONDS).topics
        missing = [topic for topic in topics if topic not in existing]
        if missing:
            raise CommandError(
                f"These topics do not exist: {', '.join(missing)}. Make them with `mesura topics create`."
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
                elif not error.retriable():
                    raise CommandError(f"{message.topic()}: {error.str()}.")
    except KafkaException as error:
        raise Unreachable(f"No Kafka broker answers at {bootstrap}: {error.args[0].str()}.") from None
    finally:
        consumer.close()


@click.command()
@click.option("--channel", "channels", multiple=True, help="Only this channel; repeatable.")
@click.option(
    "--verdict",
    "verdicts",
    multiple=True,
    type=click.Choice(["approved", "suppressed", "withdrawn"]),
    help="Only these answers; repeatable.",
)
@click.option("--reason", "reasons", multiple=True, help="Only this reason's code, as cap_reached; repeatable.")
@click.option("--customer", help="Only this customer.")
@click.option("--json", "as_json", is_flag=True, help="The decisions as they stand on the topic, one a line.")
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest decision there is.")
@click.option("--limit", type=click.IntRange(1), help="End after so many.")
@click.option("--no-follow", is_flag=True, help="End where the topics end now.")
@bootstrap_option
@topic_options
def watch(
    channels: tuple[str, ...],
    verdicts: tuple[str, ...],
    reasons: tuple[str, ...],
    customer: str | None,
    as_json: bool,
    from_beginning: bool,
    limit: int | None,
    no_follow: bool,
    bootstrap: str,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> None:
    """Show decisions as they come."""
    names = topic_names(prefix, intent_topics, renamed_topics)
    wanted = Filter(channels=channels, verdicts=verdicts, reasons=reasons, customer=customer)
    shown = 0
    for message in follow(bootstrap, names, from_beginning=from_beginning, to_the_end=no_follow):
        value = message.value()
        try:
            decision = orjson.loads(value)
            if not wanted.takes(decision):
                continue
            text = value.decode() if as_json else line_of(decision)
        except (ValueError, KeyError, TypeError, AttributeError):
            click.echo(f"{message.topic()}[{message.partition()}] {message.offset()}: not a decision", err=True)
            continue
        click.echo(text)
        shown += 1
        if shown == limit:
            return

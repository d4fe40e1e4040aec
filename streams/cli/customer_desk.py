"""Where every `mesura customer` command begins: whose id it is, with which key, and the record of the look-up.

Rules of this module
1. The id is read from standard input or from a file, never from the command line.
2. Every look-up is recorded before anything of the customer is read. What cannot be recorded is not answered.
3. The erasure key must be the gate's: with another one what an erasure left would not be found, and the record of the
   look-up would name nobody.
"""

from __future__ import annotations

import functools
import os
import pwd
import socket
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
from confluent_kafka import KafkaException

from streams.access.roles import permissions_of
from streams.access_log.writer import AccessLog, AccessNotRecorded
from streams.cli.customer_id import read_customer_id
from streams.cli.errors import CommandError
from streams.cli.options import (
    cluster_option,
    erasure_key,
    refuse_unpermitted,
    refuse_unreachable,
    stopped_answering,
    topic_names,
    topic_options,
)
from streams.cli.policy_source import read_control
from streams.customer.holdings import find
from streams.customer.mention import CustomerId
from streams.customer.publishing import NotAcknowledged, publish
from streams.erasure_key import ERASURE_KEY_KEY, fingerprint_of
from streams.settings import SettingsRefused, erasure_key_bytes
from streams.stored_topics import TopicsUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streams.access.permission import Permission
    from streams.connection.cluster import Cluster
    from streams.customer.holdings import Holdings
    from streams.customer.publishing import Published
    from streams.topics import TopicNames

ROLE: Final = "privacy"


class Desk(NamedTuple):
    """What every command here works with."""

    cluster: Cluster
    names: TopicNames
    customer: CustomerId
    key: bytes
    control: dict[bytes, bytes]
    log: AccessLog

    def find(self) -> Holdings:
        """Read everything."""
        with answering(self.cluster):
            return find(self.cluster, self.names, self.customer, self.key, now_ms=now_ms(), progress=_progress())

    def publish(self, values: Sequence[bytes]) -> list[Published]:
        """Publish events of the customer."""
        try:
            return publish(self.cluster, self.names.preferences, self.customer, values)
        except NotAcknowledged as error:
            raise CommandError(
                f"The event was not acknowledged: {error}. Run the command again once the cluster is well: an event "
                "that arrived twice changes nothing more."
            ) from None


def desk_options(what: str) -> Callable[[Any], Any]:
    """The options of every command here, made into a `desk`; the look-up is recorded as `what`."""

    def with_options(command: Any) -> Any:  # noqa: ANN401  # click's decorators take any command
        @functools.wraps(command)
        def with_desk(
            *arguments: Any,  # noqa: ANN401
            customer_file: str,
            access_log: Path | None,
            cluster: Cluster,
            prefix: str,
            intent_topics: tuple[str, ...],
            renamed_topics: tuple[str, ...],
            **options: Any,  # noqa: ANN401
        ) -> Any:  # noqa: ANN401
            names = topic_names(prefix, intent_topics, renamed_topics)
            writes = bool(options.get("confirm"))
            desk = open_desk(cluster, names, read_customer_id(customer_file), access_log, what, writes=writes)
            return command(*arguments, desk=desk, **options)

        with_desk = click.option(
            "--customer-file",
            default="-",
            metavar="FILE",
            show_default=True,
            help="The file that holds the customer's id, and nothing else. -: standard input.",
        )(with_desk)
        with_desk = click.option(
            "--access-log",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="MESURA_ACCESS_LOG",
            show_envvar=True,
            help="Where the look-up is recorded, a line; the customer is hashed. Default: stderr.",
        )(with_desk)
        return cluster_option(topic_options(with_desk))

    return with_options


def open_desk(
    cluster: Cluster, names: TopicNames, who: CustomerId, access_log: Path | None, what: str, *, writes: bool
) -> Desk:
    """Connect, see that the key is the gate's, and record the look-up.

    Raises:
        CommandError: one of these is not possible.
    """
    key = _key()
    refuse_unreachable(cluster)
    refuse_unpermitted(cluster, _needed(names, writes=writes), ROLE)
    control = dict(read_control(cluster, names.control))
    fingerprint = control.get(ERASURE_KEY_KEY)
    if fingerprint is None:
        click.echo("No gate has recorded its erasure key here, so nothing is known of erased customers.", err=True)
    elif fingerprint != fingerprint_of(key):
        raise CommandError(
            "This is not the erasure key of the gate whose topics these are, so what an erasure left of the customer "
            "would not be found. Give the gate's key, or the --prefix of the gate whose key this is."
        )
    looks = AccessLog(key, access_log)
    try:
        looks.record(who=_asking(), role=ROLE, what=what, customer_id=who.text)
    except AccessNotRecorded as error:
        raise CommandError(
            f"The look-up cannot be recorded ({error}), so nothing is shown. See to --access-log."
        ) from None
    return Desk(cluster, names, who, key, control, looks)


def _needed(names: TopicNames, *, writes: bool) -> list[Permission]:
    every = permissions_of(ROLE, names, "")
    return [each for each in every if writes or each.operation == "Read"]


@contextmanager
def answering(cluster: Cluster) -> Iterator[None]:
    """What goes wrong with the topics, as one sentence."""
    try:
        yield
    except TopicsUnreadable as unreadable:
        raise CommandError(str(unreadable)) from None
    except KafkaException as error:
        raise stopped_answering(cluster, error) from None


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def _key() -> bytes:
    try:
        return erasure_key_bytes(erasure_key())
    except SettingsRefused as refused:
        raise CommandError(str(refused)) from None


def _asking() -> str:
    """Who asks, as the machine knows them: no variable that anybody can set."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    return f"{name}@{socket.gethostname()}"


def _progress() -> Callable[[int, int], None]:
    """Shows how far it is, where somebody waits for it."""

    def say(done: int, every: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{done} of {every} records read", err=True, nl=False)

    return say

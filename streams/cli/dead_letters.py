"""`mesura dead-letters`: finds records that the gate has set aside, shows one of them, and publishes them again.

Rules of this module
1. Nothing is published without --execute, as with Kafka's own tools that change something.
2. Nothing of a record is shown, but with `show --payload`.
3. Every command reads up to the ends that the topics have when it begins.

Exit codes: 0 done; 1 done, and some of the dead letters are not replayed, with a sentence for each reason; 2 wrong
usage, no broker or topics, or records were not acknowledged; 130 interrupted.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from contextlib import contextmanager
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

import click
import orjson
from confluent_kafka import KafkaException

from streams.access.permission import Permission
from streams.access.roles import permissions_of
from streams.cli.dead_letter_options import DeadLetterPlace, selection_options
from streams.cli.dead_letter_words import (
    contents,
    contents_document,
    described,
    document,
    plan_summary,
    planned_document,
    planned_row,
    row,
    sizes,
    summary,
)
from streams.cli.errors import CommandError
from streams.cli.options import (
    cluster_option,
    refuse_unpermitted,
    refuse_unreachable,
    stopped_answering,
    topic_names,
    topic_options,
)
from streams.dead_letters.assessment import Fate
from streams.dead_letters.plan import LETTERS_MAX, TooMany, age, find, letters_at, make_plan, to_be_replayed
from streams.dead_letters.publishing import Outcome, publish
from streams.exit_codes import ExitCode
from streams.stored_topics import TopicsUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from streams.connection.cluster import Cluster
    from streams.dead_letters.letter import DeadLetter, Place
    from streams.dead_letters.plan import Planned
    from streams.dead_letters.selection import Selection
    from streams.decision.vocabulary import Vocabulary
    from streams.topics import TopicNames

ROWS_SHOWN: Final = 100
"""A topic with a hundred thousand dead letters would fill the screen. The summary counts all of them, and --json has
them all."""


@click.group("dead-letters")
def dead_letters() -> None:
    """Find, look at and replay records that the gate could not use."""


@dead_letters.command("list")
@selection_options
@click.option(
    "--limit",
    type=click.IntRange(1),
    help=f"Show so many rows, the oldest first. {ROWS_SHOWN} if not given, --json: all.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, the summary last.")
@cluster_option
@topic_options
def list_(
    selection: Selection,
    limit: int | None,
    as_json: bool,
    cluster: Cluster,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> None:
    """List dead letters: when each was set aside, its position, the reason, and where the record stood first.

    Nothing of the records is shown, neither keys nor contents.
    """
    names = topic_names(prefix, intent_topics, renamed_topics)
    selection = _with_full_names(selection, names, prefix)
    _refuse_unreadable(cluster, names)
    counts: Counter[tuple[str, str]] = Counter()
    strangers = 0

    def counted() -> Iterator[DeadLetter]:
        nonlocal strangers
        for letter in find(cluster, names, selection):
            if letter is None:
                strangers += 1
            else:
                counts[letter.reason, (letter.first or letter.read_at).topic] += 1
                yield letter

    with _answering(cluster):
        if limit is None and as_json:  # as they come, because there may be millions
            rows: Iterable[DeadLetter] = counted()
        else:
            rows = nsmallest(limit or ROWS_SHOWN, counted(), key=age)
        for letter in rows:
            click.echo(orjson.dumps(document(letter)).decode() if as_json else row(letter))
    if strangers:
        click.echo(
            f"Records of {names.dead_letter} that no gate wrote, left out: {strangers}. Only a gate should write "
            "there.",
            err=True,
        )
    if as_json:
        reasons = Counter[str]()
        for (reason, _), count in counts.items():
            reasons[reason] += count
        click.echo(orjson.dumps({"type": "summary", "count": counts.total(), "reasons": dict(reasons)}).decode())
        return
    if (more := counts.total() - (limit or ROWS_SHOWN)) > 0:
        click.echo(f"… and {more} more; --limit shows more rows, --json all.")
    click.echo(f"Dead letters: {counts.total()}")
    for line in summary(counts):
        click.echo(f"  {line}")


@dead_letters.command()
@click.argument("place", type=DeadLetterPlace(), metavar="TOPIC-PARTITION-OFFSET")
@click.option(
    "--payload",
    "with_payload",
    is_flag=True,
    help="Show the record too: key, headers and value, escaped. It holds a customer's data: use it only where you are "
    "entitled to.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object; key, headers and value in base64.")
@cluster_option
@topic_options
def show(
    place: Place,
    with_payload: bool,
    as_json: bool,
    cluster: Cluster,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> None:
    """Show one dead letter, at the position that `list` shows: why it was set aside, and what to do.

    Of the record only sizes and the names of its headers are shown, unless you ask for --payload.
    """
    names = topic_names(prefix, intent_topics, renamed_topics)
    if place.topic != names.dead_letter:
        raise CommandError(
            f"The dead letters of this gate are in {names.dead_letter}, not in {place.topic}. Give a position as "
            "`list` shows it, and the --prefix of the gate."
        )
    _refuse_unreadable(cluster, names)
    with _answering(cluster):
        letter = next(letters_at(cluster, names, [place]), None)
    if letter is None:
        raise CommandError(
            f"There is no dead letter at {place}: the offset was never written, or its record was deleted, or no gate "
            "wrote it. `mesura dead-letters list` shows those that are there."
        )
    if as_json:
        meant = document(letter) | {"detail": letter.detail} | (contents_document(letter) if with_payload else {})
        click.echo(orjson.dumps(meant).decode())
        return
    for line in described(letter):
        click.echo(line)
    for line in contents(letter) if with_payload else sizes(letter):
        click.echo(line)


@dead_letters.command()
@selection_options
@click.option("--limit", type=click.IntRange(1), help="Replay so many at most, the oldest first.")
@click.option("--execute", is_flag=True, help="Publish. Without this nothing is published.")
@click.option(
    "--dry-run", is_flag=True, help="Say what would be published, and publish nothing; so it is without --execute."
)
@click.option(
    "--force",
    is_flag=True,
    help="Also replay what is held back because it would be set aside again. What is refused stays refused.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, the summary last.")
@cluster_option
@topic_options
def replay(
    selection: Selection,
    limit: int | None,
    execute: bool,
    dry_run: bool,
    force: bool,
    as_json: bool,
    cluster: Cluster,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> None:
    """Publish the records of dead letters again, where they stood first, once their cause is mended.

    Without --execute it says what it would do. A record that was replayed is not replayed again, so an interrupted
    replay can be repeated.
    """
    if execute and dry_run:
        raise click.UsageError("Give either --execute or --dry-run.")
    names = topic_names(prefix, intent_topics, renamed_topics)
    selection = _with_full_names(selection, names, prefix)
    refuse_unreachable(cluster)
    refuse_unpermitted(cluster, permissions_of("replayer", names, ""), "replayer")
    with _answering(cluster):
        words = functools.cache(functools.partial(_words_in_force, cluster, names.control))
        plan = make_plan(cluster, names, selection, now_ms=_now_ms(), words=words, is_forced=force, limit=limit)
    _say_plan(plan, as_json=as_json)
    outcome = _carried_out(cluster, names, plan) if execute else Outcome()
    _say_outcome(plan, outcome, is_dry_run=not execute, as_json=as_json)
    if any(each.assessed.fate in {Fate.HELD_BACK, Fate.REFUSED} for each in plan):
        click.get_current_context().exit(ExitCode.ANSWER_IS_NO)


def _words_in_force(cluster: Cluster, control_topic: str) -> Vocabulary | None:
    from streams.cli.policy_source import policy_in_force

    policy = policy_in_force(cluster, control_topic)
    if policy is None:
        click.echo(
            f"The policy in force is not in {control_topic}, or is none for this version. Whether it knows the words "
            "of permissions is not checked; where it does not, their records come back.",
            err=True,
        )
        return None
    return policy.vocabulary


def _say_plan(plan: Sequence[Planned], *, as_json: bool) -> None:
    if as_json:
        for planned in plan:
            click.echo(orjson.dumps(planned_document(planned)).decode())
        return
    for planned in plan[:ROWS_SHOWN]:
        click.echo(planned_row(planned))
    if len(plan) > ROWS_SHOWN:
        click.echo(f"… and {len(plan) - ROWS_SHOWN} more; --json shows all.")
    for line in plan_summary(plan):
        click.echo(line)


def _carried_out(cluster: Cluster, names: TopicNames, plan: Sequence[Planned]) -> Outcome:
    outcome = Outcome()
    replayed = to_be_replayed(plan)
    try:
        with _answering(cluster):
            publish(cluster, names, replayed, now_ms=_now_ms, outcome=outcome)
    except (KeyboardInterrupt, CommandError):
        click.echo(f"Published before that: {outcome.acknowledged} of {len(replayed)}. {_AGAIN}", err=True)
        raise
    return outcome


def _say_outcome(plan: Sequence[Planned], outcome: Outcome, *, is_dry_run: bool, as_json: bool) -> None:
    if as_json:
        fates = {fate.value: sum(each.assessed.fate is fate for each in plan) for fate in Fate}
        said = {"type": "summary", "is_dry_run": is_dry_run, "published": outcome.acknowledged, **fates}
        click.echo(orjson.dumps(said).decode())
    elif is_dry_run:
        click.echo("Nothing was published. --execute publishes.")
    else:
        click.echo(f"Published: {outcome.acknowledged}")
    if outcome.gone:
        click.echo(f"Dead letters that were deleted meanwhile: {outcome.gone}", err=True)
    if outcome.failures:
        raise CommandError(
            f"{len(outcome.failures)} records were not acknowledged; the first: {outcome.failures[0]}. Intents "
            f"are sent only after everything else was acknowledged. {_AGAIN}"
        )


_AGAIN: Final = "Once the cause is mended, run the same command again: what has arrived is not replayed twice."


def _refuse_unreadable(cluster: Cluster, names: TopicNames) -> None:
    refuse_unreachable(cluster)
    read = [Permission("topic", names.dead_letter, "Read", "show it")]
    refuse_unpermitted(cluster, read, "reader")


@contextmanager
def _answering(cluster: Cluster) -> Iterator[None]:
    """What goes wrong with the topics, as one sentence."""
    try:
        yield
    except TopicsUnreadable as unreadable:
        raise CommandError(str(unreadable)) from None
    except TooMany:
        raise CommandError(
            f"More than {LETTERS_MAX} dead letters are meant. Replay them in several runs: give --since and --until, "
            "or --partition."
        ) from None
    except KafkaException as error:
        raise stopped_answering(cluster, error) from None


def _with_full_names(selection: Selection, names: TopicNames, prefix: str) -> Selection:
    """The selection with topics by their full names, whichever way they were given.

    Raises:
        click.UsageError: there is no such input topic. To find nothing would look as if there were no dead letters.
    """
    known = (*names.intents, names.preferences, names.outcomes)
    full = {topic if topic in known else prefix + topic for topic in selection.topics}
    if not full <= set(known):
        raise click.UsageError(f"--from-topic: the input topics of this gate are {', '.join(known)}.")
    return selection._replace(topics=frozenset(full))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

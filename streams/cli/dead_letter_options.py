"""What the commands for dead letters are asked with: filters, moments, positions."""

from __future__ import annotations

import functools
from typing import Any

import click

from streams.contracts.errors import REFUSALS, RecordRefused
from streams.contracts.times import moment_ms
from streams.dead_letters.letter import Place
from streams.dead_letters.selection import Selection


class Moment(click.ParamType):
    """A moment; the value is epoch milliseconds."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        if isinstance(value, int) or value.isdecimal():
            return int(value)
        try:
            return moment_ms(value, "time")
        except RecordRefused:
            self.fail("give RFC 3339 with a zone, such as 2026-11-25T15:00:00Z, or milliseconds.", param, ctx)


class Offsets(click.ParamType):
    """One offset, or the first and the last of several; the value is both."""

    name = "FIRST[-LAST]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:  # noqa: ANN401
        if isinstance(value, tuple):
            return value
        first, dash, last = value.partition("-")
        last = last if dash else first
        if not first.isdecimal() or not last.isdecimal() or int(first) > int(last):
            self.fail(
                "give an offset of the dead-letter topic, as 120, or the first and the last, as 120-140.", param, ctx
            )
        return int(first), int(last)


class DeadLetterPlace(click.ParamType):
    """Where a dead letter stands; the value is a `Place`."""

    name = "TOPIC-PARTITION-OFFSET"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:  # noqa: ANN401
        if isinstance(value, Place):
            return value
        start, _, offset = value.rpartition("-")
        topic, _, partition = start.rpartition("-")
        if not topic or not partition.isdecimal() or not offset.isdecimal():
            self.fail("give what `list` shows, as mesura-dead-letter-3-120.", param, ctx)
        return Place(topic, int(partition), int(offset))


def selection_options(command: Any) -> Any:  # noqa: ANN401  # click's decorators take any command
    """The filters, gathered into a `selection`."""

    @functools.wraps(command)
    def with_selection(
        *arguments: Any,  # noqa: ANN401
        reasons: tuple[str, ...],
        from_topics: tuple[str, ...],
        partitions: tuple[int, ...],
        since: int | None,
        until: int | None,
        offsets: tuple[int, int] | None,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        selection = Selection(frozenset(reasons), frozenset(from_topics), frozenset(partitions), since, until, offsets)
        return command(*arguments, selection=selection, **options)

    for option in (
        click.option(
            "--offset", "offsets", type=Offsets(), help="Only these offsets of the dead-letter topic, both included."
        ),
        click.option("--until", type=Moment(), help="Only those set aside before then."),
        click.option("--since", type=Moment(), help="Only those set aside from then on (RFC 3339, or milliseconds)."),
        click.option(
            "--partition", "partitions", type=click.IntRange(0), multiple=True, help="Only this partition. Repeatable."
        ),
        click.option(
            "--from-topic",
            "from_topics",
            multiple=True,
            metavar="NAME",
            help="Only records that stood first on this topic. Repeatable.",
        ),
        click.option(
            "--reason",
            "reasons",
            multiple=True,
            type=click.Choice(list(REFUSALS)),
            metavar="CODE",
            help="Only this reason, as not_json. Repeatable.",
        ),
    ):
        with_selection = option(with_selection)
    return with_selection

"""What the user sees: a live table on a terminal, plain lines elsewhere, and a summary at the end.

Rules of this module
1. It shows the figures and changes nothing.
2. Nothing is shown that has not been committed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streams.cli.render import PolicyView, lines_of, verdict_in_words, zone_of
from streams.demo.reconciliation import Check, Figures, percentile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

PLAIN_SECONDS: Final = 2.0
"""The time between two plain lines, which is long enough for a readable log."""

REASONS_SHOWN: Final = 10
EXAMPLES_SHOWN: Final = 4


class Display(Protocol):
    """Where the run is shown."""

    def __enter__(self) -> Display: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    def say(self, text: str) -> None:
        """Print one sentence, which stays on the screen."""
        ...

    def show(self, figures: Figures, examples: Sequence[Mapping[str, Any]], seconds: float) -> None:
        """Show the figures, `seconds` into the run."""
        ...


def make_display(policy: PolicyView, *, is_measuring: bool) -> Display:
    """The display that suits our output. `is_measuring`: latencies are meaningful in this run."""
    console = Console()
    if console.is_terminal:
        return LiveDisplay(console, policy, is_measuring=is_measuring)
    return PlainDisplay(is_measuring=is_measuring)


class PlainDisplay:
    """A line every few seconds."""

    def __init__(self, *, is_measuring: bool) -> None:
        self._is_measuring = is_measuring
        self._next_seconds = 0.0

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def say(self, text: str) -> None:
        """Print one sentence."""
        click.echo(text)

    def show(self, figures: Figures, examples: Sequence[Mapping[str, Any]], seconds: float) -> None:  # noqa: ARG002
        """Print one line, but not too often."""
        if seconds >= self._next_seconds:
            self._next_seconds = seconds + PLAIN_SECONDS
            click.echo(f"{seconds:5.0f} s  {_pulse(figures, is_measuring=self._is_measuring)}")


class LiveDisplay:
    """A table that is redrawn several times a second."""

    def __init__(self, console: Console, policy: PolicyView, *, is_measuring: bool) -> None:
        self._policy = policy
        self._is_measuring = is_measuring
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """Print one sentence above the table."""
        self._console.print(text, highlight=False)

    def show(self, figures: Figures, examples: Sequence[Mapping[str, Any]], seconds: float) -> None:
        """Draw it."""
        parts: list[Any] = [Text(f"{seconds:5.0f} s  {_pulse(figures, is_measuring=self._is_measuring)}", style="bold")]
        parts.append(_tables(figures))
        # Each example stays long enough to be read.
        shown = list(examples)
        first = int(seconds / 4) % len(shown) if shown else 0
        for example in (shown[first:] + shown[:first])[:2]:
            parts += ["", *(Text(line) for line in example_in_words(example, self._policy))]
        self._live.update(Group(*parts))


def _pulse(figures: Figures, *, is_measuring: bool) -> str:
    share = f"{figures.approved / figures.decided:.0%} approved" if figures.decided else "nothing yet"
    text = f"{figures.decided:,} decided, {share}; {figures.recent_rate:,.0f}/s"
    if is_measuring and figures.recent_latencies_ms:
        ordered = sorted(figures.recent_latencies_ms)
        text += f"; latency p50 {percentile(ordered, 0.5)} ms, p99 {percentile(ordered, 0.99)} ms"
    dead = figures.dead_letters.total()
    return f"{text}; {dead} dead letters, {figures.rerouted} rerouted, {figures.withdrawals.total()} withdrawn"


def _tables(figures: Figures) -> Table:
    both = Table.grid(padding=(0, 4))
    both.add_row(channel_table(figures), reason_table(figures))
    return both


def ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent first and equals by name, so that two runs with the same counts look the same."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def channel_table(figures: Figures) -> Table:
    """Approved and suppressed by channel."""
    table = Table(box=None, padding=(0, 1))
    table.add_column("channel")
    for verdict in ("approved", "suppressed"):
        table.add_column(verdict, justify="right")
    totals: Counter[str] = Counter()
    for (channel, _), count in figures.decisions.items():
        totals[channel] += count
    for channel, _ in ranked(totals):
        counts = (figures.decisions[channel, verdict] for verdict in ("approved", "suppressed"))
        table.add_row(channel, *(f"{count:,}" for count in counts))
    return table


def reason_table(figures: Figures, most: int = REASONS_SHOWN) -> Table:
    """Suppressions by reason, the most frequent first."""
    table = Table(box=None, padding=(0, 1))
    table.add_column("why not")
    table.add_column("intents", justify="right")
    table.add_column("", justify="right")
    total = figures.reasons.total() or 1
    for reason, count in ranked(figures.reasons)[:most]:
        table.add_row(reason, f"{count:,}", f"{count / total:.1%}")
    return table


def example_in_words(decision: Mapping[str, Any], policy: PolicyView) -> list[str]:
    """A decision in a few lines: the answer, and the rules that led to it."""
    zone = zone_of((decision.get("explanation") or {}).get("zone"), policy)
    head = f"{decision['channel']} to {decision['customer_id']}: {verdict_in_words(decision, zone)}"
    denials = [line for line in lines_of(decision, policy) if line.denies]
    return [head, *(f"    {line.rule_id}: {line.text} {line.because}".rstrip() for line in denials[:3])]


def print_summary(
    figures: Figures,
    latencies_ms: list[int],
    checks: Sequence[Check],
    examples: Sequence[Mapping[str, Any]],
    policy: PolicyView,
    *,
    seconds: float,
) -> None:
    """Print the result. `latencies_ms` is sorted, and empty if latencies are not meaningful in this run."""
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    console.print(channel_table(figures))
    console.print()
    console.print(reason_table(figures, most=99))
    console.print()
    for example in examples[:EXAMPLES_SHOWN]:
        for line in example_in_words(example, policy):
            console.print(line, markup=False)
    console.print()
    published = ", ".join(f"{count:,} to {topic}" for topic, count in sorted(figures.published.items()))
    console.print(f"published: {published}")
    share = figures.approved / figures.decided if figures.decided else 0
    rate = figures.decided / seconds if seconds else 0
    console.print(f"decided: {figures.decided:,} in {seconds:.1f} s ({rate:,.0f}/s), {share:.1%} approved")
    for name, counts in (("dead letters", figures.dead_letters), ("withdrawn", figures.withdrawals)):
        listed = ", ".join(f"{reason} {count}" for reason, count in ranked(counts))
        console.print(f"{name}: {counts.total()}" + (f" ({listed})" if listed else ""))
    console.print(f"rerouted: {figures.rerouted}")
    if latencies_ms:
        shares = ((0.5, "p50"), (0.99, "p99"), (1.0, "longest"))
        figures_in_words = ", ".join(f"{name} {percentile(latencies_ms, share)} ms" for share, name in shares)
        console.print(f"latency, from publishing to a readable answer: {figures_in_words}")
    for check in checks:
        console.print(f"{'✓' if check.holds else '✗'} {check.name}: {check.detail}", markup=False)

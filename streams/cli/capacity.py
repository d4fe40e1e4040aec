"""`mesura capacity`: what a gate needs for a load, reckoned from measured figures. It needs no broker.

Exit codes: 0 reckoned; 2 wrong usage, or a load that cannot be or that one gate cannot carry.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.capacity.estimate import NOT_COUNTED, ImpossibleLoad, Load, estimate
from streams.capacity.figures import measured_figures
from streams.policy.notation import UNITS_MS, duration_ms, duration_text
from streams.topics import DEFAULT_REPLICATION_FACTOR, RETENTION_MS

if TYPE_CHECKING:
    from streams.capacity.estimate import Estimate, Need
    from streams.capacity.figures import Figure

# Wide enough for a sentence if the output is not a terminal and has no width of its own.
PIPED_WIDTH: Final = 160

_PREFIXES: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


class Retention(click.ParamType):
    """A duration as policies write it, in milliseconds."""

    name = "DURATION"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        number, unit = value[:-1], value[-1:]
        if not (number.isascii() and number.isdigit() and unit in UNITS_MS):
            self.fail(f"{value!r} is no duration. Write 12h, 7d or 5w.", param, ctx)
        return duration_ms(value)


class _Asked(TypedDict):
    intents_per_second: float
    customers: int
    peak_factor: float
    contacts_per_customer: float
    retention_ms: int
    replication_factor: int
    processor_ratio: float
    rules: int
    readers: int
    has_tls: bool


@click.command()
@click.option("--intents-per-second", type=float, required=True, help="Over a whole day, on average.")
@click.option(
    "--customers",
    type=int,
    required=True,
    help="Who have a ledger: whoever was contacted or said anything within the history horizon.",
)
@click.option("--peak-factor", type=float, default=3.0, show_default=True, help="The busiest minute by the average.")
@click.option(
    "--contacts-per-customer",
    type=float,
    default=5.0,
    show_default=True,
    help="Within the history horizon, on average.",
)
@click.option(
    "--retention",
    "retention_ms",
    type=Retention(),
    default=duration_text(RETENTION_MS),
    show_default=True,
    help="Of inputs, decisions and batches.",
)
@click.option("--replication-factor", type=int, default=DEFAULT_REPLICATION_FACTOR, show_default=True)
@click.option(
    "--processor-ratio",
    type=float,
    default=1.0,
    show_default=True,
    help="How fast a core is by one of the machine on which was measured; `python -m bench.decision` compares them.",
)
@click.option("--rules", type=int, default=20, show_default=True, help="How many the policy has.")
@click.option(
    "--readers", type=int, default=1, show_default=True, help="Consumer groups that read the decisions: gateways, …"
)
@click.option("--tls", "has_tls", is_flag=True, help="Connections are encrypted, with a login.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def capacity(as_json: bool, **asked: Unpack[_Asked]) -> None:
    """Reckon partitions, workers, memory, disk and network for a load, from measured figures."""
    try:
        found = estimate(Load(**asked), measured_figures())
    except ImpossibleLoad as impossible:
        raise click.UsageError(str(impossible)) from None
    if as_json:
        click.echo(json.dumps(as_object(found), indent=2, ensure_ascii=False))
    else:
        _print(found)


def as_object(found: Estimate) -> dict[str, Any]:
    """For machines: bytes, seconds and cores without prefixes."""
    return {
        "is_estimate": True,
        "needs": [
            {
                "name": need.name,
                "unit": need.unit,
                "planned": need.planned,
                "low": need.range.low,
                "high": need.range.high,
                "how": need.how,
                "figures": [_figure(each) for each in need.figures],
            }
            for need in found.needs
        ],
        "cautions": list(found.cautions),
        "not_counted": list(NOT_COUNTED),
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {"low": figure.range.low, "high": figure.range.high, "unit": figure.unit, "source": figure.source}


def _print(found: Estimate) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPED_WIDTH)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for heading in ("what", "plan with", "between", "reckoned from"):
        table.add_column(heading, no_wrap=heading in {"plan with", "between"}, overflow="fold")
    for need in found.needs:
        low, high = need.range.low, need.range.high
        between = f"{shown(low, need.unit)} and {shown(high, need.unit)}"
        table.add_row(need.name, shown(need.planned, need.unit), between, Text(need.how + _sources(need)))
    console.print(table)
    for caution in found.cautions:
        console.print(Text(caution))
    console.print(Text(f"Not counted: {'; '.join(NOT_COUNTED)}."))


def _sources(need: Need) -> str:
    """Files of bench/results, each once."""
    files = sorted({word.rstrip(",:") for each in need.figures for word in each.source.split() if ".json" in word})
    return f" ({', '.join(each.rstrip(';') for each in files)})" if files else ""


def shown(value: float, unit: str) -> str:
    """With three digits and a prefix."""
    if unit.startswith("B"):
        for size, prefix in _PREFIXES:
            if value >= size:
                return f"{value / size:.3g} {prefix}{unit}"
    number = f"{value:,.0f}" if value >= 1_000 or value == int(value) else f"{value:.3g}"
    return f"{number} {unit}".strip()

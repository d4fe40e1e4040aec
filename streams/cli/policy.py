"""`mesura policy`: checks a policy file, and shows what it says.

Exit codes: 0 the policy has no errors; 1 it is refused (one line for each finding); 2 wrong usage or no such file.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.cli.errors import Unreadable
from streams.exit_codes import ExitCode
from streams.policy.describe import describe_rule, rules_in_force
from streams.policy.findings import PolicyRefused
from streams.policy.kinds.registry import kind_of
from streams.policy.loader import LoadedPolicy, load_policy
from streams.policy.notation import duration_text
from streams.policy.packs import PACKS, pack_path
from streams.policy.phrases import selector_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streams.decision.specification import RuleSpecification
    from streams.policy.findings import Finding

# Wide enough for a rule's sentence if the output is not a terminal and has no width of its own.
PIPED_WIDTH: Final = 120


@click.group()
def policy() -> None:
    """Check policies, and show what they say.

    FILE is a policy file; `starter` and `small` are the policies that come with mesura.
    """


@policy.command()
@click.argument("file", metavar="FILE", envvar="MESURA_POLICY")
@click.option("--quiet", "-q", is_flag=True, help="No warnings.")
@click.pass_context
def check(context: click.Context, file: str, *, quiet: bool) -> None:
    """List everything that is wrong with FILE: the line, the rule, and what to write instead."""
    loaded = _load(context, file)
    for finding in () if quiet else loaded.warnings:
        click.echo(_line(file, "warning", finding))
    specification = loaded.specification
    count = len(specification.rules)
    click.echo(
        f"{file}: no errors. {specification.name} {specification.version}, {count} rules, {specification.content_hash}."
    )


@policy.command()
@click.argument("file", metavar="[FILE]", envvar="MESURA_POLICY", default="starter")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.option("--calendars", is_flag=True, help="List the holidays of every calendar.")
@click.pass_context
def show(context: click.Context, file: str, *, as_json: bool, calendars: bool) -> None:
    """Show what FILE says: every rule as a sentence, the hash, and what the policy rests on."""
    loaded = _load(context, file)
    if as_json:
        click.echo(json.dumps(_as_json(loaded, calendars=calendars), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPED_WIDTH)
    _print(console, loaded)
    if calendars:
        _print_calendars(console, loaded)


def _load(context: click.Context, file: str) -> LoadedPolicy:
    path = pack_path(file) if file in PACKS and not Path(file).exists() else Path(file)
    try:
        return load_policy(path, today=datetime.now(UTC).date())
    except OSError as error:
        raise Unreadable(f"The policy {file} cannot be read: {error.strerror}.") from None
    except PolicyRefused as refused:
        for finding in refused.findings:
            click.echo(_line(file, "error", finding))
        count = len(refused.findings)
        click.echo(f"{file}: refused, with {count} finding{'s' if count != 1 else ''}.")
        context.exit(ExitCode.ANSWER_IS_NO)


def _line(file: str, severity: str, finding: Finding) -> str:
    rule = f"rule {finding.rule_id}: " if finding.rule_id else ""
    return f"{file}:{finding.line}: {severity}: {rule}{finding.message} {finding.fix}".rstrip()


def _print(console: Console, loaded: LoadedPolicy) -> None:
    specification = loaded.specification
    for label, value in _facts(loaded):
        console.print(f"{label:<17} {value}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for heading in ("rule", "state", "what it says", "source"):
        table.add_column(heading, no_wrap=heading in {"rule", "state"}, overflow="fold")
    for rule in rules_in_force(specification):
        table.add_row(rule.rule_id, rule.state, Text(describe_rule(rule)), rule.source.get("confidence", ""))
    console.print()
    console.print(table)
    for obligation in specification.obligations:
        about = selector_in_words(obligation.applies_to) or "everything"
        console.print(f"\nSender's duty {obligation.obligation_id} ({about}): {obligation.text}", markup=False)


def _facts(loaded: LoadedPolicy) -> Iterator[tuple[str, str]]:
    specification = loaded.specification
    yield "policy", f"{specification.name} {specification.version}"
    yield "hash", specification.content_hash
    yield "rests on", f"tzdata {loaded.tzdata_version}, holidays {loaded.holidays_version}"
    recipient = specification.recipient_zone or "stay without one"
    yield "time zone", f"{specification.zone}; recipients without one {recipient}"
    yield "an approval", f"may wait {duration_text(specification.time_to_live_ms)} at its gateway"
    yield "intents", f"are remembered for {duration_text(specification.identities_ms)}"
    yield "exact since", _exact_since(loaded)
    if loaded.calendars:
        first, last = _years(loaded)
        yield "holidays", f"{first} to {last}: {', '.join(loaded.calendars)}"


def _exact_since(loaded: LoadedPolicy) -> str:
    """What the file alone can say about it. Only a running gate knows when it was started."""
    text = (
        f"contacts have been kept for {duration_text(loaded.specification.history_ms)}, which is as far as "
        "any rule looks back"
    )
    rules = [
        rule for rule in loaded.specification.rules if rule.state != "off" and kind_of(rule).is_exact_since_on(rule)
    ]
    return text + (f"; {', '.join(rule.rule_id for rule in rules)}: since it was switched on" if rules else "")


def _years(loaded: LoadedPolicy) -> tuple[int, ...]:
    table = next(iter(loaded.specification.calendars.values()))
    return tuple((date(1970, 1, 1) + timedelta(days=day)).year for day in (table.first_day, table.last_day))


def _print_calendars(console: Console, loaded: LoadedPolicy) -> None:
    for name, calendar in loaded.calendars.items():
        console.print(f"\n{name}: {len(calendar.days)} holidays")
        for day, label in calendar.days.items():
            console.print(f"  {day.isoformat()}  {day:%a}  {label}", markup=False)


def _as_json(loaded: LoadedPolicy, *, calendars: bool) -> dict[str, Any]:
    specification = loaded.specification
    return {
        "name": specification.name,
        "version": specification.version,
        "hash": specification.content_hash,
        "tzdata": loaded.tzdata_version,
        "holidays": loaded.holidays_version,
        "zone": specification.zone,
        "recipient_zone": specification.recipient_zone,
        "time_to_live_ms": specification.time_to_live_ms,
        "history_ms": specification.history_ms,
        "identities_ms": specification.identities_ms,
        "rules": [_rule_as_json(rule) for rule in specification.rules],
        "obligations": [{"id": o.obligation_id, "text": o.text} for o in specification.obligations],
        "warnings": [finding._asdict() for finding in loaded.warnings],
        "calendars": _calendars_as_json(loaded, specification.calendars if calendars else ()),
    }


def _rule_as_json(rule: RuleSpecification) -> dict[str, Any]:
    return {
        "id": rule.rule_id,
        "kind": kind_of(rule).name,
        "state": rule.state,
        "sentence": describe_rule(rule),
        "because": rule.because,
        "source": dict(rule.source),
    }


def _calendars_as_json(loaded: LoadedPolicy, names: Iterable[str]) -> dict[str, dict[str, str]]:
    return {name: {day.isoformat(): label for day, label in loaded.calendars[name].days.items()} for name in names}

"""The report of the campaign, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.fuzz.campaign import Result
    from tests.fuzz.replay import Unit

# Why no input takes a branch: module (or `module:function`) and the text of the line it begins in.
REASONS: Final[Mapping[tuple[str, str], str]] = {
    ("streams.contracts.refusals", "if isinstance(error, UnicodeError):"): (
        "`check_text` has refused what is not UTF-8 before anything is decoded a second time"
    ),
    ("streams.contracts.refusals", "if isinstance(error, RecursionError):"): (
        "`check_text` has refused deep nesting before anything is decoded a second time"
    ),
    (
        "streams.exactly_once.fetched_records:FetchedPartitionRecords._is_data",
        "if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:",
    ): "batches of before Kafka 0.11, which the target does not write (tests/engine/test_strange_records.py does)",
    ("streams.gate", "if len(self._ledgers) >= LEDGERS_OPEN_MAX:"): "a batch of many customers; the target's have one",
    ("streams.gate", "if customer in self._closed:"): "a batch of many customers; the target's have one",
    ("streams.policy.kinds.cap", "if answer.limit is None:"): "a decision whose policy is not known",
    ("streams.policy.kinds.cap", 'if answer.verdict == "closing":'): (
        "a calendar period that is about to end; the target decides at one moment"
    ),
    ("streams.policy.kinds.consent", "if answer.first is None:"): "a consent that ends; the target's ledger has none",
    ("streams.policy.kinds.window", 'if answer.verdict in {"window_closed", "holiday", "closing"}:'): (
        "a reason of a later version with a number"
    ),
    ("streams.policy.holidays", "if day not in days:"): "whoever calls it has looked first",
    ("streams.policy.loader", "text = read_text(source) if isinstance(source, Path) else source"): (
        "a file's name; the target begins with its bytes"
    ),
}


def as_markdown(results: Mapping[str, Result]) -> str:
    """All of it."""
    return "\n".join(_lines(results)) + "\n"


def line(name: str, result: Result) -> str:
    """One target on one line."""
    taken, branches = (sum(getattr(unit, what) for unit in result.units) for what in ("taken", "branches"))
    share = f"{taken / branches:.1%}" if branches else "none to take"
    found = ", ".join(f"{one.error} ({one.case})" for one in result.found) or "nothing"
    return f"{name}: {result.executions} executions, {result.corpus} inputs, branches {share}, found {found}"


def _lines(results: Mapping[str, Result]) -> Iterator[str]:
    yield "# Fuzzing"
    yield ""
    yield "Written by `make fuzz-bytes`: atheris (libFuzzer) on everything that reads bytes. A target checks more than"
    yield "that nothing unforeseen is raised: what is read and written again is the same, no error repeats a word of"
    yield "its input, what a ledger or a policy allows can be worked with (tests/fuzz)."
    yield ""
    yield "Executions are those of all runs over one growing corpus. Branches are those that seeds, cases and corpus"
    yield "take when they are replayed, of the modules and functions each target is about."
    yield ""
    yield "| target | executions | runs | hours | inputs kept | branches | taken | found |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, result in results.items():
        branches, taken = (sum(getattr(unit, what) for unit in result.units) for what in ("branches", "taken"))
        share = f"{taken / branches:.1%}" if branches else "–"
        hours = sum(run.seconds for run in result.runs) / 3_600
        counted = f"{result.executions:,} | {len(result.runs)} | {hours:.2f} | {result.corpus} | {branches}"
        yield f"| {name} | {counted} | {share} | {len(result.found) or '–'} |".replace(",", " ")
    for name, result in results.items():
        for one in result.found:
            yield from ("", f"**Found by {name}**: {one.error}, case `{one.case}`")
        for failed, error in result.failures.items():
            yield from ("", f"**Failed when {name} was replayed**: {failed}: {error}")
    yield from _of_modules(results)
    yield from _not_taken(results)


def _of_modules(results: Mapping[str, Result]) -> Iterator[str]:
    yield from (
        "",
        "## Branches by module",
        "",
        "| target | module or function | branches | taken |",
        "|---|---|---|---|",
    )
    for name, result in results.items():
        for unit in result.units:
            if unit.branches:
                yield f"| {name} | {unit.name} | {unit.branches} | {unit.taken / unit.branches:.1%} |"


def _not_taken(results: Mapping[str, Result]) -> Iterator[str]:
    yield from ("", "## Branches not taken", "")
    for name, result in results.items():
        for unit in result.units:
            for missing in unit.missing:
                yield f"- {name}, {unit.name}, {missing}: {_reason(unit, missing)}"


def _reason(unit: Unit, missing: str) -> str:
    text = missing.partition("`")[2].rstrip("`")
    return REASONS.get((unit.name, text), "not reached yet")

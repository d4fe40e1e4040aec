"""What the documents promise exists: commands, files, examples, sizes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from streams.cli.main import mesura as cli
from streams.decision.decide import decide
from streams.decision.intent import Intent
from streams.decision.ledger.state import EMPTY_LEDGER
from streams.decision.policy import compile_policy
from streams.decision.reasons import EXEMPT, PASSED, REASON_BY_NUMBER
from streams.policy.loader import load_policy

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "schemas" / "CHANGELOG.md"])
# docs/decisions/0003: an explanation of 20 rules asked must not dwarf the answer it explains.
EXPLANATION_BYTES_MAX = 512
RULES_ASKED = 20


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every `mesura …` line of a code block."""
    for document in DOCUMENTS:
        for line in document.read_text().splitlines():
            found = re.match(r"^(?:    |\$ )(?:\.venv/bin/)?mesura (.+?)(?:\s+#.*)?$", line)
            if found:
                yield document.name, shlex.split(found[1])


@pytest.mark.parametrize(
    ("document", "words"), list(commands()), ids=lambda value: " ".join(value) if isinstance(value, list) else value
)
def test_every_command_of_the_documents_exists(document: str, words: list[str]) -> None:
    command: click.Command = cli
    context = click.Context(cli)
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            break
        command, words = found, words[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [
        word.partition("=")[0] for word in words if word.startswith("--") and word.partition("=")[0] not in known
    ]
    assert command is not cli, f"{document} names a command that does not exist"
    assert not unknown, f"{document} names options of {command.name} that do not exist: {unknown}"


def test_there_are_commands_to_check() -> None:
    assert len(list(commands())) >= 6


def links() -> Iterator[tuple[Path, str]]:
    """Every relative link of the documents."""
    for document in [*DOCUMENTS, ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            yield document, target


def test_every_link_leads_somewhere() -> None:
    broken = [f"{document.name}: {target}" for document, target in links() if not (document.parent / target).exists()]
    assert not broken


def test_the_two_commands_of_the_readme_are_verbs_of_the_makefile() -> None:
    verbs = re.findall(r"^    make (\w+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert verbs[:2] == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{verb}:", makefile, re.MULTILINE) for verb in verbs)
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_the_example_of_an_explanation_is_one() -> None:
    text = (ROOT / "docs" / "semantics.md").read_text()
    example = json.loads(re.search(r"```json\n(.+?)\n```", text, re.DOTALL)[1])  # type: ignore[index]
    assert len(example["zone"]) == 2
    assert [entry[0] for entry in example["rules"]][:6] == list(range(6))
    assert all(entry[1] in {PASSED, EXEMPT, *REASON_BY_NUMBER} for entry in example["rules"])


def test_an_explanation_of_twenty_rules_asked_stays_small() -> None:
    """Of every kind that is asked of one intent, in the shares a large policy has them."""
    head = """
mesura: 1
name: wide
version: "1"
zone: America/Bogota
default_purpose: marketing
channels: {sms: {group: text}}
purposes: [marketing]
holidays: {years: [2026], calendars: {CO: {country: CO}}}
rules:
  - {id: consent, kind: consent, on_missing: allow}
  - {id: sender, kind: sender, allowed: [s]}
"""
    rules = [f"  - {{id: hours-{n}, kind: window, hours: {{workday: ['0{n}:00-20:00']}}}}" for n in range(6, 9)]
    rules += [f"  - {{id: roll-{n}, kind: cap, limit: {n}, window: {{rolling: {n}d}}}}" for n in range(1, 9)]
    rules += [f"  - {{id: day-{n}, kind: cap, limit: {n}, window: {{calendar: day}}}}" for n in range(1, 3)]
    rules += [f"  - {{id: month-{n}, kind: cap, limit: {n}, window: {{calendar: month}}}}" for n in range(1, 3)]
    rules += [f"  - {{id: gap-{n}, kind: gap, minimum: {n}h}}" for n in range(1, 3)]
    policy = compile_policy(load_policy(head + "\n".join(rules) + "\n").specification)
    now = 1_791_298_800_000
    intent = Intent(
        intent_id="i",
        customer_id="c",
        channel="sms",
        created_at=now,
        expires_at=now + 86_400_000,
        timezone="America/Argentina/Buenos_Aires",
        sender_id="s",
    )
    decision = decide(intent, EMPTY_LEDGER, policy, now)
    policy_rules = [entry for entry in decision.entries if (entry[0] or 0) >= 6]
    explanation = json.dumps({"zone": decision.zone, "rules": decision.entries}, separators=(",", ":"))
    assert decision.is_approved
    assert len(policy_rules) == RULES_ASKED
    assert len(explanation) <= EXPLANATION_BYTES_MAX

"""`mesura explain`: says why an intent may or may not be sent, rule by rule.

It answers three questions
1. `--intent`                    What would the running gate answer now? (It asks the gate. Nothing is recorded.)
2. `--intent … --ledger/--policy/--at`   What would be the answer on this ledger, under this policy, at this moment?
3. `--decision`                  What did this decision, as found on its topic, mean?

Exit codes: 0 explained, whatever the verdict; 2 the gate does not answer, or something cannot be read.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
import orjson

from streams.cli.errors import CommandError, Unreadable
from streams.cli.gate_client import GateAddress, gate_options
from streams.cli.options import cluster_option_for, read_text, topic_names, topic_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.cli.render import PolicyView
    from streams.connection.cluster import Cluster
    from streams.decision.ledger.state import Ledger


@click.command()
@click.option(
    "--intent",
    metavar="FILE|JSON",
    help="The intent: a file, - for standard input, or the JSON itself, which everybody on the machine can see.",
)
@click.option("--decision", metavar="FILE|JSON", help="A recorded decision, given in the same ways.")
@gate_options
@click.option(
    "--ledger", metavar="FILE", help="Decide locally, on this ledger (a changelog value, or the same as JSON)."
)
@click.option(
    "--policy", metavar="FILE", help="Decide locally, or read a decision, with this policy (or starter, small)."
)
@click.option(
    "--at", metavar="TIME", help="Decide locally, as of this moment (RFC 3339 or milliseconds; default: now)."
)
@cluster_option_for("The cluster on which to look up the policy of a decision by its hash, if --policy is not given.")
@click.option("--json", "as_json", is_flag=True, help="The answer as one JSON object.")
@topic_options
def explain(
    intent: str | None,
    decision: str | None,
    gate: GateAddress,
    ledger: str | None,
    policy: str | None,
    at: str | None,
    cluster: Cluster | None,
    as_json: bool,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> None:
    """Say why an intent may or may not be sent, rule by rule."""
    if (intent is None) == (decision is None):
        raise click.UsageError("Give either --intent or --decision.")
    control_topic = topic_names(prefix, intent_topics, renamed_topics).control
    if intent is not None and (ledger is not None or at is not None or policy is not None):
        answer, view = decide_here(given(intent, "intent"), ledger, policy, at)
    elif intent is not None:
        answer = _document(gate.ask(given(intent, "intent")), "answer")
        view = _view_for(answer, None, cluster, control_topic)
    else:
        assert decision is not None
        answer = _document(given(decision, "decision"), "decision")
        view = _view_for(answer, policy, cluster, control_topic)
    if as_json:
        click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
        return
    from streams.cli.render import in_words, masked_in_words

    if answer.get("is_masked") is True:
        for line in masked_in_words(answer):
            click.echo(line)
        return
    try:
        for line in in_words(answer, view):
            click.echo(line)
    except (KeyError, TypeError, ValueError):
        raise Unreadable("This is not a decision of mesura. See schemas/approved.schema.json.") from None
    if not view.rules and (answer.get("explanation") or {}).get("rules"):
        known = "Give" if cluster is None else f"Its policy is not in {control_topic}. Give another"
        click.echo(f"{known} --bootstrap (or --policy) to see the rules by name.")


def given(text: str, what: str) -> bytes:
    """What was given: the JSON itself, standard input, or a file's content.

    Raises:
        Unreadable: there is no such file.
    """
    # What looks like JSON is no file's name: "no such file" would repeat it.
    if text.lstrip("\ufeff \t\r\n").startswith(("{", "[", '"')):
        return text.encode()
    return sys.stdin.buffer.read() if text == "-" else read_text(Path(text), what).encode()


def decide_here(
    intent: bytes, ledger: str | None, policy: str | None, at: str | None
) -> tuple[dict[str, Any], PolicyView]:
    """What would be answered on this ledger, under this policy, at this moment; and the policy, for words."""
    from streams.cli.policy_source import compiled
    from streams.cli.render import view_of_policy
    from streams.contracts.decode import decode_intent
    from streams.contracts.errors import RecordRefused
    from streams.service.explanation import explain as explain_intent

    if policy is None:
        raise click.UsageError("--ledger and --at need --policy, because the gate is not asked.")
    rules = compiled(policy)
    try:
        wanted, _ = decode_intent(intent)
    except RecordRefused as refused:
        raise Unreadable(f"The intent cannot be read: {refused}") from None
    now = int(time.time() * 1000) if at is None else _moment(at)
    known = None if ledger is None else read_ledger(Path(ledger))
    return explain_intent(wanted, known, rules, now).as_document(), view_of_policy(rules)


def read_ledger(path: Path) -> Ledger:
    """A ledger from a file: the changelog value as it is, or the same as JSON.

    Raises:
        Unreadable: it is neither.
    """
    from streams.decision.ledger.codec import LedgerUnreadable, decode_ledger
    from streams.decision.ledger.state import Ledger

    try:
        content = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"The ledger file {path} cannot be read: {error.strerror}.") from None
    try:
        if content.lstrip()[:1] == b"[":
            return msgspec.json.decode(content, type=Ledger)
        return decode_ledger(content)
    except (msgspec.MsgspecError, LedgerUnreadable, UnicodeDecodeError):
        raise Unreadable(
            f"{path} is not a ledger: it is neither a value of the changelog topic, byte for byte, nor its JSON."
        ) from None


def _moment(text: str) -> int:
    from streams.contracts.errors import RecordRefused
    from streams.contracts.times import moment_ms

    if text.isdecimal():
        return int(text)
    try:
        return moment_ms(text, "at")
    except RecordRefused:
        raise click.UsageError(
            "--at needs RFC 3339 with a zone, such as 2026-11-25T15:00:00Z, or milliseconds."
        ) from None


def _view_for(
    decision: Mapping[str, Any], policy: str | None, cluster: Cluster | None, control_topic: str
) -> PolicyView:
    """The policy under which a decision was made. A decision is never read with another policy."""
    from streams.cli.policy_source import PublishedPolicies, compiled
    from streams.cli.render import view_of_policy

    policy_hash = str((decision.get("policy") or {}).get("hash"))
    if policy is not None:
        rules = compiled(policy)
        given_hash = rules.specification.content_hash
        if given_hash != policy_hash:
            raise CommandError(
                f"The decision was made under the policy {policy_hash}, but {policy} is {given_hash}. "
                "Give --bootstrap to look up its policy."
            )
        return view_of_policy(rules)
    if cluster is not None:
        return PublishedPolicies(cluster, control_topic).view(policy_hash)
    return _view_of_answer(decision)


def _view_of_answer(answer: Mapping[str, Any]) -> PolicyView:
    """What a gate's answer itself says about its rules; nothing for a decision as found on its topic."""
    from streams.cli.render import PolicyView, RuleView
    from streams.decision.policy import BUILT_IN

    rows = answer.get("rules")
    if not isinstance(rows, list) or "explanation" not in answer:
        return PolicyView()
    views = {
        entry[0]: RuleView(
            rule_id=row["id"],
            kind=row["id"] if row["id"] in BUILT_IN else row["kind"],
            because=row.get("because") or "",
            limit=row.get("limit"),
            window=row.get("window") or "",
            is_shadow=row["is_shadow"],
        )
        for entry, row in zip(answer["explanation"]["rules"], rows, strict=True)
    }
    last = max(views, default=-1)
    return PolicyView(tuple(views.get(number, RuleView(f"rule {number}", "")) for number in range(last + 1)))


def _document(content: bytes, what: str) -> dict[str, Any]:
    try:
        document = orjson.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        raise Unreadable(f"The {what} is not JSON. Give one JSON object, as it is on its topic.") from None
    if not isinstance(document, dict):
        raise Unreadable(f"The {what} is not a JSON object. Give one JSON object, as it is on its topic.")
    return document

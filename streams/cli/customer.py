"""`mesura customer`: what a gate's topics hold of one customer; shown, exported, erased, corrected.

Rules of this module
1. The id is read from standard input or from a file, because everybody on the machine can see a command line, and a
   shell remembers it.
2. Every look-up is recorded before anything of the customer is read, as the operations endpoint records it. What cannot
   be recorded is not answered.
3. Nothing is published without --confirm.
4. No error and no log line names the customer.

Exit codes: 0 done; 1 published, and no gate has applied it in time; 2 wrong usage, no broker or topics, another erasure
key, or the look-up cannot be recorded.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec
import orjson

from streams.cli.customer_desk import Desk, answering, desk_options, now_ms
from streams.cli.errors import CommandError, Unreadable
from streams.cli.options import (
    read_text,
)
from streams.contracts.control import decode_policy
from streams.customer.corrections import (
    CorrectionRefused,
    applied,
    changes_in_words,
    completed,
    profile_event,
)
from streams.customer.deadlines import stays, topic_settings
from streams.customer.document import PROFILE, as_document, profile_value
from streams.customer.holdings import read_ledger
from streams.customer.publishing import wait_until_applied
from streams.customer.receipt import Receipt, kept_in_words, surviving
from streams.customer.words import in_words
from streams.decision.ledger.preferences import apply_preference
from streams.decision.ledger.state import EMPTY_LEDGER
from streams.decision.policy import compile_policy
from streams.decision.preference_event import PreferenceEvent
from streams.decision.vocabulary import Vocabulary
from streams.exactly_once.control import POLICY_KEY, policy_text_key
from streams.exit_codes import ExitCode
from streams.policy.findings import PolicyRefused
from streams.policy.loader import load_policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streams.customer.holdings import Holdings

_OWNER_ONLY: Final = 0o600


@click.group()
def customer() -> None:
    """Show, export, erase or correct what is held of one customer.

    The customer's id is read from standard input, or from --customer-file. MESURA_ERASURE_KEY or
    MESURA_ERASURE_KEY_FILE must name the gate's key. See docs/customers.md.
    """


@customer.command()
@desk_options("customer show")
def show(desk: Desk) -> None:
    """Show everything that is held of a customer, and where each record stands."""
    for line in in_words(desk.find()):
        click.echo(line)


@customer.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@desk_options("customer export")
def export(file: Path, desk: Desk) -> None:
    """Write everything that is held of a customer to FILE, as JSON (schemas/customer-export.schema.json).

    Only its owner can read FILE. Nothing is ever overwritten.
    """
    _refuse_existing(file)
    held = desk.find()
    content = orjson.dumps(as_document(held), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
    except FileExistsError:
        _refuse_existing(file)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}.") from None
    click.echo(f"{file}: {len(held.certain())} records, {len(content)} bytes.")
    if held.possible():
        click.echo(
            f"{len(held.possible())} records may be this customer's or somebody else's. They are named by their "
            "positions only; look at each.",
            err=True,
        )


def _refuse_existing(file: Path) -> None:
    if file.exists():
        raise CommandError(f"{file} is there already, and is left alone. Name another file.")


@customer.command()
@click.option("--confirm", is_flag=True, help="Erase. Without this nothing is published.")
@click.option("--wait-seconds", default=60.0, show_default=True, help="How long to wait for the gate to apply it.")
@click.option("--json", "as_json", is_flag=True, help="The receipt as one JSON object.")
@desk_options("customer forget")
def forget(confirm: bool, wait_seconds: float, as_json: bool, desk: Desk) -> None:
    """Erase a customer: publish an erasure, wait until the gate has applied it, and say what stays until when.

    Without --confirm it says what would be erased and what would stay.
    """
    held = desk.find()
    if not confirm:
        for line in _would_be_erased(held):
            click.echo(line)
        return
    event_id = f"forget-{uuid.uuid4()}"
    event = {"event_id": event_id, "customer_id": desk.customer.text, "type": "erasure"}
    published = desk.publish([orjson.dumps(event)])[-1]
    with answering(desk.cluster):
        is_applied = wait_until_applied(desk.cluster, desk.names.ledger, held, published, wait_seconds)
        settings = topic_settings(desk.cluster, desk.names)
    left = read_ledger(held.erased) or read_ledger(held.ledger) if is_applied else None
    receipt = Receipt(
        desk.log.hash_of(desk.customer.text), event_id, published, left, stays(desk.names, settings, now_ms())
    )
    if as_json:
        click.echo(orjson.dumps(receipt.as_document(), option=orjson.OPT_INDENT_2).decode())
    else:
        for line in receipt.in_words():
            click.echo(line)
    if not is_applied:
        click.get_current_context().exit(ExitCode.ANSWER_IS_NO)


def _would_be_erased(held: Holdings) -> Iterator[str]:
    ledger = read_ledger(held.ledger) or read_ledger(held.erased) or EMPTY_LEDGER
    event = PreferenceEvent(event_id="", customer_id="", type="erasure")
    moment_ms = now_ms()
    left = apply_preference(
        event, ledger, recorded_ms=moment_ms, now=moment_ms, vocabulary=Vocabulary({}, frozenset(), {})
    ).ledger
    said = len(ledger.preferences) - len(surviving(ledger))
    profile = sum(1 for name in PROFILE if profile_value(ledger, name) is not None)
    if held.is_empty():
        yield "Nothing is held of this customer. An erasure would only leave the moment at which it was asked for."
    yield (
        f"Erased        {len(ledger.contacts)} contacts, {len(ledger.identities)} remembered intents, {said} consents, "
        f"{profile} values of the profile"
    )
    yield from kept_in_words(left)
    yield f"Stays         {len(held.certain())} records in the topics, until their retention deletes them"
    if held.possible():
        yield f"Look at       {len(held.possible())} records that may be this customer's: `mesura customer show`"
    yield "Nothing was published. --confirm erases."


@customer.command()
@click.option("--timezone", metavar="ZONE", help="The right time zone, as Europe/Madrid.")
@click.option("--country", metavar="XX", help="The right country, ISO 3166-1 alpha-2.")
@click.option("--region", metavar="XX", help="The right region, as ISO 3166-2 writes it behind the country.")
@click.option("--minor/--not-minor", default=None, help="Whether the customer is a minor.")
@click.option(
    "--event-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Preference events that correct what was said, a JSON object a line; the ids are added.",
)
@click.option("--confirm", is_flag=True, help="Correct. Without this nothing is published.")
@click.option("--wait-seconds", default=60.0, show_default=True, help="How long to wait for the gate to apply it.")
@desk_options("customer correct")
def correct(
    timezone: str | None,
    country: str | None,
    region: str | None,
    minor: bool | None,
    event_file: Path | None,
    confirm: bool,
    wait_seconds: float,
    desk: Desk,
) -> None:
    """Correct what is stored of a customer: the profile, or what they said about being contacted.

    Without --confirm it shows what would change. What is wrong in an upstream system has to be corrected there too, or
    it comes again.
    """
    profile = {"timezone": timezone, "country": country, "region": region, "minor": minor}
    values = _corrections(desk, {name: value for name, value in profile.items() if value is not None}, event_file)
    held = desk.find()
    before = read_ledger(held.ledger) or read_ledger(held.erased) or EMPTY_LEDGER
    try:
        after = applied(before, values, now_ms=now_ms(), vocabulary=_vocabulary(desk.control))
    except CorrectionRefused as refused:
        raise CommandError(str(refused)) from None
    for line in list(changes_in_words(before, after)) or ["Nothing would change: it is so already, or was said later."]:
        click.echo(line)
    if not confirm:
        click.echo("Nothing was published. --confirm publishes.")
        return
    published = desk.publish(values)
    with answering(desk.cluster):
        is_applied = wait_until_applied(desk.cluster, desk.names.ledger, held, published[-1], wait_seconds)
    for each in published:
        click.echo(f"Published     {each.topic}-{each.partition}-{each.offset}")
    if not is_applied:
        click.echo("Not applied   no gate has come to it yet. It is applied as soon as one decides.")
        click.get_current_context().exit(ExitCode.ANSWER_IS_NO)
    click.echo("Applied       the ledger says so now:")
    now = read_ledger(held.ledger) or read_ledger(held.erased) or EMPTY_LEDGER
    for line in changes_in_words(before, now):
        click.echo(line)


def _corrections(desk: Desk, profile: dict[str, object], event_file: Path | None) -> list[bytes]:
    documents: list[object] = [profile_event(profile)] if profile else []
    if event_file is not None:
        for line in read_text(event_file, "file of events").splitlines():
            try:
                documents += [orjson.loads(line)] if line.strip() else []
            except ValueError:
                raise Unreadable(f"Event {len(documents) + 1} is not JSON. Write one event a line.") from None
    if not documents:
        raise click.UsageError("Say what is to be corrected: a value of the profile, or --event-file.")
    try:
        return [completed(document, desk.customer, number) for number, document in enumerate(documents, 1)]
    except CorrectionRefused as refused:
        raise CommandError(str(refused)) from None


def _vocabulary(control: Mapping[bytes, bytes]) -> Vocabulary:
    """The words of the policy in force.

    Raises:
        CommandError: it is not known here.
    """
    in_force = control.get(POLICY_KEY, b"").decode(errors="replace")
    try:
        record = decode_policy(control.get(policy_text_key(in_force), b""))
        return compile_policy(load_policy(record.text).specification).vocabulary
    except (msgspec.DecodeError, PolicyRefused):
        raise CommandError(
            "The policy in force is not in the control topic, or this version cannot read it, so it cannot be said "
            "what the gate would make of the correction. Run the version that the gate runs."
        ) from None

"""`mesura`: the command and its subcommands.

Rules of this module
1. `mesura --help` reads this table and imports no part, because it must answer at once.
2. What a part raises on purpose becomes one plain sentence and an exit code (see `errors`). So does what nobody foresaw
   (see `uncaught`): a traceback might quote a record.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from streams.cli.uncaught import say, say_what_nobody_catches
from streams.core_dumps import refuse_core_dumps
from streams.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Part(NamedTuple):
    module: str
    attribute: str
    help: str


PARTS: Final = {
    "demo": _Part("streams.demo.command", "demo", "See the gate at work, with nothing else installed."),
    "run": _Part("streams.cli.run", "run", "Run the gate, and restart it when it ends."),
    "publish": _Part("streams.cli.publish", "publish", "Publish intents, preferences and outcomes from a file."),
    "watch": _Part("streams.cli.watch", "watch", "Show decisions, and records that could not be read, as they come."),
    "explain": _Part("streams.cli.explain", "explain", "Say why an intent may or may not be sent."),
    "audit": _Part("streams.cli.audit", "audit", "Check from the outside that a gate kept every promise."),
    "dead-letters": _Part(
        "streams.cli.dead_letters", "dead_letters", "Find, look at and replay records that could not be used."
    ),
    "doctor": _Part("streams.cli.doctor", "doctor", "Look for what is wrong with a gate's surroundings."),
    "customer": _Part("streams.cli.customer", "customer", "Show, export, erase or correct what is held of a customer."),
    "capacity": _Part("streams.cli.capacity", "capacity", "Reckon partitions, workers, memory, disk and network."),
    "topics": _Part("streams.cli.topics", "topics", "Create and check the topics."),
    "rebuild": _Part("streams.cli.ledgers", "rebuild", "Make lost ledgers again from the topics."),
    "ledger": _Part("streams.cli.ledgers", "ledger", "Back the ledger topic up, bring it back, move it."),
    "erasure-key": _Part("streams.cli.erasure_key", "erasure_key_group", "Make the key of erased customers' opt-outs."),
    "policy": _Part("streams.cli.policy", "policy", "Check policies, and show what they say."),
}

EPILOG: Final = (
    "Exit codes: 0 done (also: a suppression explained, `run` ended by Ctrl-C); 1 done, and the answer is no (lines "
    "rejected, policy refused, topics not as planned, not adding up, a promise broken, a failure found); 2 not done "
    "(wrong usage, unreadable file, no broker, start-up refused); 3 `run` ended by "
    "something that a new start may cure; 130 any other command interrupted by Ctrl-C."
)


class _Parts(click.Group):
    """The parts of the table, imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(PARTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        part = PARTS.get(cmd_name)
        if part is None:
            return None
        command: click.Command = getattr(importlib.import_module(part.module), part.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, part.help) for name, part in PARTS.items()])


def installed_version() -> str:
    """The version of the installed distribution. A source tree that is not installed has none."""
    try:
        return version("mesura")
    except PackageNotFoundError:
        return "not installed"


@click.command(cls=_Parts, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(installed_version(), message="mesura %(version)s")
def mesura() -> None:
    """A contact-policy gate for outbound messaging on Kafka.

    Upstream systems publish what they want to send. mesura decides, customer by customer and channel by channel, what
    may be sent now, and explains why when something may not.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    if arguments is None:  # otherwise the process is somebody else's
        say_what_nobody_catches()
        refuse_core_dumps()
    try:
        result: Any = mesura.main(args=arguments, prog_name="mesura", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("streams."):
            say(error)
        else:
            click.echo(f"Error: this installation is incomplete: {error.name} is missing. Install it again.", err=True)
        sys.exit(ExitCode.REFUSED)
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe. Nothing may be written to it again, not even at exit.
        sys.stdout = None
        sys.exit(ExitCode.DONE)
    except Exception as error:  # noqa: BLE001  # a traceback might quote a record
        say(error)
        sys.exit(ExitCode.REFUSED)
    sys.exit(result if isinstance(result, int) else ExitCode.DONE)


if __name__ == "__main__":
    main()

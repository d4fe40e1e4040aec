"""Takes every permission of every role away once, on Apache Kafka with its authorizer, and shows what follows.

    make acls

What a command or a gate says; and for the gate what becomes of a worker that does not ask beforehand, which shows what
the permission is needed for. The table goes to `bench/results/acls.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams.access.roles import PURPOSES, ROLES, permissions_of
from streams.testing.errors import DeadlineError
from streams.testing.waiting import wait_until
from streams.topics import TopicNames
from tests.access.authorized_kafka import authorized_kafka
from tests.access.commands import said_by
from tests.access.gate import ANSWERS, Gate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.access.permission import Permission
    from streams.access.roles import Role
    from tests.access.authorized_kafka import AuthorizedKafka

RESULTS: Final = Path(__file__).parents[2] / "bench" / "results" / "acls.md"

DECIDES_SECONDS: Final = 20.0
"""A worker that has everything decides within a few seconds."""

_HEAD: Final = """\
# Permissions, each taken away once

`make acls`, on Apache Kafka with its authorizer (StandardAuthorizer). Every role had exactly the permissions of
[docs/access.md](../../docs/access.md), and everything worked. Then one at a time was taken away.

*Says*: how the sentence of the gate, or of the command, begins. *Without asking*: what becomes of a worker that does
not ask the brokers beforehand what it may do; it shows what the permission is needed for.
"""


def without_asking(gate: Gate) -> str:
    """What becomes of a worker that does not ask beforehand."""
    before = gate.answers()
    gate.publish()
    with gate.worker(checked=False) as process:
        with contextlib.suppress(DeadlineError):
            wait_until(
                lambda: process.poll() is not None or gate.answers() >= before + ANSWERS,
                DECIDES_SECONDS,
                "it decides or ends",
                poll_seconds=0.2,
            )
        code = process.poll()
        if code is None:
            return "decides" if gate.answers() >= before + ANSWERS else "decides nothing"
    return f"ends with {code}: {gate.last_sentence()}"


def with_a_wrong_setting(gate: Gate, taken: Permission) -> str:
    """What becomes of a worker that may not see the settings of a topic, one of which would lose records."""
    kafka = gate.kafka
    is_compacted = taken.name in {gate.names.ledger, gate.names.control}
    wrong, right = ("delete", "compact") if is_compacted else ("compact", "delete")
    kafka.change_setting(taken.name, "cleanup.policy", wrong)
    kafka.grant("gate", [taken])
    assert f"{taken.name} has cleanup.policy={wrong}" in asking(gate), "refused where it may be seen"
    kafka.take_away("gate", [taken])
    becomes = without_asking(gate)
    kafka.change_setting(taken.name, "cleanup.policy", right)
    return f"{becomes} although cleanup.policy is {wrong}"


def asking(gate: Gate) -> str:
    """What a worker says that asks beforehand."""
    with gate.worker(checked=True) as process, contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(DECIDES_SECONDS)
    return gate.last_sentence()


def rows_of_the_gate(gate: Gate) -> Iterator[tuple[str, str, str]]:
    kafka = gate.kafka
    kafka.grant("gate", gate.permissions)
    assert without_asking(gate) == "decides", "with everything granted"
    for each in gate.permissions:
        # The policy is published at the first start only.
        used = Gate.new(kafka) if (each.name, each.operation) == (gate.names.control, "Write") else gate
        taken = each._replace(name=used.names.control) if used is not gate else each
        kafka.grant("gate", used.permissions)
        kafka.take_away("gate", [taken])
        says = asking(used)
        becomes = with_a_wrong_setting(used, taken) if each.operation == "DescribeConfigs" else without_asking(used)
        yield str(taken), says, becomes
        kafka.grant("gate", [taken])


def rows_of(role: Role, gate: Gate, directory: Path) -> Iterator[tuple[str, str]]:
    kafka = gate.kafka
    if role == "operator":
        yield from _rows_of_the_operator(kafka, directory)
        return
    permissions = permissions_of(role, gate.names, gate.application_id)
    kafka.grant(role, permissions)
    assert said_by(role, gate, directory) == "", "with everything granted"
    for each in permissions:
        kafka.take_away(role, [each])
        yield str(each), said_by(role, gate, directory)
        kafka.grant(role, [each])


def _rows_of_the_operator(kafka: AuthorizedKafka, directory: Path) -> Iterator[tuple[str, str]]:
    """Of topics that do not exist yet, each time."""
    number = len(permissions_of("operator", TopicNames(), ""))
    for place in range(-1, number):
        gate = Gate.new(kafka, creates_topics=False)
        permissions = permissions_of("operator", gate.names, "")
        taken = permissions[place : place + 1] if place >= 0 else ()
        kafka.grant("operator", [each for each in permissions if each not in taken])
        says = said_by("operator", gate, directory)
        if taken:
            yield str(taken[0]), says
        else:
            assert not says, "with everything granted"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    lines = [_HEAD]
    silent: list[str] = []
    with tempfile.TemporaryDirectory() as directory, authorized_kafka(Path(directory)) as kafka:
        gate = Gate.new(kafka)
        lines.append(f"\n## gate: {PURPOSES['gate']}\n\n| taken away | says | without asking |\n|---|---|---|\n")
        for permission, says, becomes in rows_of_the_gate(gate):
            silent += [] if permission in says else [permission]
            lines.append(f"| {_cell(permission)} | {_cell(says)} | {_cell(becomes)} |\n")
            print(lines[-1], end="", flush=True)
        for role in ROLES[1:]:
            lines.append(f"\n## {role}: {PURPOSES[role]}\n\n| taken away | says |\n|---|---|\n")
            for permission, says in rows_of(role, gate, Path(directory)):
                # A gateway is a program of somebody else's: its client speaks.
                silent += [] if permission in says or role == "gateway" else [permission]
                lines.append(f"| {_cell(permission)} | {_cell(says)} |\n")
                print(lines[-1], end="", flush=True)
    options.results.write_text("".join(lines))
    print(f"{len(silent)} permissions were missing without a sentence that names them", *silent, sep="\n")
    return int(bool(silent))


def _cell(text: str) -> str:
    """The beginning, up to how it is granted, without the prefix of this run's topics."""
    beginning = re.split(r"; | Somebody who administers", re.sub(r"acl\d+-", "", text), maxsplit=1)[0]
    return beginning.replace("|", "\\|")[:220]


if __name__ == "__main__":
    sys.exit(main())

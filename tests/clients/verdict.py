"""What became of everything that a team published, seen from outside: counts per run, and what is wrong with them.

Rules of this module
1. What a client says of itself is compared with the log: what it committed must be there, what it aborted must have
   been there and be hidden.
2. Nothing here knows how the gate decides. A record's customer tells which intent it was; the topics tell what became
   of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from streams.contracts.header_names import ERROR_REASON
from streams.testing.kafka_io import read_topic
from streams.testing.raw_log import read_logs
from tests.clients.plan import is_special
from tests.system.harness import header, origin, origin_of_dead_letter, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.clients.plan import Planned
    from tests.system.harness import Account, World


CODECS_BY_NUMBER: Final = ("none", "gzip", "snappy", "lz4", "zstd")
"""As a stored batch names them."""

READ_SECONDS: Final = 60.0


class Line(Struct, frozen=True, kw_only=True):
    """What a client says of one customer."""

    run: str
    number: int
    customer: str
    said: str | None
    acknowledged_ms: int | None
    intent: str
    """`sent`, `committed` or `aborted`."""


class Counts(Struct, kw_only=True):
    """One run of one client."""

    client: str
    run: str
    library: str
    partitioners: str
    noes: int = 0
    """Acknowledged."""
    published: int = 0
    """Intents, the aborted among them."""
    committed: int = 0
    answered: int = 0
    """By one decision each."""
    dead_letters: dict[str, int] = field(default_factory=dict)
    """One each, by reason."""
    forwarded: int = 0
    """Intents and noes that were elsewhere than at home."""
    after_no: int = 0
    """Intents that could be read, sent after the customer's no was acknowledged."""
    approved_after_no: int = 0
    withdrawn: int = 0
    """Of those approved after the no."""
    approved: int = 0
    compressed: int = 0
    """Customers of whom a record came in the run's codec."""
    wrong: list[str] = field(default_factory=list)


def judge(
    world: World, plans: Mapping[str, list[Planned]], lines: Mapping[str, list[Line]], account: Account
) -> list[Counts]:
    """Count each run of each client, and hold it against its plan."""
    evidence = Evidence(world, account)
    found: list[Counts] = []
    for client, of_client in plans.items():
        by_run: dict[str, list[Line]] = {}
        for line in lines[client]:
            by_run.setdefault(line.run, []).append(line)
        found += [evidence.of_run(client, planned, by_run.get(planned.run.name, [])) for planned in of_client]
    return found


class Evidence:
    """What the topics hold, by customer."""

    def __init__(self, world: World, account: Account) -> None:
        intents = set(world.names.intents)
        self.committed: Counter[str] = Counter()
        self.stored: Counter[str] = Counter()
        self.noes: Counter[str] = Counter()
        self.forwarded: Counter[str] = Counter()
        self.decisions: dict[str, list[Mapping[str, object]]] = {}
        self.letters: dict[str, list[str]] = {}
        self.noes_in_dead_letters: Counter[str] = Counter()
        self.withdrawn: set[object] = set()
        customers = {place: (record.key or b"").decode() for place, record in account.inputs.items()}
        for place, customer in customers.items():
            if place.topic in intents:
                self.committed[customer] += 1
            elif is_first_word(account.inputs[place].value):
                self.noes[customer] += 1
        for record in read_topic(world.address, *intents, isolation="read_uncommitted"):
            self.stored[(record.key or b"").decode()] += 1
        for place in account.forwarded:
            self.forwarded[customers[place]] += 1
        for record in account.decisions.values():
            self.decisions.setdefault(customers[origin(record)], []).append(value_of(record))
        for place, record in account.dead_letters.items():
            assert place == origin_of_dead_letter(record)
            customer = (record.key or b"").decode()
            if place.topic in intents:
                self.letters.setdefault(customer, []).append(header(record, ERROR_REASON) or "")
            else:
                self.noes_in_dead_letters[customer] += 1
        self.codecs = _codecs(world, account)
        for records in account.withdrawals.values():
            self.withdrawn.update(value_of(record)["decision_id"] for record in records)

    def of_run(self, client: str, planned: Planned, lines: list[Line]) -> Counts:
        run = planned.run
        partitioners = " / ".join(dict.fromkeys((run.partitioner, run.noes_partitioner)))
        counts = Counts(client=client, run=run.name, library=run.library, partitioners=partitioners)
        wrong: Counter[str] = Counter()
        wrong["customers not published once"] = len(set(range(run.customers)) ^ {line.number for line in lines})
        for line in lines:
            for what in self._count(counts, planned, line):
                wrong[what] += 1
        counts.wrong = [
            *(f"{number} {what}" for what, number in wrong.items() if number),
            *_wrong_together(counts, planned),
        ]
        return counts

    def _count(self, counts: Counts, planned: Planned, line: Line) -> Iterator[str]:
        customer = line.customer
        is_aborted = line.intent == "aborted"
        counts.published += 1
        counts.noes += line.said is not None
        counts.committed += self.committed[customer]
        counts.forwarded += self.forwarded[customer]
        if self.noes[customer] != (line.said is not None):
            yield "noes not in the log once"
        if self.noes_in_dead_letters[customer]:
            yield "noes set aside"
        if self.stored[customer] != 1 or self.committed[customer] != (not is_aborted):
            yield "intents not in the log as the client says"
        # A batch that compression would make larger some clients send as it is.
        if self.codecs.get(customer, set()) - {planned.run.codec, "none"}:
            yield "customers' records compressed otherwise"
        counts.compressed += planned.run.codec in self.codecs.get(customer, set())
        decisions, letters = self.decisions.get(customer, []), self.letters.get(customer, [])
        if len(decisions) + len(letters) != (not is_aborted):
            yield "intents not answered once" if not is_aborted else "answers to aborted intents"
        expected = [planned.dead_letter] if planned.dead_letter and is_special(line.number) and not is_aborted else []
        if letters != expected:
            yield "dead letters other than planned"
        for reason in letters:
            counts.dead_letters[reason] = counts.dead_letters.get(reason, 0) + 1
        for decision in decisions:
            counts.answered += 1
            yield from self._count_decision(counts, planned, line, decision)

    def _count_decision(
        self, counts: Counts, planned: Planned, line: Line, decision: Mapping[str, object]
    ) -> Iterator[str]:
        is_approved = decision["type"] == "approved"
        counts.approved += is_approved
        if line.said is None:
            if not is_approved:
                yield f"suppressed though they said nothing: {decision.get('reason')}"
            return
        counts.after_no += 1
        if not is_approved:
            if decision["reason"] != "opt_out":
                yield f"suppressed after a no for another reason: {decision['reason']}"
            return
        counts.approved_after_no += 1
        is_withdrawn = decision["decision_id"] in self.withdrawn
        counts.withdrawn += is_withdrawn
        if not planned.is_misrouted:
            yield "approved after an acknowledged no"
        elif not is_withdrawn:
            yield "approved after an acknowledged no, and never withdrawn"


def is_first_word(value: bytes | None) -> bool:
    """Whether a record is one of a client's noes, not the report of a gateway."""
    return b'"decision_id"' not in (value or b"")


def _codecs(world: World, account: Account) -> dict[str, set[str]]:
    """How the broker was given what is committed, by customer."""
    logs = read_logs(world.address, world.inputs, deadline_seconds=READ_SECONDS)
    batches = {
        (topic, partition): [batch for batch in log.batches if not batch.is_marker]
        for topic, partitions in logs.items()
        for partition, log in partitions.items()
    }
    found: dict[str, set[str]] = {}
    for place, record in account.inputs.items():
        if not is_first_word(record.value):
            continue
        of_partition = batches[place.topic, place.partition]
        batch = of_partition[bisect_right(of_partition, place.offset, key=lambda each: each.first_offset) - 1]
        assert batch.first_offset <= place.offset <= batch.last_offset
        found.setdefault((record.key or b"").decode(), set()).add(CODECS_BY_NUMBER[batch.codec])
    return found


def _wrong_together(counts: Counts, planned: Planned) -> Iterator[str]:
    if planned.is_misrouted and not counts.forwarded:
        yield "nothing forwarded, though it was to be misrouted"
    if not planned.is_misrouted and counts.forwarded:
        yield f"{counts.forwarded} records forwarded, though hashed by murmur2"
    if not counts.compressed:
        yield f"nothing came in {planned.run.codec}"

"""Every target: what it runs, what its inputs begin with, how they are changed, and whose branches count.

A target takes any bytes and returns; whatever it raises is a finding. What the code under test may raise is named in
the target itself. Nothing here knows the fuzzer: cases replay without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from streams.policy.kinds.registry import FILE_KINDS
from tests.fuzz import batches, events, ledgers, policies, records, stored, zone_files
from tests.fuzz.mutators import blunt, framed, json_mutator, msgpack_mutator

if TYPE_CHECKING:
    from tests.fuzz.mutators import Mutator

INPUT_BYTES_MAX: Final = 4_096
"""Of one input. Everything that can be read fits into less; what is longer only takes longer."""

POLICY_BYTES_MAX: Final = 1_200
"""YAML is read in Python, at a millisecond or two a kilobyte; a rule of every kind, one at a time, needs no more."""

_DECODER: Final = (
    "streams.contracts.envelope",
    "streams.contracts.text",
    "streams.contracts.bare_envelopes",
    "streams.contracts.errors",
    "streams.contracts.refusals",
    "streams.contracts.duplicate_fields",
    "streams.contracts.text",
    "streams.contracts.times",
    "streams.contracts.wire",
    "streams.contracts.bare_envelopes",
    "streams.contracts.decode:_tolerant",
    "streams.contracts.decode:_not_a_country",
    "streams.contracts.decode:_not_a_region",
)


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that reads bytes. `counted` names modules, or `module:function` where a module serves several.

    `known` is what an open finding raises: the fuzzer passes over it, its cases are expected to fail (`OPEN`).
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    mutate: Mutator
    counted: tuple[str, ...]
    bytes_max: int = INPUT_BYTES_MAX
    known: tuple[type[Exception], ...] = ()

    def passes(self, data: bytes) -> None:
        """Run it. Raises what is no open finding."""
        try:
            self.run(data)
        except self.known:
            return


def _event(kind: str, run: Callable[[bytes], None], counted: tuple[str, ...]) -> Target:
    words = {name: list(values) for name, values in records.FIELDS.items()}
    fields = tuple(events.FIELDS[kind])
    mutate = framed(json_mutator(fields, {name: words[name] for name in words.keys() & set(fields)}))
    return Target(run, partial(events.seeds, kind), mutate, counted)  # type: ignore[arg-type]


_LENIENT: Final = ("streams.contracts.lenient",)
_WITHOUT_PLACES: Final = tuple(name for name in _DECODER if "_not_a" not in name)

TARGETS: Final[dict[str, Target]] = {
    "intent": _event("intent", events.intent, (*_DECODER, "streams.contracts.decode:decode_intent")),
    "preference": _event(
        "preference", events.preference, (*_DECODER, *_LENIENT, "streams.contracts.decode:decode_preference")
    ),
    "outcome": _event(
        "outcome", events.outcome, (*_WITHOUT_PLACES, *_LENIENT, "streams.contracts.decode:decode_outcome")
    ),
    "record": Target(
        records.record,
        records.seeds,
        records.mutate,
        (
            "streams.contracts.dead_letters",
            "streams.contracts.encode",
            "streams.contracts.origin",
            "streams.contracts.routing",
            "streams.gate",
            "streams.decision.ledger.retention",
        ),
    ),
    "batch": Target(
        batches.batches,
        batches.seeds,
        blunt,
        (
            "streams.exactly_once.codecs",
            "streams.exactly_once.record_batches",
            *(
                f"streams.exactly_once.fetched_records:{name}"
                for name in (
                    "FetchedPartitionRecords._unpack_records",
                    "FetchedPartitionRecords._batches",
                    "FetchedPartitionRecords._slice",
                    "FetchedPartitionRecords._is_data",
                    "FetchedPartitionRecords._is_abort_marker",
                    "EntryPartitionRecords._unpack_records",
                    "Entries.__init__",
                    "Entries.pairs",
                    "Entries._read",
                )
            ),
        ),
    ),
    "ledger": Target(
        ledgers.ledger,
        ledgers.seeds,
        msgpack_mutator(ledgers.changed),
        ("streams.decision.ledger.state", "streams.decision.ledger.codec", "streams.decision.ledger.transitions"),
    ),
    "meta": Target(
        stored.meta,
        stored.meta_seeds,
        json_mutator(tuple(stored.META_WORDS), stored.META_WORDS),
        ("streams.exactly_once.changelog:encode_meta", "streams.exactly_once.changelog:decode_meta"),
    ),
    "published": Target(
        stored.published,
        stored.published_seeds,
        json_mutator(tuple(stored.PUBLISHED_WORDS), stored.PUBLISHED_WORDS),
        ("streams.contracts.control",),
    ),
    "settings": Target(
        stored.settings,
        stored.settings_seeds,
        json_mutator(tuple(stored.SETTINGS_WORDS), stored.SETTINGS_WORDS),
        ("streams.settings", "streams.topics:TopicNames.__post_init__", "streams.topics:TopicNames.all"),
    ),
    "policy": Target(
        policies.policy,
        policies.seeds,
        policies.mutate,
        (
            "streams.policy.advice",
            "streams.policy.calendars",
            "streams.policy.context",
            "streams.policy.describe",
            "streams.policy.document",
            "streams.policy.findings",
            "streams.policy.header",
            "streams.policy.holidays",
            *(type(kind).__module__ for kind in FILE_KINDS),
            "streams.policy.kinds.counting",
            "streams.policy.loader",
            "streams.policy.notation",
            "streams.policy.phrases",
            "streams.policy.rules",
            "streams.policy.shape",
        ),
        POLICY_BYTES_MAX,
    ),
    "zone-file": Target(zone_files.zone_file, zone_files.seeds, zone_files.mutate, ("streams.policy.tzif",)),
}

OPEN: Final[dict[str, str]] = {}
"""Cases that are expected to fail, and why. One that no longer does fails the tests: take it out, with its `known`."""

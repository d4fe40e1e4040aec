"""Everything that a gate's topics hold of one customer, and where each part of it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from streams.batch_ledgers import LedgerStore
from streams.customer.mention import CustomerId, Mention
from streams.customer.reading import Stored, read
from streams.decision.ledger.codec import LedgerUnreadable, decode_ledger
from streams.exactly_once.changelog import META_KEY, Meta, customer_key, decode_meta
from streams.exactly_once.key_kinds import KeyKind, kind_of
from streams.stored_topics import spans_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.connection.cluster import Cluster
    from streams.decision.ledger.state import Ledger
    from streams.stored_topics import Spans
    from streams.topics import TopicNames


class What(Enum):
    """What a record is. The value is the word for it."""

    INTENT = "intent"
    PREFERENCE = "preference"
    OUTCOME = "outcome"
    REROUTED = "forwarded"
    APPROVED = "approval"
    SUPPRESSED = "suppression"
    DEAD_LETTER = "dead letter"
    LEDGER = "ledger"
    ERASED = "left by an erasure"
    HOLD = "held intent"
    OTHER = "other"


INPUTS: Final = (What.INTENT, What.PREFERENCE, What.OUTCOME, What.REROUTED)


class Entry(NamedTuple):
    """One record that is about the customer, or may be."""

    what: What
    mention: Mention
    record: Stored


class Searched(NamedTuple):
    """How much of a topic was read."""

    partitions: int
    records: int


@dataclass
class Holdings:
    """What was found. `ledger` and `erased` are the latest stored values; None if there is none, or it was deleted."""

    customer: CustomerId
    made_at_ms: int
    own_key: bytes
    erased_key: bytes
    ledger: Stored | None = None
    erased: Stored | None = None
    entries: list[Entry] = field(default_factory=list)
    metas: dict[int, Meta] = field(default_factory=dict)
    searched: dict[str, Searched] = field(default_factory=dict)
    spans: Spans = field(default_factory=dict)

    def certain(self) -> list[Entry]:
        """What is the customer's, ledgers aside, in the order of time."""
        found = [each for each in self.entries if each.mention is not Mention.TEXT and each.what not in _STATE]
        return sorted(found, key=lambda each: (each.record.timestamp_ms, each.record[:3]))

    def possible(self) -> list[Entry]:
        """What may be the customer's, or somebody else's."""
        return [each for each in self.entries if each.mention is Mention.TEXT]

    def stored(self) -> list[Entry]:
        """Every record of the ledger topic that is the customer's, earlier values and deletions too."""
        return [each for each in self.entries if each.what in _STATE]

    def is_pending(self, entry: Entry) -> bool:
        """Whether the gate had not come to the record yet."""
        if entry.what not in INPUTS:
            return False
        meta = self.metas.get(entry.record.partition)
        return meta is None or entry.record.offset >= meta.positions.get(entry.record.topic, 0)

    def is_empty(self) -> bool:
        """Whether nothing is known that is certainly the customer's."""
        return self.ledger is None and self.erased is None and not self.certain()


_STATE: Final = (What.LEDGER, What.ERASED)


def read_ledger(stored: Stored | None) -> Ledger | None:
    """The ledger of a stored value; None if there is none, or this version cannot read it."""
    if stored is None or stored.value is None:
        return None
    try:
        return decode_ledger(stored.value)
    except LedgerUnreadable:
        return None


def find(
    cluster: Cluster,
    names: TopicNames,
    customer: CustomerId,
    erasure_key: bytes,
    *,
    now_ms: int,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Holdings:
    """Read every topic whole. `progress` is told how many offsets of how many are read.

    Raises:
        TopicsUnreadable, KafkaException: see `stored_topics`.
    """
    # The ledger's ends first: what it covers lies below the ends of the others.
    topics = [names.ledger, *(name for name in names.all() if name != names.ledger)]
    held = Holdings(
        customer,
        now_ms,
        own_key=customer_key(customer.key),
        erased_key=LedgerStore(erasure_key).erased_key(customer.key),
        spans=spans_of(cluster, topics),
    )
    kinds = _kinds(names)
    counts = dict.fromkeys(topics, 0)
    offsets = sum(end - start for start, end in held.spans.values())
    for done, record in enumerate(read(cluster, held.spans), 1):
        counts[record.topic] += 1
        if record.topic == names.ledger:
            _take_state(held, record)
        else:
            mention = customer.mention(record.key, record.value, record.headers)
            if mention is not None:
                held.entries.append(Entry(kinds[record.topic], mention, record))
        if done % _PROGRESS_RECORDS == 0:
            progress(done, offsets)
    for topic in topics:
        partitions = sum(1 for name, _ in held.spans if name == topic)
        held.searched[topic] = Searched(partitions, counts[topic])
    return held


_PROGRESS_RECORDS: Final = 100_000


def _kinds(names: TopicNames) -> dict[str, What]:
    kinds = dict.fromkeys(names.intents, What.INTENT)
    return kinds | {
        names.preferences: What.PREFERENCE,
        names.outcomes: What.OUTCOME,
        names.rerouted: What.REROUTED,
        names.approved: What.APPROVED,
        names.suppressed: What.SUPPRESSED,
        names.dead_letter: What.DEAD_LETTER,
        names.batches: What.OTHER,
        names.control: What.OTHER,
    }


def _take_state(held: Holdings, record: Stored) -> None:
    """A record of the ledger topic: later values of a key replace earlier ones."""
    key = record.key or b""
    if key == META_KEY and record.value is not None:
        held.metas[record.partition] = decode_meta(record.value)
    elif key == held.own_key:
        held.ledger = None if record.value is None else record
        held.entries.append(Entry(What.LEDGER, Mention.KEY, record))
    elif key == held.erased_key:
        held.erased = None if record.value is None else record
        held.entries.append(Entry(What.ERASED, Mention.KEY, record))
    elif kind_of(key) in {KeyKind.CUSTOMER, KeyKind.ERASED}:
        return
    else:
        mention = held.customer.mention(key[1:], record.value, record.headers)
        if mention is not None:
            what = What.HOLD if kind_of(key) is KeyKind.HOLD else What.OTHER
            held.entries.append(Entry(what, mention, record))

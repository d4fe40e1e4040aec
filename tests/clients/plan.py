"""What each team publishes, and what must become of it.

Rules of this module
1. One customer is one intent: customers are named `CLIENT-RUN-NUMBER`, and the record's key tells everything of a
   record, whatever its value is.
2. Of four customers in a row two say no by an opt-out, one by a STOP in a reply, one says nothing. All four get
   one intent, after every no of their wave was acknowledged.
3. In every second group of four nothing is special (no form of time, no header), so that a no in a special form meets
   intents that can be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

CODECS: Final = ("none", "gzip", "snappy", "lz4", "zstd")

WAVE: Final = 20
"""Customers whose noes are published together: enough that a batch is worth compressing, few enough that the intents
follow the acknowledgement within milliseconds."""

CUSTOMERS: Final = 400
TRANSACTIONAL: Final = 240
"""Twelve waves, of which four are aborted."""
FEW: Final = 80
"""For forms, of which one record would say as much as a thousand."""


def is_special(number: int) -> bool:
    """Rule 3."""
    return number // 4 % 2 == 0


class Run(Struct, frozen=True, kw_only=True):
    """One way of publishing, as a client is told."""

    name: str
    library: str
    codec: str = "none"
    partitioner: str = "default"
    noes_partitioner: str = "default"
    is_transactional: bool = False
    """The intents of a wave are one transaction, and every third is aborted. Noes are never in one."""
    form: str = "plain"
    """`headers`: with every kind of header a client can write, and intents cut short. `binary`, `structured`: a
    CloudEvent by the language's SDK."""
    time: str = "millis"
    """How the language writes a moment."""
    customer_prefix: str
    customers: int
    wave: int = WAVE


class Planned(Struct, frozen=True, kw_only=True):
    """A run, and what must become of it."""

    run: Run
    dead_letter: str | None = None
    """The reason that its special intents get instead of a decision."""
    is_misrouted: bool = False
    """Its noes are published where nobody looks for them: some may be heard too late."""


class Topics(Struct, frozen=True):
    """Where to."""

    intents: str
    preferences: str
    outcomes: str


class Task(Struct, frozen=True, kw_only=True):
    """What a client's program is called with."""

    bootstrap_servers: str
    topics: Topics
    client: str
    results: str
    """The file for what it did."""
    runs: list[Run]


class Client(Struct, frozen=True):
    """What of a team differs from the others'."""

    name: str
    library: str
    murmur2: str
    """Its partitioner that is Java's. `default` where that is what one gets."""
    misrouting: tuple[tuple[str, str], ...]
    """Of intents and of noes: what puts a no elsewhere than the gate looks for it."""
    envelopes: tuple[str, ...]
    times: tuple[tuple[str, str | None], ...]
    """Each with the reason of the dead letter that an intent gets for it, if any."""


JAVA: Final = Client(
    "java",
    "kafka-clients",
    "default",
    misrouting=(("default", "crc32"), ("crc32", "crc32"), ("default", "round-robin")),
    envelopes=("binary", "structured"),
    times=(
        ("Instant.toString", None),
        ("Instant.toString, whole minute", None),
        ("OffsetDateTime.toString", None),
        ("OffsetDateTime.toString, whole second", None),
        ("OffsetDateTime.toString, whole minute", None),
        ("ZonedDateTime.toString", None),
        ("ZonedDateTime.toString, whole minute", None),
        ("SimpleDateFormat with Z", None),
        ("Jackson, Date", None),
        ("Jackson, Instant", "wrong_type"),
        ("LocalDateTime.toString", "bad_time"),
        ("RFC_1123_DATE_TIME", "bad_time"),
    ),
)
NODE: Final = Client(
    "node",
    "kafkajs",
    "default",
    misrouting=(("default", "crc32"), ("crc32", "crc32"), ("legacy", "legacy")),
    envelopes=("binary", "structured"),
    times=(
        ("Date.toISOString", None),
        ("Date in JSON.stringify", None),
        ("performance.now", "wrong_type"),
        ("Date.toString", "bad_time"),
        ("Date.toUTCString", "bad_time"),
    ),
)
GO: Final = Client(
    "go",
    "franz-go",
    "default",
    misrouting=(("default", "fnv"), ("fnv", "fnv")),
    envelopes=(),
    times=(
        ("time.RFC3339Nano", None),
        ("time.RFC3339", None),
        ("time.Time in encoding/json", None),
        ("Time.String", "bad_time"),
        ("time.RFC1123Z", "bad_time"),
    ),
)
PYTHON: Final = Client(
    "python",
    "librdkafka",
    "murmur2_random",
    misrouting=(("murmur2_random", "default"), ("default", "default")),
    envelopes=(),
    times=(
        ("datetime.isoformat", None),
        ("datetime.isoformat, whole second", None),
        ("datetime in str", None),
        ("strftime with %z", None),
        ("time.time", "wrong_type"),
        ("datetime.isoformat without zone", "bad_time"),
    ),
)
CLIENTS: Final = {client.name: client for client in (JAVA, NODE, GO, PYTHON)}
OTHER_GO_LIBRARIES: Final = {
    "sarama": ("default",),
    "kafka-go": ("default", "hash"),
}
"""With the partitioners that are not Java's. Both have one that is, or take one: `murmur2`."""


def planned(client: Client, *, share: float = 1.0) -> list[Planned]:
    """Every run of a team; `share` of the customers of each, in whole waves."""
    return [
        Planned(run=run, dead_letter=dead_letter, is_misrouted=is_misrouted)
        for run, dead_letter, is_misrouted in _runs(client, share)
    ]


def _runs(client: Client, share: float) -> Iterator[tuple[Run, str | None, bool]]:
    name, library, own = client.name, client.library, client.murmur2

    def run(of_run: str, customers: int, more: str = "", **options: object) -> Run:
        settings = {"library": library, "partitioner": own, "noes_partitioner": own, **options}
        waves = max(3, round(customers * share / WAVE))
        prefix = f"{name}-{of_run.replace(' ', '-').replace(',', '').replace('%', '')}-{more}"
        return Run(name=of_run, customer_prefix=prefix, customers=waves * WAVE, **settings)  # type: ignore[arg-type]

    for codec in CODECS:
        yield run(f"{codec}", CUSTOMERS, codec=codec), None, False
    for codec in CODECS:
        yield run(f"{codec} in transactions", TRANSACTIONAL, codec=codec, is_transactional=True), None, False
    for intents, noes in client.misrouting:
        yield (
            run(f"intents {intents}, noes {noes}", CUSTOMERS // 2, partitioner=intents, noes_partitioner=noes),
            None,
            True,
        )
    yield run("keys", FEW, "josé-漢字-😀-"), None, False
    yield run("headers", FEW, form="headers"), "not_json", False
    for form in client.envelopes:
        yield run(f"CloudEvents {form}", FEW, form=form, codec="lz4"), None, False
    for time, dead_letter in client.times:
        yield run(time, FEW, time=time), dead_letter, False
    for other, misrouting in OTHER_GO_LIBRARIES.items() if client is GO else ():
        for codec in CODECS:
            both = {"partitioner": "murmur2", "noes_partitioner": "murmur2"}
            yield run(f"{other} {codec}", FEW, library=other, codec=codec, **both), None, False
        for one in misrouting:
            both = {"partitioner": "murmur2", "noes_partitioner": one}
            yield run(f"{other}, noes {one}", CUSTOMERS // 2, library=other, **both), None, True

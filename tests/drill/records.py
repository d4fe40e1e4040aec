"""Faults of producers: records that nobody can read, that say too little, or that stand at the wrong place."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from streams.testing.records import OutgoingRecord, intent, murmur2_partition, outcome, preference
from tests.drill.fault import Fault
from tests.drill.scene import PARTITIONS, now_ms
from tests.drill.stage import stage

if TYPE_CHECKING:
    from tests.drill.scene import Scene

ACT: Final = "records"

RELEASED: Final = 60
"""Above twenty, and above a twentieth of all that customers say in ten minutes."""

_numbers = itertools.count()


def _unreadable_opt_out(scene: Scene) -> None:
    scene.upstream.publish([OutgoingRecord("opt-out", b"drilled-unreadable", b'{"event_id": ', now_ms())])


def _no_such_channel(scene: Scene) -> None:
    scene.upstream.publish([preference("drilled-fax", f"fax-{next(_numbers)}", channel="fax", at=now_ms())])


def _opt_in_with_a_misspelt_field(scene: Scene) -> None:
    scene.upstream.publish([preference("drilled-in", f"in-{next(_numbers)}", "opt_in", chanel="sms", at=now_ms())])


def _release_a_producer(scene: Scene) -> None:
    scene.upstream.publish(
        preference(f"drilled-fax-{number}", f"release-{next(_numbers)}", channel="fax", at=now_ms())
        for number in range(RELEASED)
    )


def _outcome_of_no_type(scene: Scene) -> None:
    scene.upstream.publish([outcome("drilled-outcome", "d-1", "evaporated", occurred_at=now_ms())])


def _wrong_partition(scene: Scene) -> None:
    customer = "drilled-elsewhere"
    right = murmur2_partition(customer.encode(), PARTITIONS)
    record = intent(customer, f"elsewhere-{next(_numbers)}", created_at=now_ms())
    scene.upstream.publish([record._replace(partition=(right + 1) % PARTITIONS)])


KINDS_MAX: Final = 256
"""docs/semantics.md, 3.25: so many sets of channel, purpose, topic, brand, campaign and sender a ledger keeps."""


def _too_many_campaigns(scene: Scene) -> None:
    scene.upstream.publish(
        intent("drilled-full", f"full-{number}", campaign_id=f"campaign-{number}", created_at=now_ms())
        for number in range(KINDS_MAX + 20)
    )


def _set_up(scene: Scene) -> None:
    """Customers say no to what was approved, and producers send fields that nobody knows."""
    scene.upstream.some_say_no = True
    scene.upstream.more = lambda number: {"colour": "blue"} if number % 10 == 0 else {}
    scene.begin()


STAGE: Final = stage(ACT, days=True, set_up=_set_up)
FAULTS: Final = (
    Fault(
        ACT,
        "a producer writes an opt-out that ends in the middle",
        {"MesuraUnreadableOptOut": "not_json", "MesuraUnreadableOptOutOpen": "not_json"},
        _unreadable_opt_out,
        holds_up=False,
    ),
    Fault(
        ACT,
        "an opt-out names a channel that the policy does not know",
        {"MesuraNotUnderstood": "scope_word"},
        _no_such_channel,
        holds_up=False,
    ),
    Fault(
        ACT,
        "an opt-in has a misspelt field",
        {"MesuraPermissionsRefused": "unknown_field"},
        _opt_in_with_a_misspelt_field,
        holds_up=False,
    ),
    Fault(
        ACT,
        f"a release of a producer: {RELEASED} opt-outs at once name a channel that the policy does not know",
        {"MesuraPreferencesImplausible": r"scope_word [1-9]\d"},
        _release_a_producer,
        holds_up=False,
    ),
    Fault(
        ACT,
        "a gateway reports an outcome of a type that does not exist",
        {"MesuraUnreadableOutcome": r"unknown_type contact-outcome"},
        _outcome_of_no_type,
        holds_up=False,
    ),
    Fault(
        ACT,
        "a producer hashes keys in another way",
        {"MesuraMisroutedRecords": "misrouted: outbound-intent"},
        _wrong_partition,
        holds_up=False,
    ),
    Fault(
        ACT,
        "a producer puts something unique into campaign_id",
        {"MesuraLedgerFull": "ledger full [^0]"},
        _too_many_campaigns,
        holds_up=False,
    ),
)

"""What is certain although records are missing: a broken barrier, and a no that nothing missing can undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.audit.headers import named, replayed_ms
from streams.oracle.model import BELIEVED_FROM_MS, standing_no

if TYPE_CHECKING:
    from streams.audit.events import Event
    from streams.audit.judgement import Judgement
    from streams.audit.service import Served
    from streams.oracle.model import Model, Preference


def check_barrier(judgement: Judgement, served: Served, model: Model, customer_id: str, recorded_ms: int) -> None:
    """Whether an approval was given after this no had been acknowledged, and without it."""
    within_ms = judgement.settings.acknowledged_within_ms
    if judgement.settings.clock == "record":
        return
    customer = model.customer(customer_id)
    place = judgement.place(served.topic, served.record)
    acknowledged_ms = judgement.settings.acknowledged_ms.get((place.topic, place.partition, place.offset))
    if acknowledged_ms is None:
        # Until a misrouted record has been forwarded nobody waits for it, and when it was nobody knows.
        is_misrouted = served.topic == judgement.topics.rerouted
        if within_ms is None or recorded_ms < BELIEVED_FROM_MS or is_misrouted:
            return
        # What was replayed may have kept the time at which it was said, and was not there again before its replay.
        acknowledged_ms = max(recorded_ms, replayed_ms(named(served.record)) or 0) + within_ms
    late = [c for c in customer.held_contacts() if c.decided_at > acknowledged_ms and not c.exempt_from_opt_out]
    if not late:
        return
    standing = customer.standing()
    for contact in late:
        no = standing_no(standing, contact.tags, contact.decided_at, model.policy.words)
        if no is not None and contact.noted is not None and contact.decided_at < served.now:
            detail = f"acknowledged {contact.decided_at - acknowledged_ms} ms before the decision"
            judgement.find(
                "barrier_broken",
                customer_id,
                contact.noted[0],
                place,
                detail=detail,
                is_certain=is_certain(judgement, no),
            )


def denies_certainly(judgement: Judgement, model: Model, event: Event, now: int) -> bool:
    """Whether the intent had to be suppressed whatever may be missing."""
    is_whole = judgement.batch is None or judgement.batch.is_whole
    decided_from_ms = judgement.completeness.whole_from_ms
    return is_certain(judgement, model.denying_no(event, now)) or (
        is_whole and model.denied_by_contacts(event, now, decided_from_ms)
    )


def is_certain(judgement: Judgement, no: Preference | None) -> bool:
    """Whether a no stands whatever may be missing: nothing missing is later than it, and its order is known."""
    is_whole = judgement.batch is None or judgement.batch.is_whole
    return no is not None and is_whole and judgement.completeness.nothing_undoes(no.order)

"""A no is heard by the running gate in whatever a connector or an editor puts around it; what is not read is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from streams.audit import AuditSettings, audit
from streams.contracts.header_names import ERROR_DETAIL, ERROR_REASON
from streams.testing.records import OutgoingRecord
from tests.contracts.hostile import compact, document
from tests.system.conftest import now_ms
from tests.system.harness import World, header, running, until_all_decided, value_of
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.testing.broker import Broker

pytestmark = pytest.mark.timeout(300)

Wrap = dict[str, "Callable[[dict[str, Any]], bytes]"]
READ: Wrap = {
    "as it is": compact,
    "with a mark": lambda event: b"\xef\xbb\xbf" + compact(event),
    "in UTF-16": lambda event: json.dumps(event).encode("utf-16"),
    "in UTF-16 without a mark": lambda event: json.dumps(event).encode("utf-16-le"),
    "in a CloudEvent without its header": lambda event: compact({"specversion": "1.0", "type": "x", "data": event}),
    "in Connect's envelope": lambda event: compact({"schema": {"type": "struct"}, "payload": event}),
    "in a string in Connect's envelope": lambda event: compact({"schema": {}, "payload": json.dumps(event)}),
    "in a string": lambda event: compact(json.dumps(event)),
}
NOT_FOR_YES: Wrap = {
    "in a change event": lambda event: compact({"before": None, "after": event, "op": "c", "source": {}}),
    "in a change event in Connect's envelope": lambda event: compact(
        {"schema": {}, "payload": {"after": event, "op": "r", "source": {}}}
    ),
    "in a router's envelope": lambda event: compact({"eventType": "x", "payload": json.dumps(event)}),
}


def record(kind: Any, wrap: Callable[[dict[str, Any]], bytes], name: str, **fields: Any) -> OutgoingRecord:  # noqa: ANN401
    topic = {"intent": "outbound-intent", "preference": "opt-out", "outcome": "contact-outcome"}[kind]
    customer = name.replace(" ", "-")
    value = wrap(document(kind, name, now_ms(), customer_id=customer, **fields))
    # A yes is later than the no it undoes.
    timestamp_ms = now_ms() - (0 if fields.get("type") == "opt_in" else 60_000)
    return OutgoingRecord(topic, customer.encode(), value, timestamp_ms)


def test_what_is_read_and_what_is_told(broker: Broker, topic_prefix: str, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(any_hour(), encoding="utf-8")
    world = World(broker, topic_prefix)
    both = READ | NOT_FOR_YES
    noes = [record("preference", wrap, f"no {name}") for name, wrap in both.items()]
    stops = [
        record("outcome", wrap, f"stop {name}", type="reply", detail="stop", channel="sms", decision_id=...)
        for name, wrap in both.items()
    ]
    yeses = [
        each
        for name, wrap in both.items()
        for each in (
            record("preference", compact, f"yes {name}"),
            record("preference", wrap, f"yes {name}", type="opt_in"),
        )
    ]
    intents = [record("intent", compact, f"{said} {name}") for said in ("no", "stop", "yes") for name in both]
    wrapped_intents = [record("intent", wrap, f"wish {name}") for name, wrap in both.items()]
    with running(world, tmp_path, policy=policy) as gate:
        # The backlog may come whole into one batch: what customers said is applied first in any.
        world.publish([*noes, *stops, *yeses, *intents, *wrapped_intents])
        until_all_decided(gate, world)
        counted = {name: gate.counted(name) for name in ("permissions_refused_total", "unreadable_opt_outs_total")}
    answers = {value_of(each)["customer_id"]: value_of(each) for each in world.read_outputs()}
    for name in both:
        plain = name.replace(" ", "-")
        assert answers[f"no-{plain}"]["reason"] == "opt_out", name
        assert answers[f"stop-{plain}"]["reason"] == "opt_out", name
        assert answers[f"yes-{plain}"]["type"] == ("approved" if name in READ else "suppressed"), name
        assert (f"wish-{plain}" in answers) == (name in READ), name
    letters = world.read(world.names.dead_letter)
    assert len(letters) == 2 * len(NOT_FOR_YES)
    for letter in letters:
        assert header(letter, ERROR_REASON) == "bad_envelope"
        assert "of which only what restricts is read; " in (header(letter, ERROR_DETAIL) or "")
    # A yes that is known to be none of a no pages nobody.
    assert counted == {"permissions_refused_total": len(NOT_FOR_YES), "unreadable_opt_outs_total": 0}
    report = audit(AuditSettings(world.address, topics=world.names, policies=[policy], processes=1))
    assert report.is_clean, report.as_text()

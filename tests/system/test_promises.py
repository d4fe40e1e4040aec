"""The promises, from one end to the other: what is published on one side, what is committed on the other."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from confluent_kafka import Producer

from streams.batch_ledgers import ERASED_HASH_BYTES
from streams.exactly_once.changelog import META_KEY, customer_key, erased_key
from streams.oracle.model import decision_id
from streams.testing.records import intent, outcome, preference
from tests.system.conftest import now_ms
from tests.system.harness import (
    ERASURE_KEY,
    START_SECONDS,
    World,
    account_for,
    origin,
    running,
    until_all_decided,
    value_of,
)
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from streams.testing.kafka_io import StoredRecord
    from streams.testing.records import OutgoingRecord

pytestmark = pytest.mark.timeout(300)

RACES = 400


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(any_hour(), encoding="utf-8")
    return path


def answers(world: World) -> dict[str, list[dict[str, Any]]]:
    """Every approval, suppression and withdrawal by customer, in the order of each topic."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in world.read_outputs():
        answer = value_of(record)
        found.setdefault(answer["customer_id"], []).append(answer)
    return found


def only(given: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [answer for answer in given if answer["type"] == kind]


# ---- one answer -----------------------------------------------------------------------------------------------------


def test_an_intent_published_twice_is_answered_once(world: World, policy: Path, tmp_path: Path) -> None:
    once = [intent(f"c-{number}", f"i-{number}", created_at=now_ms()) for number in range(50)]
    with running(world, tmp_path, policy=policy) as gate:
        world.publish(once)
        until_all_decided(gate, world)
        world.publish([*once, *once])
        until_all_decided(gate, world)
        assert gate.counted("duplicates_total") == 100
    account_for(world)
    for customer, given in answers(world).items():
        assert [answer["type"] for answer in given].count("approved") == 1
        duplicates = only(given, "suppressed")
        assert [answer["reason"] for answer in duplicates] == ["duplicate", "duplicate"]
        named = decision_id(customer, "i-" + customer.removeprefix("c-"))
        assert {answer["duplicate_of"] for answer in duplicates} == {named}
        assert only(given, "approved")[0]["decision_id"] == named


# ---- no means no ----------------------------------------------------------------------------------------------------


class Connection:
    """A producer of its own that waits for every acknowledgement, as an upstream system may."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._failures: list[object] = []
        self._producer = Producer(
            {"bootstrap.servers": world.address, "acks": "all", "linger.ms": 0, "partitioner": "murmur2_random"}
        )

    def send(self, record: OutgoingRecord) -> None:
        """Publish without waiting."""
        self._producer.produce(
            self._world.prefix + record.topic,
            value=record.value,
            key=record.key,
            timestamp=record.timestamp_ms,
            on_delivery=lambda error, _: self._failures.append(error) if error else None,
        )
        self._producer.poll(0)

    def acknowledged(self) -> None:
        """Wait until everything sent is acknowledged."""
        assert self._producer.flush(20) == 0
        assert not self._failures


def test_whoever_said_no_a_moment_ago_is_never_approved(world: World, policy: Path, tmp_path: Path) -> None:
    """Half by opt-out, half by a STOP in a reply. The opt-out is acknowledged, then the intent is published at once."""
    first = [intent(f"c-{number}", "before", created_at=now_ms()) for number in range(RACES)]
    customers_talk, systems_want = Connection(world), Connection(world)
    with running(world, tmp_path, policy=policy) as gate:
        world.publish(first)
        until_all_decided(gate, world)
        for number in range(RACES):
            at_ms = now_ms()
            stop = outcome(f"c-{number}", None, "reply", occurred_at=at_ms, channel="sms", detail="stop")
            customers_talk.send(stop if number % 2 else preference(f"c-{number}", f"e-{number}", at=at_ms))
            customers_talk.acknowledged()
            systems_want.send(intent(f"c-{number}", "after", created_at=now_ms()))
            systems_want.send(intent(f"c-{number}", "after-by-mail", channel="email", created_at=now_ms()))
        systems_want.acknowledged()
        until_all_decided(gate, world)
        aborted = gate.counted("batches_aborted_total")
    account = account_for(world)
    found = answers(world)
    assert len(found) == RACES
    for number in range(RACES):
        given = found[f"c-{number}"]
        by_intent = {answer["intent_id"]: answer for answer in given if answer["type"] != "withdrawn"}
        assert by_intent["before"]["type"] == "approved"
        assert by_intent["after"].get("reason") == "opt_out"
        # A reply on one channel closes that channel; an opt-out without a scope closes all.
        assert by_intent["after-by-mail"].get("reason") == (None if number % 2 else "opt_out")
        withdrawn = only(given, "withdrawn")
        assert [answer["decision_id"] for answer in withdrawn] == [by_intent["before"]["decision_id"]]
        assert withdrawn[0]["reason"] == "opt_out"
        assert withdrawn[0]["valid_until"] == withdrawn[0]["decided_at"] < by_intent["before"]["valid_until"]
    caused = {origin(record) for records in account.withdrawals.values() for record in records}
    assert {place.topic for place in caused} == {world.names.preferences, world.names.outcomes}
    assert len(caused) == RACES
    assert not (world.broker.is_embedded and aborted), "too slow a machine to say anything on the embedded broker"


# ---- erasure --------------------------------------------------------------------------------------------------------


def test_erasure_leaves_a_keyed_hash_and_the_standing_no(world: World, policy: Path, tmp_path: Path) -> None:
    customer, other = "c-forgotten", "c-remembered"
    began_ms = now_ms()
    with running(world, tmp_path, policy=policy) as gate:
        world.publish(
            [
                preference(customer, "e-1", at=began_ms - 5_000, channel="sms"),
                preference(customer, "e-2", "consent_granted", at=began_ms - 5_000, evidence_ref="form-1"),
                preference(other, "e-3", at=began_ms - 5_000, channel="sms"),
                intent(customer, "i-1", channel="email", created_at=began_ms - 5_000),
            ]
        )
        until_all_decided(gate, world)
        erased_ms = now_ms()
        world.publish([preference(customer, "e-4", "erasure", at=erased_ms)])
        until_all_decided(gate, world)
        ledger = latest_ledger(world)
        digest = hashlib.blake2b(customer.encode(), key=bytes.fromhex(ERASURE_KEY), digest_size=ERASED_HASH_BYTES)
        kept = ledger.pop(erased_key(digest.digest()))
        assert kept is not None
        assert ledger.pop(customer_key(customer.encode())) is None
        assert set(ledger) == {customer_key(other.encode())}
        assert not [content for content in (*ledger.values(), kept) if customer.encode() in (content or b"")]
        assert b"form-1" not in kept
        world.publish(
            [
                intent(customer, "i-late", channel="email", created_at=erased_ms - 1_000),
                intent(customer, "i-no", channel="sms", created_at=erased_ms + 1),
                intent(customer, "i-new", channel="email", created_at=erased_ms + 1),
            ]
        )
        until_all_decided(gate, world)
    account_for(world)
    given = answers(world)[customer]
    by_intent = {answer["intent_id"]: answer for answer in given if answer["type"] != "withdrawn"}
    assert by_intent["i-1"]["type"] == "approved"
    assert [answer["reason"] for answer in only(given, "withdrawn")] == ["erased"]
    assert (by_intent["i-late"]["reason"], by_intent["i-late"]["rule"]) == ("expired", "expired:erasure")
    assert by_intent["i-no"]["reason"] == "opt_out"
    assert by_intent["i-new"]["type"] == "approved"


def latest_ledger(world: World) -> dict[bytes, bytes | None]:
    """The latest value under each key of the ledger topic, without the meta records."""
    found = {record.key or b"": record.value for record in world.read(world.names.ledger)}
    found.pop(META_KEY)
    return found


# ---- the policy in force --------------------------------------------------------------------------------------------


def test_a_changed_policy_is_in_force_for_later_decisions_and_a_broken_one_never(
    world: World, policy: Path, tmp_path: Path
) -> None:
    def decided(number: int) -> dict[str, Any]:
        world.publish([intent("c-1", f"i-{number}", created_at=now_ms())])
        until_all_decided(gate, world)
        return next(answer for answer in answers(world)["c-1"] if answer["intent_id"] == f"i-{number}")

    def reloads(result: str) -> float:
        return gate.metrics()["mesura_policy_reload_total"][(("result", result),)]

    with running(world, tmp_path, policy=policy) as gate:
        first = decided(1)
        assert first["type"] == "approved"
        assert (first["policy"]["version"], first["remaining"]) == ("1", {"weekly": 49})
        policy.write_text(any_hour(version="2", limit=2), encoding="utf-8")
        gate.until(lambda: reloads("success") == 2, START_SECONDS, "the new policy")
        second = decided(2)
        assert (second["policy"]["version"], second["remaining"]) == ("2", {"weekly": 0})
        policy.write_text("mesura: 1\nname: nonsense\n", encoding="utf-8")
        gate.until(lambda: reloads("failure") == 1, START_SECONDS, "the refusal of the broken policy")
        assert gate.get("/ready")[0] == 200
        third = decided(3)
        assert (third["reason"], third["policy"]) == ("cap_reached", second["policy"])
        info = dict(next(iter(gate.metrics()["mesura_policy_info"])))
        assert info["hash"] == second["policy"]["hash"]
    account_for(world)
    control = world.read(world.names.control)
    for answer in (first, second):
        published = _of_hash(control, answer["policy"]["hash"])
        assert orjson.loads(published.value or b"")["version"] == answer["policy"]["version"]
        assert published.timestamp_ms <= answer["decided_at"]


def _of_hash(control: list[StoredRecord], digest: str) -> StoredRecord:
    return next(record for record in control if record.key == f"policy:{digest}".encode())


# ---- asking is not deciding -----------------------------------------------------------------------------------------


def test_what_is_explained_is_what_is_then_decided_and_nothing_is_recorded(world: World, tmp_path: Path) -> None:
    """Under the starter policy, about customers who said something."""
    at_ms = now_ms() - 10_000
    said = [
        preference("c-0", "e-0", at=at_ms),
        preference("c-1", "e-1", "pause", at=at_ms),
        preference("c-2", "e-2", "consent_granted", at=at_ms, evidence_ref="form-2"),
        preference("c-3", "e-3", "profile", at=at_ms, timezone="Asia/Tokyo", country="CO"),
        preference("c-4", "e-4", "restriction", at=at_ms),
        preference("c-5", "e-5", "erasure", at=at_ms),
        intent("c-6", "i-c-6-push-otp", channel="push", created_at=at_ms, purpose="otp", country="CO"),
    ]
    asked = [
        intent(f"c-{customer}", f"i-c-{customer}-{channel}-{purpose}", channel=channel, created_at=now_ms(), **more)
        for customer in range(7)
        for channel in ("sms", "push", "fax")
        for purpose in ("otp", "marketing", "service")
        for more in ({"purpose": purpose, "country": "CO", "timezone": "America/Bogota"},)
    ]
    # A turn asks about each customer once, so that within it no answer changes another's question.
    with running(world, tmp_path) as gate:
        world.publish(said)
        until_all_decided(gate, world)
        explained = {}
        records = len(world.read(world.names.ledger))
        for record in asked:
            question = orjson.loads(record.value or b"")
            status, answer = gate.explain(question)
            assert status == 200
            assert gate.explain(question)[1]["verdict"] == answer["verdict"]
            explained[question["intent_id"]] = answer
        assert len(world.read(world.names.ledger)) == records
        status, problem = gate.explain({"customer_id": "c-1"})
        assert status == 400
        assert "missing" in problem["error"]
        by_customer = [asked[turn::9] for turn in range(9)]
        compared = 0
        for turn in by_customer:
            if compared:  # what was decided meanwhile changes the answers: ask again
                for record in turn:
                    question = orjson.loads(record.value or b"")
                    explained[question["intent_id"]] = gate.explain(question)[1]
            world.publish(turn, enable_idempotence="false")  # which would take half a second to begin
            until_all_decided(gate, world)
            compared += len(turn)
    account_for(world)
    decided = {a["intent_id"]: a for given in answers(world).values() for a in given if a["type"] != "withdrawn"}
    reasons = set()
    for record in asked:
        identity = orjson.loads(record.value or b"")["intent_id"]
        wanted, found = explained[identity], decided[identity]
        if identity == "i-c-6-push-otp":
            found = next(a for a in answers(world)["c-6"] if a["intent_id"] == identity and a["type"] == "suppressed")
        reasons.add(wanted["reason"])
        assert (wanted["verdict"], wanted["reason"], wanted["rule"]) == (
            found["type"],
            found.get("reason"),
            found.get("rule"),
        )
        assert wanted["remaining"] == found.get("remaining", {})
        assert [rule["verdict"] for rule in wanted["rules"]]
        assert len(wanted["rules"]) == len(found["explanation"]["rules"])
    assert {None, "opt_out", "paused", "restricted", "channel_unknown", "consent_missing", "duplicate"} <= reasons


# ---- where it goes --------------------------------------------------------------------------------------------------


def test_what_came_from_a_partition_goes_to_the_same_one(world: World, policy: Path, tmp_path: Path) -> None:
    """Judged for every output by `account_for`; here for every partition."""
    world.publish([intent(f"c-{number}", "i", created_at=now_ms()) for number in range(200)])
    with running(world, tmp_path, policy=policy) as gate:
        until_all_decided(gate, world)
    account = account_for(world)
    assert {record.partition for record in account.decisions.values()} == set(range(world.partitions))
    for record in account.decisions.values():
        assert record.partition == origin(record).partition
        assert origin(record).topic == world.names.intents[0]

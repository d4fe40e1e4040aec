"""Plays a case on an implementation."""

from __future__ import annotations

import json
from typing import Any

from streams.oracle.model import REASON_NUMBERS, decision_id
from tests.golden.cases import Case, duration, policy
from tests.golden.raw import Raw
from tests.golden.sides import Answer, Core, Event, Independent, Side

SIDES = {"core": Core, "model": Independent}
CUSTOMER = "c-1"
VERDICTS = {0: "passed", 1: "exempt", **{number: reason for reason, number in REASON_NUMBERS.items()}}
TIMES = ("created_at", "expires_at", "effective_at", "until", "occurred_at")
NOT_OF_THE_EVENT = frozenset(
    {"at", "recorded", "withdraws", "refused", "times", "every", "of", "reason", "key", "fields", "without"}
    | {"not_understood", "topic_name", "value"}
)
KIND_OF_TOPIC = {"opt-out": "preference", "contact-outcome": "outcome"}


class Played:
    """A case on one side, up to the question."""

    def __init__(self, case: Case, side: Side) -> None:
        self.case = case
        self.side = side
        self.intents = 0
        self.preferences = 0
        for step in case.body.get("history", []):
            ((kind, body),) = step.items()
            self._step(kind, body)

    def ask(self) -> Answer:
        """The answer to the case's question."""
        return self._intent(self.case.body["ask"])

    def ask_again(self, at: int) -> Answer:
        """What a new intent like the one asked about would be answered at another moment; nothing is kept."""
        asked = self.case.body["ask"]
        event = self._event({**asked, "intent_id": "i-again"})
        return self.side.copied().intent({**event, "created_at": at}, at)

    def _step(self, kind: str, body: dict[str, Any]) -> None:
        for number in range(body.get("times", 1)):
            one = {key: numbered(value, number) for key, value in body.items()}
            if kind == "policy":
                self.side = self.side.under(json.dumps(policy(one)))
            elif kind in {"approved", "suppressed"}:
                answer = self._intent(one, number * duration(body.get("every", "0s")))
                assert answer["verdict"] == kind, (one, answer)
                assert answer["reason"] == body.get("reason", answer["reason"]), (one, answer)
            else:
                self._event_applied(kind, one)

    def _event_applied(self, kind: str, body: dict[str, Any]) -> None:
        now = self.case.moment(body["at"])
        recorded = self._time(body.get("recorded", body["at"]))
        customer = body.get("customer_id", CUSTOMER)
        if kind == "record":
            kind = KIND_OF_TOPIC[body["topic_name"]]
            value = body["value"] if body["value"] is None else body["value"].encode()
        elif kind == "outcome":
            event = self._event({"occurred_at": body["at"], **body})
            if "of" in body:
                event["decision_id"] = decision_id(event["customer_id"], body["of"])
            value = self._value(event, body)
        else:
            self.preferences += 1
            event = self._event({"event_id": f"e-{self.preferences}", **body}) | {"type": kind}
            kind, value = "preference", self._value(event, body)
        key = body.get("key", customer)
        raw = Raw(value, (), key if key is None else key.encode())
        found, doubts = self._recorded(kind, raw, recorded, now)
        wanted: Any = sorted(
            (
                {"decision_id": decision_id(customer, intent_id), "reason": reason}
                for intent_id, reason in body.get("withdraws", {}).items()
            ),
            key=lambda withdrawal: withdrawal["decision_id"],
        )
        if "refused" in body:
            # An event nobody can read is a dead letter, and a no besides.
            is_unread = "event" in body.get("not_understood", [])
            wanted = {"dead_letter": body["refused"]} | ({"withdrawals": wanted} if is_unread else {})
        assert found == wanted, (kind, body, found)
        assert doubts is None or sorted(doubts) == sorted(body.get("not_understood", [])), (kind, body, doubts)

    def _recorded(self, kind: str, raw: Raw, recorded_ms: int, now: int) -> tuple[Any, list[str] | None]:
        """What comes of a record, and what of it the gate counts as not understood (the model counts nothing)."""
        known = len(self.side.not_understood) if isinstance(self.side, Core) else 0
        found = self.side.record(kind, raw, recorded_ms, now)
        return found, self.side.not_understood[known:] if isinstance(self.side, Core) else None

    @staticmethod
    def _value(event: Event, body: dict[str, Any]) -> bytes:
        """The event as a producer writes it, with whatever the case says is wrong with it."""
        written = {name: content for name, content in event.items() if name not in body.get("without", ())}
        return json.dumps(written | body.get("fields", {}), ensure_ascii=False).encode()

    def _time(self, written: str | int) -> int:
        """A time as a case writes it; a number is epoch milliseconds, or what somebody took for them."""
        return written if isinstance(written, int) else self.case.moment(written)

    def _intent(self, body: dict[str, Any], later_ms: int = 0) -> Answer:
        self.intents += 1
        now = self.case.moment(body["at"]) + later_ms
        event = self._event({"intent_id": f"i-{self.intents}", **body})
        event.setdefault("created_at", now)
        return self.side.intent(event, now)

    def _event(self, body: dict[str, Any]) -> Event:
        event = {"customer_id": CUSTOMER} | {k: v for k, v in body.items() if k not in NOT_OF_THE_EVENT}
        return event | {name: self._time(event[name]) for name in TIMES if name in event}


def numbered(value: Any, number: int) -> Any:  # noqa: ANN401 - any value of a step
    """The value in the `number`-th repetition of a step: `{n}` stands for the number."""
    return value.replace("{n}", str(number)) if isinstance(value, str) else value


def readable(case: Case, answer: Answer, side: Side, wanted: dict[str, Any]) -> dict[str, Any]:
    """What the case wants to know of an answer, in its own words and order of keys."""
    if "refused" in wanted:
        return {"refused": answer.get("dead_letter")}
    names = side.rule_ids()
    entries = {names[entry[0]]: [VERDICTS[entry[1]], *entry[2:]] for entry in answer["explanation"]}
    found: dict[str, Any] = {}
    for key, value in wanted.items():
        if key == "rules":
            found[key] = {
                rule: entries.get(rule) if isinstance(one, list) else (entries.get(rule) or [None])[0]
                for rule, one in value.items()
            }
        elif key == "asked":
            found[key] = [rule for rule in entries if rule in names[6:]]
        elif key == "not_asked":
            found[key] = [rule for rule in value if rule not in entries]
        elif key == "numbered":
            found[key] = {rule: names.index(rule) for rule in value}
        elif key == "duplicate_of":
            found[key] = answer[key]
        else:
            found[key] = answer[key]
    return found


def expected(case: Case, wanted: dict[str, Any]) -> dict[str, Any]:
    """What the case wants, with its times and durations in milliseconds."""
    found = dict(wanted)
    for key in ("next_eligible_at", "valid_until"):
        if key in found:
            found[key] = None if found[key] == "none" else case.moment(found[key])
    if "rules" in found:
        found["rules"] = {
            rule: [one[0], *(duration(n) if isinstance(n, str) else n for n in one[1:])]
            if isinstance(one, list)
            else one
            for rule, one in found["rules"].items()
        }
    if found.get("duplicate_of") is not None:
        asked = case.body["ask"]
        found["duplicate_of"] = decision_id(asked.get("customer_id", CUSTOMER), found["duplicate_of"])
    return found

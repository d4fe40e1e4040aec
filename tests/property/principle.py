"""What is not understood may only make the answer stricter (docs/semantics.md, 0): histories with one record changed.

Both checks ask intents that leave nothing behind, so that a message suppressed in one history and sent in the other
does not show in what is counted; what both histories had done before stays counted.

1. `a_garbled_no_opens_nothing`: one restrictive record, whatever else happens, has a field or two replaced by garbage,
   by a word the policy does not know or by a time in another unit, loses its end, or is damaged as a whole. Nothing is
   approved that was not.
   Not tried, because it is another statement and not a garbled one: another valid customer; another word that is
   known, or any word where the policy lists none (topic, brand, sender); another plausible time; no word or time at
   all, which means any word, no source, no contact and the record's time; the code of a reply nobody understands; an
   erasure, which takes away what was counted, so that its moment can open as well as close; an outcome where contacts
   are counted, as it also says when its contact was sent.
   Nor records dated ahead of the gate's clock: beyond the tolerance they are taken as of now, which may be earlier than
   the moment they named.
2. `a_doubtful_yes_changes_nothing`: one permissive record has a field more, or the name of one misspelt. It is a dead
   letter and everything is answered as if it had never been published. Where no older yes of the same scope stood in
   its place, that is: nothing is approved that was not before.
"""

from __future__ import annotations

import functools
import json
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from streams.audit.documents import BadRecord
from streams.audit.events import read_event
from streams.oracle.model import BELIEVED_FROM_MS, PERMISSIVE, RESTRICTIVE, is_stop
from tests.golden.raw import Raw
from tests.golden.sides import Core, Independent, Side
from tests.property.strategies import (
    BRANDS,
    CHANNELS,
    PURPOSES,
    SENDERS,
    TOPICS,
    UNKNOWN_WORDS,
    RecordedCase,
    Step,
    random_history,
    random_policy,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SIDES: tuple[Callable[[str], Side], ...] = (Core, Independent)
LISTED = ("channel", "purpose")
SCOPE = ("channel", "purpose", "topic", "brand", "sender_id")
KNOWN: dict[str, tuple[str, ...]] = {
    "channel": tuple(CHANNELS),
    "purpose": PURPOSES,
    "topic": TOPICS,
    "brand": BRANDS,
    "sender_id": SENDERS,
}
NO_WORDS: tuple[Any, ...] = (5, "", [], {}, True, "x" * 129, 1.5, ["sms"])
NO_TIMES: tuple[Any, ...] = ("soon", "", [], 1.5, -1, 10**20, "2026-02-30T00:00:00Z", "2026-01-01 00:00", True)
RECORDS_CHANGED = 3
DROPPED = object()
RECORD = "the record"
TWICE = "a field twice"


def a_garbled_no_opens_nothing(seed: int) -> None:
    """See 1."""
    case = _history(seed)
    chance = random.Random(f"garbled-{seed}")
    for index in _sample(chance, case, _is_a_no if _is_uncounted(seed) else _is_a_no_only):
        step = case.steps[index]
        changed, *what = _garbled(chance, step)
        if what[0] not in {RECORD, TWICE} and chance.random() < 0.4:
            changed, more = _garbled(chance, changed)
            what.append(more)
        answered = _answered(chance, case, index, what, is_unread=_is_unread(changed))
        for side in SIDES:
            before, after = _both(side(case.policy_text), answered, step, changed)
            opened = [number for number, (was, now) in enumerate(zip(before, after, strict=True)) if now and not was]
            assert not opened, (
                f"seed {seed}, step {index}, {side.__name__}, {what}, {changed}: {opened}, {answered.after}"
            )


def a_doubtful_yes_changes_nothing(seed: int) -> None:
    """See 2."""
    case = _history(seed)
    chance = random.Random(f"doubtful-{seed}")
    for index in _sample(chance, case, _is_a_yes):
        changed, what = _doubtful(chance, case.steps[index])
        history = Answered(case.steps[:index], case.steps[index + 1 :], case.steps[index].now, _intents(case, {}))
        for side in SIDES:
            before, after = _both(side(case.policy_text), history, None, changed)
            if _is_unread(changed):  # without its type it may have been a no
                after = [now or was for now, was in zip(after, before, strict=True)]
            assert before == after, f"seed {seed}, step {index}, {side.__name__}, {what}, {changed}"


class Answered(NamedTuple):
    """What comes before the one record and after it, and the intents asked after each."""

    before: list[Step]
    after: list[Step]
    now: int
    intents: list[dict[str, Any]]


YES = {
    "restriction": "restriction_lifted",
    "opt_out": "opt_in",
    "objection": "opt_in",
    "pause": "resume",
    "consent_withdrawn": "consent_granted",
}


def _answered(
    chance: random.Random, case: RecordedCase, index: int, garbled: list[str], *, is_unread: bool
) -> Answered:
    """The history with older noes and later yeses that the one record has something to do with."""
    step = case.steps[index]
    event, said = step.event, _said(step) or {}
    kind = "opt_out" if step.kind == "outcome" else said["type"]
    scope = {name: event[name] for name in SCOPE if isinstance(event.get(name), str)}
    source = {"source": event["source"]} if isinstance(event.get("source"), str) else {}
    customer = {"event_id": "e-answer", "customer_id": said["customer_id"]}
    now = step.now
    older = {**customer, **scope, **source, "type": kind, "effective_at": now - 3_600_000}
    before = [Step("preference", older, now, now)] if chance.random() < 0.3 else []
    if chance.random() < 0.5:  # an older yes must stay undone
        yes = {**customer, **source, "type": YES[kind], "evidence_ref": "doc-1"}
        before.append(Step("preference", yes, now - 60_000, now))
    after = case.steps[index + 1 :]
    if is_unread:  # a clarification says that somebody has read it, and has published again what it was
        after = [each for each in after if "clarification" not in json.dumps(each.event)]
    for _ in range(chance.randint(0, 3)):
        narrower = {name: word for name, word in scope.items() if name not in garbled and chance.random() < 0.7}
        wider = {name: chance.choice(words) for name, words in KNOWN.items() if chance.random() < 0.3}
        yes = {**customer, **chance.choice((narrower, wider, {**wider, **scope}, {})), "type": YES[kind]}
        yes |= {} if chance.random() < 0.3 else source
        when = next((each.now for each in after), now) if chance.random() < 0.5 else now + 1
        after = [Step("preference", {**yes, "evidence_ref": "doc-2"}, when, when), *after]
    if isinstance(said.get("until"), int):  # whatever ends is over then
        after = [*after, Step("intent", {}, 0, max(said["until"], *(each.now for each in after), now) + 1)]
    return Answered([*case.steps[:index], *before], after, now, _intents(case, scope))


def _intents(case: RecordedCase, scope: dict[str, Any]) -> list[dict[str, Any]]:
    """Intents of the history, and the same of the scope in question."""
    found = [step.event for step in case.steps if step.kind == "intent"]
    plain = {name: word for name, word in scope.items() if word in KNOWN.get(name, ())}
    return [*found, *({**event, **plain} for event in found)]


@functools.cache
def _history(seed: int) -> RecordedCase:
    """A random history; of two in three the policy is little else than what customers say, so that that decides."""
    text = random_policy(seed)
    if _is_uncounted(seed):
        policy = yaml.safe_load(text)
        policy["rules"] = [rule for rule in policy["rules"] if rule["kind"] in {"consent", "exempt"}]
        text = yaml.safe_dump(policy, sort_keys=False, allow_unicode=True)
    return random_history(seed, text)


def _is_uncounted(seed: int) -> bool:
    """Whether no rule of the history's policy counts contacts."""
    return seed % 3 != 0


def _sample(chance: random.Random, case: RecordedCase, wanted: Callable[[Step], bool]) -> list[int]:
    found = [index for index, step in enumerate(case.steps) if wanted(step)]
    return chance.sample(found, min(RECORDS_CHANGED, len(found)))


def _said(step: Step) -> dict[str, Any] | None:
    try:
        return read_event(step.kind, step.raw.value, step.raw.headers, step.raw.key)
    except BadRecord:
        return None


def _is_unread(step: Step) -> bool:
    try:
        read_event(step.kind, step.raw.value, step.raw.headers, step.raw.key)
    except BadRecord as bad:
        return bad.unread is not None
    return False


def _is_a_no(step: Step) -> bool:
    said = None if step.kind == "intent" or step.sent is not None else _said(step)
    if said is None or not BELIEVED_FROM_MS <= step.record_timestamp <= step.now:
        return False
    return is_stop(said) if step.kind == "outcome" else said["type"] in RESTRICTIVE


def _is_a_no_only(step: Step) -> bool:
    return step.kind == "preference" and _is_a_no(step)


def _is_a_yes(step: Step) -> bool:
    said = None if step.kind != "preference" or step.sent is not None else _said(step)
    return said is not None and said["type"] in PERMISSIVE


def _both(side: Side, history: Answered, sound: Step | None, changed: Step) -> tuple[list[bool], ...]:
    """Whether each intent asked from this step on is approved, with the one record in its place and with the other."""
    for step in history.before:
        side.record(step.kind, step.raw, step.record_timestamp, step.now)
    return tuple(_approved(side.copied(), history, step) for step in (sound, changed))


def _approved(side: Side, history: Answered, instead: Step | None) -> list[bool]:
    chance = random.Random(len(history.after))
    found, now = [], history.now
    for step in [instead, *history.after]:
        if step is not None:
            now = max(now, step.now)
            if step.kind != "intent":
                side.record(step.kind, step.raw, step.record_timestamp, now)
        for intent in chance.sample(history.intents, min(5, len(history.intents))):
            asked = {**intent, "intent_id": "i-asked", "created_at": now}
            asked.pop("expires_at", None)
            found.append(side.approves(asked, now))
    return found


# ---- what becomes of records ----------------------------------------------------------------------------------------


def _changed(step: Step, name: str, content: Any) -> Step:  # noqa: ANN401 - whatever a producer sends
    event = {**step.event, name: content}
    if content is DROPPED:
        del event[name]
    return _sent(step, json.dumps(event, ensure_ascii=False).encode())._replace(event=event)


def _sent(step: Step, value: bytes) -> Step:
    return step._replace(sent=Raw(value, (), step.raw.key))


def _garbled(chance: random.Random, step: Step) -> tuple[Step, str]:
    """A restrictive record with one thing wrong with it that was not wrong before, and what."""
    event = step.event
    name = chance.choice(_fields(step))
    if name == RECORD:
        text = json.dumps(event).encode()
        twice = [text[:-1] + b', "type": "%b"}' % kind.encode() for kind in ("opt_in", "consent_granted")]
        return _sent(step, chance.choice((text[:-1], *twice, b"\xff", b"[]"))), name
    if name == TWICE:
        more = chance.choice(({"detail": "yes"}, {"channel": "email"}, {"customer_id": "c-9"}, {"type": "sent"}))
        return _sent(step, json.dumps(event).encode()[:-1] + b", " + json.dumps(more).encode()[1:]), name
    if name in {"effective_at", "until", "occurred_at"}:
        is_in_milliseconds = type(event.get(name)) is int and BELIEVED_FROM_MS <= event[name] < 10 * step.now
        said = event[name] if is_in_milliseconds else step.now
        units = [said // 1_000, said * 1_000] * 3
        return _changed(step, name, chance.choice((*NO_TIMES, *units, *([DROPPED] * (name == "until"))))), name
    if name in SCOPE:
        return _changed(
            step, name, chance.choice((*NO_WORDS, *UNKNOWN_WORDS[name], "unheard-of")[: _words_of(name)])
        ), name
    if name == "type":
        return _changed(
            step, name, chance.choice((str(event["type"]).upper(), "no_more", 5, None, f" {event['type']}"))
        ), name
    if name == "anything":
        return _changed(step, name, chance.choice((5, None, "sms"))), name
    is_droppable = name in event and name not in {"source", "decision_id"}
    return _changed(step, name, chance.choice((*NO_WORDS, DROPPED)[: None if is_droppable else -1])), name


def _words_of(name: str) -> int | None:
    """Words of topics, brands and senders are listed nowhere: an unheard-of one is another statement."""
    return None if name in LISTED else -1


def _fields(step: Step) -> list[str]:
    event = step.event
    present = [name for name in SCOPE if name in event]
    if step.kind == "outcome":
        return [
            "type",
            "occurred_at",
            "channel",
            "customer_id",
            "anything",
            TWICE,
            *(["decision_id"] * ("decision_id" in event)),
        ]
    if event["type"] == "restriction":
        present.append("source") if "source" in event else None
    present += ["type", RECORD]
    times = ["effective_at", *(["until"] * 2 if "until" in event else [])]
    return [*present * 2, *times * 2, "event_id", "customer_id", "attributes", "evidence_ref", "anything"]


def _doubtful(chance: random.Random, step: Step) -> tuple[Step, str]:
    """A permissive record with a field that nobody knows, or one that is misspelt, and what."""
    event = step.event
    if chance.random() < 0.5:
        unknown = {
            "list_id": "spring",
            "chanel": "sms",
            "channels": ["sms"],
            "minor": True,
            "region": "FL",
            "reply": None,
        }
        name = chance.choice(list(unknown))
        return _sent(step, json.dumps({**event, name: unknown[name]}).encode()), name
    name = chance.choice(list(event))
    misspelt = chance.choice((name.upper(), name[:-1], f"{name}s", name.replace("_", "-") + " "))
    changed = {misspelt if key == name else key: said for key, said in event.items()}
    return _sent(step, json.dumps(changed, ensure_ascii=False).encode()), misspelt

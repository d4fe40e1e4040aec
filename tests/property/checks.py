"""What must hold of every policy and history. Each check takes a seed, and raises with a report that repeats it.

- `agrees`: every answer of the core is the model's, the explanation included; with pruning and encoding in between too.
- `caps_hold`: whenever the approved messages are really sent, no cap is exceeded and no gap undercut.
- `next_moment_is_exact`: denied until one millisecond before it, approved at it; where there is none, denied whenever.
- `keeping_changes_nothing`: intents asked one after the other, at a few moments in no order, get the answers that a
  policy compiled for each of them alone gives, however little it may keep.
- `arrival_is_irrelevant`: preference events leave the same ledger in any order of arrival, and said twice.
- `a_garbled_no_opens_nothing`, `a_doubtful_yes_changes_nothing`: what is not understood only makes the answer stricter
  (principle.py).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from itertools import permutations
from typing import Any, NamedTuple
from unittest.mock import patch

from streams.decision import plan
from streams.decision.decide import decide
from streams.decision.intent import Intent
from streams.decision.ledger.codec import decode_ledger, encode_ledger
from streams.decision.rules import window
from streams.oracle.model import Model, applies, duration, shares
from streams.oracle.policy import Rule, bucket
from tests.golden.raw import Raw, raw_of
from tests.golden.sides import Answer, Core, Independent, compiled, typed
from tests.property.principle import a_doubtful_yes_changes_nothing, a_garbled_no_opens_nothing
from tests.property.strategies import RecordedCase, Step, minimise, random_history

DAY_MS = 86_400_000
HORIZON_MS = 366 * DAY_MS
FUTURE = "from_the_future"
EXACT_REASONS = {FUTURE, "implausible_time", "unknown_word"}
BUILT_IN = {"expired:horizon", "expired:erasure", "expired:deadline", "duplicate", "vocabulary", "ledger_full"}


# ---- the core gives the model's answers -----------------------------------------------------------------------------


def agrees(seed: int) -> None:
    """Every answer of a random history, on the core as it is, and on one that forgets and rereads what it may."""
    case = random_history(seed)
    for keeping in (as_it_is, pruned_and_reread):
        if first_difference(case, keeping) is not None:
            small = minimise(case, partial(differs, keeping=keeping))
            index, found = first_difference(small, keeping) or (0, None)
            raise AssertionError(f"{keeping.__name__}, {small.report(index, found)}")


def differs(case: RecordedCase, keeping: Callable[[Core, int], None]) -> bool:
    """Whether the core answers some step otherwise than the model."""
    return first_difference(case, keeping) is not None


def as_it_is(core: Core, now: int) -> None:
    """The ledgers are left alone."""


def pruned_and_reread(core: Core, now: int) -> None:
    """The ledgers lose what this policy's horizons have passed, are written and read again."""
    for customer_id, ledger in core.ledgers.items():
        kept = core.policy.retention.prune(ledger, now)
        assert decode_ledger(encode_ledger(kept)) == kept
        assert core.policy.retention.prune(kept, now) is kept
        core.ledgers[customer_id] = decode_ledger(encode_ledger(kept))


def first_difference(case: RecordedCase, keeping: Callable[[Core, int], None]) -> tuple[int, Any] | None:
    """The first step the core answers otherwise than the model, and its answer."""
    core = Core(case.policy_text)
    for index, (step, wanted) in enumerate(zip(case.steps, case.expected, strict=True)):
        keeping(core, step.now)
        found = taken(core, step)
        if comparable(found) != comparable(wanted):
            return index, found
    return None


def comparable(answer: Any) -> Any:  # noqa: ANN401 - an answer, withdrawals, or a dead letter
    """The answer, without the reason where a record has several faults and any one may be named."""
    if isinstance(answer, dict) and answer.get("dead_letter", FUTURE) not in EXACT_REASONS:
        return {**answer, "dead_letter": "unreadable"}
    return answer


def taken(core: Core, step: Step) -> Any:  # noqa: ANN401 - an answer, withdrawals, or a dead letter
    """What the core makes of a step."""
    return core.record(step.kind, step.raw, step.record_timestamp, step.now)


def is_deterministic(seed: int) -> None:
    """The same steps give the same answers and the same ledgers, to the byte."""
    case = random_history(seed)
    runs = []
    for _ in range(2):
        core = Core(case.policy_text)
        answers = [taken(core, step) for step in case.steps]
        runs.append((answers, {name: encode_ledger(ledger) for name, ledger in core.ledgers.items()}))
    assert runs[0] == runs[1], f"seed {seed}"


# ---- caps hold, whenever messages are really sent -------------------------------------------------------------------


class Sent(NamedTuple):
    """An approved message: what it was about, who it counts for, and when it was really sent."""

    subject: dict[str, Any]
    zones: tuple[str, ...]
    exempt_from: frozenset[str]
    counts: bool
    decided_at: int
    sent_at: int


def caps_hold(seed: int) -> None:
    """Send every approved message at the moment that hurts most, and count again from scratch."""
    chance = random.Random(f"caps-{seed}")
    case = random_history(seed, length=30)
    core, independent = Core(case.policy_text), Independent(case.policy_text)
    model = independent.model
    sent: dict[str, list[Sent]] = {}
    style = chance.choice(("late first", "early", "late", "any"))
    now, eager = 0, None
    for step in case.steps:
        if step.kind == "outcome":
            continue
        if step.kind == "preference":
            now = max(now, step.now)
            erased = {name: customer.erased_at for name, customer in model.customers.items()}
            core.record(step.kind, step.raw, step.record_timestamp, now)
            independent.record(step.kind, step.raw, step.record_timestamp, now)
            for name, customer in model.customers.items():
                if customer.erased_at != erased.get(name):
                    sent.pop(name, None)
            continue
        for again in range(3):
            now = max(now, step.now) if not again or eager is None else max(now, min(eager, now + 9 * DAY_MS))
            event = {**step.event, "intent_id": f"{step.event['intent_id']}-{again}-{now}", "created_at": now}
            event.pop("expires_at", None)
            answer = core.intent(event, now)
            eager = answer.get("next_eligible_at")
            if answer["verdict"] != "approved":
                continue
            moment = _sending(chance, style, sum(map(len, sent.values())), now, answer["valid_until"])
            message = _message(model, event, now, moment)
            before = sent.setdefault(event["customer_id"], [])
            for rule in model.policy.rules:
                _within(rule, model.policy.zone, message, before, f"seed {seed}, {style}, rule {rule.id}, now {now}")
            before.append(message)
            if chance.random() < 0.4 and moment <= now + 300_000:
                told = {"customer_id": event["customer_id"], "decision_id": answer["decision_id"]}
                now = max(now, moment)
                core.outcome({**told, "type": "sent", "occurred_at": moment}, now, now)


def _sending(chance: random.Random, style: str, number: int, first: int, last: int) -> int:
    if style == "late first":
        return last if number % 2 == 0 else first
    return {"early": first, "late": last}.get(style) or chance.choice((first, last, chance.randint(first, last)))


def _message(model: Model, event: dict[str, Any], now: int, sent_at: int) -> Sent:
    case = model._case(model.customer(event["customer_id"]), event, now)
    freed = frozenset(kind for rule in case.exemptions for kind in rule.body["from"])
    counts = all(rule.body["still_counts"] for rule in case.exemptions)
    return Sent(case.subject, case.zones.names, freed, counts, now, sent_at)


COUNTING_NOTHING = frozenset({"campaign", "opt_out", "sender", "consent", "window"})
"""Kinds of rule that limit no number of contacts."""


def _within(rule: Rule, policy_zone: str, message: Sent, before: list[Sent], where: str) -> None:
    """No window that holds the message holds more than the limit of messages decided before it."""
    if rule.kind in COUNTING_NOTHING or rule.state != "on" or rule.kind in message.exempt_from:
        return
    if applies(rule, message.subject) != "yes":
        return
    counted = [
        other.sent_at
        for other in before
        if other.counts and Model._counts(rule, other.subject) and shares(rule, other.subject, message.subject)
    ]
    if rule.kind == "gap":
        assert all(moment + duration(rule.body["minimum"]) <= message.sent_at for moment in counted), where
        return
    assert rule.kind == "cap", f"say what rules of the kind {rule.kind} keep, or that they count nothing"
    limit, window = rule.body["limit"], rule.body["window"]
    assert _most(window, policy_zone, message, counted) < limit, where


def _most(window: dict[str, Any], policy_zone: str, message: Sent, counted: list[int]) -> int:
    """How many of the moments share some window with the message."""
    if "rolling" in window:
        width = duration(window["rolling"])
        ends = [end for end in (*counted, message.sent_at) if message.sent_at <= end < message.sent_at + width]
        return max(sum(1 for moment in counted if end - width < moment <= end) for end in ends)
    if "calendar" not in window:
        return len(counted)
    named = window.get("zone", "recipient")
    most = -1
    for zone in {"recipient": message.zones, "policy": (policy_zone,)}.get(named, (named,)):
        start, end = bucket(zone, window["calendar"], message.sent_at)
        assert start <= message.decided_at, f"sent in another {window['calendar']} than it was decided in"
        most = max(most, sum(1 for moment in counted if start <= moment < end))
    return most


# ---- the next moment ------------------------------------------------------------------------------------------------


def next_moment_is_exact(seed: int) -> None:
    """Whatever is suppressed by a rule is denied until the next moment, and approved then."""
    chance = random.Random(f"next-{seed}")
    case = random_history(seed)
    core = Core(case.policy_text)
    for number, step in enumerate(case.steps):
        answer = taken(core, step)
        if step.kind != "intent" or answer.get("verdict") != "suppressed" or answer["rule"] in BUILT_IN:
            continue
        where = f"seed {seed}, step {number}, {answer}"
        following = answer["next_eligible_at"]
        until = step.now + HORIZON_MS if following is None else following - 1
        for moment in (until, *(chance.randint(step.now, until) for _ in range(4))):
            assert verdict(core, step, moment) == "suppressed", f"{where}, at {moment}"
        if following is not None:
            assert verdict(core, step, following) == "approved", where


def verdict(core: Core, step: Step, moment: int) -> str:
    """What an intent like the step's, with a new identity and created then, would be answered."""
    answer: Answer = core.copied().intent({**step.event, "intent_id": "i-new", "created_at": moment}, moment)
    return str(answer["verdict"])


# ---- order of arrival -----------------------------------------------------------------------------------------------


def arrival_is_irrelevant(seed: int) -> None:
    """Up to five preference events of one customer in every order, at one moment; and all of them twice.

    No clarifications: they are about what has arrived.
    """
    chance = random.Random(f"order-{seed}")
    case = random_history(seed, length=60)
    steps = [step for step in case.steps if step.kind == "preference" and step.event.get("type") != "clarification"]
    if not steps:
        return
    now = max(step.now for step in steps)
    chosen = [_close(chance, step, now) for step in chance.sample(steps, min(len(steps), chance.choice((3, 4, 5))))]
    first = _after(case.policy_text, chosen, now)
    for order in permutations(chosen):
        assert _after(case.policy_text, list(order), now) == first, f"seed {seed}: {order}"
    assert _after(case.policy_text, [*chosen, *chosen], now) == first, f"seed {seed}: {chosen} twice"


def _close(chance: random.Random, step: Step, now: int) -> tuple[Raw, int]:
    """The record among others that collide with it: few moments, few scopes."""
    recorded = chance.choice((now, now - 1, now - 1_000, now + 300_000, now + 300_001, step.record_timestamp))
    if step.sent is not None:
        return step.sent, recorded
    event = {**step.event, "customer_id": "c-1"}
    if chance.random() < 0.5:
        for name in ("channel", "purpose", "topic", "brand", "sender_id"):
            event.pop(name, None)
    if "effective_at" in event and chance.random() < 0.5:
        event["effective_at"] = chance.choice((now, now - 1))
    return raw_of(event), recorded


def _after(policy_text: str, records: list[tuple[Raw, int]], now: int) -> tuple[Any, ...]:
    core = Core(policy_text)
    for raw, recorded in records:
        core.record("preference", raw, recorded, now)
    found = []
    for name, ledger in sorted(core.ledgers.items()):
        assert decode_ledger(encode_ledger(ledger)) == ledger
        said = sorted(map(repr, ledger.preferences))
        found.append((name, said, ledger.profile, ledger.erased_ms, ledger.preference_refused))
    return tuple(found)


# ---- what a policy keeps between intents ----------------------------------------------------------------------------


def keeping_changes_nothing(seed: int) -> None:
    """Every intent of a history, of every customer it knows, asked in several orders."""
    case = random_history(seed)
    core = Core(case.policy_text)
    for step in case.steps:
        taken(core, step)
    now = case.steps[-1].now
    source = random.Random(seed)
    intents = [typed({**step.event, "created_at": now}, Intent) for step in case.steps if step.kind == "intent"]
    moments = (now, now, now + 1, now + 3_600_000, now + 5 * 3_600_000)
    asked = [(intent, ledger, source.choice(moments)) for intent in intents for ledger in core.ledgers.values()]
    source.shuffle(asked)
    alone = [decide(intent, ledger, compiled(case.policy_text), moment) for intent, ledger, moment in asked]
    together = compiled(case.policy_text)
    assert [decide(intent, ledger, together, moment) for intent, ledger, moment in asked] == alone
    few = compiled(case.policy_text)
    with patch.object(plan, "REQUESTS_KEPT_MAX", 2), patch.object(window, "PLACES_KEPT_MAX", 1):
        assert [decide(intent, ledger, few, moment) for intent, ledger, moment in asked[::-1]] == alone[::-1]


CHECKS: tuple[Callable[[int], None], ...] = (
    agrees,
    caps_hold,
    next_moment_is_exact,
    arrival_is_irrelevant,
    is_deterministic,
    keeping_changes_nothing,
    a_garbled_no_opens_nothing,
    a_doubtful_yes_changes_nothing,
)

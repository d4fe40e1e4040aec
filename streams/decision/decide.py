"""decide(intent, ledger, policy, now): the gate's one answer to one intent.

Rules of this module (docs/semantics.md, 3 and 6)
1. Total and deterministic: the same intent, ledger, policy and moment give the same answer, to the byte.
2. If a built-in check denies, the policy's rules are not asked. Otherwise all that apply are: the explanation is whole.
3. The first denial in the fixed order gives the reason. What is in shadow is listed and changes nothing.
4. Check and reserve are one step: an approval and the contact that counts it are the same value.
"""

from __future__ import annotations

from typing import Final

from streams.decision.decision import Decision, Entry
from streams.decision.evaluation_context import EvaluationContext
from streams.decision.evaluation_plan import TimedPlan
from streams.decision.intent import Intent
from streams.decision.ledger.state import (
    CONTACTS_MAX,
    IDENTITIES_MAX,
    LABEL_SETS_MAX,
    VALUES_PER_LABEL_SET,
    Contact,
    LabelSet,
    Ledger,
)
from streams.decision.ledger.transitions import with_contact, with_identity
from streams.decision.policy import BUILT_IN, Policy
from streams.decision.reasons import PASSED, REASON_BY_NUMBER
from streams.decision.rules.declared import ask_vocabulary
from streams.decision.rules.duplicate import ask_duplicate, decision_id
from streams.decision.rules.expired import ask_deadline, ask_erasure, ask_horizon
from streams.decision.rules.ledger_full import ask_ledger_full, with_room
from streams.decision.rules.rule import NEXT_ELIGIBLE_HORIZON_MS, Answer, Rule, too_short

# Checks after whose denial the intent is not remembered: it was too old to be, or from before an erasure (which must
# leave nothing behind), or it is remembered already, or there is no room.
_FORGETTING: Final = tuple(
    BUILT_IN.index(check) for check in ("expired:horizon", "expired:erasure", "duplicate", "ledger_full")
)
_DEADLINE: Final = BUILT_IN.index("expired:deadline")


def decide(intent: Intent, ledger: Ledger, policy: Policy, now: int) -> Decision:
    """The one answer, and the ledger after it."""
    identity = decision_id(intent.customer_id, intent.intent_id)
    purpose = policy.purpose_of(intent)
    label_set = LabelSet(intent.channel, purpose, intent.topic, intent.brand, intent.campaign_id, intent.sender_id)
    plan = policy.plans.get((intent.channel, purpose))
    if plan is None or not _passes_other_checks(intent, ledger, policy, now, identity):
        checks = _built_in_checks(intent, ledger, policy, now, identity, label_set)
        for number, answer in enumerate(checks):
            if answer[0] != PASSED:
                return _refused_by_check(number, intent, ledger, identity, checks)
    assert plan is not None, "the vocabulary has been checked"
    timed_plan = plan.timed_plan(intent, label_set, ledger, policy, now)
    context = EvaluationContext(intent, label_set, plan.pair, timed_plan.static_plan.request, ledger, policy)
    return _decided_by_rules(context, timed_plan, identity, now)


def _decided_by_rules(context: EvaluationContext, timed_plan: TimedPlan, identity: bytes, now: int) -> Decision:
    """What the policy's rules say of an intent that has passed the checks."""
    entries, valid_until = timed_plan.entries.copy(), timed_plan.valid_until_ms
    expires_at = context.intent.expires_at
    if expires_at is not None:
        entries[_DEADLINE] = (_DEADLINE, PASSED, expires_at - now)
        valid_until = min(valid_until, expires_at - 1)
    denied_at, reason = timed_plan.denied_at, timed_plan.reason
    denying: list[Rule] = []
    remaining: dict[str, int] = {}
    for step in timed_plan.steps:
        answer = step.answer(context, now)
        entries[step.place] = (step.rule.number, answer[0]) + answer[2]
        if step.rule.is_shadow:
            continue
        if answer[0] == PASSED:
            if answer[1] <= valid_until:
                valid_until = answer[1] - 1
            if step.room is not None:
                remaining[step.rule.rule_id] = step.room - (answer[2][0] or 0)
        else:
            denying.append(step.rule)
            if step.place < denied_at:
                denied_at, reason = step.place, answer[0]
    if reason == PASSED:
        return _approved(context, timed_plan, identity, now, valid_until, entries, remaining)
    return Decision(
        is_approved=False,
        decision_id=identity.hex(),
        ledger=with_identity(context.ledger, identity, context.intent.created_at),
        entries=tuple(entries),
        zone=timed_plan.static_plan.zone_label,
        reason=REASON_BY_NUMBER[reason].code,
        rule_id=context.policy.rule_table[entries[denied_at][0] or 0],
        next_eligible_at=None
        if timed_plan.static_plan.is_country_missing
        else _next_eligible_at(context, now, timed_plan.denying + denying, timed_plan.static_plan.binding),
    )


def _passes_other_checks(intent: Intent, ledger: Ledger, policy: Policy, now: int, identity: bytes) -> bool:
    """Whether it is plain that every built-in check but the vocabulary passes. If not, all are asked one by one."""
    created_at, expires_at = intent.created_at, intent.expires_at
    return (
        created_at >= now - policy.specification.identities_ms
        and created_at >= ledger.forgotten_ms
        and ledger.erased_ms is None
        and (expires_at is None or not too_short(expires_at, now))
        and identity not in ledger.ids
        and not ledger.preference_refused
        and len(ledger.assumed_sent) < CONTACTS_MAX
        and len(ledger.created) < IDENTITIES_MAX
        and len(ledger.label_value_numbers) < LABEL_SETS_MAX * VALUES_PER_LABEL_SET
    )


def _built_in_checks(
    intent: Intent, ledger: Ledger, policy: Policy, now: int, identity: bytes, label_set: LabelSet
) -> tuple[Answer, ...]:
    """The answers of the checks, in the order of `BUILT_IN`."""
    specification = policy.specification
    identities_ms = specification.identities_ms
    return (
        ask_horizon(intent, ledger, identities_ms, now),
        ask_erasure(intent, ledger),
        ask_deadline(intent, now),
        ask_duplicate(ledger, identity, identities_ms, now),
        ask_vocabulary(label_set.channel, label_set.purpose, specification.channels, specification.purposes),
        ask_ledger_full(ledger, label_set, policy, now),
    )


def _refused_by_check(
    number: int, intent: Intent, ledger: Ledger, identity: bytes, checks: tuple[Answer, ...]
) -> Decision:
    is_forgotten = any(checks[place][0] != PASSED for place in _FORGETTING)
    return Decision(
        is_approved=False,
        decision_id=identity.hex(),
        ledger=ledger if is_forgotten else with_identity(ledger, identity, intent.created_at),
        entries=tuple((place, answer[0], *answer[2]) for place, answer in enumerate(checks)),
        zone=None,
        reason=REASON_BY_NUMBER[checks[number][0]].code,
        rule_id=BUILT_IN[number],
    )


def _approved(
    context: EvaluationContext,
    timed_plan: TimedPlan,
    identity: bytes,
    now: int,
    valid_until: int,
    entries: list[Entry],
    remaining: dict[str, int],
) -> Decision:
    contact = Contact(identity, now, valid_until, 0, timed_plan.static_plan.contact_flags)
    ledger = with_room(context.ledger, context.label_set, context.policy, now)
    return Decision(
        is_approved=True,
        decision_id=identity.hex(),
        ledger=with_contact(ledger, contact, context.label_set, context.intent.created_at),
        entries=tuple(entries),
        zone=timed_plan.static_plan.zone_label,
        valid_until=valid_until,
        remaining=remaining,
        obligations=timed_plan.static_plan.obligations,
    )


def _next_eligible_at(context: EvaluationContext, now: int, denying: list[Rule], binding: list[Rule]) -> int | None:
    """The earliest later moment at which every binding rule passes, the ledger being as it is; or None.

    Each rule names its own first moment; the latest of them is asked again until no rule moves it.
    """
    erased_ms = context.ledger.erased_ms
    # An intent created then is not from before an erasure dated ahead.
    moment_ms = now if erased_ms is None else max(now, erased_ms + 1)
    # What passed now does not move the first round.
    asked, settled = denying if moment_ms == now else binding, False
    while not settled:
        settled = True
        for rule in asked:
            earliest_ms = rule.earliest(context, moment_ms)
            if earliest_ms is None or earliest_ms > now + NEXT_ELIGIBLE_HORIZON_MS:
                return None
            if earliest_ms > moment_ms:
                moment_ms, settled = earliest_ms, False
        asked = binding
    expires_at = context.intent.expires_at
    return None if expires_at is not None and too_short(expires_at, moment_ms) else moment_ms

"""decide(intent, ledger, policy, now): the gate's one answer to one intent.

Rules of this module (docs/semantics.md, 3 and 6)
1. Total and deterministic: the same intent, ledger, policy and moment give the same answer, to the byte.
2. Every built-in check is asked of every intent. If one denies, the policy's rules are not asked; otherwise all that
   apply are: the explanation is whole.
3. The first denial in the fixed order gives the reason. What is in shadow is listed and changes nothing.
4. Check and reserve are one step: an approval and the contact that counts it are the same value.
"""

from __future__ import annotations

from streams.decision.answer import NEXT_ELIGIBLE_HORIZON_MS, Answer, too_short
from streams.decision.checks.check import CheckContext
from streams.decision.checks.duplicate import decision_id
from streams.decision.checks.ledger_full import with_room
from streams.decision.checks.table import CHECKS, NOTING, PLAINLY_PASSES
from streams.decision.decision import Decision, Entry
from streams.decision.evaluation_context import EvaluationContext
from streams.decision.evaluation_plan import TimedPlan
from streams.decision.intent import Intent
from streams.decision.ledger.state import Contact, LabelSet, Ledger
from streams.decision.ledger.transitions import with_contact, with_identity
from streams.decision.policy import Policy
from streams.decision.reasons import PASSED, REASON_BY_NUMBER
from streams.decision.rules.rule import Rule


def decide(intent: Intent, ledger: Ledger, policy: Policy, now: int) -> Decision:
    """The one answer, and the ledger after it."""
    identity = decision_id(intent.customer_id, intent.intent_id)
    purpose = policy.purpose_of(intent)
    label_set = LabelSet(intent.channel, purpose, intent.topic, intent.brand, intent.campaign_id, intent.sender_id)
    tables = policy.check_tables
    is_plain = PLAINLY_PASSES(intent, label_set, identity, ledger, tables, now)
    checked = CheckContext(intent, label_set, identity, ledger, tables, now, is_plain)
    if not is_plain:
        answers = [check.ask(checked) for check in CHECKS]
        for number, answer in enumerate(answers):
            if answer[0] != PASSED:
                return _refused_by_check(number, checked, answers)
    plan = policy.plans[intent.channel, purpose]
    timed_plan = plan.timed_plan(intent, label_set, ledger, now)
    context = EvaluationContext(
        label_set, timed_plan.static_plan.request, ledger, policy.vocabulary, policy.pair_numbers
    )
    return _decided_by_rules(checked, context, timed_plan, policy.rule_table)


def _decided_by_rules(
    checked: CheckContext,
    context: EvaluationContext,
    timed_plan: TimedPlan,
    rule_table: tuple[str, ...],
) -> Decision:
    """What the policy's rules say of an intent that has passed the checks."""
    now = checked.now
    entries, valid_until = timed_plan.entries.copy(), timed_plan.valid_until_ms
    for number, check in NOTING:
        answer = check.ask(checked)
        entries[number] = (number, PASSED) + answer[2]
        if answer[1] <= valid_until:
            valid_until = answer[1] - 1
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
                remaining[step.rule.rule_id] = step.room - answer[2][0]
        else:
            denying.append(step.rule)
            if step.place < denied_at:
                denied_at, reason = step.place, answer[0]
    if reason == PASSED:
        return _approved(checked, timed_plan, valid_until, entries, remaining)
    static_plan = timed_plan.static_plan
    return Decision(
        is_approved=False,
        decision_id=checked.identity.hex(),
        ledger=with_identity(context.ledger, checked.identity, checked.intent.created_at),
        entries=tuple(entries),
        zone=static_plan.zone_label,
        reason=REASON_BY_NUMBER[reason].code,
        rule_id=rule_table[entries[denied_at][0]],
        next_eligible_at=None
        if static_plan.is_country_missing
        else _next_eligible_at(
            context, checked.intent.expires_at, now, timed_plan.denying + denying, static_plan.binding
        ),
    )


def _refused_by_check(number: int, checked: CheckContext, answers: list[Answer]) -> Decision:
    """What is said of an intent that the check of this number is the first to deny."""
    is_remembered = all(
        check.is_remembered or answer[0] == PASSED for check, answer in zip(CHECKS, answers, strict=True)
    )
    ledger, identity = checked.ledger, checked.identity
    return Decision(
        is_approved=False,
        decision_id=identity.hex(),
        ledger=with_identity(ledger, identity, checked.intent.created_at) if is_remembered else ledger,
        entries=tuple((place, answer[0], *answer[2]) for place, answer in enumerate(answers)),
        zone=None,
        reason=REASON_BY_NUMBER[answers[number][0]].code,
        rule_id=CHECKS[number].name,
    )


def _approved(
    checked: CheckContext, timed_plan: TimedPlan, valid_until: int, entries: list[Entry], remaining: dict[str, int]
) -> Decision:
    identity, static_plan = checked.identity, timed_plan.static_plan
    contact = Contact(identity, checked.now, valid_until, 0, static_plan.contact_flags)
    return Decision(
        is_approved=True,
        decision_id=identity.hex(),
        ledger=with_contact(with_room(checked), contact, checked.label_set, checked.intent.created_at),
        entries=tuple(entries),
        zone=static_plan.zone_label,
        valid_until=valid_until,
        remaining=remaining,
        obligations=static_plan.obligations,
    )


def _next_eligible_at(
    context: EvaluationContext, expires_at: int | None, now: int, denying: list[Rule], binding: list[Rule]
) -> int | None:
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
    return None if expires_at is not None and too_short(expires_at, moment_ms) else moment_ms

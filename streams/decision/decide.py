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
from streams.decision.intent import Intent
from streams.decision.ledger import NEEDED_CONSENT, UNCOUNTED, Contact, Ledger, Tag
from streams.decision.ledger_changes import with_contact, with_identity
from streams.decision.policy import BUILT_IN, Plan, Policy
from streams.decision.question import Question
from streams.decision.reasons import EXEMPT, PASSED, REASON_BY_NUMBER
from streams.decision.rules.consent import CONSENT
from streams.decision.rules.duplicate import ask_duplicate, decision_id
from streams.decision.rules.expired import ask_deadline, ask_erasure, ask_horizon
from streams.decision.rules.ledger_full import ask_ledger_full, with_room
from streams.decision.rules.rule import NEXT_ELIGIBLE_HORIZON_MS, Answer, Rule, denial, too_short
from streams.decision.rules.vocabulary import ask_vocabulary
from streams.decision.selection import COUNTRY_UNKNOWN, NO, YES

# Checks after whose denial the intent is not remembered: it was too old to be, or from before an erasure (which must
# leave nothing behind), or it is remembered already, or there is no room.
_FORGETTING: Final = tuple(
    BUILT_IN.index(check) for check in ("expired:horizon", "expired:erasure", "duplicate", "ledger_full")
)
_COUNTRY_UNKNOWN: Final = denial("country_unknown")

_DEADLINE: Final = BUILT_IN.index("expired:deadline")
_CHECKS_PASSED: Final[tuple[Entry, ...]] = tuple((number, PASSED) for number in range(len(BUILT_IN)))


def decide(intent: Intent, ledger: Ledger, policy: Policy, now: int) -> Decision:
    """The one answer, and the ledger after it."""
    identity = decision_id(intent.customer_id, intent.intent_id)
    purpose = policy.purpose_of(intent)
    tag = Tag(intent.channel, purpose, intent.topic, intent.brand, intent.campaign_id, intent.sender_id)
    checks = _built_in_checks(intent, ledger, policy, now, identity, tag)
    for answer in checks:
        if answer[0] != PASSED:
            return _refused_by_check(checks.index(answer), intent, ledger, identity, checks)
    deadline = checks[_DEADLINE]
    entries: list[Entry] = [*_CHECKS_PASSED]
    entries[_DEADLINE] = (_DEADLINE, PASSED, *deadline[2])
    plan = policy.plans[intent.channel, purpose]
    question = Question(intent, tag, plan.pair, ledger, policy)
    valid_until = min(now + policy.specification.time_to_live_ms, deadline[1] - 1)
    binding: list[tuple[Rule, Answer]] = []
    denying: Rule | None = None
    reason, is_country_missing = PASSED, False
    for asked in plan.asked:
        rule, condition = asked.rule, asked.condition
        holds = YES if condition is None else condition.holds(question)
        if holds == NO:
            continue
        if asked.is_exempt:
            entries.append((rule.number, EXEMPT))
            continue
        answer = _COUNTRY_UNKNOWN if holds == COUNTRY_UNKNOWN else rule.ask(question, now)
        entries.append((rule.number, answer[0]) + answer[2])
        if rule.is_shadow:
            continue
        binding.append((rule, answer))
        if answer[0] != PASSED:
            is_country_missing = is_country_missing or holds == COUNTRY_UNKNOWN
            if denying is None:
                denying, reason = rule, answer[0]
        elif answer[1] <= valid_until:
            valid_until = answer[1] - 1
    if denying is None:
        return _approved(question, plan, identity, now, valid_until, entries, binding)
    return Decision(
        is_approved=False,
        decision_id=identity.hex(),
        ledger=with_identity(ledger, identity, intent.created_at),
        entries=tuple(entries),
        zone=question.zone_label(),
        reason=REASON_BY_NUMBER[reason].code,
        rule_id=denying.rule_id,
        next_eligible_at=None if is_country_missing else _next_eligible_at(question, now, binding),
    )


def _built_in_checks(
    intent: Intent, ledger: Ledger, policy: Policy, now: int, identity: bytes, tag: Tag
) -> tuple[Answer, ...]:
    """The answers of the checks, in the order of `BUILT_IN`."""
    specification = policy.specification
    identities_ms = specification.identities_ms
    return (
        ask_horizon(intent, ledger, identities_ms, now),
        ask_erasure(intent, ledger),
        ask_deadline(intent, now),
        ask_duplicate(ledger, identity, identities_ms, now),
        ask_vocabulary(tag.channel, tag.purpose, specification.channels, specification.purposes),
        ask_ledger_full(ledger, tag, policy, now),
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
    question: Question,
    plan: Plan,
    identity: bytes,
    now: int,
    valid_until: int,
    entries: list[Entry],
    binding: list[tuple[Rule, Answer]],
) -> Decision:
    flags = plan.contact_flags
    is_counted = not flags & UNCOUNTED
    remaining = {}
    for rule, answer in binding:
        left = rule.remaining(answer, question, is_counted=is_counted)
        if left is not None:
            remaining[rule.rule_id] = left
        elif rule.kind == CONSENT:
            flags |= NEEDED_CONSENT
    contact = Contact(identity, now, valid_until, 0, flags)
    ledger = with_room(question.ledger, question.tag, question.policy, now)
    return Decision(
        is_approved=True,
        decision_id=identity.hex(),
        ledger=with_contact(ledger, contact, question.tag, question.intent.created_at),
        entries=tuple(entries),
        zone=question.zone_label(),
        valid_until=valid_until,
        remaining=remaining,
        obligations=tuple(
            [obligation for obligation, condition in plan.obligations if condition is None or condition.holds(question)]
        ),
    )


def _next_eligible_at(question: Question, now: int, binding: list[tuple[Rule, Answer]]) -> int | None:
    """The earliest later moment at which every binding rule passes, the ledger being as it is; or None.

    Each rule names its own first moment; the latest of them is asked again until no rule moves it.
    """
    erased_ms = question.ledger.erased_ms
    # An intent created then is not from before an erasure dated ahead.
    moment_ms = now if erased_ms is None else max(now, erased_ms + 1)
    # What passed now does not move the first round.
    asked, settled = [rule for rule, answer in binding if answer[0] != PASSED or moment_ms > now], False
    while not settled:
        settled = True
        for rule in asked:
            earliest_ms = rule.earliest(question, moment_ms)
            if earliest_ms is None or earliest_ms > now + NEXT_ELIGIBLE_HORIZON_MS:
                return None
            if earliest_ms > moment_ms:
                moment_ms, settled = earliest_ms, False
        asked = [rule for rule, _ in binding]
    expires_at = question.intent.expires_at
    return None if expires_at is not None and too_short(expires_at, moment_ms) else moment_ms

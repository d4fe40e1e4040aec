"""Withdrawals: each one that a preference or an outcome demands, once, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.audit.answers import read_answer

if TYPE_CHECKING:
    from streams.audit.judgement import Judgement
    from streams.audit.service import Served
    from streams.audit.traces import Trace


def check_withdrawals(
    judgement: Judgement, served: Served, customer_id: str, wanted: list[dict[str, str]], traces: list[Trace]
) -> None:
    place = judgement.place(served.topic, served.record)
    missing = {each["decision_id"]: each["reason"] for each in wanted}
    seen: set[str] = set()
    for trace in traces:
        found = read_answer(trace.record)
        if found is None or found["type"] != "withdrawn" or trace.topic != judgement.topics.approved:
            judgement.find("unreadable_answer", customer_id, place, judgement.place_of(trace), detail="no withdrawal")
            continue
        judgement.verdict.counts["withdrawals"] += 1
        named = found["decision_id"]
        if named in seen:
            judgement.find("withdrawal_doubled", customer_id, place, judgement.place_of(trace))
        elif named not in missing:
            judgement.find("withdrawal_invented", customer_id, place, judgement.place_of(trace))
        else:
            reason = missing.pop(named)
            given = (found.get("reason"), found["decided_at"], found.get("valid_until"), found.get("customer_id"))
            if given != (reason, served.now, served.now, customer_id):
                detail = f"{reason} at {served.now} expected, {given[0]} at {given[1]} found"
                judgement.find("wrong_withdrawal", customer_id, place, judgement.place_of(trace), detail=detail)
            else:
                judgement.check_order(place, trace, customer_id)
                judgement.check_applied(place, trace, customer_id)
        seen.add(named)
    for reason in missing.values():
        judgement.find("withdrawal_missing", customer_id, place, detail=reason)

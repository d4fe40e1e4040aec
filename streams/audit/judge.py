"""Judges one partition: serves its records once more in the order of service, and accounts for every trace they left.

Invariants
1. Every record is looked at once and every output is accounted for once. What nothing accounts for is a finding.
2. After a wrong answer the replay continues from what was committed, not from what should have been: an approval that
   was given counts. So one mistake is one finding.
3. A record that left the wrong kind of trace is reported once and not judged further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.audit import headers as known
from streams.audit.answers import difference, read_answer
from streams.audit.beginnings import begin
from streams.audit.certainty import check_barrier, denies_certainly
from streams.audit.dead_letters import FUTURE, check_dead_letter, is_dead_letter_for_size
from streams.audit.documents import BadRecord
from streams.audit.events import MOMENT_MAX, Event, read_event
from streams.audit.judgement import Judgement
from streams.audit.ledger_check import check_ledgers
from streams.audit.leftovers import forwarded, leave_undecided, report_invented
from streams.audit.murmur import home
from streams.audit.policies import PolicyBook
from streams.audit.positions import check_positions
from streams.audit.report import Place
from streams.audit.service import Served, Service, Stated
from streams.audit.timeline import Timeline, read_metas
from streams.audit.verdict import Misrouted, Verdict, digest_of
from streams.audit.withdrawal_check import check_withdrawals
from streams.oracle.model import FUTURE_TOLERANCE_MS, RESTRICTIVE, is_stop

if TYPE_CHECKING:
    from streams.audit.log import PartitionLog
    from streams.audit.settings import AuditSettings, Topics
    from streams.audit.traces import Trace
    from streams.oracle.model import Model

CERTAIN: Final = frozenset({"approved_despite_no", "cap_exceeded"})
"""What may be a broken promise although something of the customer's history is missing."""


class PartitionJudge(Judgement):
    """Judges one partition."""

    def __init__(
        self, log: PartitionLog, topics: Topics, partitions: int, book: PolicyBook, settings: AuditSettings
    ) -> None:
        super().__init__(log, topics, book, settings)
        self._partitions = partitions
        self._kinds = {topics.preferences: "preference", topics.outcomes: "outcome"}
        self._kinds |= dict.fromkeys(topics.intents, "intent")
        self._at_home: dict[str, bool] = {}
        self._is_record_clock = settings.clock == "record"
        self._latest = self.models.any
        """The oracle under the policy of the last decision: the best guess at whose words a preference was read by."""

    def run(self) -> Verdict:
        """Judge everything."""
        metas, bad = read_metas(self.topics.ledger, self.log.of(self.topics.ledger))
        for topic, offsets in ((self.topics.ledger, bad), (self.topics.batches, self.unreadable_batches)):
            for offset in offsets:
                self.find("ledger_unreadable", None, Place(topic, self.log.partition, offset))
        service = Service(self.log, self.topics.inputs, self.barrier, self._said, is_record_clock=self._is_record_clock)
        check_positions(self, metas, self.recorded)
        begin(self)
        now = 0
        for batch in Timeline(self.topics.batches, metas, self.recorded).batches():
            self.batch = batch
            self.verdict.counts["batches"] += 1
            for served in service.serve(batch):
                self._serve(served)
            now = max(now, batch.latest_ms)
        self.batch = None
        for topic, record in service.rest():
            leave_undecided(self, topic, record)
        for cause, trace in self.traces.left():
            report_invented(self, cause, trace)
        self._count()
        if self.settings.check_ledgers:
            check_ledgers(self, now)
        return self.verdict

    def _count(self) -> None:
        counts, topics, log = self.verdict.counts, self.topics, self.log
        counts["intents"] += sum(len(log.of(topic)) for topic in topics.intents)
        counts["preferences"] += len(log.of(topics.preferences))
        counts["outcomes"] += len(log.of(topics.outcomes))
        counts["dead_letters"] += len(log.of(topics.dead_letter))
        counts["forwarded"] += len(log.of(topics.rerouted))
        counts["missing"] += self.completeness.missing_count
        counts["customers"] += len(self.models.customers)
        counts["partitions"] += 1

    # ---- what is told ----

    def _said(self, topic: str, offset: int) -> Stated | None:
        for trace in self.traces.peek(topic, offset):
            answer = read_answer(trace.record)
            if answer is not None:
                said = known.named(trace.record)
                applied = {name: known.number(said, known.APPLIED + name) or 0 for name in self.barrier}
                return Stated(answer["decided_at"], applied)
        return None

    # ---- one record ----

    def _serve(self, served: Served) -> None:
        topic, record = served.topic, served.record
        if topic in self.served_of:
            self.served_of[topic] += 1
        first: Place | None = None
        timestamp_ms: int | None = record.timestamp_ms
        if topic == self.topics.rerouted:
            said = known.named(record)
            first, timestamp_ms = known.place(said, known.ORIGIN), known.first_timestamp(said)
            if first is None or timestamp_ms is None:
                self._refused(served, "misrouted_again", None)
                return
            self.verdict.forwarded.append(forwarded(self, first, record, timestamp_ms))
        kind = self._kinds.get(topic if first is None else first.topic)
        if kind is None:
            self._refused(served, "misrouted_again", None)
            return
        reason: str | None = None
        try:
            event = read_event(kind, record.value, record.headers, record.key)
        except BadRecord as bad:
            if bad.unread is None:
                self._refused(served, bad.reason, None)
                return
            event, reason = bad.unread, bad.reason
        if not self._is_at_home(event["customer_id"], record.key):
            self._misrouted(served, event)
            return
        assert timestamp_ms is not None
        if not served.batch.is_whole:
            self.completeness.doubt(event["customer_id"], served.batch)
        if kind == "intent":
            self._intent(served, event, first)
        else:
            self._applies(served, kind, event, min(timestamp_ms, MOMENT_MAX), reason)

    def _is_at_home(self, customer_id: str, key: bytes | None) -> bool:
        customer = customer_id.encode()
        if key != customer:
            return False
        if customer_id not in self._at_home:
            self._at_home[customer_id] = home(customer, self._partitions) == self.log.partition
        return self._at_home[customer_id]

    def _misrouted(self, served: Served, event: Event) -> None:
        topic, record = served.topic, served.record
        customer_id = event["customer_id"]
        place = self.place(topic, record)
        decided = self.traces.answers(topic, record.offset)
        if decided:
            self.find("misrouted_decided", customer_id, place, *map(self.place_of, decided))
        if topic == self.topics.rerouted or self._is_record_clock:
            reason = "misrouted_again" if topic == self.topics.rerouted else "misrouted"
            self._refused(served, reason, customer_id)
            return
        if self._needless(served, customer_id):
            return
        key = customer_id.encode()
        digest = digest_of(record.value, record.headers, record.timestamp_ms)
        misrouted = Misrouted(place, self.hash_of(customer_id) or "", home(key, self._partitions), key, digest)
        self.verdict.misrouted.append(misrouted)

    def _refused(self, served: Served, reason: str, customer_id: str | None) -> None:
        """The record must have become a dead letter, once, and nothing else."""
        place = self.place(served.topic, served.record)
        for trace in self.traces.answers(served.topic, served.record.offset):
            self.find("invented", customer_id, place, self.place_of(trace), detail=f"answered, though {reason}")
        check_dead_letter(self, served, reason, customer_id)

    def _needless(self, served: Served, customer_id: str) -> bool:
        """Whether a record that needs no dead letter has one."""
        return self._are_needless(served, self.traces.dead_letters(served.topic, served.record.offset), customer_id)

    def _are_needless(self, served: Served, letters: list[Trace], customer_id: str) -> bool:
        if letters:
            place = self.place(served.topic, served.record)
            self.find("dead_letter_needless", customer_id, place, *map(self.place_of, letters))
        return bool(letters)

    # ---- intents ----

    def _intent(self, served: Served, event: Event, first: Place | None) -> None:
        topic, record, now, batch = served
        customer_id = event["customer_id"]
        place = self.place(topic, record)
        if event["created_at"] > now + FUTURE_TOLERANCE_MS:
            self._refused(served, FUTURE, customer_id)
            return
        answers = self.traces.answers(topic, record.offset)
        letters = self.traces.dead_letters(topic, record.offset)
        if not answers and is_dead_letter_for_size(self, served, letters):
            self.verdict.counts["set_aside_for_size"] += 1
            return
        is_refused = self._are_needless(served, letters, customer_id)
        if not answers:
            if not is_refused:
                self._lose(served, event, place)
            return
        answers.sort(key=lambda trace: trace.record.timestamp_ms)
        self.once(place, answers, customer_id)
        trace = answers[0]
        found = read_answer(trace.record)
        if found is None or (found["type"] == "approved") != (trace.topic == self.topics.approved):
            self.find("unreadable_answer", customer_id, place, self.place_of(trace))
            return
        if found["type"] == "withdrawn":
            self.find("withdrawal_invented", customer_id, place, self.place_of(trace), detail="caused by an intent")
            return
        self.verdict.counts["decisions"] += 1
        self.verdict.counts[found["type"]] += 1
        model = self.models.of(found.get("policy"))
        if model is None:
            self.find("unknown_policy", customer_id, place, self.place_of(trace))
            return
        self._latest = model
        self._compare(served, model, event, found, trace, first)
        self.check_order(place, trace, customer_id)
        committed_ms = batch.appended_ms if batch.is_whole else None
        if found["type"] == "approved" and committed_ms is not None and not self._is_record_clock:
            late_ms = committed_ms - self.settings.clock_difference_ms - found["valid_until"]
            if late_ms > 0:
                self.find("committed_late", customer_id, place, self.place_of(trace), detail=f"{late_ms} ms")

    def _lose(self, served: Served, event: Event, place: Place) -> None:
        """No answer is there. If it may have been deleted, nobody knows which it was; likely it was right."""
        if not self.find("lost", event["customer_id"], place):
            self.completeness.doubt(event["customer_id"])
            self._latest.decide(event, served.now)

    def _compare(
        self, served: Served, model: Model, event: Event, found: dict[str, Any], trace: Trace, first: Place | None
    ) -> None:
        customer_id, now = event["customer_id"], served.now
        place = self.place(served.topic, served.record)
        wanted = model.decide(event, now)
        contacts = model.customer(customer_id).contacts
        off = difference(wanted, found, event, trace.record.key)
        origin = known.place(known.named(trace.record), known.ORIGIN)
        if off is not None:
            is_certain = off.kind in CERTAIN and denies_certainly(self, model, event, now)
            self.find(
                off.kind,
                customer_id,
                place,
                self.place_of(trace),
                rule=off.rule,
                detail=off.detail,
                is_certain=is_certain,
            )
        elif found["decided_at"] != now:
            detail = f"{now} expected, {found['decided_at']} found"
            self.find("wrong_moment", customer_id, place, self.place_of(trace), detail=detail)
        elif origin != (first or place):
            self.find("wrong_contents", customer_id, place, self.place_of(trace), detail="not the intent's: origin")
        else:
            self.check_applied(place, trace, customer_id)
        # From here on what was committed is what happened.
        if found["type"] == "approved":
            if wanted["verdict"] != "approved":
                model.approve_anyway(event, now, found["valid_until"])
            contacts[-1].valid_until = found["valid_until"]
            contacts[-1].noted = (self.place_of(trace), found["decided_at"])
        elif wanted["verdict"] == "approved":
            contacts.pop()

    # ---- preferences and outcomes ----

    def _applies(self, served: Served, kind: str, event: Event, recorded_ms: int, reason: str | None) -> None:
        """What was said or reported must have been applied; `reason`: why it must be a dead letter as well."""
        topic, record, now, _ = served
        customer_id = event["customer_id"]
        model = self._latest
        if kind == "preference" and reason is None:
            model, refusal = self._reader(served, event, recorded_ms)
            if refusal is not None:
                self._refused(served, refusal, customer_id)
                return
        if reason is not None:
            check_dead_letter(self, served, reason, customer_id)
        wanted: list[dict[str, str]] = []
        if reason is not None or not self._needless(served, customer_id):
            apply = model.apply_preference if kind == "preference" else model.apply_outcome
            wanted = apply(event, recorded_ms, now)
            if event["type"] in RESTRICTIVE if kind == "preference" else is_stop(event):
                check_barrier(self, served, model, customer_id, recorded_ms)
        check_withdrawals(self, served, customer_id, wanted, self.traces.answers(topic, record.offset))

    def _reader(self, served: Served, event: Event, recorded_ms: int) -> tuple[Model, str | None]:
        """The oracle by whose words an event was read, and why it is a dead letter, if it is one.

        Between two policies nobody can tell which one was in force: any that explains what was committed will do.
        """
        refusals = ((model, model.refusal(event, recorded_ms, served.now)) for model in self.models.every(self._latest))
        first = next(refusals)
        said = {
            known.text(known.named(letter.record), f"{known.ERROR}.reason")
            for letter in self.traces.peek_dead_letters(served.topic, served.record.offset)
        } or {None}
        return first if first[1] in said else next((found for found in refusals if found[1] in said), first)

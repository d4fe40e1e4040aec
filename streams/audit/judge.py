"""One partition, judged: its records served once more in the order of service, and every trace they left accounted for.

Invariants
1. Every record is looked at once and every output is accounted for once. What nothing accounts for is a finding.
2. After a wrong answer the replay goes on from what was committed, not from what should have been: an approval that is
   out counts, whoever gave it. So one mistake is one finding.
3. What something that is no longer there could explain is counted as not verifiable, and is no finding.
4. Of a record that left the wrong kind of trace it is said once, and it is not judged further.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streams.audit import headers as known
from streams.audit.answers import difference, read_answer
from streams.audit.beginnings import begin
from streams.audit.completeness import Completeness
from streams.audit.dead_letters import is_altered
from streams.audit.documents import BadRecord
from streams.audit.events import MOMENT_MAX, Event, read_event
from streams.audit.ledger_check import check_ledgers
from streams.audit.murmur import home
from streams.audit.policies import Models, PolicyBook
from streams.audit.positions import check_positions
from streams.audit.report import FINDINGS_KEPT_MAX, Finding, Place
from streams.audit.service import Served, Service, Stated
from streams.audit.timeline import Batch, Timeline, read_batches, read_metas
from streams.audit.traces import Traces
from streams.oracle.model import BELIEVED_FROM_MS, FUTURE_TOLERANCE_MS, RESTRICTIVE, is_stop, standing_no

if TYPE_CHECKING:
    from streams.audit.log import PartitionLog, Record
    from streams.audit.settings import AuditSettings, Topics
    from streams.audit.traces import Trace
    from streams.oracle.model import Model, Preference

FUTURE: Final = "from_the_future"
# These depend on more than the record's bytes, and exactly one of them can be right. Of a record with several faults
# any other reason may be named.
CERTAIN: Final = frozenset({"approved_despite_no", "cap_exceeded"})
"""What may be a broken promise although something of the customer's history is missing."""

LATER_REASONS: Final = frozenset({FUTURE, "implausible_time", "unknown_word", "misrouted", "misrouted_again"})
HASH_BYTES: Final = 8
TOO_LARGE: Final = "too_large"
# What an answer and its headers can be longer than their intent: ids, explanation, remaining, obligations.
ANSWER_ADDS_BYTES_MAX: Final = 16_384


class Misrouted(NamedTuple):
    """A record that stands where its customer does not live, and how it must be forwarded."""

    place: Place
    customer_hash: str
    wanted_partition: int
    key: bytes
    digest: bytes


class Forwarded(NamedTuple):
    """A record of the rerouting topic that says where it first stood."""

    first: Place
    place: Place
    key: bytes | None
    digest: bytes


@dataclass
class Verdict:
    """What was found on one partition, and what has to be matched with others."""

    partition: int
    starts: dict[str, int]
    """Where each topic begins."""
    findings: list[Finding] = field(default_factory=list)
    found: Counter[str] = field(default_factory=Counter)
    not_verifiable: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    misrouted: list[Misrouted] = field(default_factory=list)
    forwarded: list[Forwarded] = field(default_factory=list)
    undecided: set[Place] = field(default_factory=set)
    """Records that no batch has served."""

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if there are not too many."""
        self.found[finding.kind] += 1
        if len(self.findings) < FINDINGS_KEPT_MAX:
            self.findings.append(finding)


def digest_of(value: bytes | None, headers: Any, timestamp_ms: int | None) -> bytes:  # noqa: ANN401
    """What must be the same of a record before and after it was forwarded."""
    return hashlib.blake2b(repr((value, tuple(headers), timestamp_ms)).encode(), digest_size=16).digest()


class PartitionJudge:
    """Judges one partition."""

    def __init__(
        self, log: PartitionLog, topics: Topics, partitions: int, book: PolicyBook, settings: AuditSettings
    ) -> None:
        self.log = log
        self.topics = topics
        self.settings = settings
        self.models = Models(book)
        self.verdict = Verdict(log.partition, dict(log.starts))
        self._partitions = partitions
        self._traces = Traces(log, topics)
        self._recorded, self._bad_batches = read_batches(log.of(topics.batches))
        self.completeness = Completeness(log, topics, self._recorded, self._traces)
        self._batch: Batch | None = None
        """The one that is being judged."""
        self._kinds = {topics.preferences: "preference", topics.outcomes: "outcome"}
        self._kinds |= dict.fromkeys(topics.intents, "intent")
        self._at_home: dict[str, bool] = {}
        self._barrier = (topics.preferences, topics.outcomes)
        self._served_of = dict.fromkeys(self._barrier, 0)
        """How many records of each barrier topic have been served."""
        self._last_offset: dict[str, int] = {}
        self._is_record_clock = settings.clock == "record"
        self._latest = self.models.any
        """The oracle under the policy of the last decision: the best guess at whose words a preference was read by."""

    def run(self) -> Verdict:
        """Judge everything."""
        metas, bad = read_metas(self.topics.ledger, self.log.of(self.topics.ledger))
        for topic, offsets in ((self.topics.ledger, bad), (self.topics.batches, self._bad_batches)):
            for offset in offsets:
                self.find("ledger_unreadable", None, Place(topic, self.log.partition, offset))
        service = Service(
            self.log, self.topics.inputs, self._barrier, self._said, is_record_clock=self._is_record_clock
        )
        check_positions(self, metas, self._recorded)
        begin(self)
        now = 0
        for batch in Timeline(self.topics.batches, metas, self._recorded).batches():
            self._batch = batch
            self.verdict.counts["batches"] += 1
            for served in service.serve(batch):
                self._serve(served)
            now = max(now, batch.latest_ms)
        self._batch = None
        for topic, record in service.rest():
            self._leave(topic, record)
        for cause, trace in self._traces.left():
            self._invented(cause, trace)
        self._count()
        if self.settings.check_ledgers:
            check_ledgers(self, now)
        return self.verdict

    # ---- findings ----

    def hash_of(self, customer_id: str | None) -> str | None:
        """The customer as findings name them."""
        if customer_id is None:
            return None
        return hashlib.blake2b(customer_id.encode(), key=self.settings.salt, digest_size=HASH_BYTES).hexdigest()

    def find(
        self,
        kind: str,
        customer_id: str | None,
        *places: Place,
        rule: str | None = None,
        detail: str = "",
        is_certain: bool = False,
    ) -> bool:
        """Add a finding, unless something that is no longer there could explain it; returns whether it was added.

        `is_certain`: nothing could.
        """
        if not is_certain and self.completeness.explains(kind, customer_id, self._batch):
            self.verdict.not_verifiable[kind] += 1
            return False
        self.verdict.add(Finding(kind, self.hash_of(customer_id), places, rule, detail))
        return True

    def place(self, topic: str, record: Record) -> Place:
        """Where a record stands."""
        return Place(topic, self.log.partition, record.offset)

    def _of(self, trace: Trace) -> Place:
        return self.place(trace.topic, trace.record)

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
        for trace in self._traces.peek(topic, offset):
            answer = read_answer(trace.record)
            if answer is not None:
                said = known.named(trace.record)
                applied = {name: known.number(said, known.APPLIED + name) or 0 for name in self._barrier}
                return Stated(answer["decided_at"], applied)
        return None

    # ---- one record ----

    def _serve(self, served: Served) -> None:
        topic, record = served.topic, served.record
        if topic in self._served_of:
            self._served_of[topic] += 1
        first: Place | None = None
        timestamp_ms: int | None = record.timestamp_ms
        if topic == self.topics.rerouted:
            said = known.named(record)
            first, timestamp_ms = known.place(said, known.ORIGIN), known.first_timestamp(said)
            if first is None or timestamp_ms is None:
                self._refused(served, "misrouted_again", None)
                return
            self.verdict.forwarded.append(self._forwarded(first, record, timestamp_ms))
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
        decided = self._traces.answers(topic, record.offset)
        if decided:
            self.find("misrouted_decided", customer_id, place, *map(self._of, decided))
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

    def _forwarded(self, first: Place, record: Record, timestamp_ms: int) -> Forwarded:
        digest = digest_of(record.value, record.headers[: -known.FORWARD_HEADERS], timestamp_ms)
        return Forwarded(first, self.place(self.topics.rerouted, record), record.key, digest)

    def _refused(self, served: Served, reason: str, customer_id: str | None) -> None:
        """The record must have become a dead letter, once, and nothing else."""
        place = self.place(served.topic, served.record)
        for trace in self._traces.answers(served.topic, served.record.offset):
            self.find("invented", customer_id, place, self._of(trace), detail=f"answered, though {reason}")
        self._check_dead_letter(served, reason, customer_id)

    def _check_dead_letter(self, served: Served, reason: str, customer_id: str | None) -> None:
        """The record must have become a dead letter, once, whatever else came of it."""
        topic, record = served.topic, served.record
        place = self.place(topic, record)
        letters = self._traces.dead_letters(topic, record.offset)
        if not letters:
            self.find("dead_letter_missing", customer_id, place, detail=reason)
            return
        self._once(place, letters, customer_id)
        letter = letters[0]
        said = known.text(known.named(letter.record), f"{known.ERROR}.reason")
        if is_altered(record, letter.record):
            self.find("dead_letter_altered", customer_id, place, self._of(letter))
        elif (reason in LATER_REASONS or said in LATER_REASONS) and said != reason:
            detail = f"{reason} expected, {said} found"
            self.find("dead_letter_reason", customer_id, place, self._of(letter), detail=detail)

    def _once(self, place: Place, traces: list[Trace], customer_id: str | None) -> None:
        if len(traces) > 1:
            self.find("doubled", customer_id, place, *map(self._of, traces))

    def _needless(self, served: Served, customer_id: str) -> bool:
        """Whether a record that needs no dead letter has one."""
        return self._are_needless(served, self._traces.dead_letters(served.topic, served.record.offset), customer_id)

    def _are_needless(self, served: Served, letters: list[Trace], customer_id: str) -> bool:
        if letters:
            place = self.place(served.topic, served.record)
            self.find("dead_letter_needless", customer_id, place, *map(self._of, letters))
        return bool(letters)

    def _is_dead_letter_for_size(self, served: Served, letters: list[Trace]) -> bool:
        """Whether the one dead letter says that the answer was too long, and it may have been."""
        value_bytes = len(served.record.value or b"")
        return (
            len(letters) == 1
            and known.text(known.named(letters[0].record), f"{known.ERROR}.reason") == TOO_LARGE
            and not is_altered(served.record, letters[0].record)
            and value_bytes + ANSWER_ADDS_BYTES_MAX > self.settings.answer_bytes_max
        )

    # ---- intents ----

    def _intent(self, served: Served, event: Event, first: Place | None) -> None:
        topic, record, now, batch = served
        customer_id = event["customer_id"]
        place = self.place(topic, record)
        if event["created_at"] > now + FUTURE_TOLERANCE_MS:
            self._refused(served, FUTURE, customer_id)
            return
        answers = self._traces.answers(topic, record.offset)
        letters = self._traces.dead_letters(topic, record.offset)
        if not answers and self._is_dead_letter_for_size(served, letters):
            self.verdict.counts["set_aside_for_size"] += 1
            return
        is_refused = self._are_needless(served, letters, customer_id)
        if not answers:
            if not is_refused:
                self._lose(served, event, place)
            return
        answers.sort(key=lambda trace: trace.record.timestamp_ms)
        self._once(place, answers, customer_id)
        trace = answers[0]
        found = read_answer(trace.record)
        if found is None or (found["type"] == "approved") != (trace.topic == self.topics.approved):
            self.find("unreadable_answer", customer_id, place, self._of(trace))
            return
        if found["type"] == "withdrawn":
            self.find("withdrawal_invented", customer_id, place, self._of(trace), detail="caused by an intent")
            return
        self.verdict.counts["decisions"] += 1
        self.verdict.counts[found["type"]] += 1
        model = self.models.of(found.get("policy"))
        if model is None:
            self.find("unknown_policy", customer_id, place, self._of(trace))
            return
        self._latest = model
        self._compare(served, model, event, found, trace, first)
        self._check_order(place, trace, customer_id)
        committed_ms = batch.appended_ms if batch.is_whole else None
        if found["type"] == "approved" and committed_ms is not None and not self._is_record_clock:
            late_ms = committed_ms - self.settings.clock_difference_ms - found["valid_until"]
            if late_ms > 0:
                self.find("committed_late", customer_id, place, self._of(trace), detail=f"{late_ms} ms")

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
            is_certain = off.kind in CERTAIN and self._denies_certainly(model, event, now)
            self.find(
                off.kind,
                customer_id,
                place,
                self._of(trace),
                rule=off.rule,
                detail=off.detail,
                is_certain=is_certain,
            )
        elif found["decided_at"] != now:
            detail = f"{now} expected, {found['decided_at']} found"
            self.find("wrong_moment", customer_id, place, self._of(trace), detail=detail)
        elif origin != (first or place):
            self.find("wrong_contents", customer_id, place, self._of(trace), detail="not the intent's: origin")
        else:
            self._check_applied(place, trace, customer_id)
        # From here on what was committed is what happened.
        if found["type"] == "approved":
            if wanted["verdict"] != "approved":
                model.approve_anyway(event, now, found["valid_until"])
            contacts[-1].valid_until = found["valid_until"]
            contacts[-1].noted = (self._of(trace), found["decided_at"])
        elif wanted["verdict"] == "approved":
            contacts.pop()

    def _check_order(self, place: Place, trace: Trace, customer_id: str) -> None:
        offset = trace.record.offset
        if offset < self._last_offset.get(trace.topic, -1):
            before = Place(trace.topic, self.log.partition, self._last_offset[trace.topic])
            self.find("out_of_order", customer_id, place, self._of(trace), before)
        self._last_offset[trace.topic] = offset

    def _check_applied(self, place: Place, trace: Trace, customer_id: str) -> None:
        """What the answer says was applied before it: behind all that was, and not behind anything that was not.

        What caused a withdrawal was not applied before it.
        """
        headers = known.named(trace.record)
        for topic in self._barrier:
            said = known.number(headers, known.APPLIED + topic)
            served = self._served_of[topic] - (topic == place.topic)
            records = self.log.of(topic)
            low = records[served - 1].offset + 1 if served else 0
            high = records[served].offset if served < len(records) else known.INT64_MAX
            if said is None or not low <= said <= high:
                detail = f"{topic}: {low} expected, {said} found"
                self.find("wrong_applied", customer_id, place, self._of(trace), detail=detail)
                return

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
            self._check_dead_letter(served, reason, customer_id)
        wanted: list[dict[str, str]] = []
        if reason is not None or not self._needless(served, customer_id):
            apply = model.apply_preference if kind == "preference" else model.apply_outcome
            wanted = apply(event, recorded_ms, now)
            if event["type"] in RESTRICTIVE if kind == "preference" else is_stop(event):
                self._check_barrier(served, model, customer_id, recorded_ms)
        self._check_withdrawals(served, customer_id, wanted, self._traces.answers(topic, record.offset))

    def _reader(self, served: Served, event: Event, recorded_ms: int) -> tuple[Model, str | None]:
        """The oracle by whose words an event was read, and why it is a dead letter, if it is one.

        Between two policies nobody can tell which one was in force: any that explains what was committed will do.
        """
        refusals = ((model, model.refusal(event, recorded_ms, served.now)) for model in self.models.every(self._latest))
        first = next(refusals)
        said = {
            known.text(known.named(letter.record), f"{known.ERROR}.reason")
            for letter in self._traces.peek_dead_letters(served.topic, served.record.offset)
        } or {None}
        return first if first[1] in said else next((found for found in refusals if found[1] in said), first)

    def _check_withdrawals(
        self, served: Served, customer_id: str, wanted: list[dict[str, str]], traces: list[Trace]
    ) -> None:
        place = self.place(served.topic, served.record)
        missing = {each["decision_id"]: each["reason"] for each in wanted}
        seen: set[str] = set()
        for trace in traces:
            found = read_answer(trace.record)
            if found is None or found["type"] != "withdrawn" or trace.topic != self.topics.approved:
                self.find("unreadable_answer", customer_id, place, self._of(trace), detail="no withdrawal")
                continue
            self.verdict.counts["withdrawals"] += 1
            named = found["decision_id"]
            if named in seen:
                self.find("withdrawal_doubled", customer_id, place, self._of(trace))
            elif named not in missing:
                self.find("withdrawal_invented", customer_id, place, self._of(trace))
            else:
                reason = missing.pop(named)
                given = (found.get("reason"), found["decided_at"], found.get("valid_until"), found.get("customer_id"))
                if given != (reason, served.now, served.now, customer_id):
                    detail = f"{reason} at {served.now} expected, {given[0]} at {given[1]} found"
                    self.find("wrong_withdrawal", customer_id, place, self._of(trace), detail=detail)
                else:
                    self._check_order(place, trace, customer_id)
                    self._check_applied(place, trace, customer_id)
            seen.add(named)
        for reason in missing.values():
            self.find("withdrawal_missing", customer_id, place, detail=reason)

    def _check_barrier(self, served: Served, model: Model, customer_id: str, recorded_ms: int) -> None:
        """Whether an approval was given after this no had been acknowledged, and without it."""
        within_ms = self.settings.acknowledged_within_ms
        if self._is_record_clock:
            return
        customer = model.customer(customer_id)
        place = self.place(served.topic, served.record)
        acknowledged_ms = self.settings.acknowledged_ms.get((place.topic, place.partition, place.offset))
        if acknowledged_ms is None:
            # Until a misrouted record has been forwarded nobody waits for it, and when it was nobody knows.
            is_misrouted = served.topic == self.topics.rerouted
            if within_ms is None or recorded_ms < BELIEVED_FROM_MS or is_misrouted:
                return
            acknowledged_ms = recorded_ms + within_ms
        late = [c for c in customer.held_contacts() if c.decided_at > acknowledged_ms and not c.exempt_from_opt_out]
        if not late:
            return
        standing = customer.standing()
        for contact in late:
            no = standing_no(standing, contact.tags, contact.decided_at, model.policy.words)
            if no is not None and contact.noted is not None and contact.decided_at < served.now:
                detail = f"acknowledged {contact.decided_at - acknowledged_ms} ms before the decision"
                self.find(
                    "barrier_broken",
                    customer_id,
                    contact.noted[0],
                    place,
                    detail=detail,
                    is_certain=self._is_certain(no),
                )

    def _denies_certainly(self, model: Model, event: Event, now: int) -> bool:
        """Whether the intent had to be suppressed whatever may be missing."""
        is_whole = self._batch is None or self._batch.is_whole
        decided_from_ms = self.completeness.whole_from_ms
        return self._is_certain(model.denying_no(event, now)) or (
            is_whole and model.denied_by_contacts(event, now, decided_from_ms)
        )

    def _is_certain(self, no: Preference | None) -> bool:
        """Whether a no stands whatever may be missing: nothing missing is later than it, and its order is known."""
        is_whole = self._batch is None or self._batch.is_whole
        return no is not None and is_whole and self.completeness.nothing_undoes(no.order)

    # ---- what is left ----

    def _leave(self, topic: str, record: Record) -> None:
        """A record that no batch has served: it must have left nothing, and waits to be decided."""
        place = self.place(topic, record)
        traces = [*self._traces.answers(topic, record.offset), *self._traces.dead_letters(topic, record.offset)]
        self.verdict.undecided.add(place)
        said = known.named(record)
        first, timestamp_ms = known.place(said, known.ORIGIN), known.first_timestamp(said)
        if topic == self.topics.rerouted and first is not None and timestamp_ms is not None:
            self.verdict.forwarded.append(self._forwarded(first, record, timestamp_ms))
        if not traces:
            self.verdict.counts["pending"] += 1
            if not self.settings.allow_undecided:
                self.find("lost", None, place, detail="beyond the last committed position")
        elif not self.settings.allow_undecided:
            self.find("position_behind", None, place, *map(self._of, traces))

    def _invented(self, cause: Place | None, trace: Trace) -> None:
        if read_answer(trace.record) is None and trace.topic != self.topics.dead_letter:
            self.find("unreadable_answer", None, self._of(trace))
            return
        places = (self._of(trace),) if cause is None else (self._of(trace), cause)
        if cause is None or not self._is_out_of_sight(cause):
            self.find("invented", None, *places)

    def _is_out_of_sight(self, cause: Place) -> bool:
        """Whether a record came after the audit had begun, or was deleted and that was accepted."""
        came_later = self.settings.allow_undecided and cause.offset >= self.log.ends.get(cause.topic, 0)
        return came_later or cause.offset < self.log.starts.get(cause.topic, 0)

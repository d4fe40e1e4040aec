"""Every metric of mesura, declared once: name, kind, unit, labels with their allowed values, help.

Rules of this module
1. A metric exists if and only if it stands in `METRICS`. Dashboards, alerts and `docs/metrics.md` are checked against
   it.
2. Label values come from a vocabulary, never from a record. A word outside its vocabulary is exported as `other`, so a
   producer's typo costs one series and not a thousand.
3. No customer, address, key, content or partition is ever a label. Partitions are folded (sum or maximum).
4. `sum()` over all labels of a counter makes sense. Times are base units; moments are exported, not ages.
5. Where several processes share one endpoint, counters and histograms are added up, and each gauge says in `across` how
   its values become one. What would be lost in that stands beside it with the number of the process as label.

The module is long because it is one table: a metric declared elsewhere would be missing from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OTHER = "other"
NO_REASON = "none"
PREFIX = "mesura_"

MAX_WORDS = 64
"""Words a vocabulary may grow to. Fewer would fold a large policy's reasons; more, times channels, would make one
metric cost thousands of series on every worker. What is declared beyond it is exported as `other`."""


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The words a label may take. `words` are known from the start; policy and settings declare more at start-up."""

    name: str
    words: tuple[str, ...]
    declared_by: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """`vocabulary=None`: free text of the build or the policy's author, bounded because only one series is exported.

    Or the number of a process.
    """

    name: str
    vocabulary: Vocabulary | None


Across = Literal["sum", "least", "greatest", "farthest from 0", "each"]
"""How the values that several processes give a gauge become one; `each`: series side by side, equal ones once."""


@dataclass(frozen=True, slots=True, eq=False)
class MetricSpec:
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    labels: tuple[Label, ...] = ()
    bounds: tuple[float, ...] = ()
    why_bounds: str = ""
    across: Across = "sum"

    @property
    def full_name(self) -> str:
        return PREFIX + self.name

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)


CHANNELS = Vocabulary("channels", ("chat", "email", "push", "sms", "voice", "whatsapp"), declared_by="the policy")
VERDICTS = Vocabulary("verdicts", ("approved", "suppressed"))
REASONS = Vocabulary("reasons", ("duplicate", "expired", "ledger_full"), declared_by="the catalogue of reason codes")
TOPICS = Vocabulary("topics", ("contact-outcome", "mesura-rerouted", "opt-out", "outbound-intent"), "the settings")
DEAD_LETTER_REASONS = Vocabulary("dead letter reasons", (), declared_by="the contracts")
WITHDRAWAL_REASONS = Vocabulary("withdrawal reasons", ("opt_out",), declared_by="the catalogue of reason codes")
ABORT_REASONS = Vocabulary(
    "abort reasons", ("clock", "late", "refused", "too_large", "unanswered"), declared_by="the engine"
)
PREFERENCE_TYPES = Vocabulary(
    "preference types",
    (
        "opt_out", "opt_in", "pause", "resume", "consent_granted", "consent_withdrawn", "objection", "restriction",
        "restriction_lifted", "clarification", "profile", "erasure",
    ),
)  # fmt: skip
OUTCOME_TYPES = Vocabulary(
    "outcome types",
    (
        "sent", "delivered", "read", "clicked", "failed", "bounced", "answered", "no_answer", "conversation", "refusal",
        "reply", "complaint", "expired",
    ),
)  # fmt: skip
PURPOSES = Vocabulary("purposes", (), declared_by="the policy")
RULES = Vocabulary("rules", (), declared_by="the policy")
CAMPAIGNS = Vocabulary("campaigns", (), declared_by="`--count-by`")
SENDERS = Vocabulary("senders", (), declared_by="`--count-by`")
COUNTRIES = Vocabulary("countries", (), declared_by="`--count-by`")
EVENTS = Vocabulary("events", ("intent", "outcome", "preference"))
DOUBTS = Vocabulary("doubts", ("event", "field", "reply_code", "scope_word", "time", "zone"))
BOOLEANS = Vocabulary("booleans", ("false", "true"))
POLICY_FILE_FAULTS = Vocabulary("policy file faults", ("missing", "refused", "unreadable"))
RELOAD_RESULTS = Vocabulary("reload results", ("failure", "success"))
CORES = Vocabulary("cores", ("compiled", "interpreted"))
SIGNALS = Vocabulary("signals", ("metrics", "traces"))

VOCABULARIES = (
    CHANNELS, VERDICTS, REASONS, TOPICS, DEAD_LETTER_REASONS, WITHDRAWAL_REASONS, ABORT_REASONS, PREFERENCE_TYPES,
    OUTCOME_TYPES, PURPOSES, RULES, CAMPAIGNS, SENDERS, COUNTRIES, EVENTS, DOUBTS, BOOLEANS,
    POLICY_FILE_FAULTS, RELOAD_RESULTS, CORES, SIGNALS,
)  # fmt: skip

_TOPIC = Label("topic", TOPICS)

DECISIONS = MetricSpec(
    "decisions_total",
    "counter",
    "decisions",
    "Intents answered. Suppression rates follow from it; an approval has the reason none.",
    (Label("channel", CHANNELS), Label("verdict", VERDICTS), Label("reason", REASONS)),
)
DECISIONS_BY_PURPOSE = MetricSpec(
    "decisions_by_purpose_total",
    "counter",
    "decisions",
    "Intents answered, by their purpose, or the one that the policy takes for granted.",
    (Label("purpose", PURPOSES), Label("verdict", VERDICTS)),
)
SUPPRESSIONS_BY_RULE = MetricSpec(
    "suppressions_by_rule_total",
    "counter",
    "decisions",
    "Intents suppressed, by the rule or built-in check that its answer names.",
    (Label("rule", RULES),),
)
DECISIONS_BY_CAMPAIGN = MetricSpec(
    "decisions_by_campaign_total",
    "counter",
    "decisions",
    "Intents answered, by campaign. Only where `--count-by` names some; all others are `other`.",
    (Label("campaign", CAMPAIGNS), Label("verdict", VERDICTS)),
)
DECISIONS_BY_SENDER = MetricSpec(
    "decisions_by_sender_total",
    "counter",
    "decisions",
    "Intents answered, by sender. Only where `--count-by` names some; all others are `other`.",
    (Label("sender", SENDERS), Label("verdict", VERDICTS)),
)
DECISIONS_BY_COUNTRY = MetricSpec(
    "decisions_by_country_total",
    "counter",
    "decisions",
    "Intents answered, by the country that they name. Only where `--count-by` names some; all others are `other`.",
    (Label("country", COUNTRIES), Label("verdict", VERDICTS)),
)
DECISION_DURATION = MetricSpec(
    "decision_duration_seconds",
    "histogram",
    "seconds",
    "Time the decision itself took, per intent: the mean of its batch, once for each intent in it.",
    bounds=(5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3),
    why_bounds="A decision costs tens of microseconds; one above 1 ms would halve the throughput of a lane.",
)
DECISION_LATENCY = MetricSpec(
    "decision_latency_seconds",
    "histogram",
    "seconds",
    "From the record timestamp of an intent, or its replay, to the commit of its decision.",
    bounds=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600),
    why_bounds="5 is the objective and must be a bound; below it normal service, above it a backlog being read.",
)
OPT_OUT_IN_FORCE = MetricSpec(
    "opt_out_in_force_seconds",
    "histogram",
    "seconds",
    "From the record timestamp of a preference event, or its replay, to the commit that put it in force.",
    bounds=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    why_bounds="10 is the objective and must be a bound; 300 is the default time to live of an approval.",
)
COMMIT_DURATION = MetricSpec(
    "commit_duration_seconds",
    "histogram",
    "seconds",
    "From the moment of decision of a batch to the end of its transaction.",
    bounds=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5),
    why_bounds="2 is the limit beyond which a transaction is aborted and decided again: nothing should stand above it.",
)
BATCH_RECORDS = MetricSpec(
    "batch_records",
    "histogram",
    "records",
    "Input records per committed batch.",
    bounds=(1, 5, 10, 50, 100, 500, 1000, 2000, 5000, 10000),
    why_bounds="One record is an idle gate, thousands are a backlog: the shape says which.",
)
BARRIER_WAIT = MetricSpec(
    "barrier_wait_seconds",
    "histogram",
    "seconds",
    "Time a batch waited until everything customers had said before it was applied.",
    bounds=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30),
    why_bounds="One round trip to the broker is a few milliseconds; 30 is where the alert begins.",
)
LAG_SECONDS = MetricSpec(
    "lag_seconds",
    "gauge",
    "seconds",
    "Age of the oldest record not yet taken, worst partition.",
    (_TOPIC,),
    across="greatest",
)
LAG_RECORDS = MetricSpec(
    "lag_records", "gauge", "records", "Records not yet taken, over this worker's partitions.", (_TOPIC,)
)
LAG_UNKNOWN = MetricSpec(
    "lag_unknown_seconds",
    "gauge",
    "seconds",
    "How long nobody has known how far the topics reach: lag is of before. 0 while it is known.",
    across="greatest",
)
DEAD_LETTERS = MetricSpec(
    "dead_letters_total",
    "counter",
    "records",
    "Records that could not be read and went to the dead-letter topic.",
    (_TOPIC, Label("reason", DEAD_LETTER_REASONS)),
)
NOT_UNDERSTOOD = MetricSpec(
    "not_understood_total",
    "counter",
    "things",
    "What was left out of a no, or taken for less than it says, because it could not be understood or cannot be true.",
    (Label("what", DOUBTS),),
)
PERMISSIONS_REFUSED = MetricSpec(
    "permissions_refused_total",
    "counter",
    "records",
    "Events that would permit, or change a profile, and are not in force for something in them that is not understood.",
)
UNREADABLE_OPT_OUTS = MetricSpec(
    "unreadable_opt_outs_total",
    "counter",
    "records",
    "Records of the opt-out topic nobody can read. Each may be a no, and closes its customer until clarified.",
)
UNREADABLE_OUTCOMES = MetricSpec(
    "unreadable_outcomes_total",
    "counter",
    "records",
    "Records of the outcome topic that could not be read. Each may be a STOP in a reply that was not heard.",
)
REROUTED = MetricSpec(
    "rerouted_records_total",
    "counter",
    "records",
    "Records that arrived on the wrong partition or under the wrong key and were forwarded.",
    (_TOPIC,),
)
DUPLICATES = MetricSpec("duplicates_total", "counter", "intents", "Intents published again, answered as duplicates.")
WITHDRAWALS = MetricSpec(
    "withdrawals_total",
    "counter",
    "withdrawals",
    "Approvals taken back while still valid.",
    (Label("reason", WITHDRAWAL_REASONS),),
)
PREFERENCE_EVENTS = MetricSpec(
    "preference_events_total", "counter", "events", "Preference events applied.", (Label("type", PREFERENCE_TYPES),)
)
OUTCOMES = MetricSpec(
    "outcomes_total",
    "counter",
    "events",
    "Outcomes applied, by whether their contact was found in the ledger.",
    (Label("type", OUTCOME_TYPES), Label("matched", BOOLEANS)),
)
UNKNOWN_FIELDS = MetricSpec(
    "unknown_fields_total",
    "counter",
    "fields",
    "Fields ignored because the contract does not know them.",
    (Label("event", EVENTS),),
)
LEDGER_FULL = MetricSpec(
    "ledger_full_total", "counter", "intents", "Intents suppressed because the customer's ledger is at its size limit."
)
LEDGERS_EXAMINED = MetricSpec(
    "ledgers_examined_total",
    "counter",
    "ledgers",
    "Ledgers looked at because something in them may be past its horizon.",
)
LEDGERS_PRUNED = MetricSpec(
    "ledgers_pruned_total", "counter", "ledgers", "Ledgers of idle customers made shorter or removed by retention."
)
LEDGERS_REMOVED = MetricSpec(
    "ledgers_removed_total",
    "counter",
    "ledgers",
    "Ledgers of idle customers removed, because nothing was left in them.",
)
RETENTION_ROUND = MetricSpec(
    "retention_round_seconds",
    "gauge",
    "seconds",
    "How long the latest round over all ledgers took, to note when each is due; 0 before the first.",
    across="greatest",
)
RESTORE_IN_PROGRESS = MetricSpec(
    "restore_in_progress",
    "gauge",
    "boolean",
    "1 while the ledger of any assigned partition is being restored.",
    across="greatest",
)
RESTORE_REMAINING = MetricSpec(
    "restore_remaining_records", "gauge", "records", "Changelog records still to be read before every ledger is whole."
)
RESTORED = MetricSpec("restored_records_total", "counter", "records", "Changelog records read while restoring.")
PARTITIONS_ASSIGNED = MetricSpec("partitions_assigned", "gauge", "partitions", "Partitions this worker decides for.")
READY = MetricSpec(
    "ready",
    "gauge",
    "boolean",
    "1 while this worker is deciding; /ready says why not.",
    across="least",
)
BROKERS_UNREACHABLE = MetricSpec(
    "brokers_unreachable",
    "gauge",
    "boolean",
    "1 while a worker that runs can connect to none of the brokers; /ready and the log say why.",
    across="greatest",
)
BARRIER_UNANSWERED = MetricSpec(
    "barrier_unanswered_seconds",
    "gauge",
    "seconds",
    "How long the barrier has gone without an answer; 0 when it has one.",
    across="greatest",
)
COMMIT_UNANSWERED = MetricSpec(
    "commit_unanswered_seconds",
    "gauge",
    "seconds",
    "How long a transaction has waited for the brokers to take its records and end it; 0 when none waits.",
    across="greatest",
)
PARTITIONS_UNWRITABLE = MetricSpec(
    "partitions_unwritable",
    "gauge",
    "partitions",
    "Partitions of the gate's topics that take no records: no leader, or fewer replicas in sync than their minimum.",
    across="greatest",
)
BATCHES_ABORTED = MetricSpec(
    "batches_aborted_total",
    "counter",
    "batches",
    "Transactions aborted; their records are decided again.",
    (Label("reason", ABORT_REASONS),),
)
MISSING_RECORDS = MetricSpec(
    "missing_records_total",
    "counter",
    "records",
    "Records deleted by retention, or missing from the log, before anybody decided them.",
    (_TOPIC,),
)
CLOCK_DIFFERENCE = MetricSpec(
    "clock_difference_seconds",
    "gauge",
    "seconds",
    "How far this worker's clock is from the broker's, at the latest comparison.",
    across="farthest from 0",
)
POLICY_INFO = MetricSpec(
    "policy_info",
    "gauge",
    "boolean",
    "The policy in force on this worker.",
    (Label("name", None), Label("version", None), Label("hash", None)),
    across="each",
)
POLICY_RELOAD = MetricSpec(
    "policy_reload_total",
    "counter",
    "attempts",
    "Attempts to load a policy; a failed one leaves the last good policy in force.",
    (Label("result", RELOAD_RESULTS),),
)
POLICY_FILE_DIFFERS = MetricSpec(
    "policy_file_differs",
    "gauge",
    "boolean",
    "1 while the policy file is not what is in force, because it cannot be used; the last good policy is.",
    (Label("why", POLICY_FILE_FAULTS),),
    across="greatest",
)
POLICY_LOADED = MetricSpec(
    "policy_loaded_timestamp_seconds",
    "gauge",
    "seconds since 1970",
    "When the policy in force was loaded.",
    across="greatest",
)
BUILD_INFO = MetricSpec(
    "build_info",
    "gauge",
    "boolean",
    "The build that is running.",
    (Label("version", None), Label("python", None), Label("core", CORES)),
    across="each",
)
LAST_DECISION = MetricSpec(
    "last_decision_timestamp_seconds",
    "gauge",
    "seconds since 1970",
    "When a decision was last committed; 0 before one.",
    across="greatest",
)
REBALANCES = MetricSpec("rebalances_total", "counter", "rebalances", "Times this worker's set of partitions changed.")
OPENTELEMETRY_LOST = MetricSpec(
    "opentelemetry_lost_total",
    "counter",
    "exports",
    "Spans, and exports of all metrics, that an OpenTelemetry collector did not take.",
    (Label("signal", SIGNALS),),
)
WORKER_RESTARTS = MetricSpec(
    "worker_restarts_total",
    "counter",
    "restarts",
    "Times a worker was started again after a failure or a refusal.",
)
RECURRING_FAILURE = MetricSpec(
    "recurring_failure",
    "gauge",
    "boolean",
    "1 while a worker fails in the same way at the same place again and again; /ready says how and where.",
)

PROCESS = Label("process", None)
"""Which process of a machine: a number from 0, as many as there are processes."""

PROCESS_UP = MetricSpec(
    "process_up", "gauge", "boolean", "1 while this process of a machine runs and answers its supervisor.", (PROCESS,)
)
PROCESS_LIVE = MetricSpec(
    "process_live",
    "gauge",
    "boolean",
    "0 while this process does not answer, or has work and no lane of it moves; others may go on.",
    (PROCESS,),
)
PROCESS_READY = MetricSpec("process_ready", "gauge", "boolean", "1 while this process is deciding.", (PROCESS,))
PROCESS_REFUSED = MetricSpec(
    "process_refused",
    "gauge",
    "boolean",
    "1 while this process is down because it was refused; the others go on, and /ready has its sentence.",
    (PROCESS,),
)
PROCESS_RESTARTS = MetricSpec(
    "process_restarts_total",
    "counter",
    "restarts",
    "Times this process was started again after a failure or a refusal.",
    (PROCESS,),
)
PROCESS_PARTITIONS = MetricSpec(
    "process_partitions_assigned", "gauge", "partitions", "Partitions this process decides for.", (PROCESS,)
)
PROCESS_CPU = MetricSpec(
    "process_processor_seconds_total",
    "counter",
    "processor seconds",
    "Processor time this process has used, over all its restarts.",
    (PROCESS,),
)
PROCESS_MEMORY = MetricSpec(
    "process_memory_bytes", "gauge", "bytes", "Memory this process holds (resident).", (PROCESS,)
)

WORKER_METRICS: tuple[MetricSpec, ...] = (
    DECISIONS, DECISIONS_BY_PURPOSE, SUPPRESSIONS_BY_RULE, DECISIONS_BY_CAMPAIGN, DECISIONS_BY_SENDER,
    DECISIONS_BY_COUNTRY, DECISION_DURATION, DECISION_LATENCY, OPT_OUT_IN_FORCE, COMMIT_DURATION, BATCH_RECORDS,
    BARRIER_WAIT,
    LAG_SECONDS, LAG_RECORDS, LAG_UNKNOWN, DEAD_LETTERS, NOT_UNDERSTOOD, PERMISSIONS_REFUSED, UNREADABLE_OPT_OUTS,
    UNREADABLE_OUTCOMES,
    REROUTED, DUPLICATES, WITHDRAWALS, PREFERENCE_EVENTS,
    OUTCOMES, UNKNOWN_FIELDS, LEDGER_FULL, LEDGERS_EXAMINED, LEDGERS_PRUNED, LEDGERS_REMOVED, RETENTION_ROUND,
    RESTORE_IN_PROGRESS, RESTORE_REMAINING, RESTORED, PARTITIONS_ASSIGNED, READY, BROKERS_UNREACHABLE,
    BARRIER_UNANSWERED, COMMIT_UNANSWERED, PARTITIONS_UNWRITABLE,
    BATCHES_ABORTED, MISSING_RECORDS, CLOCK_DIFFERENCE, POLICY_INFO, POLICY_RELOAD,
    POLICY_FILE_DIFFERS, POLICY_LOADED, OPENTELEMETRY_LOST,
    BUILD_INFO, LAST_DECISION, REBALANCES,
)  # fmt: skip

SUPERVISOR_METRICS: tuple[MetricSpec, ...] = (WORKER_RESTARTS, RECURRING_FAILURE)
"""What only the supervisor can know."""

PROCESS_METRICS: tuple[MetricSpec, ...] = (
    PROCESS_UP, PROCESS_LIVE, PROCESS_READY, PROCESS_REFUSED, PROCESS_RESTARTS, PROCESS_PARTITIONS, PROCESS_CPU,
    PROCESS_MEMORY,
)  # fmt: skip
"""Of each worker process of a machine."""

METRICS = (*WORKER_METRICS, *SUPERVISOR_METRICS, *PROCESS_METRICS)

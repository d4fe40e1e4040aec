"""Writes the dashboard: `python deploy/grafana/generate.py`. The JSON is committed; a test proves it is current.

Each panel is one line of what a reader wants to know, the expressions that answer it, and a unit. Where a panel stands
on the grid follows from the order.
"""  # noqa: INP001 - a script beside what it writes, not a package

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parent / "dashboards" / "mesura.json"

GRID_COLUMNS = 24
PANEL_HEIGHT = 8

JOB = 'job="$job"'


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    question: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    """Expression and legend."""
    width: int = 8
    kind: str = "timeseries"
    stacked: bool = False
    threshold: float | None = None


def rate(metric: str, by: str, selector: str = "") -> str:
    matchers = f"{JOB}, {selector}" if selector else JOB
    return f"sum by ({by}) (rate({metric}{{{matchers}}}[$__rate_interval]))"


def share_suppressed(by: str) -> str:
    metric = f"mesura_decisions_by_{by}_total"
    suppressed = rate(metric, by, 'verdict="suppressed"')
    return f"{suppressed} / ({rate(metric, by)} > 0)"


def quantile(share: float, metric: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{{{JOB}}}[$__rate_interval])))"


def quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    return tuple((quantile(share, metric), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99))


def mean(metric: str) -> str:
    total = f"sum(rate({metric}_sum{{{JOB}}}[$__rate_interval]))"
    return f"{total} / sum(rate({metric}_count{{{JOB}}}[$__rate_interval]))"


def gauge(metric: str, fold: str = "sum", by: str = "") -> str:
    return f"{fold} by ({by}) ({metric}{{{JOB}}})" if by else f"{fold}({metric}{{{JOB}}})"


BUSINESS = (
    Panel(
        "Suppression rate",
        "Which share of the intents is not sent?",
        "percentunit",
        ((f"job:mesura_suppression:ratio_rate5m{{{JOB}}}", ""),),
        width=4,
        kind="stat",
    ),
    Panel(
        "Policy in force",
        "By which policy is decided? More than one line: workers differ.",
        "none",
        ((f"count by (name, version, hash) (mesura_policy_info{{{JOB}}})", "{{name}} {{version}} {{hash}}"),),
        width=8,
        kind="stat",
    ),
    Panel(
        "Policy loaded",
        "When did it come into force?",
        "dateTimeAsIso",
        ((f"max(mesura_policy_loaded_timestamp_seconds{{{JOB}}}) * 1000", ""),),
        width=6,
        kind="stat",
    ),
    Panel(
        "Last decision",
        "When was an intent last answered?",
        "dateTimeFromNow",
        ((f"max(mesura_last_decision_timestamp_seconds{{{JOB}}}) * 1000", ""),),
        width=6,
        kind="stat",
    ),
    Panel(
        "Approved",
        "How much may be sent, on which channel?",
        "ops",
        ((rate("mesura_decisions_total", "channel", 'verdict="approved"'), "{{channel}}"),),
        stacked=True,
    ),
    Panel(
        "Suppressed",
        "How much may not be sent, on which channel?",
        "ops",
        ((f"job_channel:mesura_suppressions:rate5m{{{JOB}}}", "{{channel}}"),),
        stacked=True,
    ),
    Panel(
        "Suppression rate by channel",
        "Which channels does the policy hold back most?",
        "percentunit",
        ((f"job_channel:mesura_suppression:ratio_rate5m{{{JOB}}}", "{{channel}}"),),
    ),
    Panel(
        "Reasons",
        "Why is what is suppressed suppressed?",
        "ops",
        ((f"job_reason:mesura_suppressions:rate5m{{{JOB}}} > 0", "{{reason}}"),),
        width=12,
        stacked=True,
    ),
    Panel(
        "Reasons by channel",
        "Which reason holds back which channel?",
        "ops",
        ((f"job_channel_reason:mesura_suppressions:rate5m{{{JOB}}} > 0", "{{channel}}: {{reason}}"),),
        width=24,
        stacked=True,
    ),
    Panel(
        "Suppression rate by purpose",
        "Which purposes does the policy hold back most?",
        "percentunit",
        ((share_suppressed("purpose"), "{{purpose}}"),),
        width=12,
    ),
    Panel(
        "Suppressed by rule",
        "Which rule holds back how much?",
        "ops",
        ((rate("mesura_suppressions_by_rule_total", "rule") + " > 0", "{{rule}}"),),
        width=12,
        stacked=True,
    ),
    Panel(
        "Suppression rate by campaign, sender and country",
        "Of those that --count-by names; all others together are other.",
        "percentunit",
        (
            (share_suppressed("campaign"), "campaign {{campaign}}"),
            (share_suppressed("sender"), "sender {{sender}}"),
            (share_suppressed("country"), "country {{country}}"),
        ),
        width=24,
    ),
    Panel(
        "What customers say",
        "Preference events in force, and approvals taken back because of them.",
        "ops",
        (
            (rate("mesura_preference_events_total", "type") + " > 0", "{{type}}"),
            (rate("mesura_withdrawals_total", "reason") + " > 0", "withdrawn: {{reason}}"),
        ),
        width=12,
    ),
    Panel(
        "Outcomes",
        "What became of what was approved?",
        "ops",
        ((rate("mesura_outcomes_total", "type, matched") + " > 0", "{{type}} (contact known: {{matched}})"),),
        width=12,
    ),
    Panel(
        "Published twice, and ledgers full",
        "Intents answered as duplicates, and customers at the size limit.",
        "ops",
        (
            (f"sum(rate(mesura_duplicates_total{{{JOB}}}[$__rate_interval]))", "duplicates"),
            (f"sum(rate(mesura_ledger_full_total{{{JOB}}}[$__rate_interval]))", "ledger full"),
        ),
        width=12,
    ),
)

SERVICE = (
    Panel(
        "Ready",
        "Who is deciding? /ready says why not.",
        "bool_yes_no",
        ((gauge("mesura_ready", "min", "instance"), "{{instance}}"),),
        width=6,
        kind="stat",
    ),
    Panel(
        "Partitions",
        "Who decides for how many partitions?",
        "none",
        ((gauge("mesura_partitions_assigned", "sum", "instance"), "{{instance}}"),),
        width=6,
        kind="stat",
    ),
    Panel(
        "Opt-outs, outcomes not readable, 24 h",
        "Each may be a no that was not heard.",
        "none",
        (
            (f"sum(increase(mesura_unreadable_opt_outs_total{{{JOB}}}[24h]))", "opt-outs"),
            (f"sum(increase(mesura_unreadable_outcomes_total{{{JOB}}}[24h]))", "outcomes"),
        ),
        width=6,
        kind="stat",
        threshold=1,
    ),
    Panel(
        "Records missing, 24 h",
        "Deleted before anybody decided them.",
        "none",
        ((f"sum(increase(mesura_missing_records_total{{{JOB}}}[24h]))", ""),),
        width=6,
        kind="stat",
        threshold=1,
    ),
    Panel(
        "Decision latency",
        "From the record to its committed decision. Objective: 99.9 % within 5 s.",
        "s",
        quantiles("mesura_decision_latency_seconds"),
        threshold=5,
    ),
    Panel(
        "Late decisions",
        "The share later than 5 s, over the windows the alerts use.",
        "percentunit",
        (
            (f"job:mesura_decision_late:ratio_rate5m{{{JOB}}}", "5 minutes"),
            (f"job:mesura_decision_late:ratio_rate1h{{{JOB}}}", "1 hour"),
            (f"job:mesura_decision_late:ratio_rate6h{{{JOB}}}", "6 hours"),
        ),
        threshold=0.001,
    ),
    Panel(
        "Opt-out in force",
        "From what a customer said to the commit that obeys it. Objective: within 10 s.",
        "s",
        quantiles("mesura_opt_out_in_force_seconds"),
        threshold=10,
    ),
    Panel(
        "Age of the backlog",
        "How old is the oldest record not yet taken? And for how long has nobody known?",
        "s",
        (
            (gauge("mesura_lag_seconds", "max", "topic"), "{{topic}}"),
            (gauge("mesura_lag_unknown_seconds", "max", "instance") + " > 0", "{{instance}} does not know"),
        ),
    ),
    Panel(
        "Backlog",
        "How many records wait?",
        "short",
        ((gauge("mesura_lag_records", "sum", "topic"), "{{topic}}"),),
    ),
    Panel(
        "Dead letters",
        "What could not be read, and why?",
        "ops",
        ((rate("mesura_dead_letters_total", "topic, reason") + " > 0", "{{topic}}: {{reason}}"),),
    ),
    Panel(
        "Misrouted, and fields unknown",
        "Which producers break the contract a little?",
        "ops",
        (
            (rate("mesura_rerouted_records_total", "topic") + " > 0", "misrouted: {{topic}}"),
            (rate("mesura_unknown_fields_total", "event") + " > 0", "unknown fields: {{event}}"),
            (rate("mesura_not_understood_total", "what") + " > 0", "not understood: {{what}}"),
            (rate("mesura_permissions_refused_total", "") + " > 0", "permissions refused"),
        ),
    ),
    Panel(
        "Restore",
        "How many records until every ledger is whole?",
        "short",
        (
            (gauge("mesura_restore_remaining_records", "sum", "instance"), "{{instance}} remaining"),
            (gauge("mesura_restore_in_progress", "max", "instance"), "{{instance}} restoring"),
        ),
    ),
    Panel(
        "Restored",
        "How fast are ledgers read back?",
        "ops",
        ((rate("mesura_restored_records_total", "instance"), "{{instance}}"),),
    ),
)

ENGINE = (
    Panel(
        "Decision duration",
        "What does one decision cost?",
        "s",
        (*quantiles("mesura_decision_duration_seconds"), (mean("mesura_decision_duration_seconds"), "mean")),
    ),
    Panel(
        "Commit duration",
        "From the moment of decision to the end of the transaction. Above 2 s it is aborted.",
        "s",
        quantiles("mesura_commit_duration_seconds"),
        threshold=2,
    ),
    Panel(
        "Records in a batch",
        "Idle (one) or working off a backlog (thousands)?",
        "short",
        (*quantiles("mesura_batch_records"), (mean("mesura_batch_records"), "mean")),
    ),
    Panel(
        "Barrier wait",
        "What does it cost to know everything customers have said?",
        "s",
        quantiles("mesura_barrier_wait_seconds"),
    ),
    Panel(
        "Barrier unanswered",
        "Who is waiting for it now?",
        "s",
        ((gauge("mesura_barrier_unanswered_seconds", "max", "instance"), "{{instance}}"),),
        threshold=30,
    ),
    Panel(
        "Commit unanswered",
        "Does a transaction wait for brokers, and do partitions take no records?",
        "short",
        (
            (gauge("mesura_commit_unanswered_seconds", "max", "instance"), "{{instance}} waits, seconds"),
            (gauge("mesura_partitions_unwritable", "max", "instance"), "{{instance}}, partitions that take none"),
        ),
        threshold=30,
    ),
    Panel(
        "Transactions aborted",
        "Why is anything decided again?",
        "ops",
        ((rate("mesura_batches_aborted_total", "reason"), "{{reason}}"),),
    ),
    Panel(
        "Clock difference",
        "How far is each worker's clock from the broker's? Above 5 s it stops deciding.",
        "s",
        ((gauge("mesura_clock_difference_seconds", "max", "instance"), "{{instance}}"),),
    ),
    Panel(
        "Rebalances and restarts",
        "Do partitions or workers come and go?",
        "none",
        (
            (f"sum by (instance) (increase(mesura_rebalances_total{{{JOB}}}[15m]))", "{{instance}} rebalances"),
            (f"sum by (instance) (increase(mesura_worker_restarts_total{{{JOB}}}[15m]))", "{{instance}} restarts"),
        ),
    ),
    Panel(
        "What comes back, and what is refused",
        "Does a worker fail at one place again and again, is one refused, is the policy file of no use? See /ready.",
        "none",
        (
            (gauge("mesura_recurring_failure", "max", "instance"), "{{instance}} fails at the same place"),
            (gauge("mesura_process_refused", "max", "instance, process"), "{{instance}} {{process}} is refused"),
            (gauge("mesura_policy_file_differs", "max", "instance, why"), "{{instance}} policy file {{why}}"),
        ),
    ),
    Panel(
        "Policy loads and builds",
        "Did every worker take the policy, and do all run the same build?",
        "none",
        (
            (f"sum by (result) (increase(mesura_policy_reload_total{{{JOB}}}[15m]))", "policy: {{result}}"),
            (
                f"count by (version, python, core) (mesura_build_info{{{JOB}}})",
                "mesura {{version}}, Python {{python}}, {{core}} core",
            ),
        ),
    ),
    Panel(
        "OpenTelemetry not delivered",
        "What did a collector not take? Nothing, if none is configured.",
        "ops",
        ((rate("mesura_opentelemetry_lost_total", "signal"), "{{signal}}"),),
    ),
    Panel(
        "Ledgers forgotten",
        "How many ledgers of customers whom nobody contacts became shorter, and how many went?",
        "short",
        (
            (f"sum(rate(mesura_ledgers_pruned_total{{{JOB}}}[$__rate_interval]))", "shorter or gone"),
            (f"sum(rate(mesura_ledgers_removed_total{{{JOB}}}[$__rate_interval]))", "gone"),
        ),
    ),
    Panel(
        "Ledgers looked at",
        "Does retention go on? Only ledgers are looked at in which something may be past its horizon.",
        "short",
        ((f"sum(rate(mesura_ledgers_examined_total{{{JOB}}}[$__rate_interval]))", "a second"),),
    ),
    Panel(
        "Latest round of retention",
        "How long did it take to note when each ledger is due, after a start, a rebalance or a new policy?",
        "s",
        ((gauge("mesura_retention_round_seconds", "max", "instance"), "{{instance}}"),),
    ),
)

PROCESSES = (
    Panel(
        "Processes",
        "Which process of a machine runs, has no lane that stands still, and decides?",
        "bool_yes_no",
        (
            (gauge("mesura_process_up", "min", "instance, process"), "{{instance}} {{process}} runs"),
            (gauge("mesura_process_live", "min", "instance, process"), "{{instance}} {{process}} moves"),
            (gauge("mesura_process_ready", "min", "instance, process"), "{{instance}} {{process}} decides"),
        ),
    ),
    Panel(
        "Partitions and restarts by process",
        "Do they share the work, and does one of them keep ending?",
        "none",
        (
            (gauge("mesura_process_partitions_assigned", "sum", "instance, process"), "{{instance}} {{process}}"),
            (
                f"sum by (instance, process) (increase(mesura_process_restarts_total{{{JOB}}}[15m]))",
                "{{instance}} {{process}} restarts",
            ),
        ),
    ),
    Panel(
        "Processor by process",
        "How much of a processor does each take? At 1 it needs another process beside it.",
        "none",
        ((rate("mesura_process_processor_seconds_total", "instance, process"), "{{instance}} {{process}}"),),
    ),
    Panel(
        "Memory by process",
        "How much does each hold? Most of it is ledgers.",
        "bytes",
        ((gauge("mesura_process_memory_bytes", "sum", "instance, process"), "{{instance}} {{process}}"),),
    ),
)

ROWS = (
    ("Business", BUSINESS),
    ("Service health", SERVICE),
    ("Kafka and engine", ENGINE),
    ("Processes of a machine", PROCESSES),
)


def dashboard() -> dict[str, Any]:
    """The whole board, with ids and positions that depend on nothing but the order above."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS:
        panels.append(_row(len(panels) + 1, title, top))
        top += 1
        left = 0
        for panel in row:
            if left + panel.width > GRID_COLUMNS:
                left, top = 0, top + PANEL_HEIGHT
            panels.append(_panel(len(panels) + 1, panel, left, top))
            left += panel.width
        top += PANEL_HEIGHT
    return {
        "uid": "mesura",
        "title": "mesura",
        "description": "What may be sent, why not, and how the gate is doing. Written by deploy/grafana/generate.py.",
        "tags": ["mesura"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "15s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "graphTooltip": 1,
        "templating": {"list": [_job_variable()]},
        "annotations": {"list": [_policy_changes()]},
        "panels": panels,
    }


def _row(number: int, title: str, top: int) -> dict[str, Any]:
    position = {"h": 1, "w": GRID_COLUMNS, "x": 0, "y": top}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": position, "panels": []}


def _panel(number: int, panel: Panel, left: int, top: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.question,
        "datasource": _DATASOURCE,
        "gridPos": {"h": PANEL_HEIGHT, "w": panel.width, "x": left, "y": top},
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _STAT_OPTIONS if panel.kind == "stat" else _SERIES_OPTIONS,
        "targets": [
            {
                "refId": chr(ord("A") + position),
                "datasource": _DATASOURCE,
                "expr": expression,
                "legendFormat": legend or "__auto",
                "instant": panel.kind == "stat",
                "range": panel.kind != "stat",
            }
            for position, (expression, legend) in enumerate(panel.queries)
        ],
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.threshold is not None:
        steps.append({"color": "red", "value": panel.threshold})
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.title == "Clock difference":
        del defaults["min"]
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "fillOpacity": 30 if panel.stacked else 5,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if panel.threshold is not None else "off"},
            "showPoints": "never",
        }
    return defaults


def _job_variable() -> dict[str, Any]:
    return {
        "name": "job",
        "label": "Job",
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": "label_values(mesura_build_info, job)", "refId": "job"},
        "refresh": 2,
        "sort": 1,
        "current": {"text": "mesura", "value": "mesura"},
        "hide": 0,
    }


def _policy_changes() -> dict[str, Any]:
    return {
        "name": "Policy changes",
        "enable": True,
        "datasource": _DATASOURCE,
        "expr": f"changes(mesura_policy_loaded_timestamp_seconds{{{JOB}}}[1m]) > 0",
        "titleFormat": "Policy loaded",
        "textFormat": "{{instance}}",
        "iconColor": "blue",
    }


_DATASOURCE = {"type": "prometheus", "uid": "mesura-prometheus"}
_STAT_OPTIONS = {"reduceOptions": {"calcs": ["lastNotNull"], "values": False}, "colorMode": "value", "textMode": "auto"}
_SERIES_OPTIONS = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
    "tooltip": {"mode": "multi", "sort": "desc"},
}


def text() -> str:
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DASHBOARD.write_text(text(), encoding="utf-8")

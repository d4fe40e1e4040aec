"""The reference page of the metrics: `python -m streams.telemetry.reference` writes `docs/metrics.md`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from streams.telemetry import registry

if TYPE_CHECKING:
    from streams.telemetry.registry import Label, MetricSpec

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"

_HEAD = """\
# Metrics

`python -m streams.telemetry.reference` writes this page from `streams/telemetry/registry.py`. Do not edit it by hand.

The supervisor of `mesura run` serves these metrics at `/metrics` for all its worker processes.
What a batch counted appears after its transaction has committed, never before. An aborted batch is therefore visible
only in `mesura_batches_aborted_total`. No label ever contains a customer, an address, a message or a partition. A word
outside a label's vocabulary is exported as `other`, so that a producer's typing error costs one series. Series whose
labels are known are 0 from the start.

## Across processes and restarts

The exposition is available as soon as the supervisor is, and stays available while its workers are restarted:

- **Counters and histograms** are added up, bucket by bucket, over every process and all its starts. They do
  not go backwards when a process ends. A batch is counted completely as soon as its process has learned that the
  transaction committed. If a process is killed between the commit and learning of it, that batch is not counted. Each
  kill loses at most one batch of each lane, and nothing is ever counted twice. Where every single decision matters,
  count them on the topics, which are exact.
- **Gauges** of several processes become one value as the table says. A process that does not answer within two seconds
  adds nothing to them, and makes `mesura_ready` 0.
- **`mesura_process_…`** show each process by its number, 0 to N − 1. Only these have the label.
- **`process_…`**: processor time, memory and descriptors are added up, including the supervisor's. The others are the
  supervisor's own.
- When the supervisor itself is restarted, all counters begin at 0, and it has forgotten how its workers failed.

[operations.md](operations.md) explains the alerts on these metrics. The standard `process_*` metrics are served too.
"""


def page() -> str:
    """The whole page, from the registry and nothing else."""
    sections = [
        _HEAD,
        "\n## All metrics\n\n| metric | kind | unit | labels | of several processes | meaning |\n",
        "|---|---|---|---|---|---|\n",
        "".join(_row(spec) for spec in registry.METRICS),
        "\n## Values of the labels\n\n| label | words | more are declared by |\n|---|---|---|\n",
        "".join(_vocabulary_row(label) for label in _labels()),
        "\n## Buckets\n\nClassic histograms, exact at their bounds.\n\n| metric | bounds | why |\n|---|---|---|\n",
        "".join(_bounds_row(spec) for spec in registry.METRICS if spec.kind == "histogram"),
    ]
    return "".join(sections)


def _row(spec: MetricSpec) -> str:
    labels = ", ".join(f"`{name}`" for name in spec.label_names) or "—"
    across: str = "by process" if spec in registry.PROCESS_METRICS else spec.across
    across = "of the machine" if spec in registry.SUPERVISOR_METRICS else across
    return f"| `{spec.full_name}` | {spec.kind} | {spec.unit} | {labels} | {across} | {spec.help} |\n"


def _labels() -> list[tuple[str, Label]]:
    """Each label once per vocabulary, in the order of the metrics, with the metrics that carry it."""
    carriers: dict[int, tuple[list[str], Label]] = {}
    for spec in registry.METRICS:
        for label in spec.labels:
            key = id(label.vocabulary) if label.vocabulary is not None else id(label)
            carriers.setdefault(key, ([], label))[0].append(spec.full_name)
    return [(", ".join(f"`{name}`" for name in names), label) for names, label in carriers.values()]


def _vocabulary_row(carried: tuple[str, Label]) -> str:
    names, label = carried
    if label is registry.PROCESS:
        return f"| `{label.name}` of {names} | `0` to N − 1 | `--processes` |\n"
    if label.vocabulary is None:
        return f"| `{label.name}` of {names} | free text, one series per worker | — |\n"
    words = ", ".join(f"`{word}`" for word in label.vocabulary.words) or "—"
    return f"| `{label.name}` of {names} | {words} | {label.vocabulary.declared_by or '—'} |\n"


def _bounds_row(spec: MetricSpec) -> str:
    bounds = ", ".join(f"{bound:g}" for bound in spec.bounds)
    return f"| `{spec.full_name}` | {bounds} | {spec.why_bounds} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

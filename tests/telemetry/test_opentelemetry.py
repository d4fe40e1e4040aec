"""What an OpenTelemetry collector gets, what becomes of it when there is none, and that off is off."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams.telemetry import registry
from streams.telemetry.health import Health
from streams.telemetry.metrics import Telemetry
from streams.telemetry.observer import TelemetryObserver
from streams.telemetry.opentelemetry_export.batch_traces import BatchTraces
from streams.telemetry.opentelemetry_export.machine_metrics import MachineMetrics
from streams.telemetry.opentelemetry_export.sender import Sender
from streams.telemetry.opentelemetry_export.switch import OpenTelemetryRefused, exported
from streams.telemetry.tally import Tally
from streams.testing.waiting import wait_until, wait_until_async
from tests.telemetry.collector import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import CollectorRegistry

WAIT_SECONDS = 20.0
DECIDED_MS = 1_795_618_800_000


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


def some_tally() -> Tally:
    tally = Tally()
    tally.decisions["sms", "approved", ""] += 3
    tally.decisions["email", "suppressed", "duplicate"] += 2
    tally.decisions["sms", "suppressed", "expired"] += 4
    tally.dead_letters["opt-out", "not_json"] += 1
    tally.preferences["opt_out"] += 5
    tally.intent_timestamps_ms += [DECIDED_MS - 20, DECIDED_MS - 700, DECIDED_MS - 1_000_000]
    return tally


def telemetry_of_some() -> Telemetry:
    telemetry = Telemetry(version="0.1.0")
    for number in range(3):
        telemetry.count(some_tally(), decided_at_ms=DECIDED_MS, committed_at_ms=DECIDED_MS + 10 * number)
    return telemetry


def shown(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of an exposition."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def received(metrics: dict[str, Any]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The same of what a collector got, as it would itself show it to Prometheus."""
    found = {}
    for name, metric in metrics.items():
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            labels = tuple(sorted((each.key, each.value.string_value) for each in point.attributes))
            if kind == "histogram":
                assert not point.HasField("min")
                total = 0
                bounds = [*map(str, point.explicit_bounds), "+Inf"]
                for bound, count in zip(bounds, point.bucket_counts, strict=True):
                    total += count
                    found[f"{name}_bucket", tuple(sorted((*labels, ("le", bound))))] = float(total)
                assert total == point.count
                found[f"{name}_count", labels], found[f"{name}_sum", labels] = float(point.count), point.sum
            else:
                value = point.as_double if point.WhichOneof("value") == "as_double" else float(point.as_int)
                found[f"{name}_total" if kind == "sum" else name, labels] = value
            if kind == "sum":
                assert metric.sum.is_monotonic
    return found


async def test_a_collector_gets_what_prometheus_is_shown(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = telemetry_of_some()
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")

    async def its_registry() -> CollectorRegistry:
        return telemetry.registry

    lost: list[int] = []
    export = MachineMetrics(its_registry, lost.append, {"MESURA_SLOT": "7"})
    await export.export()
    await wait_until_async(lambda: bool(collector.metrics()), WAIT_SECONDS, "an export")
    export.close()
    (got,) = collector.metrics()
    now = shown(generate_latest(telemetry.registry).decode())
    mine = {key: value for key, value in now.items() if key[0].startswith("mesura_")}
    found = received(got)
    assert len(mine) > 150
    assert {key: found.get(key) for key in mine} == mine
    assert {name for name, _ in found} == {name for name, _ in now}
    (resource,) = collector.resources()
    assert resource["service.name"] == "mesura"
    assert resource["service.instance.id"] == "7"
    assert resource["deployment.environment"] == "test"


def test_a_span_has_counts_and_moments_and_nothing_else(collector: Collector) -> None:
    traces = BatchTraces({"OTEL_TRACES_SAMPLER": "always_on"}, slot="0")
    telemetry = Telemetry(version="0.1.0")
    observer = TelemetryObserver(telemetry, Health(), traces)
    observer.committed(3, some_tally(), decided_at_ms=DECIDED_MS, committed_at_ms=DECIDED_MS + 12)
    traces.close()
    (span,) = collector.spans()
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (DECIDED_MS * 10**6, (DECIDED_MS + 12) * 10**6)
    values = {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}
    assert values.pop("messaging.system") == "kafka"
    assert values.pop("messaging.destination.partition.id") == "3"
    assert {name: value for name, value in values.items() if value} == {
        "mesura.approved": 3,
        "mesura.suppressed": 6,
        "mesura.preferences": 5,
        "mesura.dead_letters": 1,
    }
    assert not any(isinstance(value, str) for value in values.values())


def test_one_batch_in_a_hundred_has_a_span(collector: Collector) -> None:
    traces = BatchTraces({}, slot="0")
    for number in range(10_000):
        traces.committed(0, Tally(), decided_at_ms=DECIDED_MS + number, committed_at_ms=DECIDED_MS + number)
    traces.close()
    assert 40 < len(list(collector.spans())) < 180  # six standard deviations around 100


def test_spans_that_a_collector_refuses_are_counted(collector: Collector) -> None:
    collector.status = 401
    traces = BatchTraces({"OTEL_TRACES_SAMPLER": "always_on"}, slot="0")
    telemetry = Telemetry(version="0.1.0")
    observer = TelemetryObserver(telemetry, Health(), traces)
    observer.committed(3, some_tally(), decided_at_ms=DECIDED_MS, committed_at_ms=DECIDED_MS)
    traces.close()
    observer.committed(3, Tally(), decided_at_ms=DECIDED_MS, committed_at_ms=DECIDED_MS)
    name = registry.OPENTELEMETRY_LOST.full_name
    assert telemetry.registry.get_sample_value(name, {"signal": "traces"}) == 1


def test_whoever_offers_never_waits_for_a_collector_that_hangs() -> None:
    hangs, sent = threading.Event(), []

    def send(items: Sequence[int]) -> bool:
        assert hangs.wait(WAIT_SECONDS)
        sent.extend(items)
        return True

    sender = Sender(send, what="test", room=8, at_once=4, linger_seconds=0)
    for number in range(1_000):
        sender.offer(number)  # would never return if it waited
    lost = sender.take_lost()
    assert 1_000 - 8 - 4 <= lost <= 1_000 - 8
    sender.close(0)  # nor does the end
    hangs.set()
    wait_until(lambda: len(sent) == 1_000 - lost, WAIT_SECONDS, "what had room is sent")


def test_an_error_of_the_client_ends_nothing_and_is_named_by_type() -> None:
    calls = []

    def send(items: Sequence[str]) -> bool:
        calls.append(list(items))
        if len(calls) == 1:
            raise ValueError("planted-header")
        return True

    sender = Sender(send, what="test", room=8, at_once=1, linger_seconds=0)
    sender.offer("first")
    wait_until(lambda: len(calls) == 1, WAIT_SECONDS, "the first")
    sender.offer("second")
    sender.close(WAIT_SECONDS)
    assert calls == [["first"], ["second"]]
    assert sender.take_lost() == 1


REFUSES_TO_LOOK = """
import sys
class Refused:
    def find_spec(self, name, *_):
        assert not name.startswith(("opentelemetry", "google", "requests")), f"{name} was looked for"
sys.meta_path.insert(0, Refused())
from streams.telemetry.opentelemetry_export.switch import exported
exported({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "MESURA_OTEL": sys.argv[1]})
if sys.argv[1] == "off":
    import streams.worker, streams.cli.run, streams.cli.ops_gateway
    assert streams.worker._batch_traces("0") is None
    assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


@pytest.mark.parametrize(("switch", "says"), [("off", ""), ("on", "was looked for")])
def test_nothing_of_it_is_imported_or_looked_for_unless_it_is_on(switch: str, says: str) -> None:
    command = [sys.executable, "-c", REFUSES_TO_LOOK, switch]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert says in done.stderr
    assert (done.returncode == 0) is not bool(says), done.stderr


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, set()),
        ({"MESURA_OTEL": "off"}, set()),
        ({"MESURA_OTEL": "on"}, {"metrics", "traces"}),
        ({"MESURA_OTEL": "ON", "OTEL_TRACES_EXPORTER": "none"}, {"metrics"}),
        ({"MESURA_OTEL": "on", "OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "otlp"}, {"traces"}),
        ({"MESURA_OTEL": "on", "OTEL_SDK_DISABLED": "true"}, set()),
    ],
)
def test_what_is_exported(environment: dict[str, str], wanted: set[str]) -> None:
    assert exported(environment) == wanted


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"MESURA_OTEL": "yes"}, "neither on nor off"),
        (
            {"MESURA_OTEL": "on", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTLP_PROTOCOL must be http/protobuf",
        ),
        ({"MESURA_OTEL": "on", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "TRACES_PROTOCOL must be"),
        ({"MESURA_OTEL": "on", "OTEL_METRICS_EXPORTER": "prometheus"}, "OTEL_METRICS_EXPORTER can be otlp or none"),
    ],
)
def test_what_cannot_work_is_refused(environment: dict[str, str], says: str) -> None:
    with pytest.raises(OpenTelemetryRefused, match=says):
        exported(environment)


def test_packages_that_are_missing_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    with pytest.raises(OpenTelemetryRefused, match=r"pip install 'mesura\[otel\]'"):
        exported({"MESURA_OTEL": "on"})

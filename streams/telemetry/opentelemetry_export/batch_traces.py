"""A span for each batch of a partition that was committed: when it was decided and committed, and how much was in it.

Rules of this module
1. A span holds counts and moments, nothing else: no topic, no reason, no customer.
2. One batch in a hundred has a span, unless `OTEL_TRACES_SAMPLER` says otherwise.
3. A span costs a lane some microseconds. It is sent from a thread of its own (`sender`).
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_TRACES_SAMPLER
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from streams.telemetry.opentelemetry_export.resource import resource_of
from streams.telemetry.opentelemetry_export.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from streams.telemetry.tally import Tally

RATIO: Final = 0.01
"""A busy worker commits some hundred batches a second: one in a hundred shows what they are like."""

ROOM: Final = 2_048
AT_ONCE: Final = 512
"""Both are the SDK's own figures. At the ratio above the queue holds a quarter of an hour."""

CLOSE_SECONDS: Final = 1.0
"""At the end of a worker, whose partitions others are waiting for."""

_NANOSECONDS: Final = 1_000_000


class _Queued(SpanProcessor):
    """Hands every finished span to the sender."""

    def __init__(self, sender: Sender[ReadableSpan]) -> None:
        self._sender = sender

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        pass

    def on_end(self, span: ReadableSpan) -> None:
        self._sender.offer(span)


class BatchTraces:
    """Makes a span of a batch that was committed."""

    def __init__(self, environment: Mapping[str, str], *, slot: str) -> None:
        exporter = OTLPSpanExporter()

        def send(spans: Sequence[ReadableSpan]) -> bool:
            return exporter.export(spans) is SpanExportResult.SUCCESS

        self._sender: Sender[ReadableSpan] = Sender(send, what="traces", room=ROOM, at_once=AT_ONCE)
        resource: Resource = resource_of(environment, slot)
        sampler = None if OTEL_TRACES_SAMPLER in environment else ParentBased(TraceIdRatioBased(RATIO))
        provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(_Queued(self._sender))
        self._tracer = provider.get_tracer("mesura", version("mesura"))

    def committed(self, partition: int, tally: Tally, *, decided_at_ms: int, committed_at_ms: int) -> None:
        """A batch was committed. Returns at once."""
        span = self._tracer.start_span("batch", start_time=decided_at_ms * _NANOSECONDS)
        if span.is_recording():
            verdicts = {"approved": 0, "suppressed": 0}
            for (_, verdict, _), times in tally.decisions.items():
                verdicts[verdict] += times
            span.set_attributes(
                {
                    "messaging.system": "kafka",
                    "messaging.destination.partition.id": str(partition),
                    "mesura.approved": verdicts["approved"],
                    "mesura.suppressed": verdicts["suppressed"],
                    "mesura.withdrawals": sum(tally.withdrawals.values()),
                    "mesura.preferences": sum(tally.preferences.values()),
                    "mesura.outcomes": sum(tally.outcomes.values()),
                    "mesura.dead_letters": sum(tally.dead_letters.values()),
                    "mesura.rerouted": sum(tally.rerouted.values()),
                    "mesura.decide_seconds": tally.decide_seconds,
                }
            )
        span.end(end_time=max(decided_at_ms, committed_at_ms) * _NANOSECONDS)

    def take_lost(self) -> int:
        """How many spans were lost since this was last asked."""
        return self._sender.take_lost()

    def close(self) -> None:
        """Send what waits, for a moment."""
        self._sender.close(CLOSE_SECONDS)

"""One run as spans: it listens to the runner's events, so that a hop is a child of its run in whatever thread."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime

from hopline.agent.hops.reading import ReadArtifact, try_read
from hopline.agent.hops.records import ArtifactRef, Failure, Hop, ModelCall, RunRecord
from hopline.agent.running.events import Event
from hopline.agent.tracing import attributes as named
from hopline.agent.tracing.scrubbing import Scrub
from hopline.tools.artifact import TEXT
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer


class RunSpans:
    """The spans of a run, from its beginning to `end`.

    Args:
        tracer: makes the spans.
        run: as it begins.
        parent: context whose span the run is a child of; see `surrounding`.
        began_ns: when planning began, nanoseconds since the epoch.
        read: gives the bytes of a text that is to be shown; None shows none.
        scrub: hides secrets.
    """

    def __init__(
        self,
        tracer: Tracer,
        run: RunRecord,
        *,
        parent: otel_context.Context,
        began_ns: int,
        read: ReadArtifact | None,
        scrub: Scrub,
    ) -> None:
        self._tracer = tracer
        self._read = read
        self._scrub = scrub
        self._began_ns = began_ns
        self._open: dict[int, Span] = {}
        self._contexts: dict[int | None, otel_context.Context] = {}
        self._span = tracer.start_span(
            named.run_name(), context=parent, kind=SpanKind.INTERNAL, start_time=began_ns, attributes=self._of(run)
        )
        self._contexts[None] = trace.set_span_in_context(self._span, parent)

    def __call__(self, event: Event) -> None:
        """Follow one event."""
        if event.kind == "hop_started" and event.hop is not None:
            self.hop_started(event.hop)
        elif event.kind == "hop_ended" and event.hop is not None:
            self.hop_ended(event.hop)

    def hop_started(self, hop: Hop) -> None:
        """Begin the span of a hop, below its run or the hop that made it for itself."""
        parent = self._contexts.get(hop.parent, self._contexts[None])
        span = self._tracer.start_span(
            named.hop_name(hop),
            context=parent,
            kind=SpanKind.INTERNAL,
            start_time=nanoseconds(hop.started_at),
            attributes=named.hop_attributes(hop, self._words, self._scrub),
        )
        self._open[hop.id] = span
        self._contexts[hop.id] = trace.set_span_in_context(span, parent)

    def hop_ended(self, hop: Hop) -> None:
        """End the span of a hop; one that was never called gets its span now."""
        if hop.id not in self._open:
            self.hop_started(hop)
        span = self._open.pop(hop.id)
        span.set_attributes(named.hop_attributes(hop, self._words, self._scrub))
        self._close(span, hop.error, nanoseconds(hop.started_at), (hop.duration_ms or 0) + (hop.load_ms or 0))

    def end(self, run: RunRecord, calls: Sequence[ModelCall]) -> None:
        """End the run's span.

        Args:
            run: as it ended.
            calls: its exchanges with language models; those of before this began are left out.
        """
        for call in calls:
            start_ns = nanoseconds(call.started_at) if call.started_at else self._began_ns
            if start_ns + 1000 >= self._began_ns:  # records have microseconds
                self._call(call, start_ns)
        for span in self._open.values():
            span.set_status(Status(StatusCode.ERROR, "it was in flight when its run ended."))
            span.end()
        self._open.clear()
        self._span.set_attributes(self._of(run))
        if run.error is not None:
            self._span.set_status(Status(StatusCode.ERROR, self._scrub.text(run.error.message)))
        elif run.status == "ok":
            self._span.set_status(Status(StatusCode.OK))
        self._span.end(nanoseconds(run.ended_at) if run.ended_at else None)

    def _call(self, call: ModelCall, start_ns: int) -> None:
        span = self._tracer.start_span(
            named.call_name(call),
            context=self._contexts.get(call.hop, self._contexts[None]),
            kind=SpanKind.CLIENT,
            start_time=start_ns,
            attributes=named.call_attributes(call, self._words, self._scrub),
        )
        self._close(span, call.error, start_ns, call.duration_ms or 0)

    def _close(self, span: Span, error: Failure | None, start_ns: int, duration_ms: float) -> None:
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, self._scrub.text(error.message)))
        else:
            span.set_status(Status(StatusCode.OK))
        span.end(start_ns + round(duration_ms * 1e6))

    def _of(self, run: RunRecord) -> named.Attributes:
        return named.run_attributes(run, self._words, self._scrub, content=self._read is not None)

    def _words(self, ref: ArtifactRef) -> str | None:
        if self._read is None or ref.modality != TEXT:
            return None
        artifact = try_read(self._read, ref)
        return None if isinstance(artifact, Failure) else artifact.data.decode("utf-8", "replace")


def nanoseconds(moment: str) -> int:
    """ISO 8601 as nanoseconds since the epoch."""
    when = datetime.fromisoformat(moment)
    return int(when.timestamp()) * 1_000_000_000 + when.microsecond * 1000


def surrounding() -> otel_context.Context:
    """The context that a run begun here belongs to: the newest of the current span and LangChain's.

    The LangChain instrumentor of OpenInference does not make its spans current, so that a span begun in a
    LangChain tool would have no parent.
    """
    here = otel_context.get_current()
    instrumentor = sys.modules.get("openinference.instrumentation.langchain")
    outer = instrumentor.get_current_span() if instrumentor is not None else None
    if outer is None or not outer.get_span_context().is_valid:
        return here
    current = trace.get_current_span(here)
    newer = getattr(current, "start_time", None) or 0, getattr(outer, "start_time", None) or 0
    if current.get_span_context().is_valid and newer[0] > newer[1]:
        return here
    return trace.set_span_in_context(outer, here)

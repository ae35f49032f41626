"""Where spans go: a JSON Lines file in OTLP's own form, or an OTLP endpoint."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from hopline.tools.errors import BadInput
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult

SEND_TIMEOUT_S = 3
"""Of one request to an endpoint with its retries: how long a run's end may wait for one that is gone."""

_IDS = ("traceId", "spanId", "parentSpanId")


def to_file(path: Path) -> TracerProvider:
    """Spans are appended to a file, one `ExportTraceServiceRequest` of OTLP/JSON a line.

    Raises:
        BadInput: the file cannot be written.
    """
    provider = _provider()
    provider.add_span_processor(SimpleSpanProcessor(JsonLines(path)))
    return provider


def to_endpoint(address: str) -> TracerProvider:
    """Spans are sent to an OTLP/HTTP address; `OTEL_EXPORTER_OTLP_HEADERS` may carry a login."""
    provider = _provider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address, timeout=SEND_TIMEOUT_S)))
    return provider


def _provider() -> TracerProvider:
    resource = Resource.create({"service.name": "hopline", "service.version": version("hopline")})
    return TracerProvider(resource=resource)


class JsonLines(SpanExporter):
    """Appends spans to a file that the OpenTelemetry Collector and others read (OTLP file exporter).

    Raises:
        BadInput: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise BadInput(f"traces cannot be written to {path}: {error.strerror}.") from None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write one line."""
        line = json.dumps(_hex_ids(MessageToDict(encode_spans(spans), use_integers_for_enums=True)), ensure_ascii=False)
        with self._lock:
            try:
                self._file.write(f"{line}\n")
                self._file.flush()
            except (OSError, ValueError):  # a full disk; a file that was closed
                return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Every line is there already."""
        return True

    def shutdown(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


def _hex_ids(value: Any) -> Any:
    """OTLP/JSON writes ids in hexadecimal, where JSON of other messages has base64."""
    if isinstance(value, dict):
        return {
            key: base64.b64decode(inner).hex() if key in _IDS and isinstance(inner, str) else _hex_ids(inner)
            for key, inner in value.items()
        }
    return [_hex_ids(inner) for inner in value] if isinstance(value, list) else value

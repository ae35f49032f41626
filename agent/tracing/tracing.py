"""Whether and where runs are traced, and following them."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hopline.agent.hops.journal import Journal
from hopline.agent.hops.reading import ReadArtifact
from hopline.agent.hops.records import Hop, ModelCall, RunRecord
from hopline.agent.running.profile import Profile
from hopline.agent.tracing.scrubbing import Scrub
from hopline.tools.errors import BadPlan, MissingExtra

if TYPE_CHECKING:
    from hopline.agent.tracing.spans import RunSpans
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

WHERE, CONTENT = "HOPLINE_TRACES", "HOPLINE_TRACE_CONTENT"
"""Variables that go before the profile's `traces` and `trace_content`."""


class Tracing:
    """Makes the spans of runs.

    Args:
        provider: of the tracer.
        content: texts are shown, not only named; media never are.
        close: called at the end; a provider of somebody else's is left open.
    """

    def __init__(self, provider: TracerProvider, *, content: bool, close: Callable[[], None] = lambda: None) -> None:
        self._tracer = provider.get_tracer("hopline")
        self._content = content
        self._scrub = Scrub()
        self.close = close

    def begin(self, run: RunRecord, *, began_ns: int, read: ReadArtifact, parent: Context | None = None) -> RunSpans:
        """The spans of a run that begins here and now, below whatever span surrounds it.

        Args:
            run: as it begins.
            began_ns: when planning began, nanoseconds since the epoch.
            read: gives the bytes of a reference.
            parent: context instead of the one that surrounds this call.
        """
        from hopline.agent.tracing.spans import RunSpans, surrounding

        return RunSpans(
            self._tracer,
            run,
            parent=surrounding() if parent is None else parent,
            began_ns=began_ns,
            read=read if self._content else None,
            scrub=self._scrub,
        )

    def stored(self, run: RunRecord, hops: Sequence[Hop], calls: Sequence[ModelCall], read: ReadArtifact) -> None:
        """The spans of a run of the journal, a trace of its own."""
        from hopline.agent.tracing.spans import nanoseconds
        from opentelemetry.context import Context

        starts = [nanoseconds(run.created_at), *(nanoseconds(call.started_at) for call in calls if call.started_at)]
        spans = self.begin(run, began_ns=min(starts), read=read, parent=Context())
        for hop in hops:
            spans.hop_started(hop)
        for hop in reversed(hops):
            spans.hop_ended(hop)
        spans.end(run, calls)


def open_tracing(profile: Profile, to: object = None, *, content: bool | None = None) -> Tracing | None:
    """Tracing as asked for; None, and nothing imported, when nobody asks.

    Args:
        profile: its `traces` and `trace_content` count where nothing else is said.
        to: a file, an OTLP/HTTP address, or a TracerProvider; by default `HOPLINE_TRACES`, then the profile's.
        content: show texts; by default `HOPLINE_TRACE_CONTENT`, then the profile's.

    Raises:
        BadPlan: the address is on another machine, and the profile keeps everything on this one.
        BadInput: the file cannot be written.
        MissingExtra: the packages of the extra `trace` are not installed.
    """
    target = to if to is not None else os.environ.get(WHERE, "") or profile.traces
    if not target:
        return None
    if content is None:
        said = os.environ.get(CONTENT, "")
        content = said == "1" if said else profile.trace_content
    try:
        from hopline.agent.tracing import exporting
    except ImportError as error:
        raise MissingExtra(f"traces need {error.name}.", hint="Run: pip install 'hopline[trace]'") from None
    if not isinstance(target, str | Path):
        return Tracing(target, content=content)  # type: ignore[arg-type]  # a TracerProvider, as the signature says
    if str(target).startswith(("http://", "https://")):
        provider = exporting.to_endpoint(_address(str(target), profile))
    else:
        provider = exporting.to_file(Path(target).expanduser())
    return Tracing(provider, content=content, close=provider.shutdown)


def export_traces(journal: Journal, run_id: str, file: Path) -> None:
    """Append the spans of a stored run to a JSON Lines file; `HOPLINE_TRACE_CONTENT=1` shows texts.

    Raises:
        BadInput: the file cannot be written.
        MissingExtra: the packages of the extra `trace` are not installed.
    """
    tracing = open_tracing(Profile(name="export"), file)
    assert tracing is not None, "a file was given"
    tracing.stored(journal.run(run_id), journal.hops(run_id), journal.model_calls(run_id), journal.read)
    tracing.close()


def _address(text: str, profile: Profile) -> str:
    """The address, with OTLP's path where it has none.

    Raises:
        BadPlan: it is on another machine, and the profile keeps everything on this one.
    """
    parts = urlsplit(text)
    if not _loopback(parts.hostname or "") and not profile.remote:
        raise BadPlan(
            f"traces to {parts.hostname} leave this machine, and the profile {profile.name!r} does not allow it.",
            hint="Trace to a file or to 127.0.0.1, or use a profile with remote = true.",
        )
    return parts._replace(path="/v1/traces").geturl() if parts.path in ("", "/") else text


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""The protocol: calls go to threads, what a run does comes back as progress, a cancelled call stops its run."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import anyio
from hopline.agent.agent import Agent
from hopline.agent.faces.mcp.declaring import INSTRUCTIONS
from hopline.agent.faces.mcp.services import Services, Stop
from hopline.agent.faces.mcp.showing import SCHEME, error_result
from hopline.agent.running.events import Event
from hopline.agent.views.markup import visible
from hopline.tools.artifact import TEXT
from hopline.tools.errors import HoplineError, NotFound
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.lowlevel.helper_types import ReadResourceContents
from pydantic import AnyUrl

T = TypeVar("T")


def make_server(agent: Agent, folders: Sequence[Path] = ()) -> Server[Any, Any]:
    """A server over an agent, for any transport.

    Args:
        agent: what plans and runs; it must outlive the server.
        folders: whose files a client may name.

    Raises:
        UserError: two tools would have one name.
    """
    services = Services(agent, folders)
    server: Server[Any, Any] = Server("hopline", version=version("hopline"), instructions=INSTRUCTIONS)

    @server.list_tools()  # type: ignore[no-untyped-call,untyped-decorator]  # the library's decorators have no types
    async def list_tools() -> list[types.Tool]:
        return services.declared

    @server.call_tool()  # type: ignore[untyped-decorator]  # as above
    async def call_tool(name: str, given: dict[str, Any]) -> types.CallToolResult:
        stop = Stop()
        async with _Progress(server) as progress:
            try:
                return await stoppable(lambda: services.call(name, given, progress, stop), stop)
            except HoplineError as error:
                return error_result(str(error))
            except Exception as error:  # a bug: the client is told so, and the traceback goes to stderr
                sys.stderr.write(traceback.format_exc())
                return error_result(f"a bug in hopline: {type(error).__name__}.")

    @server.list_resource_templates()  # type: ignore[no-untyped-call,untyped-decorator]  # as above
    async def list_resource_templates() -> list[types.ResourceTemplate]:
        return [
            types.ResourceTemplate(
                name="artifact",
                uriTemplate=f"{SCHEME}://artifact/{{id}}",
                description="Something that was given to a run or made by it, by its sha256.",
            )
        ]

    @server.list_resources()  # type: ignore[no-untyped-call,untyped-decorator]  # as above
    async def list_resources() -> list[types.Resource]:
        return []

    @server.read_resource()  # type: ignore[no-untyped-call,untyped-decorator]  # as above
    async def read_resource(address: AnyUrl) -> Iterable[ReadResourceContents]:
        if address.scheme != SCHEME or address.host != "artifact":
            raise NotFound(f"{address} is not an artifact of hopline.")
        artifact = await asyncio.to_thread(services.artifact, (address.path or "").strip("/"))
        content = artifact.text if artifact.modality == TEXT else artifact.data
        return [ReadResourceContents(content=content, mime_type=artifact.media_type)]

    return server


async def stoppable(work: Callable[[], T], stop: Callable[[], None]) -> T:
    """Do blocking work in a thread; when this call is cancelled, stop the work and wait until it has ended."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # the client is gone: nobody else will look at it
        raise


class _Progress:
    """Sends what a run does to the client that asked for progress; called from the run's threads."""

    def __init__(self, server: Server[Any, Any]) -> None:
        context = server.request_context
        self._session = context.session
        self._request = context.request_id
        self._token = context.meta.progressToken if context.meta else None
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._sender: asyncio.Task[None] | None = None
        self._ended = 0
        self._steps = 0
        self._said = 0.0

    async def __aenter__(self) -> _Progress:
        if self._token is not None:
            self._sender = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sender is not None:
            self._events.put_nowait(None)
            with anyio.move_on_after(1, shield=True):
                await self._sender

    def __call__(self, event: Event) -> None:
        if self._sender is not None:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def _send(self) -> None:
        assert self._token is not None
        while (event := await self._events.get()) is not None:
            words = self._words(event)
            if not words:
                continue
            fraction = event.fraction if event.kind == "hop_progress" else 0.0
            # The protocol wants it to grow; a hop counts whole when it has ended.
            self._said = round(max(self._said + 0.001, self._ended + 0.9 * fraction), 3)
            total = float(self._steps) if self._steps >= self._said else None
            try:
                await self._session.send_progress_notification(
                    self._token, self._said, total, words, related_request_id=str(self._request)
                )
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):  # the client left
                return

    def _words(self, event: Event) -> str:
        if event.kind == "planned" and event.plan is not None:
            self._steps = len(event.plan.steps)
            return "plan: " + " → ".join(f"{step.id} {step.tool}" for step in event.plan.steps)
        if event.kind == "hop_ended" and event.hop is not None:
            self._ended += event.hop.parent is None
            return f"{event.hop.step} {event.hop.tool}: {event.hop.status}"
        if event.kind in ("hop_started", "hop_progress") and event.hop is not None:
            return visible(f"{event.hop.step} {event.hop.tool} {event.words}".strip())
        return visible(event.words) if event.kind == "probe" else ""

"""One server: asked from any thread, kept between calls, killed when it does not listen, begun anew at the next use."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal
from hopline.tools.backend import Progress
from hopline.tools.errors import BackendCrashed, BackendFailed, HopCancelled, HoplineError, HopTimeout, MissingServer
from hopline.tools.mcp.settings import ServerSettings
from hopline.tools.mcp.transports import open_transport
from hopline.tools.mcp.untrusted import one_line
from mcp import ClientSession, McpError, types
from pydantic import ValidationError

T = TypeVar("T")

MOST_TOOLS = 200
_MOST_PAGES = 20
_GRACE_S = 0.5
_POLL_S = 0.2


def digest(listed: types.Tool) -> str:
    """sha256 of all that a server says about a tool."""
    said = json.dumps(listed.model_dump(mode="json", by_alias=True), sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


@dataclass(kw_only=True)
class _Live:
    """A connection that is open, or was."""

    session: ClientSession | None = None
    about: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    failure: HoplineError | None = None

    def fail(self, error: HoplineError) -> None:
        """End it; the first reason counts."""
        self.failure = self.failure or error
        self.over.set()

    async def answer(self, ask: Callable[[ClientSession], Coroutine[Any, Any, T]]) -> T:
        """What the server answers, unless the connection ends first."""
        assert self.session is not None
        asked, over = asyncio.ensure_future(ask(self.session)), asyncio.ensure_future(self.over.wait())
        try:
            await asyncio.wait({asked, over}, return_when=asyncio.FIRST_COMPLETED)
            if self.over.is_set():
                raise self.failure or BackendCrashed("the connection was closed.")
            return asked.result()
        finally:
            asked.cancel()
            over.cancel()


@dataclass(kw_only=True)
class _Asked:
    """One call under way: what is needed to stop it, and what the server says of it."""

    live: _Live | None = None
    request: int = -1
    fraction: float = 0.0
    words: str = ""

    async def hear(self, progress: float, total: float | None, message: str | None) -> None:
        if total and math.isfinite(progress) and math.isfinite(total) and total > 0:
            self.fraction = max(self.fraction, min(1.0, progress / total))
        self.words = one_line(message or "", 120)


class Connection:
    """A server of a profile.

    Args:
        name: the profile's word for it.
        settings: how it is reached.
        portal: the loop in which it is spoken to.
    """

    def __init__(self, name: str, settings: ServerSettings, portal: BlockingPortal) -> None:
        self.name = name
        self.settings = settings
        self._portal = portal
        self._live: _Live | None = None
        self._task: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        _hush()

    @property
    def about(self) -> str:
        """Its own name and version, as it gave them."""
        return self._live.about if self._live else ""

    def listed(self) -> list[types.Tool]:
        """What it offers now.

        Raises:
            MissingServer: it does not start, does not answer, or does not speak the protocol.
        """
        future = self._portal.start_task_soon(self._listed)
        try:
            return self._wait(future, self.settings.start_s, _nobody, "start_s")
        except HopTimeout:
            future.cancel()
            raise self._absent(f"no answer within {self.settings.start_s:g} s") from None

    def call(self, listed: types.Tool, arguments: Mapping[str, Any], progress: Progress) -> types.CallToolResult:
        """Call a tool, if it is still what it was.

        Args:
            listed: as it was listed; where the server now says anything else about it, it is not called.
            arguments: for its schema.
            progress: told what the server reports; asked several times a second whether to stop.

        Raises:
            MissingServer: it cannot be reached.
            HopCancelled, HopTimeout: it was told to stop, and killed where it did not listen.
            ResourceExceeded: it sent more than it may.
            BackendCrashed: it ended.
            BackendFailed: it refused, or the tool is no longer what was listed.
        """
        asked = _Asked()
        future = self._portal.start_task_soon(self._called, listed, dict(arguments), asked)
        try:
            answered: types.CallToolResult = self._wait(
                future, self.settings.timeout_s, lambda: progress(asked.fraction, asked.words), "timeout_s"
            )
        except (HopCancelled, HopTimeout):
            wait([self._portal.start_task_soon(self._stop, asked)])
            future.cancel()
            raise
        return answered

    def close(self) -> None:
        """End it; harmless when it is not there."""
        self._portal.call(self._close)

    def _wait(self, future: Future[T], most_s: float, tell: Callable[[], None], name: str) -> T:
        deadline = time.monotonic() + most_s
        tell()  # at once too, so that a call that was given up is never waited for
        while not wait([future], _POLL_S).done:
            tell()
            if time.monotonic() > deadline:
                raise HopTimeout(
                    f"the MCP server {self.name!r} was stopped after its time limit of {most_s:g} s.",
                    hint=f"Raise {name} of the server in the profile.",
                )
        return future.result()

    def _absent(self, why: str) -> MissingServer:
        hint = "Start it" if self.settings.url else "Look at its command in the profile"
        return MissingServer(
            f"the MCP server {self.name!r} ({self.settings.where}) cannot be asked: {why}.", hint=f"{hint}."
        )

    # -- in the loop -------------------------------------------------------------------------

    async def _open(self) -> _Live:
        async with self._opening:
            if self._live is None or self._live.over.is_set():
                ready: asyncio.Future[_Live] = asyncio.get_running_loop().create_future()
                self._task = asyncio.create_task(self._keep(ready))
                self._live = await ready
            return self._live

    async def _keep(self, ready: asyncio.Future[_Live]) -> None:
        """Hold one connection open until it is over."""
        live = _Live()
        why = "it closed the connection"
        try:
            async with (
                open_transport(self.name, self.settings, live.fail) as (reads, writes),
                ClientSession(reads, writes, client_info=types.Implementation(name="hopline", version="1")) as session,
            ):
                live.session = session
                async with asyncio.timeout(self.settings.start_s):
                    said = (await live.answer(ClientSession.initialize)).serverInfo
                live.about = one_line(f"{said.name} {said.version}", 80)
                ready.set_result(live)
                await live.over.wait()
        except Exception as error:  # whatever a transport raises, alone or in groups, is why it cannot be asked
            why = _why(error, self.settings.start_s)
        finally:
            live.fail(BackendCrashed(f"the connection to the MCP server {self.name!r} ended: {why}."))
            if not ready.done():
                missing = isinstance(live.failure, MissingServer)
                ready.set_exception(live.failure if missing and live.failure else self._absent(_bare(live, why)))

    async def _listed(self) -> list[types.Tool]:
        live = await self._open()
        try:
            return await live.answer(_tools)
        except (McpError, ValidationError, HoplineError) as error:
            raise self._absent(_why(error, self.settings.start_s)) from None

    async def _called(self, listed: types.Tool, arguments: dict[str, Any], asked: _Asked) -> types.CallToolResult:
        now = next((tool for tool in await self._listed() if tool.name == listed.name), None)
        if now is None or digest(now) != digest(listed):
            raise BackendFailed(
                f"the MCP server {self.name!r} now says something else about this tool than when it was listed; "
                "it was not called.",
                hint="Look at it with: hopline tools",
            )
        asked.live = live = await self._open()
        request = types.ClientRequest(
            types.CallToolRequest(params=types.CallToolRequestParams(name=listed.name, arguments=arguments))
        )

        async def ask(session: ClientSession) -> types.CallToolResult:
            asked.request = session._request_id  # the one that send_request takes next; the library keeps it to itself
            return await session.send_request(request, types.CallToolResult, progress_callback=asked.hear)

        try:
            return await live.answer(ask)
        except McpError as error:
            if error.error.code == types.CONNECTION_CLOSED or "session" in error.error.message.lower():
                live.fail(BackendCrashed("it ended the session."))
            said = one_line(error.error.message)
            raise BackendFailed(f"the MCP server {self.name!r} refused the call: “{said}”") from None
        except ValidationError:
            raise BackendFailed(f"the MCP server {self.name!r} answered in another form than the protocol's.") from None

    async def _stop(self, asked: _Asked) -> None:
        """Tell the server that a call is not wanted any more; one that then does not answer is killed."""
        if asked.live is None or asked.live.session is None:
            return
        given_up = types.CancelledNotification(params=types.CancelledNotificationParams(requestId=asked.request))
        try:
            async with asyncio.timeout(_GRACE_S):
                await asked.live.session.send_notification(types.ClientNotification(given_up))
                await asked.live.session.send_ping()
        except Exception:  # it is of no use any more, whatever the reason
            asked.live.fail(BackendCrashed(f"the MCP server {self.name!r} was killed: it did not stop a call."))
            if self._task is not None:
                await asyncio.wait({self._task}, timeout=3)

    async def _close(self) -> None:
        if self._live is not None:
            self._live.over.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=3)


async def _tools(session: ClientSession) -> list[types.Tool]:
    found: list[types.Tool] = []
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        params = types.PaginatedRequestParams(cursor=cursor) if cursor else None
        page = await session.list_tools(params=params)
        found += page.tools
        cursor = page.nextCursor
        if not cursor or len(found) > MOST_TOOLS:
            break
    return found[:MOST_TOOLS]


def _why(error: BaseException, start_s: float) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"no answer within {start_s:g} s"
    if isinstance(error, ValidationError):
        return "it answers in another form than the protocol's"
    if isinstance(error, FileNotFoundError | PermissionError):
        return f"the program does not start ({error.strerror})"
    return one_line(str(error) or type(error).__name__).rstrip(".")


def _bare(live: _Live, why: str) -> str:
    """What ended it before it began, where that is known better than by who waited for it."""
    ended = live.failure is not None and not str(live.failure).startswith("the connection to")
    return one_line(str(live.failure)).rstrip(".") if ended else why


def _nobody() -> None:
    """Nobody is watching."""


@cache
def _hush() -> None:
    """The client library logs what servers send; terminals are not shown it."""
    logging.getLogger("mcp.client").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(lambda record: record.module != "session" or "mcp" not in record.pathname)

"""Two ways to a server, each with a limit on what it may send: the library's own read without one."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import IO

import anyio
import httpx
from anyio.abc import Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from hopline.tools.errors import BackendCrashed, HoplineError, ResourceExceeded
from hopline.tools.home import MEBIBYTE
from hopline.tools.mcp.settings import ServerSettings, filled
from hopline.tools.mcp.untrusted import one_line
from mcp import types
from mcp.client.stdio import get_default_environment
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

Reads = MemoryObjectReceiveStream[SessionMessage | Exception]
Writes = MemoryObjectSendStream[SessionMessage]
Fail = Callable[[HoplineError], None]
"""Told why the connection is of no more use."""

_LEAVE_S = 0.5


def most_bytes(settings: ServerSettings) -> int:
    """Of one message: base64 makes four characters of three bytes; a little room for what is around them."""
    return int(settings.max_result_mib * MEBIBYTE * 4 / 3) + MEBIBYTE


def too_large(name: str, settings: ServerSettings) -> ResourceExceeded:
    """Why a server that sends too much was cut off."""
    return ResourceExceeded(
        f"the MCP server {name!r} sent more than its limit of {settings.max_result_mib:g} MiB.",
        hint="Raise max_result_mib of the server in the profile.",
    )


@asynccontextmanager
async def open_transport(name: str, settings: ServerSettings, fail: Fail) -> AsyncIterator[tuple[Reads, Writes]]:
    """Messages to and from a server.

    Raises:
        OSError: its program does not start.
        MissingServer: a variable that it needs is not set.
    """
    opening = _started(name, settings, fail) if settings.command else _asked(name, settings, fail)
    async with opening as streams:
        yield streams


@asynccontextmanager
async def _started(name: str, settings: ServerSettings, fail: Fail) -> AsyncIterator[tuple[Reads, Writes]]:
    environment = get_default_environment() | filled(name, settings.env)
    with tempfile.TemporaryFile() as log:
        process = await anyio.open_process(list(settings.command), stderr=log, env=environment, start_new_session=True)
        heard, reads = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        writes, said = anyio.create_memory_object_stream[SessionMessage](0)

        async def hear() -> None:
            async with heard:
                if await _lines(process, heard, most_bytes(settings)):
                    fail(await _gone(name, process, log))
                else:
                    fail(too_large(name, settings))

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hear)
                tasks.start_soon(_say, process, said)
                yield reads, writes
                tasks.cancel_scope.cancel()
        finally:
            await _end(process)
            for stream in (heard, reads, writes, said):
                stream.close()


async def _lines(process: Process, heard: MemoryObjectSendStream[SessionMessage | Exception], most: int) -> bool:
    """Pass messages on, to the end; False if one was too large."""
    assert process.stdout is not None
    rest = bytearray()
    async for chunk in process.stdout:
        *lines, last = chunk.split(b"\n")
        for line in lines:
            message = bytes(rest + line)
            rest.clear()
            with contextlib.suppress(ValueError):  # not the protocol: something that a library printed
                await heard.send(SessionMessage(types.JSONRPCMessage.model_validate_json(message)))
        rest += last
        if len(rest) > most:
            return False
    return True


async def _gone(name: str, process: Process, log: IO[bytes]) -> BackendCrashed:
    with anyio.move_on_after(_LEAVE_S):
        await process.wait()
    code = process.returncode
    how = f"ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with code {code}"
    log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
    lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    last = f" Its last words: {one_line(lines[-1])}" if lines else ""
    return BackendCrashed(f"the MCP server {name!r} {how if code is not None else 'closed its output'}.{last}")


async def _say(process: Process, said: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for message in said:
            text = message.message.model_dump_json(by_alias=True, exclude_none=True)
            await process.stdin.send(text.encode() + b"\n")


async def _end(process: Process) -> None:
    """As the protocol says: close its stdin and wait a little; then it is killed, with all that it started."""
    with anyio.CancelScope(shield=True):
        with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            if process.stdin is not None:
                await process.stdin.aclose()
        with anyio.move_on_after(_LEAVE_S):
            await process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.aclose()


@asynccontextmanager
async def _asked(name: str, settings: ServerSettings, fail: Fail) -> AsyncIterator[tuple[Reads, Writes]]:
    most = most_bytes(settings)

    async def limit(response: httpx.Response) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        broken = None if response.request.method == "GET" else lambda: fail(_broken(name))
        response.stream = _Counted(response.stream, most, lambda: fail(too_large(name, settings)), broken)

    client = httpx.AsyncClient(
        headers=filled(name, settings.headers),
        timeout=httpx.Timeout(settings.start_s, read=None),
        event_hooks={"response": [limit]},
        follow_redirects=False,  # one could lead away from this machine
        trust_env=not settings.loopback,  # what is on loopback is not asked through a proxy
    )
    async with client, streamable_http_client(settings.url, http_client=client) as (reads, writes, _):
        yield reads, writes


def _broken(name: str) -> BackendCrashed:
    return BackendCrashed(f"the MCP server {name!r} broke off its answer.")


class _Counted(httpx.AsyncByteStream):
    """A response with a limit; the library would wait for the rest of one that broke off."""

    def __init__(
        self, stream: httpx.AsyncByteStream, most: int, too_much: Callable[[], None], broken: Callable[[], None] | None
    ) -> None:
        self._stream = stream
        self._left = most
        self._too_much = too_much
        self._broken = broken

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                self._left -= len(chunk)
                if self._left < 0:
                    self._too_much()
                    return
                yield chunk
        except httpx.TransportError:
            if self._broken is not None:
                self._broken()
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()

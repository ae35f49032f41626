"""How a client reaches the server: stdio, or streamable HTTP on loopback."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from hopline.agent.agent import Agent
from hopline.agent.faces.mcp.server import make_server
from hopline.tools.errors import UserError
from hopline.tools.home import MEBIBYTE, limits
from mcp.server.stdio import stdio_server

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from starlette.types import Receive, Scope, Send

LOOPBACK = "127.0.0.1"
PATH = "/mcp"


def serve_stdio(agent: Agent, folders: Sequence[Path] = ()) -> None:
    """Serve one client on stdin and stdout until it closes them, or until interrupted.

    Raises:
        UserError: two tools would have one name.
    """
    server = make_server(agent, folders)

    async def serve() -> None:
        with _private_stdio() as (read, write):
            source = os.fdopen(read, "r", encoding="utf-8", errors="replace")
            target = os.fdopen(write, "w", encoding="utf-8")
            async with stdio_server(anyio.wrap_file(source), anyio.wrap_file(target)) as (messages, answers):
                await server.run(messages, answers, server.create_initialization_options())

    with contextlib.suppress(KeyboardInterrupt):
        anyio.run(serve)


@contextmanager
def _private_stdio() -> Iterator[tuple[int, int]]:
    """Copies of stdin and stdout for the protocol alone.

    What a library prints, in Python or below it, goes to stderr, and no process that is started
    here reads the client's messages.
    """
    sys.stdout.flush()
    read, write = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    yield read, write


def serve_http(
    agent: Agent, folders: Sequence[Path] = (), *, port: int = 0, ready: Callable[[str], None] = lambda url: None
) -> None:
    """Serve clients over streamable HTTP on loopback until interrupted.

    Requests that name another host than loopback, or come from a page of another origin, are refused.

    Args:
        agent: what plans and runs.
        folders: whose files a client may name.
        port: 0 takes a free one.
        ready: told the address once it listens.

    Raises:
        UserError: the port is taken, or two tools would have one name.
    """
    import uvicorn
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.applications import Starlette
    from starlette.routing import Route

    listener = _listen(port)
    port = listener.getsockname()[1]
    hosts = [f"{LOOPBACK}:{port}", f"localhost:{port}"]
    manager = StreamableHTTPSessionManager(
        make_server(agent, folders),
        security_settings=TransportSecuritySettings(
            allowed_hosts=hosts, allowed_origins=[f"http://{host}" for host in hosts]
        ),
        # Base64 makes four characters of three bytes; a little room for what is around them.
        max_request_body_size=int(limits().max_file_mib * MEBIBYTE * 4 / 3) + MEBIBYTE,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            ready(f"http://{LOOPBACK}:{port}{PATH}")
            yield

    app = Starlette(routes=[Route(PATH, endpoint=_Endpoint(manager))], lifespan=lifespan)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, lifespan="on")
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


class _Endpoint:
    """The manager as an ASGI application of its own, for Starlette takes a bare method for something else."""

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._manager.handle_request(scope, receive, send)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(128)  # now, so that who is told the address can connect
    except OSError as error:
        listener.close()
        raise UserError(f"port {port} cannot be used: {error.strerror}.", hint="Choose another with --port.") from None
    return listener

"""The servers of a profile, asked what they offer: declarations and backends for the registry."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from hopline.tools.backend import Backend, Call, Result
from hopline.tools.errors import BadPlan, HoplineError
from hopline.tools.mcp.connection import Connection, digest
from hopline.tools.mcp.content import arguments, result
from hopline.tools.mcp.declaring import declaration
from hopline.tools.mcp.settings import ArgumentSettings, ServerSettings, ToolSettings
from hopline.tools.registry import Registry
from hopline.tools.spec import Tool
from mcp import types


class McpBackend(Backend):
    """Calls one tool of a server; made for each by `Servers`."""

    name = "mcp"
    heavy = False
    extra = "mcp"
    packages = ()
    declaration: ClassVar[Tool]
    listed: ClassVar[types.Tool]
    inputs: ClassVar[Mapping[str, ArgumentSettings]]
    connection: ClassVar[Connection]

    def identity(self) -> dict[str, str]:
        settings = self.connection.settings
        reached = hashlib.sha256("\0".join((settings.url, *settings.command)).encode()).hexdigest()
        return {
            **super().identity(),
            "server": self.connection.about,
            "declaration": digest(self.listed),
            "reached by": reached[:16],
        }

    def call(self, call: Call) -> Result:
        given = arguments(call, self.inputs)
        return result(self.declaration, self.connection.call(self.listed, given, call.progress))


class Servers:
    """The servers of a profile; what they offer is added to a registry once, and they are ended by `close`.

    Args:
        settings: by the profile's word for each.
    """

    def __init__(self, settings: Mapping[str, ServerSettings]) -> None:
        self._stack = contextlib.ExitStack()
        portal: BlockingPortal = self._stack.enter_context(start_blocking_portal(name="mcp"))
        self._connections = [Connection(name, one, portal) for name, one in settings.items()]

    def add_to(self, registry: Registry) -> None:
        """Ask all servers, side by side, and register what they offer: all of a server's tools, or none and why."""
        with ThreadPoolExecutor(max(1, len(self._connections)), thread_name_prefix="mcp") as pool:
            found = list(pool.map(_offered, self._connections))
        for connection, offered in zip(self._connections, found, strict=True):
            error = offered if isinstance(offered, HoplineError) else _clash(registry, offered)
            if error is not None:
                registry.absent[connection.name] = error
            elif not isinstance(offered, HoplineError):
                for declared, backend in offered:
                    registry.add_tool(declared)
                    registry.add_backend(backend)

    def close(self) -> None:
        """End every server that was started here, and let go of the others."""
        for connection in self._connections:
            connection.close()
        self._stack.close()


Offered = list[tuple[Tool, type[McpBackend]]]


def _offered(connection: Connection) -> Offered | HoplineError:
    settings = connection.settings
    try:
        listed = connection.listed()
        missing = sorted({*settings.only, *settings.tools} - {tool.name for tool in listed})
        if missing:
            raise BadPlan(f"the MCP server {connection.name!r} has no tool {missing[0]!r}, which the profile names.")
        return [_declared(connection, tool) for tool in listed if not settings.only or tool.name in settings.only]
    except HoplineError as error:
        return error


def _clash(registry: Registry, offered: Offered) -> BadPlan | None:
    names = [declared.name for declared, _ in offered]
    taken = next((name for place, name in enumerate(names) if name in registry or name in names[:place]), None)
    return BadPlan(f"two tools would be called {taken!r}.", hint="Name the server otherwise.") if taken else None


def _declared(connection: Connection, listed: types.Tool) -> tuple[Tool, type[McpBackend]]:
    declared, inputs = declaration(connection.name, connection.settings, listed)
    return declared, _backend(connection, listed, declared, inputs)


def _backend(
    connection: Connection, listed: types.Tool, declared: Tool, inputs: Mapping[str, ArgumentSettings]
) -> type[McpBackend]:
    told = connection.settings.tools.get(listed.name, ToolSettings())
    body = {
        "__doc__": f"The tool {listed.name!r} of the MCP server {connection.name!r}.",
        "tool": declared.name,
        "deterministic": told.deterministic,
        "remote": connection.settings.remote,
        "asks_first": told.side_effects,
        "asks_server": True,
        "declaration": declared,
        "listed": listed,
        "inputs": dict(inputs),
        "connection": connection,
    }
    return type(f"Mcp_{declared.name}", (McpBackend,), body)

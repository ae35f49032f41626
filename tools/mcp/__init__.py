"""Tools of Model Context Protocol servers as ours; whatever a server says is untrusted."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping

from hopline.tools.errors import MissingExtra
from hopline.tools.mcp.settings import ServerSettings
from hopline.tools.registry import Registry


def add_servers(settings: Mapping[str, ServerSettings], registry: Registry) -> Callable[[], None]:
    """Ask the servers of a profile what they offer and register it; `registry.absent` says which could not be asked.

    Args:
        settings: by the profile's word for each; without any, nothing is imported.
        registry: gets their tools.

    Returns:
        What ends the servers.

    Raises:
        MissingExtra: the package of the protocol is not installed.
    """
    if not settings:
        return lambda: None
    if importlib.util.find_spec("mcp") is None:
        raise MissingExtra(
            "the profile names MCP servers, which need the package mcp.", hint="Run: pip install 'hopline[mcp]'"
        )
    from hopline.tools.mcp.servers import Servers

    servers = Servers(settings)
    servers.add_to(registry)
    return servers.close

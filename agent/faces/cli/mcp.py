"""The command that serves other agents: mcp."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer
from hopline.agent.faces.cli.output import human
from hopline.agent.faces.cli.running import ProfileName, ToolsFrom, agent_of
from hopline.tools.errors import BadInput, MissingExtra


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("mcp")(mcp)


def mcp(
    http: Annotated[bool, typer.Option("--http", help="Streamable HTTP on loopback instead of stdio.")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="For --http; 0 takes a free one.")] = 7871,
    files_from: Annotated[
        list[Path] | None, typer.Option("--files-from", help="Folder whose files clients may name; none by default.")
    ] = None,
    profile: ProfileName = "offline",
    tools_from: ToolsFrom = None,
) -> None:
    """Serve other agents over the Model Context Protocol: requests, plans, artifacts, losses, and each tool."""
    if importlib.util.find_spec("mcp") is None:
        raise MissingExtra("hopline mcp needs the package mcp.", hint="Run: pip install 'hopline[mcp]'")
    for folder in files_from or []:
        if not folder.is_dir():
            raise BadInput(f"{folder}: there is no such folder.")
    from hopline.agent.faces.mcp.transports import serve_http, serve_stdio

    folders = [folder.resolve() for folder in files_from or []]
    with agent_of(profile, tools_from) as agent:
        if http:
            serve_http(agent, folders, port=port, ready=lambda url: human().print(f"serving {url}", markup=False))
        else:
            serve_stdio(agent, folders)

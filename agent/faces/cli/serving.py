"""`hopline serve`: the page in the browser."""

from __future__ import annotations

import os
import secrets
import sys
import webbrowser
from pathlib import Path
from threading import Timer
from typing import Annotated

import typer
from hopline.agent.faces.cli.output import human, say_json, want_json
from hopline.agent.faces.cli.running import Json, ProfileName, ToolsFrom, agent_of

DEFAULT_PORT = 7860


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("serve")(serve)


def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 for any that is free.")] = DEFAULT_PORT,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; only this machine by default.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    reports: Annotated[
        Path, typer.Option("--reports", help="Folder in which to look for reports of experiments.")
    ] = Path(),
    profile: ProfileName = "offline",
    tools_from: ToolsFrom = None,
    json_: Json = False,
) -> None:
    """Open the page in the browser: ask, watch each hop arrive, see what was lost.

    Where other machines reach it (--host), everybody is asked for a password: HOPLINE_PASSWORD, or one made up
    and printed here. It travels as the browser sends it; put TLS in front of it.
    """
    from hopline.agent.faces.serve.server import only_this_machine, open_port, serving

    want_json(json_)
    password = os.environ.get("HOPLINE_PASSWORD", "")
    made_up = not password and not only_this_machine(host)
    password = secrets.token_urlsafe(16) if made_up else password
    with (
        open_port(host, port) as listening,
        agent_of(profile, tools_from) as agent,
        serving(agent, listening, reports=reports, password=password) as server,
    ):
        shown = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listening.getsockname()[1]}"
        if json_:
            say_json({"format": "hopline.serve/1", "address": address, "profile": agent.profile.name})
            sys.stdout.flush()
        human().print(f"hopline is at {address}   (Ctrl-C ends it)", markup=False)
        if made_up:
            human().print(f"It asks for a password: {password}   (any user name)", markup=False)
        if browser and (os.environ.get("DISPLAY") or sys.platform == "darwin"):
            Timer(0.5, webbrowser.open, [address]).start()
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            human().print("ended", style="dim")

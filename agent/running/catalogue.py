"""The tools that can be planned, as plain data: what every face lists."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hopline.agent.running.profile import Profile
from hopline.tools.errors import HoplineError
from hopline.tools.registry import Registry

FORMAT = "hopline.tools/1"


def catalogue(registry: Registry, profile: Profile) -> dict[str, Any]:
    """Every declared tool and the backend that the profile gives it, as `hopline.tools/1`.

    `backend` is empty where the profile has none; the tool can be planned all the same.
    """
    rows = []
    for tool in registry:
        try:
            backend = profile.choose(registry, tool.name)
            serving, asks_first = backend.id, backend.asks_first
        except HoplineError:
            serving, asks_first = "", False
        rows.append(
            {
                "name": tool.name,
                "description": tool.description,
                "inputs": [asdict(port) for port in tool.inputs],
                "outputs": [asdict(port) for port in tool.outputs],
                "parameters": dict(tool.parameters),
                "required": list(tool.required),
                "side_effects": tool.side_effects,
                "asks_first": asks_first,
                "network": tool.network,
                "backend": serving,
                "backends": [f"{b.tool}:{b.name}" for b in registry.backends(tool.name)],
            }
        )
    return {"format": FORMAT, "profile": profile.name, "tools": rows}

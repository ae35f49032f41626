"""Who calls, what happened, what was lost.

from hopline.agent import Agent, Attachment
with Agent.from_profile("offline") as agent:
    run = agent.run("Describe this photo out loud", ["photo.jpg"])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hopline.agent.agent import Agent
    from hopline.agent.attachment import Attachment
    from hopline.agent.run import Output, Run, RunFailed

_HOMES = {"Agent": "agent", "Attachment": "attachment", "Output": "run", "Run": "run", "RunFailed": "run"}

__all__ = ["Agent", "Attachment", "Output", "Run", "RunFailed"]


def __getattr__(name: str) -> object:
    # Loaded on first use, so that importing a part of the package does not import all of it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

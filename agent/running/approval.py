"""Who is asked before a call that may change something outside the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hopline.tools.artifact import Artifact
from hopline.tools.spec import Tool


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """A call that waits for a yes.

    Attributes:
        step: which step of the plan.
        tool: what would be called; who wrote its description is not known.
        backend: by what.
        inputs: what it would be given, by port name.
        parameters: with these settings.
    """

    step: str
    tool: Tool
    backend: str
    inputs: Mapping[str, tuple[Artifact, ...]]
    parameters: Mapping[str, Any]


Approve = Callable[[Approval], bool]
"""Says yes or no; may wait for a person. Called from a thread of its own, one call at a time for a run."""


def nobody_approves(approval: Approval) -> bool:
    """There is nobody to ask."""
    return False


def approver(given: Approve | bool) -> Approve:
    """A function of what callers give: one, or True for all."""
    return given if callable(given) else lambda approval: given

"""What a conversation has so far, as planners may see it: requests, steps, handles and types; never contents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hopline.agent.planning.plan import Step


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """One artifact of an earlier run.

    Attributes:
        handle: `run2.step1`, `run2.image1`, or `run2.step1[1]` for one of several.
        type: of it.
        turn: position of its run.
        step: that made it; None for an attachment.
        seed: of the hop that made it.
        output: the person asked for it, or attached it.
    """

    handle: str
    type: str
    turn: int
    step: Step | None = None
    seed: int = 0
    output: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One earlier run.

    Attributes:
        position: its place in the conversation, from 1.
        request: what was asked.
        steps: of its plan.
        things: attachments, then what its steps made, in order.
    """

    position: int
    request: str
    steps: tuple[Step, ...] = ()
    things: tuple[Thing, ...] = ()

    @property
    def outputs(self) -> tuple[Thing, ...]:
        """What the person got from its steps."""
        return tuple(thing for thing in self.things if thing.output and thing.step is not None)

    def made_by(self, step_id: str) -> tuple[Thing, ...]:
        """What one of its steps made."""
        return tuple(thing for thing in self.things if thing.step is not None and thing.step.id == step_id)


History = Sequence[Turn]
"""Oldest first."""

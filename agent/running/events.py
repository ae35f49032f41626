"""What a run says while it runs; the command line and every other face show these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hopline.agent.hops.records import Hop, RunRecord
from hopline.agent.planning.plan import Plan

EventKind = Literal["planned", "hop_started", "hop_progress", "hop_ended", "probe", "run_ended"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: what.
        run: the run as it stands.
        plan: with `planned`.
        hop: with the hop kinds.
        fraction: of the hop that is done, in [0, 1], with `hop_progress`.
        words: a few words for people.
    """

    kind: EventKind
    run: RunRecord
    plan: Plan | None = None
    hop: Hop | None = None
    fraction: float = 0.0
    words: str = ""


OnEvent = Callable[[Event], None]


def nobody(event: Event) -> None:
    """Nobody is listening."""

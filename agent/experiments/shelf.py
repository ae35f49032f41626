"""Where the media of trajectories are: in the journal, or in the folder of imported results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hopline.agent.experiments.observing import Observation
from hopline.agent.hops.journal import Journal
from hopline.agent.hops.records import ArtifactRef
from hopline.tools.artifact import Artifact


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """What one hop of a trajectory made.

    Attributes:
        step: number of the hop, from 1.
        tool: that made it.
        outputs: in order.
    """

    step: int
    tool: str
    outputs: tuple[ArtifactRef, ...]


class Shelf(Protocol):
    """Gives what trajectories made."""

    def stages(self, observation: Observation) -> Sequence[Stage]:
        """The hops of a trajectory that came to an end, in order."""

    def read(self, ref: ArtifactRef) -> Artifact:
        """The artifact; raises a `HoplineError` where it is gone."""


class JournalShelf:
    """Trajectories that are runs of a journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def stages(self, observation: Observation) -> Sequence[Stage]:
        """The hops of its run; of a hop that was repeated after a cut, the last."""
        if not observation.run:
            return ()
        found = {
            (int(hop.step.removeprefix("step")), hop.item): hop
            for hop in self._journal.hops(observation.run)
            if hop.parent is None and hop.status == "ok"
        }
        return [
            Stage(step=step, tool=hop.tool, outputs=tuple(hop.output_list))
            for (step, _), hop in sorted(found.items(), key=lambda entry: entry[0])
        ]

    def read(self, ref: ArtifactRef) -> Artifact:
        """From the journal's store."""
        return self._journal.read(ref)

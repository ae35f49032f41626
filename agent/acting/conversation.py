"""Handles across the runs of a conversation: `run3.step2`, `run3.step2[0]` for one of several, `run1.audio1`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hopline.agent.hops.journal import Journal
from hopline.agent.hops.records import ArtifactRef, RunRecord
from hopline.agent.planning.history import Thing, Turn
from hopline.agent.planning.plan import plan_from_json
from hopline.tools.errors import InputRefused

_HANDLE = re.compile(r"run\d+\.[\w-]+(?:\[\d+\])?")


class Conversation:
    """The artifacts of a conversation's earlier runs, by handle.

    Args:
        journal: holds the runs.
        conversation: id; an empty one has no runs.
        before: position from which runs are not earlier.
    """

    def __init__(self, journal: Journal, conversation: str, before: int | None = None) -> None:
        self._journal = journal
        self._conversation = conversation
        self._before = before

    def requests(self) -> tuple[str, ...]:
        """What was asked, oldest first."""
        return tuple(run.request for run in self._runs())

    def types(self) -> dict[str, str]:
        """Type by handle, oldest first; what a planner may see."""
        return {handle: refs[0].modality for handle, refs in self._all().items() if refs}

    def history(self) -> tuple[Turn, ...]:
        """What planners may see of the earlier runs, oldest first."""
        return tuple(self._turn(run) for run in self._runs())

    def __call__(self, handle: str) -> Sequence[ArtifactRef]:
        """What a handle stands for.

        Raises:
            InputRefused: nothing of that name was made.
        """
        found = self._all().get(handle, ()) if _HANDLE.fullmatch(handle) else ()
        if not found:
            raise InputRefused(f"there is no {handle!r} in this conversation.")
        return found

    def _turn(self, run: RunRecord) -> Turn:
        steps = plan_from_json(run.plan).steps if run.plan is not None else ()
        asked_for = {ref.id for ref in run.outputs}
        things = [
            Thing(handle=f"run{run.position}.{a.handle}", type=a.artifact.modality, turn=run.position, output=True)
            for a in run.attachments
        ]
        seeds = {hop.step: hop.seed for hop in self._journal.hops(run.id)}
        made = self._made(run)
        for step in steps:
            refs = made.get(step.id, ())
            for place, ref in enumerate(refs):
                things.append(
                    Thing(
                        handle=f"run{run.position}.{step.id}" + (f"[{place}]" if len(refs) > 1 else ""),
                        type=ref.modality,
                        turn=run.position,
                        step=step,
                        seed=seeds.get(step.id, 0),
                        output=ref.id in asked_for,
                    )
                )
        return Turn(position=run.position, request=run.request, steps=steps, things=tuple(things))

    def _all(self) -> dict[str, Sequence[ArtifactRef]]:
        found: dict[str, Sequence[ArtifactRef]] = {}
        for run in self._runs():
            for attachment in run.attachments:
                found[f"run{run.position}.{attachment.handle}"] = (attachment.artifact,)
            for step, refs in self._made(run).items():
                handle = f"run{run.position}.{step}"
                found[handle] = refs
                if len(refs) > 1:
                    found |= {f"{handle}[{place}]": (ref,) for place, ref in enumerate(refs)}
        return found

    def _made(self, run: RunRecord) -> dict[str, list[ArtifactRef]]:
        """What each step of a run gave, in order."""
        made: dict[str, list[ArtifactRef]] = {}
        hops = (hop for hop in self._journal.hops(run.id) if hop.parent is None and hop.status == "ok")
        for hop in sorted(hops, key=lambda hop: hop.item):
            made.setdefault(hop.step, []).extend(hop.output_list)
        return made

    def _runs(self) -> list[RunRecord]:
        if not self._conversation:
            return []
        runs = reversed(self._journal.runs(conversation=self._conversation, limit=1000))
        return [run for run in runs if self._before is None or run.position < self._before]

"""Handles across the runs of a conversation: `run3.step2`, `run1.audio1`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hopline.agent.hops.journal import Journal
from hopline.agent.hops.records import ArtifactRef, RunRecord
from hopline.tools.errors import InputRefused

_HANDLE = re.compile(r"run(?P<position>\d+)\.(?P<name>[\w-]+)")


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

    def __call__(self, handle: str) -> Sequence[ArtifactRef]:
        """What a handle stands for.

        Raises:
            InputRefused: nothing of that name was made.
        """
        found = self._all().get(handle, ()) if _HANDLE.fullmatch(handle) else ()
        if not found:
            raise InputRefused(f"there is no {handle!r} in this conversation.")
        return found

    def _all(self) -> dict[str, Sequence[ArtifactRef]]:
        found: dict[str, Sequence[ArtifactRef]] = {}
        for run in self._runs():
            for attachment in run.attachments:
                found[f"run{run.position}.{attachment.handle}"] = (attachment.artifact,)
            made: dict[str, list[ArtifactRef]] = {}
            for hop in self._journal.hops(run.id):
                if hop.parent is None and hop.status == "ok":
                    made.setdefault(f"run{run.position}.{hop.step}", []).extend(hop.output_list)
            found.update(made)
        return found

    def _runs(self) -> list[RunRecord]:
        if not self._conversation:
            return []
        runs = reversed(self._journal.runs(conversation=self._conversation, limit=1000))
        return [run for run in runs if self._before is None or run.position < self._before]

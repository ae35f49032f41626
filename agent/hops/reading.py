"""Reading an artifact where a missing one is something to show, not something to stop at."""

from __future__ import annotations

from collections.abc import Callable

from hopline.agent.hops.records import ArtifactRef, Failure
from hopline.tools.artifact import Artifact
from hopline.tools.errors import HoplineError

ReadArtifact = Callable[[ArtifactRef], Artifact]
"""Gives the bytes of a reference; raises a `HoplineError` when it cannot."""


def try_read(read: ReadArtifact, ref: ArtifactRef) -> Artifact | Failure:
    """The artifact, or why it cannot be read (pruned, damaged, never stored)."""
    try:
        return read(ref)
    except HoplineError as error:
        return Failure(reason=error.reason, message=str(error))

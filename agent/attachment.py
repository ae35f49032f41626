"""What a person hands over with a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hopline.tools.artifact import TEXT, Artifact
from hopline.tools.errors import BadInput
from hopline.tools.media import open_file


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file, or an artifact made by a program, with an optional text that says what is in it.

    Attributes:
        source: path of a file, or an Artifact.
        reference: a text file or text artifact, for measuring the first hop; or None.
        name: what to call it; the file's name by default.
    """

    source: str | Path | Artifact
    reference: str | Path | Artifact | None = None
    name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """An attachment that passed the gate, with its handle (`audio1`)."""

    handle: str
    name: str
    artifact: Artifact
    reference: Artifact | None


def open_all(attachments: Sequence[Attachment | str | Path | Artifact]) -> list[Opened]:
    """Pass attachments through the input gate and name them by modality.

    Raises:
        BadInput: a file was refused; says which and why.
    """
    counts: dict[str, int] = {}
    opened = []
    for given in attachments:
        attachment = given if isinstance(given, Attachment) else Attachment(given)
        source = attachment.source
        artifact = source if isinstance(source, Artifact) else open_file(Path(source))
        counts[artifact.modality] = counts.get(artifact.modality, 0) + 1
        handle = f"{artifact.modality}{counts[artifact.modality]}"
        name = attachment.name or (handle if isinstance(source, Artifact) else Path(source).name)
        opened.append(
            Opened(handle=handle, name=name, artifact=artifact, reference=_reference(attachment.reference, handle))
        )
    return opened


def _reference(given: str | Path | Artifact | None, handle: str) -> Artifact | None:
    if given is None:
        return None
    artifact = given if isinstance(given, Artifact) else open_file(Path(given))
    if artifact.modality != TEXT:
        name = "" if isinstance(given, Artifact) else f"{Path(given).name}: "
        raise BadInput(f"{name}the reference of {handle} should be text, not {artifact.modality}.")
    return artifact

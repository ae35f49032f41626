"""What a client may hand over: artifacts by id, texts, bytes, and files of folders that were allowed.

A client's model names ids, never paths of its own choosing: a file is opened only inside the folders
that whoever started the server named.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hopline.agent.attachment import Attachment
from hopline.agent.hops.journal import Journal
from hopline.tools.artifact import Artifact
from hopline.tools.errors import BadInput
from hopline.tools.home import MEBIBYTE, limits, setting
from hopline.tools.media import open_file, sniff

_SOURCES = ("artifact", "text", "data", "file")


def attachment_schema(folders: Sequence[Path]) -> dict[str, Any]:
    """JSON schema of one attachment; files are left out where no folder is open."""
    properties: dict[str, Any] = {
        "artifact": {
            "type": "string",
            "pattern": "^[0-9a-f]{8,64}$",
            "description": "id of something an earlier call made or got, or its first 8 digits or more",
        },
        "text": {"type": "string", "description": "a text, written out"},
        "data": {"type": "string", "description": "the bytes of a file, base64"},
    }
    if folders:
        listed = ", ".join(str(folder) for folder in folders)
        properties["file"] = {"type": "string", "description": f"path of a file in {listed}"}
    given = ", ".join(properties)
    properties["name"] = {"type": "string", "description": "file name, for people"}
    properties["reference"] = {
        "type": "string",
        "description": "a text that says what is really in it; losses are measured against it",
    }
    return {
        "type": "object",
        "description": f"exactly one of {given}",
        "properties": properties,
        "additionalProperties": False,
    }


def attachment(given: Mapping[str, Any], journal: Journal, folders: Sequence[Path]) -> Attachment:
    """An attachment that passed the gate.

    Args:
        given: as `attachment_schema` says.
        journal: whose artifacts may be named.
        folders: whose files may be named.

    Raises:
        BadInput: none or several sources, bytes that are not base64, a file outside the folders, or
            whatever the input gate refuses.
        NotFound: no artifact of that id.
    """
    sources = [name for name in _SOURCES if given.get(name) is not None]
    if len(sources) != 1:
        raise BadInput(f"an attachment has exactly one of {', '.join(_SOURCES)}; this one has {len(sources)}.")
    name = Path(str(given.get("name", ""))).name
    reference = given.get("reference")
    return Attachment(
        source=_source(sources[0], str(given[sources[0]]), name, journal, folders),
        reference=Artifact.from_text(str(reference)) if reference is not None else None,
        name=name or (Path(given["file"]).name if sources[0] == "file" else ""),
    )


def _source(kind: str, value: str, name: str, journal: Journal, folders: Sequence[Path]) -> Artifact:
    if kind == "artifact":
        return journal.read(journal.find_artifact(value))
    if kind == "text":
        return _text(value)
    if kind == "data":
        return sniff(_bytes(value), name or "the data")
    return open_file(_inside(value, folders))


def _text(value: str) -> Artifact:
    if not value.strip():
        raise BadInput("the text holds no words.")
    if len(value) > limits().max_text_characters:
        raise BadInput(
            f"the text has {len(value)} characters; the limit is {limits().max_text_characters}.",
            hint=f"Raise {setting('max_text_characters')}.",
        )
    return Artifact.from_text(value)


def _bytes(value: str) -> bytes:
    if len(value) * 3 / 4 > limits().max_file_mib * MEBIBYTE:
        raise BadInput(
            f"the data is larger than the limit of {limits().max_file_mib:g} MiB.",
            hint=f"Raise {setting('max_file_mib')}.",
        )
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("the data is not base64.") from None


def _inside(value: str, folders: Sequence[Path]) -> Path:
    """The file, if it lies in an allowed folder whatever links it goes through."""
    if not folders:
        raise BadInput("no files can be named here.", hint="Start it with: hopline mcp --files-from FOLDER")
    for folder in folders:
        try:
            path = (folder / value).resolve()
        except (OSError, ValueError, RuntimeError):  # a NUL in the name, a loop of links
            break
        if path.is_relative_to(folder.resolve()):
            return path
    listed = ", ".join(str(folder) for folder in folders)
    raise BadInput(f"{value!r} is not in a folder that may be read; there are: {listed}.")

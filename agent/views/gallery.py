"""The artifacts of a page: what is embedded, what is written beside it, what was shown already."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from urllib.parse import quote

from hopline.agent.hops.reading import ReadArtifact, try_read
from hopline.agent.hops.records import ArtifactRef, Failure

EMBEDDED_BYTES = 25_000_000
"""Base64 characters of media that one page carries in itself."""

REPEATED_BYTES = 400_000
"""Media up to this size are shown again where they are used again; larger ones are linked."""

TEXT_CHARACTERS = 200_000
"""Characters of one text that a page shows; the page says so when there are more."""

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")
AUDIO_TYPES = ("audio/wav", "audio/x-wav", "audio/flac", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/webm")
VIDEO_TYPES = ("video/mp4", "video/quicktime", "video/webm")
SHOWN_TYPES = IMAGE_TYPES + AUDIO_TYPES + VIDEO_TYPES
"""What browsers play and cannot be made to run: no SVG, no HTML."""


class Gallery:
    """Gives each artifact of a page a source for its element.

    Args:
        read: gives the bytes of a reference.
        folder: where media go that no longer fit into the page, a folder beside it; None to
            leave them out, which the page says.
        limit: base64 characters that the page may carry.
    """

    def __init__(self, read: ReadArtifact, folder: Path | None = None, *, limit: int = EMBEDDED_BYTES) -> None:
        self._read = read
        self._folder = folder
        self._room = limit
        self._sources: dict[str, str | Failure] = {}
        self._places: dict[str, str] = {}
        self.beside = False

    def text(self, ref: ArtifactRef) -> str | Failure:
        """The words of a text artifact; bytes that are not UTF-8 show as U+FFFD."""
        artifact = try_read(self._read, ref)
        return artifact if isinstance(artifact, Failure) else artifact.data.decode("utf-8", errors="replace")

    def place(self, ref: ArtifactRef, anchor: str) -> str | None:
        """Where the artifact was shown before; remembers `anchor` when this is the first time."""
        earlier = self._places.get(ref.id)
        if earlier is None:
            self._places[ref.id] = anchor
        return earlier

    def source(self, ref: ArtifactRef) -> str | Failure:
        """A `data:` URI or a relative address for `src`, or why there is none.

        Raises:
            OSError: the folder beside the page cannot be written.
        """
        known = self._sources.get(ref.id)
        if isinstance(known, Failure) or (known is not None and not known.startswith("data:")):
            return known
        if ref.media_type not in SHOWN_TYPES:
            return self._keep(ref, Failure(reason="no_preview", message=f"A browser does not show {ref.media_type}."))
        if known is not None and len(known) <= self._room:
            self._room -= len(known)
            return known
        return self._keep(ref, self._put(ref))

    def _keep(self, ref: ArtifactRef, source: str | Failure) -> str | Failure:
        self._sources[ref.id] = source
        return source

    def _put(self, ref: ArtifactRef) -> str | Failure:
        artifact = try_read(self._read, ref)
        if isinstance(artifact, Failure):
            return artifact
        length = 4 * (len(artifact.data) + 2) // 3 + 64
        if length <= self._room:
            self._room -= length
            return f"data:{ref.media_type};base64,{base64.b64encode(artifact.data).decode('ascii')}"
        if self._folder is None:
            return Failure(reason="too_large", message="Too large to be part of this page.")
        self.beside = True
        name = f"{artifact.id}{artifact.extension}"
        self._folder.mkdir(parents=True, exist_ok=True)
        if not (self._folder / name).exists():
            partial = self._folder / f".{name}.{os.getpid()}"
            partial.write_bytes(artifact.data)
            partial.replace(self._folder / name)
        return f"{quote(self._folder.name)}/{name}"

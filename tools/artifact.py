"""One immutable value: bytes, modality, media type, and the sha256 of the bytes as its id."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from hopline.tools.notebook import drawn

TEXT, IMAGE, AUDIO, VIDEO = "text", "image", "audio", "video"
MODALITIES = (TEXT, IMAGE, AUDIO, VIDEO)

EXTENSIONS = {
    "text/plain": ".txt",
    "text/markdown": ".md",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/heic": ".heic",
    "audio/wav": ".wav",
    "audio/flac": ".flac",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/ogg": ".ogg",
    "audio/webm": ".weba",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """One immutable value.

    The bytes are what was given or made, never normalised. Decoded views live in
    `hopline.tools.media` and have stated invariants: audio mono float32 in [-1, 1] of shape
    (n,) with `sample_rate_hz`, image RGB uint8 of shape (h, w, 3).

    Attributes:
        data: the bytes.
        modality: `text`, `image`, `audio` or `video`; other words join only to themselves.
        media_type: IANA media type, `image/png`.
        id: lower-case sha256 of `data`, 64 hexadecimal digits.
    """

    data: bytes = field(repr=False)
    modality: str
    media_type: str
    id: str = field(init=False, compare=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", hashlib.sha256(self.data).hexdigest())

    @classmethod
    def from_text(cls, text: str, media_type: str = "text/plain") -> Artifact:
        """A text artifact, UTF-8, exactly as given."""
        return cls(data=text.encode("utf-8"), modality=TEXT, media_type=media_type)

    @property
    def text(self) -> str:
        """The text of a text artifact.

        Raises:
            TypeError: the artifact is not text.
        """
        if self.modality != TEXT:
            raise TypeError(f"a {self.modality} artifact has no text")
        return self.data.decode("utf-8")

    @property
    def extension(self) -> str:
        """File name extension for the media type, with its dot; `.bin` when unknown."""
        return EXTENSIONS.get(self.media_type, ".bin")

    def _repr_html_(self) -> str:
        return drawn(self)

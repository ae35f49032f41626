"""Text inside valid small media files: in samples, in pixels, in frames.

The payload is `MAGIC`, the length as four bytes, then UTF-8. It survives any lossless re-encoding.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from hopline.tools.artifact import AUDIO, IMAGE, TEXT, VIDEO, Artifact
from hopline.tools.errors import InputRefused

MAGIC = b"hop:"
SAMPLE_RATE_HZ = 16_000
WIDTH = 16
"""Pixels a row; a row holds 48 bytes of payload."""

_ROW = WIDTH * 3
_PNG = b"\x89PNG\r\n\x1a\n"


def spoken(text: str) -> Artifact:
    """A WAV file, mono 16 bit at 16 kHz, that carries a text: one byte a sample."""
    samples = b"".join(struct.pack("<h", (byte - 128) * 128) for byte in _payload(text))
    form = struct.pack("<HHIIHH", 1, 1, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ * 2, 2, 16)
    body = b"WAVE" + _chunk(b"fmt ", form) + _chunk(b"data", samples)
    return Artifact(data=_chunk(b"RIFF", body), modality=AUDIO, media_type="audio/wav")


def drawn(text: str) -> Artifact:
    """A PNG file, RGB, 16 pixels wide, that carries a text: three bytes a pixel."""
    pixels = _pixels(text)
    rows = b"".join(b"\0" + pixels[at : at + _ROW] for at in range(0, len(pixels), _ROW))
    header = struct.pack(">IIBBBBB", WIDTH, len(pixels) // _ROW, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return Artifact(data=_PNG + body, modality=IMAGE, media_type="image/png")


def filmed(texts: Sequence[str]) -> Artifact:
    """An AVI file of raw RGB frames, one a second, that carries a text in each frame.

    Raises:
        ValueError: there is no text, so no frame.
    """
    if not texts:
        raise ValueError("a film needs at least one frame")
    frames = [_pixels(text) for text in texts]
    size = max(map(len, frames))
    frames = [frame.ljust(size, b"\0") for frame in frames]
    height, count = size // _ROW, len(frames)
    main = struct.pack("<14I", 1_000_000, size, 0, 0x10, count, 0, 1, size, WIDTH, height, 0, 0, 0, 0)
    stream = struct.pack("<4s4sIHHIIIIIIII4H", b"vids", b"DIB ", 0, 0, 0, 0, 1, 1, 0, count, size, 0, size,
                         0, 0, WIDTH, height)  # fmt: skip
    form = struct.pack("<IiiHHIIiiII", 40, WIDTH, height, 1, 24, 0, size, 0, 0, 0, 0)
    header = _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", form))
    movie = b"".join(_chunk(b"00db", _bottom_up(frame)) for frame in frames)
    index = b"".join(struct.pack("<4sIII", b"00db", 0x10, 4 + n * (size + 8), size) for n in range(count))
    body = b"AVI " + _list(b"hdrl", _chunk(b"avih", main) + header) + _list(b"movi", movie) + _chunk(b"idx1", index)
    return Artifact(data=_chunk(b"RIFF", body), modality=VIDEO, media_type="video/x-msvideo")


def text_in(artifact: Artifact) -> str:
    """The text that an artifact carries; frames of a video are joined by newlines.

    Raises:
        InputRefused: it is not one of these files, or it is cut.
    """
    return "\n".join(texts_in(artifact))


def texts_in(artifact: Artifact) -> list[str]:
    """The texts that an artifact carries: one, or one a frame.

    Raises:
        InputRefused: it is not one of these files, or it is cut.
    """
    try:
        if artifact.modality == TEXT:
            return [artifact.text]
        if artifact.modality == AUDIO:
            return [_unpack(bytes(s // 128 + 128 for (s,) in struct.iter_unpack("<h", _samples(artifact.data))))]
        if artifact.modality == IMAGE:
            return [_unpack(_picture(artifact.data))]
        if artifact.modality == VIDEO:
            return [_unpack(_bottom_up(frame)) for frame in _frames(artifact.data)]
    except (struct.error, zlib.error, ValueError, IndexError) as error:
        raise InputRefused(
            f"this {artifact.modality} carries no text that a fake can read ({error}).",
            hint="Make one with hopline.tools.fakes: spoken, drawn, filmed.",
        ) from error
    raise InputRefused(f"a fake cannot read the type {artifact.modality!r}.")


def _payload(text: str) -> bytes:
    data = text.encode("utf-8")
    return MAGIC + struct.pack(">I", len(data)) + data


def _unpack(payload: bytes) -> str:
    (length,) = struct.unpack_from(">I", payload, 4)
    data = payload[8 : 8 + length]
    if payload[:4] != MAGIC or len(data) != length:
        raise ValueError("it was not made by one, or it is cut")
    return data.decode("utf-8")


def _pixels(text: str) -> bytes:
    payload = _payload(text)
    return payload.ljust(-(-len(payload) // _ROW) * _ROW, b"\0")


def _bottom_up(frame: bytes) -> bytes:
    """AVI stores raw rows from the bottom, and blue first; its own inverse."""
    rows = [frame[at : at + _ROW] for at in range(0, len(frame), _ROW)]
    return b"".join(bytes(row[i + 2 - k] for i in range(0, _ROW, 3) for k in range(3)) for row in reversed(rows))


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _list(name: bytes, data: bytes) -> bytes:
    return _chunk(b"LIST", name + data)


def _samples(data: bytes) -> bytes:
    if data[:4] != b"RIFF" or data[8:16] != b"WAVEfmt ":
        raise ValueError("it is not a WAV file")
    at = data.index(b"data")
    (length,) = struct.unpack_from("<I", data, at + 4)
    return data[at + 8 : at + 8 + length]


def _picture(data: bytes) -> bytes:
    if data[:8] != _PNG:
        raise ValueError("it is not a PNG file")
    at, packed, width = 8, b"", 0
    while data[at + 4 : at + 8] != b"IEND":
        (length,) = struct.unpack_from(">I", data, at)
        chunk = data[at + 8 : at + 8 + length]
        if data[at + 4 : at + 8] == b"IHDR":
            width = struct.unpack_from(">I", chunk)[0] if chunk[8:10] == b"\x08\x02" else 0
        if data[at + 4 : at + 8] == b"IDAT":
            packed += chunk
        at += length + 12
    if width != WIDTH:
        raise ValueError("it was not made by one")
    unpacker = zlib.decompressobj()
    rows = unpacker.decompress(packed, 64 * 1024 * 1024)
    return b"".join(rows[at + 1 : at + 1 + _ROW] for at in range(0, len(rows), _ROW + 1))


def _frames(data: bytes) -> list[bytes]:
    if data[:4] != b"RIFF" or data[8:12] != b"AVI ":
        raise ValueError("it is not an AVI file")
    at = data.index(b"movi") + 4
    frames = []
    while data[at : at + 4] == b"00db":
        (length,) = struct.unpack_from("<I", data, at + 4)
        frames.append(data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    return frames

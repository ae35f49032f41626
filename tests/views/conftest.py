"""A run built by hand from records, with real small media."""

from __future__ import annotations

import hashlib
import io
import math
import struct
import wave
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hopline.agent.hops.records import (
    ArtifactRef,
    AttachmentRecord,
    Failure,
    Hop,
    ModelCall,
    Probe,
    RunRecord,
)
from hopline.tools.artifact import Artifact
from hopline.tools.backend import MechanicalLoss
from hopline.tools.errors import NotFound

SPOKEN = "Two red birds sit on a green tree in Berlin. There are 3 clouds and no dogs."
HEARD = "Two red birds sit on a green tree in Berlin. There are free clouds and no dogs."
READ = "Two red birds on a green tree. One white cloud."


@dataclass
class Shelf:
    """Artifacts in memory, read like a journal's."""

    kept: dict[str, Artifact] = field(default_factory=dict)

    def put(self, data: bytes | str, modality: str = "text", media_type: str = "text/plain") -> ArtifactRef:
        raw = data.encode() if isinstance(data, str) else data
        artifact = Artifact(data=raw, modality=modality, media_type=media_type)
        self.kept[artifact.id] = artifact
        return ArtifactRef(id=artifact.id, modality=modality, media_type=media_type, size_bytes=len(raw))

    def read(self, ref: ArtifactRef) -> Artifact:
        if ref.id not in self.kept:
            raise NotFound(f"no artifact {ref.id[:12]} in this journal.")
        return self.kept[ref.id]


@dataclass(frozen=True)
class Sample:
    """Everything `run_page` takes."""

    shelf: Shelf
    run: RunRecord
    hops: tuple[Hop, ...]
    probes: tuple[Probe, ...]
    calls: tuple[ModelCall, ...]
    loss: Mapping[str, Any]


def wav(duration_s: float, pitch_hz: float = 220.0, sample_rate_hz: int = 8000) -> bytes:
    """A tone as 16-bit mono WAV."""
    held = io.BytesIO()
    count = round(duration_s * sample_rate_hz)
    with wave.open(held, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(sample_rate_hz)
        samples = (round(9000 * math.sin(2 * math.pi * pitch_hz * n / sample_rate_hz)) for n in range(count))
        out.writeframes(b"".join(struct.pack("<h", s) for s in samples))
    return held.getvalue()


def picture() -> bytes:
    """A small scene as PNG, 128 by 128: two red birds, a green tree, a cloud.

    Written by hand and not compressed, so that its bytes, and with them the golden page, are the
    same under every version of every library.
    """
    rows = b"".join(b"\0" + b"".join(_colour(x, y) for x in range(128)) for y in range(128))
    stored = b"\x78\x01\x01" + struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF) + rows
    stored += struct.pack(">I", zlib.adler32(rows))
    header = struct.pack(">IIBBBBB", 128, 128, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", stored), (b"IEND", b""))
    written = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def _colour(x: int, y: int) -> bytes:
    shapes = (
        (48, 42, 7, 5, "d32f2f"),
        (80, 42, 7, 5, "d32f2f"),
        (64, 44, 30, 26, "388e3c"),
        (22, 16, 13, 7, "ffffff"),
    )
    for across, down, half_width, half_height, colour in shapes:
        if ((x - across) / half_width) ** 2 + ((y - down) / half_height) ** 2 <= 1:
            return bytes.fromhex(colour)
    if 58 <= x < 70 and 60 <= y < 104:
        return bytes.fromhex("6d4c41")
    return bytes.fromhex("9ccc65" if y >= 96 else "bfe3f5")


@pytest.fixture
def sample() -> Sample:
    """Listen, draw, describe, speak: four hops, one child hop, two readings, one model call."""
    shelf = Shelf()
    memo = shelf.put(wav(2.5), "audio", "audio/wav")
    reference = shelf.put(SPOKEN)
    heard, seen = shelf.put(HEARD), shelf.put(READ)
    drawn = shelf.put(picture(), "image", "image/png")
    said = shelf.put(wav(1.5, 330), "audio", "audio/wav")
    heard_again = shelf.put(READ.replace("One", "A"))
    run = RunRecord(
        id="k3f9",
        conversation="c1",
        position=1,
        request="Listen to the memo, draw what it describes, then describe the drawing aloud.",
        attachments=(AttachmentRecord(handle="audio1", name="memo.wav", artifact=memo, reference=reference),),
        plan=_plan(),
        seed=7,
        status="ok",
        outputs=(drawn, said),
        created_at="2026-11-23T16:57:04+00:00",
        ended_at="2026-11-23T16:57:21.400+00:00",
    )
    return Sample(
        shelf=shelf,
        run=run,
        hops=_hops(memo, heard, drawn, seen, said),
        probes=(
            Probe(
                id=1,
                run="k3f9",
                node=said,
                hop=5,
                reader="speech_to_text:faster-whisper",
                identity={"faster_whisper": "1.2.1"},
                reading=heard_again,
                duration_ms=900.0,
            ),
            Probe(
                id=2,
                run="k3f9",
                node=drawn,
                hop=2,
                reader="image_ocr:rapidocr",
                error=Failure(reason="input_refused", message="No words in the picture."),
            ),
        ),
        calls=(
            ModelCall(
                id=1,
                run="k3f9",
                hop=None,
                purpose="judge",
                identity={"model": "qwen2.5-coder"},
                messages=shelf.put('[{"role": "user", "content": "Which tool comes first?"}]'),
                reply=shelf.put("speech_to_text"),
                input_tokens=1210,
                output_tokens=6,
                duration_ms=2210.0,
                finish_reason="stop",
            ),
        ),
        loss=_loss(),
    )


def _plan() -> dict[str, Any]:
    return {
        "format": "hopline.plan/1",
        "planner": "assisted",
        "steps": [
            {"id": "step1", "tool": "speech_to_text", "inputs": {"audio": [{"attachment": "audio1"}]}},
            {"id": "step2", "tool": "text_to_image", "inputs": {"text": [{"step": "step1"}]}},
            {"id": "step3", "tool": "image_captioning", "inputs": {"image": [{"step": "step2"}]}},
            {"id": "step4", "tool": "text_to_speech", "inputs": {"text": [{"step": "step3"}]}},
        ],
        "problems": [{"severity": "warning", "message": "No language was named; English is taken."}],
        "why": {
            "clauses": ["Listen to the memo", "draw what it describes", "describe the drawing aloud"],
            "runner_up": {"steps": ["speech_to_text", "text_to_image"], "margin": 0.214},
            "bridging": ["step3"],
        },
    }


def _hops(
    memo: ArtifactRef, heard: ArtifactRef, drawn: ArtifactRef, seen: ArtifactRef, said: ArtifactRef
) -> tuple[Hop, ...]:
    shared: dict[str, Any] = {"run": "k3f9", "status": "ok", "started_at": "2026-11-23T16:57:05+00:00", "seed": 7}
    return (
        Hop(
            id=1,
            step="step1",
            tool="speech_to_text",
            backend="speech_to_text:faster-whisper",
            inputs={"audio": (memo,)},
            outputs={"text": (heard,)},
            parameters={"language": "en"},
            identity={
                "faster_whisper": "1.2.1",
                "model Systran/faster-whisper-tiny.en": hashlib.sha256(b"w").hexdigest(),
            },
            duration_ms=1340.2,
            load_ms=1820.0,
            details={"flags": ["maybe_not_english"], "language": "en", "confidence": 0.71},
            mechanical_losses=(
                MechanicalLoss(
                    kind="resampled", message="48,000 Hz became 16,000 Hz.", before=48000, after=16000, unit="Hz"
                ),
            ),
            **shared,
        ),
        Hop(
            id=2,
            step="step2",
            tool="text_to_image",
            backend="text_to_image:pictograms",
            inputs={"text": (heard,)},
            outputs={"image": (drawn,)},
            parameters={"size": 512},
            identity={"model openmoji-17": hashlib.sha256(b"o").hexdigest(), "resvg_py": "0.2.1"},
            duration_ms=96.4,
            load_ms=410.0,
            details={"declared": ["2 red bird", "1 green tree", "1 cloud"]},
            mechanical_losses=(
                MechanicalLoss(kind="not_drawn", message="Not drawn: Berlin, dogs."),
                MechanicalLoss(
                    kind="truncated", message="At most one group of clouds.", before=3, after=1, unit="objects"
                ),
            ),
            **shared,
        ),
        Hop(
            id=3,
            step="step3",
            tool="image_captioning",
            backend="image_captioning:offline",
            inputs={"image": (drawn,)},
            outputs={"text": (seen,)},
            duration_ms=640.0,
            load_ms=0.0,
            **shared,
        ),
        Hop(
            id=4,
            step="step3",
            parent=3,
            tool="image_ocr",
            backend="image_ocr:rapidocr",
            inputs={"image": (drawn,)},
            outputs={"text": ()},
            duration_ms=420.0,
            **shared,
        ),
        Hop(
            id=5,
            step="step4",
            tool="text_to_speech",
            backend="text_to_speech:piper",
            inputs={"text": (seen,)},
            outputs={"audio": (said,)},
            parameters={"speed": 1.0},
            cached_from=2,
            remote=True,
            duration_ms=0.0,
            load_ms=0.0,
            **shared,
        ),
    )


NODES = ("audio1", "step1", "step2", "step3", "step4")


def _fact(
    number: int, kind: str, text: str, states: str, last: str, altered_to: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """`states`: one letter a node: Seen, Altered, Not read, aGain, Void, Unscored."""
    words = {"S": "seen", "A": "altered", "N": "not_read", "G": "seen_again", "V": "void", "U": "unscored"}
    return {
        "id": f"f{number}",
        "type": kind,
        "text": text,
        "value": text,
        "source": "audio1",
        "states": {node: words[letter] for node, letter in zip(NODES, states, strict=True)},
        "last_seen": last,
        "altered_to": altered_to or {},
        "depends_on": None,
    }


def _loss() -> dict[str, Any]:
    signature = "WER|normaliser:english|reference:given|jiwer 4.0"
    facts = [
        _fact(1, "object", "bird", "SSSSS", "step4"),
        _fact(2, "object", "tree", "SSSSS", "step4"),
        _fact(3, "object", "cloud", "SSNGS", "step4"),
        _fact(4, "count", "2 birds", "SSSSS", "step4"),
        _fact(5, "count", "3 clouds", "SAAAA", "audio1", {"step1": "free", "step2": "1", "step3": "1", "step4": "1"}),
        _fact(6, "colour", "red bird", "SSSSS", "step4"),
        _fact(7, "colour", "green tree", "SSSSU", "step3"),
        _fact(8, "relation", "birds on tree", "SSSNN", "step2"),
        _fact(9, "name", "Berlin", "SSNNN", "step1"),
        _fact(10, "negation", "no dogs", "SSVVV", "step1"),
    ]
    labels = (
        "audio1 memo.wav",
        "step1 speech_to_text",
        "step2 text_to_image",
        "step3 image_captioning",
        "step4 text_to_speech",
    )
    kinds = ("audio", "text", "image", "text", "audio")
    hops = (None, 1, 2, 3, 5)
    readers = (None, None, "image_captioning:exemplar", None, "speech_to_text:faster-whisper")
    nodes = [
        {
            "id": node,
            "label": label,
            "step": None if node == "audio1" else node,
            "hop": hop,
            "modality": kind,
            "artifact": None,
            "reader": reader,
            "evidence": "read" if reader else "given",
            "text": SPOKEN if node == "audio1" else None,
        }
        for node, label, kind, hop, reader in zip(NODES, labels, kinds, hops, readers, strict=True)
    ]
    rows = [
        {
            "hop": 1,
            "step": "step1",
            "tool": "speech_to_text",
            "backend": "speech_to_text:faster-whisper",
            "kept": 9,
            "altered": 1,
            "missing": 0,
            "void": 0,
            "invented": 0,
            "unscored": None,
            "round_trip": None,
            "against": "audio1",
            "scores": [
                {"metric": "WER", "value": 0.0625, "unscored": None, "signature": signature},
                {"metric": "cosine", "value": None, "unscored": "the encoder is not installed", "signature": "cosine"},
            ],
            "mechanical_losses": [],
        },
        {
            "hop": 2,
            "step": "step2",
            "tool": "text_to_image",
            "backend": "text_to_image:pictograms",
            "kept": None,
            "altered": None,
            "missing": None,
            "void": None,
            "invented": None,
            "unscored": "reader equals next hop",
            "round_trip": [2, 3],
            "against": "audio1",
            "scores": [],
            "mechanical_losses": [],
        },
    ]
    return {
        "format": "hopline.loss/1",
        "nodes": nodes,
        "facts": facts,
        "invented": [{"type": "colour", "text": "white cloud", "first_seen": "step3"}],
        "hops": rows,
        "notes": ["The picture was read by the pictogram reader: a closed loop."],
    }

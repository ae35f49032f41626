"""Every backend that comes with hopline passes the published suite, with its real model."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import numpy as np
import pytest
from hopline.agent.running.profile import load_profile
from hopline.tools import Artifact, Backend, Call, Result, Tool
from hopline.tools.chat.backend import ChatBackend
from hopline.tools.conformance import check_backend
from hopline.tools.declarations import STANDARD_TOOLS
from hopline.tools.media import encode_png
from hopline.tools.pretrained import Pretrained
from hopline.tools.registry import installed
from hopline.tools.speech_server import SpeechServer
from PIL import Image, ImageDraw, ImageFont

pytestmark = pytest.mark.models

ELSEWHERE = (ChatBackend, SpeechServer, Pretrained)
"""Families whose installed backends all pass it in tests/chat/test_chat_backends, test_speech_server (against a server
that speaks the API) and tests/pretrained/test_conformance (with tiny models of the real classes)."""

OURS = [
    entry
    for entry in entry_points(group="hopline.backends")
    if entry.dist and entry.dist.name == "hopline" and not issubclass(entry.load(), ELSEWHERE)
]
LARGE = load_profile("offline").large_models
"""Not pulled by `make test`."""


def marks(entry: EntryPoint) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow, pytest.mark.timeout(1200)] if set(entry.load().models) & set(LARGE) else []


@pytest.mark.parametrize("entry", [pytest.param(entry.value, id=entry.name, marks=marks(entry)) for entry in OURS])
def test_it_conforms(entry: str, shared: Path) -> None:
    kind: type[Backend] = next(e for e in OURS if e.value == entry).load()
    tool = next(tool for tool in STANDARD_TOOLS if tool.name == kind.tool)
    needed = {need: served(need) for need in kind.needs}
    assert check_backend(kind(), tool, [sample(tool, shared)], tools=needed or None) == []


@cache
def served(tool_name: str) -> Callable[..., Result]:
    """A tool as the profile `offline` serves it, for a backend that needs it."""
    profile = load_profile("offline")
    backend = profile.choose(installed(), tool_name)
    backend.load()
    return lambda inputs, parameters: backend.call(Call(inputs=inputs, parameters=parameters))


def sample(tool: Tool, shared: Path) -> Call:
    """What a person might hand to the tool, small."""
    made: dict[str, Callable[[], Artifact]] = {
        "text": lambda: Artifact.from_text("Two red cats sit on a blue boat."),
        "audio": lambda: Artifact(
            data=(shared / "media" / "4446-2271-0000.flac").read_bytes(), modality="audio", media_type="audio/flac"
        ),
        "image": picture,
        "video": film,
    }
    if tool.name == "text_to_audio":
        made["text"] = lambda: Artifact.from_text("A low drum beat at 120 bpm, with a purple hat.")
    return Call(inputs={port.name: (made[port.type](),) for port in tool.inputs}, seed=1)


@cache
def picture() -> Artifact:
    """A flat drawing with words on it: something to see and something to read."""
    canvas = Image.new("RGB", (320, 240), "#dff0ff")
    draw = ImageDraw.Draw(canvas)
    draw.ellipse((40, 60, 140, 160), fill="#d22f27", outline="black", width=4)
    draw.text((30, 190), "red ball", fill="black", font=ImageFont.load_default(28))
    return encode_png(np.asarray(canvas))


@cache
def film() -> Artifact:
    """Two seconds, 64 by 48 pixels, with a tone."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=16_000)
        for number in range(20):
            pixels = np.full((48, 64, 3), 12 * number, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels)))
        tone = (np.sin(np.arange(32_000) / 16_000 * 2 * np.pi * 440) / 4).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(audio.encode(frame))
        container.mux(video.encode())
        container.mux(audio.encode())
    return Artifact(data=file.getvalue(), modality="video", media_type="video/mp4")

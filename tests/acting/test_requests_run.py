"""Every development request whose tools have a backend here also runs, on real input."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hopline.agent import Agent
from hopline.tools.artifact import Artifact
from hopline.tools.media import decode_audio, open_file
from PIL import Image, ImageDraw, ImageFont

MEMO = Path(__file__).resolve().parents[2] / "examples" / "memo.m4a"


def sign() -> Artifact:
    """A picture with words in it."""
    picture = Image.new("RGB", (640, 240), "white")
    ImageDraw.Draw(picture).text((40, 80), "OPEN ON SUNDAY", fill="black", font=ImageFont.load_default(60))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return Artifact(data=buffer.getvalue(), modality="image", media_type="image/png")


def film() -> Artifact:
    """The memo's sound under moving pictures."""
    import av

    samples, rate, _ = decode_audio(open_file(MEMO))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        pictures = container.add_stream("mpeg4", rate=5)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 120, "yuv420p"
        sound = container.add_stream("aac", rate=rate)
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), number * 20, np.uint8), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode())
        heard = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="fltp", layout="mono")
        heard.sample_rate = rate
        container.mux(sound.encode(heard))
        container.mux(sound.encode())
    return Artifact(data=buffer.getvalue(), modality="video", media_type="video/mp4")


@pytest.mark.models
@pytest.mark.slow
def test_development_requests_run(shared: Path) -> None:
    photos = sorted(shared.glob("media/photo-*.jpg"))
    cases = [json.loads(line) for line in (shared / "requests-dev.jsonl").read_text("utf-8").splitlines()]
    ran = []
    with Agent.from_profile("offline") as agent:
        for case in cases:
            texts = any(word in case["request"].lower() for word in ("text", "poster", "scan"))
            pictures = iter([sign(), *map(open_file, photos)] if texts else map(open_file, photos))
            given = {"image": pictures, "audio": iter([open_file(MEMO)]), "video": iter([film()])}
            run = agent.run(case["request"], [next(given[kind]) for kind in case["attachments"]])
            if run.status == "failed" and run.record.error and run.record.error.reason == "missing_backend":
                continue
            assert run.status == "ok", (case["request"], run.record.error)
            ran.append(case["id"])
    assert len(ran) >= 13

"""Every backend on models of the hub passes the published suite, with a tiny model of each class that it is for."""

from __future__ import annotations

from importlib.metadata import entry_points

import numpy as np
import pytest
from hopline.tools import Artifact, Call
from hopline.tools.conformance import check_backend
from hopline.tools.declarations import STANDARD_TOOLS
from hopline.tools.media import encode_png, encode_wav
from hopline.tools.pretrained import Pretrained

# Pipelines of sound are built on what torch and transformers call old.
pytestmark = pytest.mark.filterwarnings("ignore:.*(weight_norm|past_key_values):FutureWarning")

KINDS: dict[str, type[Pretrained]] = {
    entry.name: kind for entry in entry_points(group="hopline.backends") if issubclass(kind := entry.load(), Pretrained)
}
MODELS = {
    "text_to_image.diffusers": ("tiny_diffusion", "tiny_sdxl", "tiny_flux"),
    "image_captioning.transformers": ("tiny_blip", "tiny_blip2", "tiny_git", "tiny_llava"),
    "visual_question_answering.transformers": ("tiny_blip_vqa", "tiny_vilt", "tiny_blip2", "tiny_llava"),
    "text_to_audio.diffusers": ("tiny_stable_audio", "tiny_audioldm2"),
    "text_to_audio.transformers": ("tiny_musicgen",),
    "audio_classification.transformers": ("tiny_ast",),
    "speech_to_text.transformers": ("tiny_ctc",),
}


def words(text: str) -> Artifact:
    return Artifact.from_text(text)


def picture(width: int, height: int) -> Artifact:
    return encode_png(np.random.default_rng(width).integers(0, 255, (height, width, 3), dtype=np.uint8))


def noise(seconds: float, rate_hz: int) -> Artifact:
    samples = np.random.default_rng(rate_hz).standard_normal(int(seconds * rate_hz)) * 0.2
    return encode_wav(samples.clip(-1, 1).astype(np.float32), rate_hz)


def samples(tool: str) -> list[Call]:
    """Two calls that differ in all that a tool takes."""
    if tool == "text_to_image":
        small = {"size": 64, "steps": 2}
        more = {"guidance": 3.0, "negative_prompt": "trees"}
        return [
            Call(inputs={"text": (words("a red cat"),)}, parameters=small, seed=1),
            Call(inputs={"text": (words("two dogs"),)}, parameters=small | more, seed=2),
        ]
    if tool == "text_to_audio":
        return [
            Call(inputs={"text": (words("two red cats"),)}, parameters={"duration_s": 0.2, "steps": 2}, seed=1),
            Call(inputs={"text": (words("no blue dog"),)}, parameters={"duration_s": 0.1, "steps": 3}, seed=2),
        ]
    if tool in ("audio_classification", "speech_to_text"):
        return [Call(inputs={"audio": (noise(1.0, 16_000),)}), Call(inputs={"audio": (noise(2.0, 22_050),)})]
    asked = [("what colour is the cat", picture(80, 48)), ("how many dogs sits on the red boat", picture(64, 64))]
    if tool == "image_captioning":
        return [Call(inputs={"image": (image,)}) for _, image in asked]
    return [Call(inputs={"image": (image,), "question": (words(question),)}) for question, image in asked]


@pytest.mark.parametrize(("name", "model"), [(name, model) for name in MODELS for model in MODELS[name]])
def test_it_conforms(name: str, model: str, request: pytest.FixtureRequest) -> None:
    kind = KINDS[name]
    tool = next(tool for tool in STANDARD_TOOLS if tool.name == kind.tool)
    assert check_backend(kind(str(request.getfixturevalue(model))), tool, samples(tool.name)) == []


def test_no_backend_is_left_out() -> None:
    assert set(MODELS) == set(KINDS)

"""SSIM and STOI: laws on a real photo and real speech, and where none is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hopline.agent.experiments.channels import jpeg, noise, shrink
from hopline.agent.hops.records import ArtifactRef, Hop, RunRecord
from hopline.agent.loss.recoding import recoding_score, ssim, stoi
from hopline.agent.loss.run import measure
from hopline.agent.loss.score import Score, Unscored
from hopline.tools.artifact import AUDIO, IMAGE, Artifact
from hopline.tools.backend import Call
from hopline.tools.function import Image, tool, tool_of
from hopline.tools.media import decode_image, encode_png, encode_wav


@pytest.fixture(scope="module")
def photo(shared: Path) -> Artifact:
    whole = Artifact(data=(shared / "media/photo-a.jpg").read_bytes(), modality=IMAGE, media_type="image/jpeg")
    return encode_png(np.ascontiguousarray(decode_image(whole)[0][:256, :256]))


@pytest.fixture(scope="module")
def speech(shared: Path) -> Artifact:
    data = (shared / "media/61-70968-0000.flac").read_bytes()
    return Artifact(data=data, modality=AUDIO, media_type="audio/flac")


def _value(found: Score | Unscored | None) -> float:
    assert isinstance(found, Score), found
    return found.value


def test_ssim_is_one_for_the_same_picture_and_falls_with_quality(photo: Artifact) -> None:
    values = [_value(ssim(photo, jpeg(photo, quality=quality))) for quality in (95, 50, 10, 1)]
    assert _value(ssim(photo, photo)) == pytest.approx(1)
    assert 1 > values[0] > values[1] > values[2] > values[3] > 0


def test_stoi_is_one_for_the_same_speech_and_falls_with_noise(speech: Artifact) -> None:
    values = [_value(stoi(speech, noise(speech, snr_db=snr))) for snr in (30.0, 10.0, 0.0, -20.0)]
    assert _value(stoi(speech, speech)) == pytest.approx(1, abs=1e-3)
    assert 1 > values[0] > values[1] > values[2] > values[3]


def test_unscored_where_they_cannot_be_laid_over_each_other(photo: Artifact, speech: Artifact) -> None:
    silence = encode_wav(np.zeros(16_000, np.float32), 16_000)
    click = encode_wav(np.eye(1, 16_000, 8_000, dtype=np.float32)[0], 16_000)
    tiny = encode_png(np.zeros((5, 5, 3), np.uint8))
    for found, why in [
        (ssim(photo, shrink(photo, side=64)), "different sizes, 256×256 and 64×64"),
        (ssim(tiny, tiny), "shorter than 7 pixels"),
        (stoi(speech, silence), "not aligned in time"),
        (stoi(silence, silence), "is silent"),
        (stoi(click, click), "too little of it is speech"),
        (stoi(*[encode_wav(np.zeros(1000, np.float32), 16_000)] * 2), "shorter than 0.5 s"),
    ]:
        assert isinstance(found, Unscored)
        assert why in found.reason


def _hop(function: object, given: Artifact) -> tuple[Hop, dict[str, Artifact]]:
    """The hop of a function that was called on an artifact, and what is stored."""
    declaration, backend = tool_of(function)
    (port,), (made,) = declaration.inputs, declaration.outputs
    result = backend().call(Call(inputs={port.name: (given,)}, parameters=declaration.with_defaults({})))
    output = result.outputs[made.name][0]
    store = {given.id: given, output.id: output}
    refs = [
        ArtifactRef(id=a.id, modality=a.modality, media_type=a.media_type, size_bytes=len(a.data))
        for a in (given, output)
    ]
    hop = Hop(
        id=1, run="calm-otter", step="step1", tool=declaration.name, backend=f"{declaration.name}:function",
        inputs={port.name: (refs[0],)}, outputs={made.name: (refs[1],)}, details=result.details, status="ok",
    )  # fmt: skip
    return hop, store


def test_a_channel_says_that_it_recodes_and_its_hop_is_scored(photo: Artifact) -> None:
    hop, store = _hop(jpeg, photo)
    run = RunRecord(id="calm-otter", conversation="c", position=1, request="spoil it", status="ok")
    (row,) = measure(run, [hop], [], lambda ref: store[ref.id]).hops
    (score,) = [score for score in row.scores if score.metric == "ssim"]
    assert score.value == pytest.approx(_value(ssim(photo, store[hop.output_list[0].id])))
    assert score.signature.startswith("ssim|window:7x7|channels:rgb|scikit-image ")


@tool
def negative(image: Image) -> Image:
    """Turns a picture's colours over."""
    return encode_png(255 - decode_image(image)[0])


def test_another_picture_of_the_same_size_is_not_scored(photo: Artifact) -> None:
    hop, store = _hop(negative, photo)
    assert recoding_score(hop, lambda ref: store[ref.id]) is None

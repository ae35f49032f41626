"""The default captioner hands drawings to one reader and photos to the other, and says which."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hopline.tools import Artifact, Call, Result
from hopline.tools.errors import BadInput
from hopline.tools.image_captioning.exemplar import Exemplar
from hopline.tools.image_captioning.offline import Offline
from hopline.tools.image_captioning.tagger import Tagger
from hopline.tools.media import decode_image, encode_png
from hopline.tools.text_to_image.pictograms import Pictograms
from PIL import Image

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def captioner() -> Offline:
    backend = Offline()
    backend.load()
    return backend


@pytest.fixture(scope="module")
def drawn() -> Artifact:
    text = Artifact.from_text("Two red cars left of a green tree.")
    return Pictograms().call(Call(inputs={"text": (text,)}, parameters={"size": 512})).outputs["image"][0]


def describe(captioner: Offline, artifact: Artifact) -> tuple[str, Result]:
    result = captioner.call(Call(inputs={"image": (artifact,)}))
    return result.outputs["text"][0].text, result


@pytest.mark.parametrize(("name", "word"), [("photo-a.jpg", "cat"), ("photo-b.jpg", "zebra"), ("photo-f.jpg", "zebra")])
def test_photos_are_tagged(captioner: Offline, shared: Path, name: str, word: str) -> None:
    photo = Artifact(data=(shared / "media" / name).read_bytes(), modality="image", media_type="image/jpeg")
    text, result = describe(captioner, photo)
    assert word in text
    assert result.details["reader"] == "tagger"
    assert result.details["reader_identity"] == Tagger().identity()
    assert not result.details["gate"]["drawing"]
    assert result.details["why"].startswith("taken for a photo")
    assert [loss.kind for loss in result.mechanical_losses] == ["resized"]


@pytest.mark.parametrize("way", ["png", "jpeg", "small"])
def test_drawings_are_read_by_exemplars(captioner: Offline, drawn: Artifact, way: str) -> None:
    artifact = drawn
    if way != "png":
        picture = Image.fromarray(decode_image(drawn)[0])
        file = io.BytesIO()
        (picture.resize((256, 256)) if way == "small" else picture).save(file, "JPEG", quality=60)
        artifact = Artifact(data=file.getvalue(), modality="image", media_type="image/jpeg")
    text, result = describe(captioner, artifact)
    assert "two red cars" in text
    assert "green tree" in text
    assert result.details["reader"] == "exemplar"
    assert result.details["reader_identity"] == Exemplar().identity()
    assert result.details["gate"]["drawing"]
    # Losses and words are the reader's own.
    assert result.mechanical_losses == Exemplar().call(Call(inputs={"image": (artifact,)})).mechanical_losses


def test_what_nobody_recognises_is_said(captioner: Offline) -> None:
    text, result = describe(captioner, encode_png(np.full((64, 64, 3), 255, np.uint8)))
    assert "unsure" in result.details["flags"]
    assert text


def test_its_identity_names_the_code_and_models_of_both_readers() -> None:
    identity = Offline().identity()
    for reader in (Exemplar(), Tagger()):
        assert identity[reader.name] == reader.code_version
        assert all(identity[f"model {model}"] == reader.identity()[f"model {model}"] for model in reader.models)
        assert set(reader.packages) <= set(identity)


def test_a_broken_picture_is_refused(captioner: Offline) -> None:
    with pytest.raises(BadInput):
        describe(captioner, Artifact(data=b"\x89PNG\r\n\x1a\n", modality="image", media_type="image/png"))

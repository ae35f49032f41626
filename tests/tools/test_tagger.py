"""The photo tagger on real photos, its wording, and the gate before it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hopline.tools import Artifact, Call
from hopline.tools.errors import StoreCorrupt
from hopline.tools.image_captioning import efficientnet
from hopline.tools.image_captioning.efficientnet import EfficientNet, prepared
from hopline.tools.image_captioning.gate import look
from hopline.tools.image_captioning.tagger import Sighting, Tagger, sightings, with_article, worded
from hopline.tools.models import find
from PIL import Image, ImageDraw

pytestmark = pytest.mark.models

PHOTOS = [f"photo-{letter}.jpg" for letter in "abcdefg"]


def photo(shared: Path, name: str) -> Artifact:
    return Artifact(data=(shared / "media" / name).read_bytes(), modality="image", media_type="image/jpeg")


def jpeg(picture: Image.Image, quality: int = 75, **settings: bytes) -> Artifact:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, **settings)
    return Artifact(data=file.getvalue(), modality="image", media_type="image/jpeg")


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    backend = Tagger()
    backend.load()
    return backend


def caption(tagger: Tagger, artifact: Artifact) -> str:
    return tagger.call(Call(inputs={"image": (artifact,)})).outputs["text"][0].text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("photo-a.jpg", "This photo probably shows a cat, perhaps a tabby cat."),
        ("photo-b.jpg", "This photo probably shows a zebra."),
        ("photo-c.jpg", "This photo probably shows a zebra."),
        ("photo-f.jpg", "This photo probably shows a zebra."),
        ("photo-g.jpg", "ball."),
    ],
)
def test_what_it_knows_is_named(tagger: Tagger, shared: Path, name: str, words: str) -> None:
    assert words in caption(tagger, photo(shared, name))


@pytest.mark.parametrize("name", ["photo-d.jpg", "photo-e.jpg"])
def test_what_it_does_not_know_is_said(tagger: Tagger, shared: Path, name: str) -> None:
    text = caption(tagger, photo(shared, name))
    assert "I am not sure" in text or "I cannot tell" in text


@pytest.mark.parametrize("name", PHOTOS)
def test_no_person_is_ever_claimed_and_nothing_is_taken_from_metadata(tagger: Tagger, shared: Path, name: str) -> None:
    result = tagger.call(Call(inputs={"image": (photo(shared, name),)}))
    text = result.outputs["text"][0].text.lower()
    for word in ("person", "man", "woman", "boy", "girl", "player", "people", "groom", "diver"):
        assert word not in text.replace(".", " ").replace(",", " ").split()
    with Image.open(io.BytesIO(photo(shared, name).data)) as picture:
        stripped = jpeg(Image.fromarray(np.asarray(picture.convert("RGB"))), quality=95)
    kept = result.details["labels"][0][0]
    assert tagger.call(Call(inputs={"image": (stripped,)})).details["labels"][0][0] == kept
    assert result.details["reader"] == "tagger"
    assert [loss.kind for loss in result.mechanical_losses] == ["resized"]


def test_a_description_in_the_file_is_not_read(tagger: Tagger, shared: Path) -> None:
    with Image.open(io.BytesIO(photo(shared, "photo-b.jpg").data)) as picture:
        exif = picture.getexif()
        exif[0x010E] = "A man with a guitar"
        told = jpeg(picture, 95, exif=exif.tobytes(), comment=b"A man with a guitar")
    text = caption(tagger, told)
    assert "zebra" in text
    assert "guitar" not in text


def test_a_turned_photo_is_read_as_the_person_sees_it(tagger: Tagger, shared: Path) -> None:
    with Image.open(io.BytesIO(photo(shared, "photo-a.jpg").data)) as picture:
        exif = Image.Exif()
        exif[0x0112] = 6  # shown after a quarter turn clockwise
        turned = jpeg(picture.rotate(90, expand=True), 95, exif=exif.tobytes())
    assert "a cat" in caption(tagger, turned)


def test_weights_of_another_digest_are_not_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / find(efficientnet.MODEL).files[0].name).write_bytes(b"cposix\nsystem\n(X\x04\0\0\0truetR.")
    monkeypatch.setattr(efficientnet, "path_of", lambda name: tmp_path)
    monkeypatch.setattr(efficientnet, "read_tensors", lambda data: pytest.fail("it was opened"))
    with pytest.raises(StoreCorrupt, match="not the file that the manifest names"):
        EfficientNet()


def test_the_network_sees_the_middle_square_scaled_as_the_release_does() -> None:
    pixels = np.zeros((400, 800, 3), np.uint8)
    pixels[:, 225:575] = (255, 127, 63)
    seen = prepared(pixels)
    assert seen.shape == (1, 3, 224, 224)
    assert seen[0, :, 112, 112] == pytest.approx([1.0, 0.0, -0.5])
    assert seen[0, 0].min() > 0.85  # the black beside the middle 350 pixels is cut off


def test_probabilities_and_features_have_their_shapes() -> None:
    network = EfficientNet()
    probabilities, features = network(np.full((10, 20, 3), 200, np.uint8))
    assert probabilities.shape == (1000,)
    assert probabilities.sum() == pytest.approx(1.0)
    assert probabilities.min() >= 0
    assert features.shape == (1280,)


def one(name: str, probability: float, family: str = "", family_probability: float | None = None) -> Sighting:
    return Sighting(
        name=name,
        probability=probability,
        family=family,
        family_probability=probability if family_probability is None else family_probability,
    )


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        (one("zebra", 0.9), one("ox", 0.1), "This photo probably shows a zebra."),
        (one("tabby cat", 0.6, "cat", 0.9), one("ox", 0.1), "This photo probably shows a tabby cat."),
        (one("Beagle", 0.6, "dog", 0.9), one("ox", 0.1), "This photo probably shows a dog, most likely a Beagle."),
        (one("rugby ball", 0.7, "ball", 0.9), one("ox", 0.1), "This photo probably shows a rugby ball."),
        (one("Beagle", 0.3, "dog", 0.7), one("ox", 0.1), "This photo probably shows a dog, perhaps a Beagle."),
        (one("Beagle", 0.1, "dog", 0.3), one("ox", 0.1), "This photo may show a dog; I am not sure."),
        (one("Beagle", 0.04, "dog", 0.3), one("ox", 0.04), "I cannot tell what this photo shows."),
        (one("abacus", 0.3), one("ox", 0.2), "This photo may show an abacus or an ox; I am not sure."),
        (one("jeans", 0.4), one("ox", 0.1), "This photo may show jeans; I am not sure."),
        (one("ox", 0.19), one("zebra", 0.1), "I cannot tell what this photo shows."),
    ],
)
def test_it_is_as_sure_as_it_says(first: Sighting, second: Sighting, sentence: str) -> None:
    assert worded([first, second])[0] == sentence


def test_people_are_left_out_and_look_alikes_summed() -> None:
    probabilities = np.full(1000, 0.0001)
    probabilities[981] = 0.6  # baseball player
    probabilities[281], probabilities[282], probabilities[836], probabilities[837] = 0.08, 0.06, 0.05, 0.04
    seen = sightings(probabilities)
    assert [row.name for row in seen[:3]] == ["sunglasses", "tabby cat", "tiger cat"]
    assert seen[0].probability == pytest.approx(0.09)
    assert seen[1].family_probability == pytest.approx(0.08 + 0.06 + 3 * 0.0001)
    assert not {"baseball player", "bridegroom", "scuba diver"} & {row.name for row in seen}


@pytest.mark.parametrize(
    ("noun", "said"),
    [("zebra", "a zebra"), ("ox", "an ox"), ("hourglass", "an hourglass"), ("unicycle", "a unicycle"),
     ("European green lizard", "a European green lizard"), ("umbrella", "an umbrella"), ("jeans", "jeans")],
)  # fmt: skip
def test_articles(noun: str, said: str) -> None:
    assert with_article(noun) == said


# -- the gate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PHOTOS)
def test_photos_pass_as_photos(shared: Path, name: str) -> None:
    with Image.open(shared / "media" / name) as picture:
        assert not look(np.asarray(picture.convert("RGB"))).drawing


@pytest.mark.parametrize("name", ["photo-a.jpg", "photo-b.jpg", "photo-e.jpg"])
def test_a_photo_of_many_colours_is_one_on_a_white_page_too(shared: Path, name: str) -> None:
    page = Image.new("RGB", (512, 512), "white")
    with Image.open(shared / "media" / name) as picture:
        page.paste(picture.convert("RGB").resize((220, 160)), (100, 120))
    assert not look(np.asarray(page)).drawing


def drawing() -> Image.Image:
    picture = Image.new("RGB", (512, 512), "#dff0ff")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 320, 512, 512), fill="#8bc34a")
    for left, colour in ((40, "#d22f27"), (200, "#f1b31c"), (360, "#61b2e4")):
        draw.ellipse((left, 200, left + 110, 330), fill=colour, outline="black", width=5)
    return picture


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("side", [256, 512, 1024])
def test_drawings_pass_as_drawings(side: int, quality: int) -> None:
    file = io.BytesIO(jpeg(drawing().resize((side, side)), quality).data)
    with Image.open(file) as picture:
        assert look(np.asarray(picture)).drawing


def test_edge_cases_of_the_gate() -> None:
    assert look(np.full((1, 1, 3), 255, np.uint8)).drawing
    assert look(np.full((300, 200, 3), 10, np.uint8)).drawing
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    assert not look(noise).drawing
    assert "photo" in look(noise).why

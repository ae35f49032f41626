"""RapidOCR on pages drawn here: the words, their order, and what was cut."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hopline.tools import Artifact, Call, Result
from hopline.tools.errors import InputRefused
from hopline.tools.image_ocr.rapidocr import LEAST_SCORE, RapidOcr, reading_order
from PIL import Image, ImageDraw, ImageFilter, ImageFont

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def reader() -> RapidOcr:
    backend = RapidOcr()
    backend.load()
    return backend


def page(*texts: tuple[int, int, str], size: tuple[int, int] = (640, 320), letter_px: int = 32) -> Image.Image:
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for x, y, text in texts:
        draw.text((x, y), text, fill="black", font=ImageFont.load_default(letter_px))
    return picture


def artifact(picture: Image.Image) -> Artifact:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return Artifact(data=file.getvalue(), modality="image", media_type="image/png")


def read(reader: RapidOcr, picture: Image.Image) -> Result:
    return reader.call(Call(inputs={"image": (artifact(picture),)}))


def test_lines_come_from_top_to_bottom_and_across(reader: RapidOcr) -> None:
    result = read(reader, page((400, 200, "42.50 EUR"), (30, 200, "Total:"), (30, 30, "The quick brown fox")))
    assert result.outputs["text"][0].text == "The quick brown fox\nTotal: 42.50 EUR"
    lines = result.details["lines"]
    assert [line["text"] for line in lines] == ["The quick brown fox", "Total:", "42.50 EUR"]
    assert all(LEAST_SCORE <= line["score"] <= 1 for line in lines)
    (left, top), _, (right, bottom), _ = lines[2]["box"]
    assert 380 < left < 420 < right < 600
    assert 180 < top < 215 < bottom < 260
    assert result.mechanical_losses == ()


def test_nothing_to_read_gives_an_empty_text_and_says_so(reader: RapidOcr) -> None:
    result = read(reader, page())
    assert result.outputs["text"][0].text == ""
    assert result.details == {"lines": [], "skipped": [], "flags": ["no_text"]}


def test_a_big_page_says_that_it_was_made_smaller(reader: RapidOcr) -> None:
    result = read(reader, page((100, 100, "A big page"), size=(2600, 700), letter_px=120))
    assert result.outputs["text"][0].text == "A big page"
    assert [(loss.kind, loss.before, loss.after) for loss in result.mechanical_losses] == [("resized", 2600, 2000)]


def test_lines_too_unclear_are_reported_not_passed_on(reader: RapidOcr, monkeypatch: pytest.MonkeyPatch) -> None:
    # The detector sees no box in a real smudge; signs outside the alphabet score low enough to stand for one.
    monkeypatch.setattr("hopline.tools.image_ocr.rapidocr.LEAST_SCORE", 0.9)
    picture = page((30, 30, "Clear as day"))
    blurred = page((30, 200, "§¶ @#")).filter(ImageFilter.GaussianBlur(2))
    picture.paste(blurred.crop((0, 160, 640, 320)), (0, 160))
    result = read(reader, picture)
    assert result.outputs["text"][0].text == "Clear as day"
    assert len(result.details["skipped"]) == 1
    assert [(loss.kind, loss.before, loss.after) for loss in result.mechanical_losses] == [("skipped", 2, 1)]


@pytest.mark.parametrize("size", [(5000, 1), (1, 3000), (20_000, 30)])
def test_a_strip_too_narrow_for_text_is_refused(reader: RapidOcr, size: tuple[int, int]) -> None:
    with pytest.raises(InputRefused, match="too narrow"):
        read(reader, page(size=size))


@pytest.mark.parametrize("size", [(1, 1), (3, 100), (2000, 20), (4000, 36)])
def test_odd_sizes_are_read(reader: RapidOcr, size: tuple[int, int]) -> None:
    assert read(reader, page(size=size)).outputs["text"][0].text == ""


def test_a_tall_strip_is_read_without_being_blown_up(reader: RapidOcr) -> None:
    words = ["north", "east", "south", "west"]
    strip = page(*[(4, 30 + 250 * n, word) for n, word in enumerate(words)], size=(100, 1000))
    result = read(reader, strip)
    assert result.outputs["text"][0].text.split() == words
    assert all(x <= 100 for line in result.details["lines"] for x, _ in line["box"])


def box(left: float, top: float, right: float, bottom: float, text: str = "") -> dict[str, Any]:
    return {"text": text, "box": [[left, top], [right, top], [right, bottom], [left, bottom]]}


@pytest.mark.parametrize(
    ("boxes", "rows"),
    [
        ([], []),
        ([box(0, 0, 9, 10, "b"), box(0, 20, 9, 30, "c"), box(0, -20, 9, -10, "a")], [["a"], ["b"], ["c"]]),
        ([box(50, 2, 90, 12, "b"), box(0, 0, 40, 10, "a")], [["a", "b"]]),
        # A slanted row: each is a little lower than the one before it.
        ([box(0, 0, 9, 10, "a"), box(10, 4, 19, 14, "b"), box(20, 8, 29, 18, "c")], [["a", "b", "c"]]),
        # Small print beside a headline is a row of its own unless it is at the same height.
        ([box(0, 0, 90, 40, "A"), box(95, 30, 120, 38, "b")], [["A"], ["b"]]),
    ],
)
def test_reading_order(boxes: list[dict[str, Any]], rows: list[list[str]]) -> None:
    assert [[line["text"] for line in row] for row in reading_order(boxes)] == rows

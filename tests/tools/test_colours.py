"""Colour words of pixels, and the main colours of a picture."""

from __future__ import annotations

import numpy as np
import pytest
from hopline.tools.image_captioning.colours import COLOURS, colour_indices, main_colours
from hypothesis import given
from hypothesis import strategies as st

WORDS = {
    "black": ["#000000", "#1c1c1c", "#200810"],
    "white": ["#ffffff", "#f4f4f0"],
    "grey": ["#808080", "#5a5f60", "#c0c0c0"],
    "red": ["#ff0000", "#b22222", "#d22f27"],
    "orange": ["#ff8c00", "#e27022"],
    "yellow": ["#ffff00", "#f1b31c", "#fcea2b"],
    "green": ["#008000", "#5c9e31", "#b1cc33", "#556b2f"],
    "blue": ["#0000ff", "#61b2e4", "#1e50a0", "#00bcd4"],
    "purple": ["#800080", "#8967aa", "#6a0dad"],
    "pink": ["#ffc0cb", "#ff69b4", "#ffa7c0"],
    "brown": ["#8b4513", "#a57939", "#6a462f", "#d2b48c"],
}


@pytest.mark.parametrize(("word", "code"), [(word, code) for word, codes in WORDS.items() for code in codes])
def test_colour_words(word: str, code: str) -> None:
    pixel = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)
    assert COLOURS[int(colour_indices(pixel))] == word


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_every_colour_has_a_word(red: int, green: int, blue: int) -> None:
    assert 0 <= int(colour_indices(np.array([red, green, blue], np.uint8))) < len(COLOURS)


def test_main_colours_are_ordered_by_share() -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:60] = (255, 0, 0)
    pixels[60:95] = (0, 0, 255)
    found = main_colours(pixels)
    assert [name for name, _ in found] == ["red", "blue"]
    assert [share for _, share in found] == pytest.approx([0.6, 0.35])
    assert main_colours(pixels[:1, :1]) == [("red", 1.0)]

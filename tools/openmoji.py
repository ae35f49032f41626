"""The vocabulary of pictograms: which noun is which OpenMoji drawing, colours, and tinted SVG.

OpenMoji 17 (CC BY-SA 4.0) names its files by code point; the names here are those of the `emoji`
library, kept in `openmoji.toml` so that drawing needs no other package. The drawing and the
reading backend share this module.
"""

from __future__ import annotations

import colorsys
import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from hopline.tools.models import path_of

Outlines = Literal["black", "grey", "none"]

MODEL = "openmoji"
CREDIT = "Pictograms: OpenMoji, the open-source emoji and icon project, CC BY-SA 4.0"


@lru_cache(maxsize=1)
def _vocabulary() -> dict[str, dict[str, str]]:
    return tomllib.loads(resources.files("hopline.tools").joinpath("openmoji.toml").read_text("utf-8"))


def nouns() -> Mapping[str, str]:
    """What can be drawn: code point of the drawing by noun, in the singular."""
    return _vocabulary()["nouns"]


COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (214, 48, 49),
    "orange": (240, 138, 36),
    "yellow": (246, 212, 40),
    "green": (72, 160, 66),
    "blue": (45, 106, 200),
    "purple": (132, 66, 170),
    "pink": (244, 148, 190),
    "brown": (140, 90, 50),
    "black": (58, 58, 62),
    "white": (250, 250, 250),
    "grey": (160, 160, 165),
}
"""The eleven basic colour terms, as they are drawn (sRGB)."""

BACKDROPS: Mapping[str, tuple[str, str, float]] = {
    "": ("#ffffff", "#ffffff", 1.0),
    "night": ("#4a5a94", "#6b7aa8", 0.72),
    "sunset": ("#ffc68a", "#c98a6b", 0.72),
    "beach": ("#bfe6fb", "#f4e2b0", 0.66),
    "sea": ("#d3eefc", "#8fc7e8", 0.6),
    "forest": ("#d9eed6", "#a9cf9c", 0.66),
    "field": ("#d6effc", "#bfe0a0", 0.66),
    "desert": ("#d9effa", "#eecf9a", 0.68),
    "snow": ("#dbe9f4", "#f7fbff", 0.66),
    "street": ("#dfe8ee", "#b9bdc4", 0.74),
    "room": ("#f4ead9", "#dcc7a6", 0.76),
    "sky": ("#cdeafc", "#e9f6fe", 0.8),
}
"""Two-band backdrops: upper and lower colour, and where the one ends (share of the height)."""

COLOUR_WORDS: Mapping[str, str] = {
    **{name: name for name in COLOURS},
    "gray": "grey",
    "violet": "purple",
    "crimson": "red",
    "scarlet": "red",
    "golden": "yellow",
    "gold": "yellow",
    "silver": "grey",
    "navy": "blue",
    "turquoise": "blue",
    "beige": "brown",
}

_BLACK_LINE = re.compile(r'stroke="#000(?:000)?"')
_FILL = re.compile(r'(fill|stroke)="(#[0-9a-fA-F]{3,6})"')


def singular(word: str) -> str:
    """The singular of an English noun, by the plain rules and the table's exceptions."""
    irregular = _vocabulary()["singulars"]
    if word in irregular:
        return irregular[word]
    for ending, cut, put in (("ies", 3, "y"), ("ches", 2, ""), ("shes", 2, ""), ("sses", 2, ""), ("xes", 2, "")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[:-cut] + put
    if word.endswith("oes") and word[:-2] in nouns():
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > 2 else word


def plural(noun: str) -> str:
    """The plural of a noun of the table, its last word changed."""
    head, _, last = noun.rpartition(" ")
    irregular = {one: many for many, one in reversed(_vocabulary()["singulars"].items())}
    if last in irregular:
        made = irregular[last]
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        made = f"{last[:-1]}ies"
    elif last.endswith(("s", "x", "ch", "sh")) or last in ("tomato", "potato", "mango", "volcano"):
        made = f"{last}es"
    else:
        made = f"{last}s"
    return f"{head} {made}".strip()


def noun_of(words: str) -> str:
    """The noun of the table that some words mean, singular or plural; empty when none."""
    aliases = _vocabulary()["aliases"]
    for candidate in (words, singular_phrase(words)):
        found = aliases.get(candidate, candidate)
        if found in nouns():
            return found
    return ""


def singular_phrase(words: str) -> str:
    """Words with the last one made singular."""
    head, _, last = words.rpartition(" ")
    return f"{head} {singular(last)}".strip()


@lru_cache(maxsize=1)
def _folder() -> Path:
    return path_of(MODEL)


@lru_cache(maxsize=2048)
def inner_svg(noun: str, colour: str = "", *, outlines: Outlines = "black") -> str:
    """The drawing of a noun without its outer element, in a box of 72 × 72.

    Args:
        noun: of `nouns()`.
        colour: of `COLOURS`; its fills take this colour, lighter and darker as they were, and its
            outlines stay black. Empty leaves the drawing as it is.
        outlines: as they are, paler, or without their layers where something else is left.

    Raises:
        MissingModel: the pictograms are not on this machine.
    """
    text = (_folder() / f"{nouns()[noun]}.svg").read_text("utf-8")
    if outlines == "grey":
        text = _BLACK_LINE.sub('stroke="#555555"', text)
    elif outlines == "none":
        text = _without_lines(text)
    inner = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    inner = re.sub(r'\sid="[^"]*"', "", inner)
    if not colour:
        return inner
    return _FILL.sub(lambda m: f'{m[1]}="{_tinted(m[2], colour)}"', inner)


def _tinted(written: str, colour: str) -> str:
    """A fill in another colour: the hue of the colour, the lightness a little of both."""
    digits = written[1:]
    if len(digits) == 3:
        digits = "".join(d * 2 for d in digits)
    red, green, blue = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    _, lightness, _ = colorsys.rgb_to_hls(red, green, blue)
    if lightness < 0.16:
        return written  # an outline
    hue, wanted, saturation = colorsys.rgb_to_hls(*(c / 255 for c in COLOURS[colour]))
    mixed = min(1.0, max(0.0, wanted + 0.25 * (lightness - 0.6)))
    made = colorsys.hls_to_rgb(hue, mixed, saturation)
    return "#" + "".join(f"{round(c * 255):02x}" for c in made)


def _without_lines(svg: str) -> str:
    ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
    root = ElementTree.fromstring(svg)
    layers = list(root)
    lines = [layer for layer in layers if layer.get("id", "").startswith("line")]
    for layer in lines if len(lines) < len(layers) else ():
        root.remove(layer)
    return ElementTree.tostring(root, encoding="unicode")


def icon_svg(noun: str, colour: str = "", *, outlines: Outlines = "black") -> str:
    """A whole SVG of one pictogram; see `inner_svg`."""
    inner = inner_svg(noun, colour, outlines=outlines)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 72">{inner}</svg>'

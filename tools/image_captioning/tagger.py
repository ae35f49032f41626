"""`image_captioning:tagger`: names what an ImageNet classifier sees in a photo, as surely as it sees it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Backend, Call, MechanicalLoss, Result
from hopline.tools.errors import BackendFailed, MissingExtra
from hopline.tools.image_captioning.colours import main_colours
from hopline.tools.image_captioning.efficientnet import MODEL, SIDE, EfficientNet

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

SURE = 0.5
"""Probability from which a thing is said to be there, probably."""
MAYBE = 0.2
"""Probability from which it is named as a possibility."""
HINT = 0.05
"""Probability that one member of a family needs for it: over 59 birds and 118 dogs, noise adds up."""


class Tagger(Backend):
    """One sentence about the thing in a photo and one about its colours.

    A tagger, not a captioner: it knows 1,000 kinds of animals and things (ImageNet), and neither
    counts nor sees what happens. It never says that there is a person. What is written in the
    file beside the pixels (EXIF, comments) is not read.

    Details: `reader` ("tagger"), `method`, `confidence` of what was named, `labels`, the five
    likeliest as `[name, probability]`, and `colours` as `[name, share]`. Flag `unsure` when it
    does not know.
    """

    tool = "image_captioning"
    name = "tagger"
    extra = "pictograms"
    packages = ("onnx", "onnxruntime", "PIL")
    models = (MODEL,)
    licence = "Apache-2.0"

    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        self._network: EfficientNet | None = None

    def load(self) -> None:
        if self._network is None:
            if any(importlib.util.find_spec(package) is None for package in ("onnx", "onnxruntime")):
                raise MissingExtra(
                    "image_captioning:tagger needs onnx and onnxruntime.",
                    hint="Install them with: pip install 'hopline[pictograms]'",
                )
            self._network = EfficientNet()

    def call(self, call: Call) -> Result:
        from hopline.tools.media import decode_image

        call.progress(0.0, "looking at the photo")
        pixels, losses = decode_image(call.one("image"))
        result = self.describe(pixels)
        call.progress(1.0, "done")
        return Result(
            outputs=result.outputs,
            details=result.details,
            mechanical_losses=(*losses, *result.mechanical_losses),
        )

    def describe(self, pixels: Array) -> Result:
        """The same for decoded pixels: RGB, uint8, shape (h, w, 3)."""
        import numpy as np

        self.load()
        assert self._network is not None
        try:
            # The whole picture, stretched, beside the square in its middle: the first sees what
            # lies at the edges, the second sees it in its true shape.
            views = [pixels, _stretched(pixels)]
            probabilities = np.mean([self._network(view)[0] for view in views], axis=0)
        except Exception as error:
            raise BackendFailed(f"EfficientNet-Lite0 failed: {error}.") from error
        seen = sightings(probabilities)
        colours = main_colours(pixels)
        sentence, confidence = worded(seen)
        details: dict[str, Any] = {
            "reader": "tagger",
            "method": "ImageNet tags with graded wording; a tagger, not a captioner",
            "confidence": round(confidence, 4),
            "labels": [[s.name, round(s.probability, 4)] for s in seen[:5]],
            "colours": [[name, round(share, 3)] for name, share in colours],
        }
        if confidence < MAYBE:
            details["flags"] = ["unsure"]
        text = f"{sentence} {_colour_sentence([name for name, _ in colours])}"
        return Result(
            outputs={"text": (Artifact.from_text(text),)}, details=details, mechanical_losses=_resized(pixels)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """A thing that may be in the picture.

    Attributes:
        name: noun without article.
        probability: in [0, 1].
        family: the group of look-alikes it belongs to (`cat`); empty when none.
        family_probability: sum over the family, in [0, 1]; its own when it has none.
    """

    name: str
    probability: float
    family: str = ""
    family_probability: float = 0.0


def sightings(probabilities: Array) -> list[Sighting]:
    """What the classifier saw, the likeliest first; classes of people are left out.

    Args:
        probabilities: of the 1,000 ImageNet classes in their order, shape (1000,).
    """
    names = _names()
    people = set(names["people"])
    family_of = {index: family for family, members in names["families"].items() for index in members}
    sums = {family: float(sum(probabilities[i] for i in members)) for family, members in names["families"].items()}
    rows: dict[str, Sighting] = {}
    for index, name in enumerate(names["names"]):
        if index not in people:
            own = float(probabilities[index]) + (rows[name].probability if name in rows else 0.0)  # one name is twice
            family = family_of.get(index, "")
            rows[name] = Sighting(name=name, probability=own, family=family, family_probability=sums.get(family, own))
    return sorted(rows.values(), key=lambda row: -row.probability)


def worded(seen: Sequence[Sighting]) -> tuple[str, float]:
    """One sentence as sure as the classifier is, and the probability behind it.

    The likeliest class when it is sure of it; else its family when it is sure of that, with the
    class as a guess; else a possibility or two; else that it cannot tell.
    """
    best, second = seen[:2]
    thing, family = with_article(best.name), with_article(best.family) if best.family else ""
    if best.probability >= SURE:
        if best.family in _names()["everyday_families"] and best.family not in best.name.split():
            thing = f"{family}, most likely {thing}"
        return f"This photo probably shows {thing}.", best.probability
    if best.family_probability >= SURE:
        return f"This photo probably shows {family}, perhaps {thing}.", best.family_probability
    if best.family and best.family_probability >= MAYBE and best.probability >= HINT:
        return f"This photo may show {family}; I am not sure.", best.family_probability
    if best.probability >= MAYBE:
        other = f" or {with_article(second.name)}" if second.probability >= best.probability / 2 else ""
        return f"This photo may show {thing}{other}; I am not sure.", best.probability
    return "I cannot tell what this photo shows.", best.probability


def with_article(noun: str) -> str:
    """`a zebra`, `an hourglass`, `jeans`."""
    if noun in _names()["no_article"]:
        return noun
    an = noun in _names()["an"] or (noun[0].lower() in "aeiou" and not noun.lower().startswith(("uni", "eu", "one-")))
    return f"{'an' if an else 'a'} {noun}"


@lru_cache(maxsize=1)
def _names() -> Mapping[str, Any]:
    text = resources.files("hopline.tools.image_captioning").joinpath("imagenet.json").read_text("utf-8")
    data: Mapping[str, Any] = json.loads(text)
    return data


def _colour_sentence(colours: Sequence[str]) -> str:
    if len(colours) == 1:
        return f"The main colour is {colours[0]}."
    return f"The main colours are {', '.join(colours[:-1])} and {colours[-1]}."


def _stretched(pixels: Array) -> Array:
    import numpy as np
    from hopline.tools.image_captioning.efficientnet import CROP
    from PIL import Image

    side = round(SIDE / CROP)  # of which the network then takes the middle share CROP
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


def _resized(pixels: Array) -> tuple[MechanicalLoss, ...]:
    height, width = pixels.shape[:2]
    if max(height, width) <= SIDE:
        return ()
    message = f"The photo was made smaller to be classified, from {width} × {height} to {SIDE} × {SIDE} pixels."
    return (MechanicalLoss(kind="resized", message=message, before=max(height, width), after=SIDE, unit="pixels"),)

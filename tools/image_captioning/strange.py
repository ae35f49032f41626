"""A second look at drawings of another style: what a photo classifier sees in them, their edges and colours.

The exemplars are the pictograms with black, paler and no outlines, which other styles draw or do without.
Directions in which the classifier's features spread over all pictograms are evened out (half whitening), so
that what all drawings share counts less. The weights lie in the middle of those that did best on Noto Emoji;
Twemoji was kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, get_args

from hopline.tools.image_captioning.bank import bank, box, foreground, kept_as, render
from hopline.tools.image_captioning.efficientnet import EfficientNet
from hopline.tools.models import keep
from hopline.tools.openmoji import Outlines

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Pixels = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

VERSION = 1
_CLASSIFIER, _EDGES, _COLOURS = 5.0, 2.5, 0.6
"""Weights beside the likeness of the shape, which has 1."""

_RENDERED, _SIDE = 160, 64
_MARGIN = 1.24
"""Side of the square that the classifier sees, in lengths of the drawing."""

_SHRINKAGE = 0.03
"""Share of the largest singular value that is added to each before it is divided by."""

_MIRRORED = 0.02
"""What a match with a mirrored drawing costs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Looks:
    """Exemplars by their looks.

    Attributes:
        mean: float32 (1280,), of the classifier's features.
        whitening: float32 (1280, r), applied after the mean is taken off.
        seen: float32 (n, r), one row a noun, the mean over its looks of rows of length 1.
        edges: float32 (3, n, 1764), one row a look and noun, of length 1.
    """

    mean: Floats
    whitening: Floats
    seen: Floats
    edges: Floats


def second_look(likeness: Floats, crop: Pixels, mask: Mask, colours: Floats, least: float) -> Floats:
    """Likeness to each noun where no shape is alike: the looks decide beside the shape.

    Args:
        likeness: float32 (n,), by shape.
        crop: uint8 (h, w, 3), one drawing.
        mask: bool (h, w), what of it is not background.
        colours: its palette, float32 (64,).
        least: likeness that the best noun gets at least.

    Returns:
        float32 (n,), with the order by all of them.
    """
    import numpy as np

    exemplars = looks()
    centred = np.asarray(_seen(crop, mask) - exemplars.mean, np.float32)
    seen = exemplars.seen @ _unit(np.asarray(centred @ exemplars.whitening, np.float32))
    straight, mirrored = _edges(crop, mask), _edges(crop[:, ::-1], mask[:, ::-1])
    edges = np.maximum(exemplars.edges @ straight, exemplars.edges @ mirrored - _MIRRORED).max(axis=0)
    shared = 1 - np.abs(bank().palettes[:, 0, 0] - colours).sum(axis=1) / 2
    blended = likeness + _CLASSIFIER * seen + _EDGES * edges + _COLOURS * shared
    scale = 1 + _CLASSIFIER + _EDGES + _COLOURS
    return np.asarray(max(float(likeness.max()), least) + (blended - blended.max()) / scale, np.float32)


@lru_cache(maxsize=1)
def looks() -> Looks:
    """The exemplars of this machine; built on first need, in half a minute, and kept beside the bank.

    Raises:
        MissingModel: the pictograms or the classifier are not here.
    """
    import numpy as np

    path = kept_as("looks", VERSION)
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            return Looks(**{name: stored[name] for name in ("mean", "whitening", "seen", "edges")})
    seen, edges = [], []
    for outlines in get_args(Outlines):
        crops = [_exemplar(noun, outlines) for noun in bank().names]
        seen.append(np.array([_seen(*crop) for crop in crops]))
        edges.append(np.array([_edges(*crop) for crop in crops]))
    mean = np.concatenate(seen).mean(axis=0)
    _, spread, directions = np.linalg.svd(np.concatenate(seen) - mean, full_matrices=False)
    whitening = directions.T / np.sqrt(spread + _SHRINKAGE * spread[0])
    made = Looks(
        mean=np.asarray(mean, np.float32),
        whitening=np.asarray(whitening, np.float32),
        seen=np.asarray(np.mean([_unit((rows - mean) @ whitening) for rows in seen], axis=0), np.float32),
        edges=np.asarray(edges, np.float32),
    )
    keep(path, mean=made.mean, whitening=made.whitening, seen=made.seen, edges=made.edges)
    return made


def _exemplar(noun: str, outlines: Outlines) -> tuple[Pixels, Mask]:
    import numpy as np

    pixels = render(noun, "", _RENDERED, outlines=outlines)
    mask = foreground(pixels, np.full((_RENDERED, 3), 255.0, np.float32))
    if not mask.any():  # white inside its lines
        return _exemplar(noun, "black")
    top, left, bottom, right = box(mask)
    return pixels[top:bottom, left:right], mask[top:bottom, left:right]


def _seen(pixels: Pixels, mask: Mask) -> Floats:
    """The classifier's features of a cropped drawing and of its mirror image, added: float32 (1280,)."""
    import numpy as np

    square = _squared(pixels, mask, int(max(mask.shape) * _MARGIN))
    network = _classifier()
    return np.asarray(network(square)[1] + network(np.ascontiguousarray(square[:, ::-1]))[1], np.float32)


def _edges(pixels: Pixels, mask: Mask) -> Floats:
    """Oriented gradients of the colours (Dalal and Triggs 2005): float32 (1764,), length 1."""
    import numpy as np
    from PIL import Image
    from skimage.feature import hog

    square = Image.fromarray(_squared(pixels, mask, max(mask.shape)))
    kind = Image.Resampling.BOX if square.width >= _SIDE else Image.Resampling.BILINEAR
    small = np.asarray(square.resize((_SIDE, _SIDE), kind), np.float32) / 255
    found = hog(
        small, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2), transform_sqrt=True, channel_axis=-1
    )
    return _unit(np.asarray(found, np.float32))


def _squared(pixels: Pixels, mask: Mask, side: int) -> Pixels:
    """A drawing in the middle of a white square."""
    import numpy as np

    height, width = mask.shape
    canvas = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    canvas[top : top + height, left : left + width][mask] = pixels[mask]
    return canvas


@lru_cache(maxsize=1)
def _classifier() -> EfficientNet:
    return EfficientNet()


def _unit(rows: Floats) -> Floats:
    """Vectors at length 1."""
    import numpy as np

    return np.asarray(rows / (np.linalg.norm(rows, axis=-1, keepdims=True) + 1e-9), np.float32)

"""The exemplars a drawing is read by: every pictogram's shape, and its colours untinted and tinted.

Rendered once from the pictograms and kept beside them, named by their digest and this code.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hopline.tools.models import find, keep, path_of
from hopline.tools.openmoji import COLOURS, MODEL, Outlines, icon_svg, nouns

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Pixels = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

VERSION = 4
SHAPE_SIDE = 48
"""Side in pixels of the square a shape is compared in."""

_WORN = ((60, 30, 1), (32, 92, 2))
"""Side, JPEG quality and enlargement of the worn exemplars."""

_CELLS, _BINS, _RENDERED = 8, 8, 96
DARK = 70.0
"""Luma under which a pixel belongs to an outline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bank:
    """Exemplars, one row a noun.

    Attributes:
        names: nouns, in the order of the rows.
        shapes: float32 (m, d), each row of length 1: a clean one a noun, then worn ones.
        owners: int32 (m,), the noun of each shape, by index.
        extents: float32 (n, 2), width and height of the drawing as shares of its box.
        palettes: float32 (n, 2, 1 + 11, 64), colour histograms, clean and worn: untinted, then each colour.
    """

    names: tuple[str, ...]
    shapes: Floats
    owners: NDArray[np.int32]
    extents: Floats
    palettes: Floats


@lru_cache(maxsize=1)
def bank() -> Bank:
    """The bank of this machine; built in some seconds if it is not there.

    Raises:
        MissingModel: the pictograms are not here.
        MissingExtra: resvg_py is not installed.
    """
    import numpy as np

    path = kept_as("bank", VERSION)
    if not path.exists():
        made = _build()
        keep(
            path,
            names=np.array(made.names),
            shapes=made.shapes,
            owners=made.owners,
            extents=made.extents,
            palettes=made.palettes,
        )
        return made
    with np.load(path, allow_pickle=False) as stored:
        return Bank(
            names=tuple(str(name) for name in stored["names"]),
            shapes=stored["shapes"],
            owners=stored["owners"],
            extents=stored["extents"],
            palettes=stored["palettes"],
        )


def kept_as(name: str, version: int) -> Path:
    """The file of something derived from the pictograms by code of this version, beside them.

    Raises:
        MissingModel: the pictograms are not here.
    """
    folder = path_of(MODEL)
    return folder.parent / f"{folder.name}-{name}-{find(MODEL).digest[:12]}-{version}.npz"


def _build() -> Bank:
    import numpy as np

    names = tuple(nouns())
    shapes: list[list[Any]] = [[] for _ in range(1 + len(_WORN))]
    extents: list[Any] = []
    palettes: list[Any] = []
    for noun in names:
        for version, wear in enumerate((None, *_WORN)):
            pixels, mask = _worn(render(noun, "", wear[0] if wear else _RENDERED), wear)
            top, left, bottom, right = box(mask)
            shapes[version].append(shape(pixels[top:bottom, left:right], mask[top:bottom, left:right]))
            if wear is None:
                extents.append(((right - left) / _RENDERED, (bottom - top) / _RENDERED))
        tinted = [render(noun, colour, _WORN[0][0]) for colour in ("", *COLOURS)]
        palettes.append([[palette(*_worn(pixels, wear)) for pixels in tinted] for wear in (None, _WORN[0])])
    return Bank(
        names=names,
        shapes=np.array([row for version in shapes for row in version], np.float32),
        owners=np.tile(np.arange(len(names), dtype=np.int32), len(shapes)),
        extents=np.array(extents, np.float32),
        palettes=np.array(palettes, np.float32),
    )


def _worn(pixels: Pixels, wear: tuple[int, int, int] | None) -> tuple[Pixels, Mask]:
    """A pictogram as a small picture and strong compression leave it, and what of it is not background."""
    import numpy as np
    from PIL import Image

    if wear is not None:
        _, quality, scale = wear
        clean = Image.fromarray(np.pad(pixels, ((8, 8), (8, 8), (0, 0)), constant_values=255))
        buffer = io.BytesIO()
        clean.save(buffer, "JPEG", quality=quality)
        large = (clean.width * scale, clean.height * scale)
        pixels = np.asarray(Image.open(buffer).convert("RGB").resize(large, Image.Resampling.LANCZOS), np.uint8)
    return pixels, foreground(pixels, np.full((len(pixels), 3), 255.0, np.float32))


def render(noun: str, colour: str, side: int, *, outlines: Outlines = "black") -> Pixels:
    """A pictogram on white: uint8 (side, side, 3)."""
    import numpy as np
    import resvg_py
    from PIL import Image

    png = resvg_py.svg_to_bytes(svg_string=icon_svg(noun, colour, outlines=outlines), width=side, height=side)
    picture = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return np.asarray(Image.alpha_composite(white, picture).convert("RGB"), np.uint8)


def foreground(pixels: Pixels, background: Floats) -> Mask:
    """What is not background, insides included.

    Args:
        pixels: uint8 (h, w, 3).
        background: float32 (h, 3), one colour a row.
    """
    import numpy as np
    from scipy import ndimage

    far = np.abs(pixels.astype(np.float32) - background[:, None, :]).max(axis=2) > 36
    closed = ndimage.binary_closing(far, iterations=1)
    return np.asarray(ndimage.binary_fill_holes(closed | far), bool)


def luma(pixels: Pixels) -> Floats:
    """Rec. 601 luma of uint8 (h, w, 3), 0 to 255."""
    import numpy as np

    return np.asarray(pixels @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def shape(pixels: Pixels, mask: Mask) -> Floats:
    """The shape of one cropped drawing, whatever its colours and background.

    Outline and silhouette, blurred, and oriented gradients of the outline in 8 × 8 cells (after
    Dalal and Triggs 2005), in a square that keeps the aspect ratio.

    Returns:
        float32 (d,), length 1.
    """
    import numpy as np

    height, width = mask.shape
    outline = (luma(pixels) < DARK) & mask
    square = max(height, width)
    top, left = (square - height) // 2, (square - width) // 2
    planes = []
    for plane in (outline, mask):
        padded = np.zeros((square, square), np.float32)
        padded[top : top + height, left : left + width] = plane
        planes.append(resized(padded, SHAPE_SIDE))
    line, body = planes
    gy, gx = np.gradient(line)
    strength = np.hypot(gx, gy)
    bins = ((np.arctan2(gy, gx) % np.pi) / np.pi * _BINS).astype(int) % _BINS
    cell = SHAPE_SIDE // _CELLS
    cells = (np.arange(SHAPE_SIDE) // cell).clip(max=_CELLS - 1)
    place = (cells[:, None] * _CELLS + cells[None, :]) * _BINS + bins
    hog = np.bincount(place.ravel(), strength.ravel(), minlength=_CELLS * _CELLS * _BINS)
    parts: list[Any] = [hog, resized(line, 16).ravel(), resized(body, 16).ravel()]
    weighted = [
        w * (p - p.mean()) / (np.linalg.norm(p - p.mean()) + 1e-6) for w, p in zip((1.0, 0.8, 0.7), parts, strict=True)
    ]
    vector = np.concatenate([*weighted, [0.5 * np.log(width / height)]]).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def palette(pixels: Pixels, mask: Mask) -> Floats:
    """Histogram of the colours inside a drawing, outlines left out: float32 (64,), sum 1."""
    import numpy as np

    inside = pixels[mask & (luma(pixels) >= DARK)]
    if not len(inside):
        return np.zeros(64, np.float32)
    # Soft bins: a colour near a border counts on both sides, so that JPEG does not move it.
    position = inside[:: max(1, len(inside) // 4096)].astype(np.float32) / 255 * 3
    low = np.floor(position).astype(int).clip(0, 2)
    share = position - low
    histogram = np.zeros(64, np.float64)
    for corner in range(8):
        bits = np.array([(corner >> 2) & 1, (corner >> 1) & 1, corner & 1])
        weight = np.where(bits, share, 1 - share).prod(axis=1)
        histogram += np.bincount((low + bits) @ np.array([16, 4, 1]), weight, minlength=64)
    return np.asarray(histogram / histogram.sum(), np.float32)


def resized(plane: Floats, side: int) -> Floats:
    """A square plane in another size: float32 (side, side)."""
    import numpy as np
    from PIL import Image

    kind = Image.Resampling.BOX if plane.shape[0] >= side else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((side, side), kind), np.float32)


def box(mask: Mask) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of what a mask holds, the last two past its end."""
    import numpy as np

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

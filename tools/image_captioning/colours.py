"""The main colours of a picture, in the eleven basic colour words of English (Berlin and Kay, 1969)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

COLOURS = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")

LEAST_SHARE = 0.15
"""A colour that covers less of the picture is not a main one."""


def main_colours(pixels: np.ndarray[Any, np.dtype[Any]], most: int = 3) -> list[tuple[str, float]]:
    """The colours that cover the most of a picture.

    Args:
        pixels: RGB, uint8, shape (h, w, 3), not empty.
        most: how many at most.

    Returns:
        Name and share in (0, 1], the largest first; at least one, the others at least `LEAST_SHARE`.
    """
    import numpy as np

    step = max(1, min(pixels.shape[:2]) // 96)
    shares = np.bincount(colour_indices(pixels[::step, ::step]).ravel(), minlength=len(COLOURS)).astype(float)
    shares /= shares.sum()
    order = np.argsort(-shares, kind="stable")[:most]
    return [(COLOURS[i], float(shares[i])) for n, i in enumerate(order) if n == 0 or shares[i] >= LEAST_SHARE]


def colour_indices(pixels: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    """The colour word of each pixel, as an index into `COLOURS`.

    By hue, saturation and value: what is dark is black, what has little saturation is black, grey
    or white, dark orange is brown, light red is pink.

    Args:
        pixels: RGB, uint8, shape (…, 3).

    Returns:
        Shape (…).
    """
    import numpy as np

    rgb = pixels.astype(np.float32) / 255
    value, low = rgb.max(-1), rgb.min(-1)
    spread = value - low
    saturation = spread / np.maximum(value, 1e-6)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    safe = np.maximum(spread, 1e-6)
    hue = np.select(
        [value == red, value == green],
        [(green - blue) / safe % 6, (blue - red) / safe + 2],
        (red - green) / safe + 4,
    )
    hue = hue * 60
    reddish = (hue < 15) | (hue >= 345)
    cases = [
        (value < 0.18, "black"),
        ((saturation < 0.14) & (value > 0.85), "white"),
        (saturation < 0.14, "grey"),
        (reddish & (saturation < 0.55) & (value > 0.75), "pink"),
        (reddish & (value < 0.4), "brown"),
        (reddish, "red"),
        ((hue < 41) & ((value < 0.7) | (saturation < 0.4)), "brown"),
        (hue < 41, "orange"),
        ((hue < 68) & (value < 0.45), "green"),
        (hue < 68, "yellow"),
        (hue < 165, "green"),
        (hue < 255, "blue"),
        ((hue < 290) | ((hue < 325) & (value < 0.7)), "purple"),
        (hue < 345, "pink"),
    ]
    return np.select([where for where, _ in cases], [COLOURS.index(name) for _, name in cases])

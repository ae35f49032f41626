"""Vectors of short texts, each encoded once in a while: the same words come back within a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hopline.tools.encoder import Encoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST = 4096
"""Texts kept; beyond it all are forgotten."""

_BATCH = 16


class Vectors:
    """An encoder that remembers.

    Args:
        encoder: loaded.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 of shape (n, 384), each row of length 1; n is at least 1."""
        import numpy as np

        if len(self._known) > _MOST:
            self._known.clear()
        # Texts of one length side by side: a batch is as slow as its longest text.
        new = sorted({text for text in texts if text not in self._known}, key=lambda text: (len(text), text))
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            self._known.update(zip(batch, self._encoder.encode(batch), strict=True))
        return np.stack([self._known[text] for text in texts])

"""Vectors of short texts, each encoded once in a while: the same words come back within a request.

What a registry's fixed phrases give is kept beside the network's weights, so that a new process need not encode them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from hopline.tools.encoder import Encoder
from hopline.tools.models import keep

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST = 4096
"""Texts kept; beyond it all are forgotten."""

_BATCH = 16
_WORTH_KEEPING = 100
"""Texts that take longer to encode than to read back."""


class Vectors:
    """An encoder that remembers.

    Args:
        encoder: loaded.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, NDArray[np.float32]] = {}
        self._fixed: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 of shape (n, 384), each row of length 1; n is at least 1."""
        import numpy as np

        if len(self._known) > _MOST:
            self._known.clear()
        # Texts of one length side by side: a batch is as slow as its longest text.
        strange = {text for text in texts if text not in self._known and text not in self._fixed}
        new = sorted(strange, key=lambda text: (len(text), text))
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            self._known.update(zip(batch, self._encoder.encode(batch), strict=True))
        return np.stack([self._fixed[text] if text in self._fixed else self._known[text] for text in texts])

    def encode_fixed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `encode`, of texts that come back, here and in other processes; many of them are kept for those."""
        if any(text not in self._fixed for text in texts):
            if len(texts) < _WORTH_KEEPING:
                vectors = self.encode(texts)
            else:
                digest = sha256("\0".join(texts).encode()).hexdigest()[:16]
                vectors = self.kept(f"texts-{digest}", lambda: {"vectors": self.encode(texts)})["vectors"]
            self._fixed.update(zip(texts, vectors, strict=True))
        return self.encode(texts)

    def kept(self, name: str, make: Callable[[], Mapping[str, NDArray[Any]]]) -> Mapping[str, NDArray[Any]]:
        """Arrays that follow from this network and a name: from the file of that name, or made now and kept there."""
        import numpy as np

        path = self._encoder.kept_as(name)
        if path.is_file():
            with np.load(path, allow_pickle=False) as stored:
                return dict(stored)
        made = make()
        keep(path, **made)
        return made

"""What the tools' examples teach: a classifier that tells from a clause which tool it asks for, or none.

A multinomial logistic regression on a clause's vector and on its words, fitted to the examples that the tools
declare and to asides, which ask for nothing. A tool without examples is not taught; its description and types
have to do. What was fitted is kept beside the encoder's weights, by a digest of all that went into it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING

from hopline.agent.planning.vectors import Vectors
from hopline.tools.encoder import DIMENSIONS
from hopline.tools.spec import Tool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST = 8
"""Examples from which a tool is taught."""
SHRINK = 0.1
"""Half of this weighs the squared coefficients beside the loss; chosen on standard examples left out in turn."""
_VERSION = 1
_LEAST_SEEN = 2
"""Examples in which a word or a pair of words has to stand."""
_SHORTEST_CUT = 5


class Taught:
    """Rates texts against the tools that declare examples.

    Args:
        tools: declarations.
        encoder: of a loaded network.

    Attributes:
        tools: names of those that are taught; may be none.
    """

    def __init__(self, tools: Sequence[Tool], encoder: Vectors) -> None:
        self._encoder = encoder
        self._examples = {tool.name: tool.examples for tool in tools if len(tool.examples) >= FEWEST}
        self.tools = tuple(self._examples)

    def log_odds(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """That each text asks for each taught tool, rather than for another or for nothing.

        Returns:
            float64 of shape (texts, taught tools + 1); the last column is for nothing.
        """
        import numpy as np

        coefficients, intercepts = self._fitted
        ratings = self._encoder.encode(texts) @ coefficients[:, :DIMENSIONS].T + intercepts
        for row, text in zip(ratings, texts, strict=True):
            if places := self._known(text):
                row += coefficients[:, places].sum(axis=1) / len(places) ** 0.5
        chances = np.exp(ratings - ratings.max(axis=1, keepdims=True))
        chances = np.clip(chances / chances.sum(axis=1, keepdims=True), 1e-4, 1 - 1e-4)
        return np.asarray(np.log(chances / (1 - chances)))

    # -- features ----------------------------------------------------------------------------

    @cached_property
    def _classes(self) -> list[tuple[str, ...]]:
        return [*self._examples.values(), tuple(asides())]

    @cached_property
    def _places(self) -> dict[str, int]:
        seen = Counter(part for examples in self._classes for text in examples for part in _parts(text))
        return {part: place for place, part in enumerate(sorted(p for p, n in seen.items() if n >= _LEAST_SEEN))}

    def _known(self, text: str) -> list[int]:
        """Places, after those of the vector, of the words and pairs of words of a text that are features."""
        return [DIMENSIONS + self._places[part] for part in _parts(text) if part in self._places]

    # -- fitting -----------------------------------------------------------------------------

    @cached_property
    def _fitted(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coefficients (classes, features) and intercepts (classes): kept, or fitted now."""
        told = sha256(repr((_VERSION, SHRINK, sorted(self._examples.items()), asides())).encode()).hexdigest()
        kept = self._encoder.kept(f"taught-{told[:16]}", lambda: dict(zip("ci", self._fit(), strict=True)))
        return kept["c"], kept["i"]

    def _fit(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of the greatest penalised likelihood, every class weighing the same."""
        import numpy as np
        from scipy.optimize import minimize
        from scipy.sparse import csr_array

        texts = [text for examples in self._classes for text in examples]
        vectors = self._encoder.encode(texts).astype(np.float64)
        known = [self._known(text) for text in texts]
        rows = np.repeat(np.arange(len(texts)), [len(places) for places in known])
        columns = np.array([place for places in known for place in places], int) - DIMENSIONS
        # A row of words is of length 1, as a vector is.
        lengths = np.array([len(places) ** -0.5 for places in known for _ in places])
        words = csr_array((lengths, (rows, columns)), shape=(len(texts), len(self._places)))
        sizes = np.array([len(examples) for examples in self._classes])
        count, width = len(sizes), DIMENSIONS + len(self._places)
        own = np.repeat(np.eye(count), sizes, axis=0)
        weights = np.repeat(len(texts) / count / sizes, sizes)[:, None]

        def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            coefficients, intercepts = point[:-count].reshape(count, width), point[-count:]
            ratings = vectors @ coefficients[:, :DIMENSIONS].T + words @ coefficients[:, DIMENSIONS:].T + intercepts
            ratings -= ratings.max(axis=1, keepdims=True)
            log_chances = ratings - np.log(np.exp(ratings).sum(axis=1, keepdims=True))
            total = SHRINK / 2 * float((coefficients**2).sum()) - float((weights * own * log_chances).sum())
            slope = (np.exp(log_chances) - own) * weights
            by_feature = np.concatenate([slope.T @ vectors, (words.T @ slope).T], axis=1)
            return total, np.concatenate([(by_feature + SHRINK * coefficients).ravel(), slope.sum(axis=0)])

        found = minimize(loss, np.zeros(count * (width + 1)), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
        return found[:-count].reshape(count, width), found[-count:]


def asides() -> list[str]:
    """Clauses that ask for nothing: greetings, politeness, what there is and why."""
    return files("hopline.agent.planning").joinpath("asides.txt").read_text("utf-8").splitlines()


def _parts(text: str) -> set[str]:
    """Words with common endings cut, pairs of them, and which stand first and last."""
    words = [
        re.sub(r"(ing|ed|es|s|e)$", "", word) if len(word) >= _SHORTEST_CUT else word
        for word in re.findall(r"[a-z']+", text.lower())
    ]
    ends = ["<", *words, ">"]
    return {*words, *(" ".join(pair) for pair in pairwise(ends))}

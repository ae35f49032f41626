"""Bootstrap over sources: whole sources are drawn, never facts, for the facts of one source are not independent."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 1000
LEVEL = 0.95


@lru_cache(maxsize=8)
def draw_sources(n: int, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.int64]:
    """How often each source is in each resample, shape (resamples, n); every row sums to n. Read only."""
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    drawn.flags.writeable = False
    return drawn


def percentile_interval(draws: NDArray[Any]) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles of what the resamples gave, shape (resamples,)."""
    lo, hi = np.percentile(draws, (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2))
    return float(lo), float(hi)

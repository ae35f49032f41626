"""MCD and SDR of "The Telephone Game" (Mollah et al., arXiv 2509.04438), so that tables compare.

Mean cumulative drift and semantic drift rate are about the mean similarity between a source and what became of
it after g hops: diagnostics, for a similarity has no unit and its floor is not 0.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.resampling import LEVEL, draw_sources, percentile_interval
from hopline.agent.loss.score import Signature, Unscored

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_POINTS = 4
"""A curve with three constants goes through any three points."""
RESAMPLES = 200
_BEGIN = (1.0, 0.1, 0.0)
_MOST_CALLS = 5000
_MOST_FAILED = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftRate:
    """SDR: the constants of a·exp(−b·g) + c, fitted to the mean similarity after g hops.

    Attributes:
        a: what is lost in the end.
        b: how fast, per hop, with its interval over sources.
        c: what is left in the end.
    """

    a: float
    b: Estimate
    c: float


def mean_cumulative_drift(
    similarities: NDArray[Any], *, settings: Mapping[str, str] | None = None, resamples: int = 1000, seed: int = 0
) -> Estimate | Unscored:
    """MCD of one pair of modalities: the mean over generations of the mean similarity over sources.

    The study's MCD_avg is the mean of this over its pairs of modalities; higher is better, whatever the name says.

    Args:
        similarities: to the source, shape (sources, generations); NaN where a source has no output.
        settings: who measured the similarity, for the signature.
        resamples: of the bootstrap over sources.
        seed: of the resamples.

    Returns:
        Unscored where some generation has no output at all.
    """
    table = np.asarray(similarities, float)
    settings = {**(settings or {}), "generations": str(table.shape[1])}
    signature = Signature(metric="mcd", settings=settings, version="1")
    there = np.isfinite(table)
    if not table.size or not there.any(axis=0).all():
        return Unscored(reason="a generation without any output", signature=signature)
    filled = np.where(there, table, 0.0)
    value = float((filled.sum(axis=0) / there.sum(axis=0)).mean())
    weights = draw_sources(len(table), resamples, seed)
    counts = weights @ there
    drawn = (weights @ filled / np.maximum(counts, 1))[(counts > 0).all(axis=1)].mean(axis=1)
    lo, hi = percentile_interval(drawn)
    return Estimate(
        value=value,
        lo=min(lo, value),
        hi=max(hi, value),
        n=len(table),
        ceiling=1.0,
        method=f"mean over generations of means over sources; bootstrap over sources, {LEVEL:.0%}",
        signature=signature,
    )


def drift_rate(
    similarities: NDArray[Any], hops: Sequence[int], *, resamples: int = RESAMPLES, seed: int = 0
) -> DriftRate | Unscored:
    """SDR, fitted as the study's published code does: least squares, begun at a = 1, b = 0.1, c = 0.

    Args:
        similarities: to the source, shape (sources, generations).
        hops: how many lie before each generation, shape (generations,).
        resamples: of the bootstrap over sources.
        seed: of the resamples.

    Returns:
        The constants, or Unscored where there are fewer than 4 generations or no such curve fits. The rate
        has no interval where more than a tenth of the resamples have no such curve.

    Raises:
        ValueError: another number of hops than of generations.
    """
    if similarities.ndim != 2 or similarities.shape[1] != len(hops):
        raise ValueError(f"similarities of shape {similarities.shape} for {len(hops)} generations")
    signature = Signature(metric="sdr", settings={"generations": str(len(hops))}, version="1")
    n = len(similarities)
    if not n or len(hops) < LEAST_POINTS:
        return Unscored(reason=f"fewer than {LEAST_POINTS} generations of any source", signature=signature)
    fitted = _fit(similarities.mean(axis=0), hops, _BEGIN)
    if fitted is None:
        return Unscored(reason="no exponential decay fits", signature=signature)
    again = (_fit(counts @ similarities / n, hops, fitted) for counts in draw_sources(n, resamples, seed))
    rates = np.array([constants[1] for constants in again if constants is not None])
    lo = hi = None
    if len(rates) >= (1 - _MOST_FAILED) * resamples:
        lo, hi = percentile_interval(rates)
    a, b, c = fitted
    rate = Estimate(
        value=b,
        lo=None if lo is None else min(lo, b),
        hi=None if hi is None else max(hi, b),
        n=n,
        method=f"least squares on the means over sources; bootstrap over sources, {LEVEL:.0%}",
        signature=signature,
    )
    return DriftRate(a=a, b=rate, c=c)


def _fit(means: NDArray[Any], hops: Sequence[int], begin: tuple[float, ...]) -> tuple[float, float, float] | None:
    from scipy.optimize import OptimizeWarning, curve_fit

    if np.ptp(means) == 0:
        return None

    def decay(g: NDArray[Any], a: float, b: float, c: float) -> NDArray[Any]:
        return np.asarray(a * np.exp(-b * g) + c)

    with warnings.catch_warnings(), np.errstate(over="raise"):
        warnings.simplefilter("error", OptimizeWarning)
        try:
            constants, _ = curve_fit(decay, np.asarray(hops, float), means, p0=begin, maxfev=_MOST_CALLS)
        except (RuntimeError, OptimizeWarning, FloatingPointError):
            return None
    a, b, c = map(float, constants)
    return a, b, c

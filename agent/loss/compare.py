"""Two chains on the same sources: paired differences, a sign-flip test, Holm's correction, and how many sources.

Imports numpy and scipy; the loss of a single run does not need this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hopline.agent.loss.estimate import LEAST_SOURCES, Estimate
from hopline.agent.loss.resampling import LEVEL, RESAMPLES, draw_sources, percentile_interval
from hopline.agent.loss.score import Signature, Unscored
from scipy.stats import nct, t

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT_UP_TO = 12
"""Sources whose 2^n signs are all tried."""
FLIPS = 9999
MOST_SOURCES = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One metric of two chains.

    Attributes:
        difference: mean over sources of other − one.
        sd: of the differences over sources, None with one source.
        p: of the sign-flip test, two-sided.
        adjusted: p after Holm over the metrics that were compared together; p itself for one alone.
        exact: every sign was tried, not a sample.
        unpaired: sources left out, for a figure of one of the two was missing.
    """

    difference: Estimate
    sd: float | None
    p: float
    adjusted: float
    exact: bool
    unpaired: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """A generation of two chains at which they can be told apart.

    Attributes:
        generation: from 1.
        difference: expected there.
        sources: that show it.
    """

    generation: int
    difference: float
    sources: int


Figures = Mapping[Any, float | None]
"""By source; None where there is no figure, which is not zero."""


def compare(
    one: Figures, other: Figures, *, metric: str, resamples: int = RESAMPLES, flips: int = FLIPS, seed: int = 0
) -> Comparison | Unscored:
    """Compare two chains on the sources that both have a figure for.

    Args:
        one: figures of the first chain, by source.
        other: of the second.
        metric: their name, for the signature.
        resamples: of the bootstrap over sources.
        flips: sampled signs where there are more than `EXACT_UP_TO` sources.
        seed: of resamples and flips.

    Raises:
        ValueError: a figure that is not finite.
    """
    both = [source for source in one if one[source] is not None and other.get(source) is not None]
    unpaired = len(set(one) | set(other)) - len(both)
    signature = Signature(metric="difference", settings={"of": metric, "paired": "source"}, version="1")
    if not both:
        return Unscored(reason="no source has a figure of both", signature=signature)
    values = np.array([float(other[s] or 0.0) - float(one[s] or 0.0) for s in both])
    if not np.isfinite(values).all():
        raise ValueError(f"{signature}: figures are finite numbers; give None where there is none")
    p, exact = sign_flip(values, flips=flips, seed=seed)
    draws = draw_sources(len(values), resamples, seed) @ values / len(values)
    mean = float(values.mean())
    lo, hi = percentile_interval(draws)
    warnings = (f"Left out: {unpaired} sources without a figure of both.",) if unpaired else ()
    return Comparison(
        difference=Estimate(
            value=mean,
            lo=min(lo, mean),
            hi=max(hi, mean),
            n=len(values),
            chance=0.0,
            method=f"mean of differences by source; bootstrap over sources, {LEVEL:.0%}",
            warnings=warnings,
            signature=signature,
        ),
        sd=float(values.std(ddof=1)) if len(values) > 1 else None,
        p=p,
        adjusted=p,
        exact=exact,
        unpaired=unpaired,
    )


def compare_all(
    pairs: Mapping[str, tuple[Figures, Figures]], *, resamples: int = RESAMPLES, flips: int = FLIPS, seed: int = 0
) -> dict[str, Comparison | Unscored]:
    """Compare two chains by several metrics; `adjusted` holds over all of them together (Holm).

    Args:
        pairs: figures of both chains, by metric.
        resamples: as of `compare`.
        flips: as of `compare`.
        seed: as of `compare`.
    """
    found = {
        metric: compare(one, other, metric=metric, resamples=resamples, flips=flips, seed=seed)
        for metric, (one, other) in pairs.items()
    }
    scored = {metric: c for metric, c in found.items() if isinstance(c, Comparison)}
    adjusted = holm([c.p for c in scored.values()])
    return {**found, **{m: replace(c, adjusted=p) for (m, c), p in zip(scored.items(), adjusted, strict=True)}}


def sign_flip(differences: Sequence[float] | NDArray[Any], *, flips: int = FLIPS, seed: int = 0) -> tuple[float, bool]:
    """Two-sided p of the mean difference if each one's sign were a coin's.

    All 2^n signs up to `EXACT_UP_TO` differences; else (b + 1) / (m + 1) with b of m sampled signs at least as
    far from 0 (Phipson and Smyth 2010, so that p is never 0).

    Args:
        differences: by source, shape (n,), n at least 1.
        flips: m.
        seed: of the sample.

    Returns:
        p in (0, 1], and whether it is exact.
    """
    values = np.asarray(differences, dtype=float)
    n = len(values)
    # Sums that are equal but for rounding count as equal.
    least = abs(values.sum()) - 1e-9 * np.abs(values).sum()
    if n <= EXACT_UP_TO:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float((np.abs(signs @ values) >= least).mean()), True
    coins = np.random.default_rng(seed).integers(0, 2, size=(flips, n), dtype=np.int8)
    sums = values.sum() - 2 * (coins @ values)
    return float((np.count_nonzero(np.abs(sums) >= least) + 1) / (flips + 1)), False


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p, in the order given (Holm 1979, Scandinavian Journal of Statistics 6:65)."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted


def power_of(n: int, difference: float, sd: float, alpha: float = 0.05) -> float:
    """Power of the two-sided paired t test, which the sign-flip test follows closely.

    Args:
        n: sources, at least 2.
        difference: true mean difference.
        sd: of the differences over sources, above 0.
        alpha: type I error.
    """
    beyond, shift = float(t.isf(alpha / 2, n - 1)), abs(difference) / sd * math.sqrt(n)
    # Far out scipy's noncentral t gives nan; there the right side is 1 and the wrong one under 1e-11.
    right = float(nct.sf(beyond, n - 1, shift)) if shift < beyond + 30 else 1.0
    wrong = float(nct.cdf(-beyond, n - 1, shift)) if shift < 5 else 0.0
    return right + wrong


def sources_needed(difference: float, sd: float, power: float = 0.9, alpha: float = 0.05) -> int | Unscored:
    """Sources that show a difference of this size with this power, never under the 20 an interval needs.

    A 10-point difference with differences spread by .33 needs 117: plan 120.

    Args:
        difference: true mean difference, 0.10 for 10 points.
        sd: of the differences over sources, from a pilot (`Comparison.sd`).
        power: wanted, in (0, 1).
        alpha: type I error, in (0, 1); divide it by the number of metrics compared together.

    Returns:
        Sources, or Unscored where there is nothing to show or a million would not do.

    Raises:
        ValueError: a spread below 0, or a share outside (0, 1).
    """
    if sd < 0 or not 0 < power < 1 or not 0 < alpha < 1:
        raise ValueError(f"sd {sd}, power {power}, alpha {alpha}: give sd ≥ 0 and shares between 0 and 1")
    if difference == 0:
        return Unscored(reason="a difference of 0 is never shown")
    if sd == 0 or power_of(LEAST_SOURCES, difference, sd, alpha) >= power:
        return LEAST_SOURCES
    low, high = LEAST_SOURCES, 2 * LEAST_SOURCES
    while power_of(high, difference, sd, alpha) < power:
        low, high = high, 2 * high
        if high > MOST_SOURCES:
            return Unscored(reason=f"more than {MOST_SOURCES} sources")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle, difference, sd, alpha) >= power else (middle, high)
    return high


def generation_needed(
    one: Sequence[float], other: Sequence[float], sd: Sequence[float], power: float = 0.9, alpha: float = 0.05
) -> Generation | Unscored:
    """The generation at which two chains are told apart by the fewest sources; the first of several.

    Later generations differ more until little is left of either; where that turns is in the curves of a
    pilot, for hazards are not flat.

    Args:
        one: expected figure of the first chain after generation 1, 2, …
        other: of the second, as many.
        sd: of the differences over sources, as many.
        power: as of `sources_needed`.
        alpha: as of `sources_needed`.

    Raises:
        ValueError: unequal lengths.
    """
    best: Generation | None = None
    for k, (a, b, spread) in enumerate(zip(one, other, sd, strict=True), start=1):
        sources = sources_needed(b - a, spread, power, alpha)
        if not isinstance(sources, Unscored) and (best is None or sources < best.sources):
            best = Generation(generation=k, difference=b - a, sources=sources)
    return best or Unscored(reason="no generation differs enough")

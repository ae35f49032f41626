"""Which half matters more: how much of what tells chains apart comes from each factor, over crossed factors.

Text-to-image × captioning is the case it is for: one table with a figure for each source, drawer and
captioner. Imports numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from hopline.agent.loss.estimate import LEAST_SOURCES, Estimate
from hopline.agent.loss.resampling import LEVEL, RESAMPLES, draw_sources, percentile_interval
from hopline.agent.loss.score import Signature, Unscored

if TYPE_CHECKING:
    from numpy.typing import NDArray

Term = tuple[str, ...]
"""Names of the factors of an effect: one for a main effect, more for what they do only together."""

NO_SPREAD = "the chains differ by no more than chance"
_METHOD = f"squared effects less their error over sources, of their sum; bootstrap over sources, {LEVEL:.0%}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """How the variance between chains divides.

    Attributes:
        spread: standard deviation between the chains, in units of the figure.
        terms: share of each effect; they sum to 1, and one that is nothing may come out a little below 0.
        lead: by pair of factors, the first's share less the second's: above 0 the first matters more.
        effects: of each factor by level, the mean figure with that level less the mean of all.
    """

    spread: Estimate
    terms: Mapping[Term, Estimate]
    lead: Mapping[tuple[str, str], Estimate]
    effects: Mapping[str, tuple[Estimate, ...]]


def variance_shares(
    table: NDArray[Any], factors: Sequence[str], *, metric: str, resamples: int = RESAMPLES, seed: int = 0
) -> Shares | Unscored:
    """Shares of the variance between chains by effect.

    With e_s(T) the effect T in the figures of source s (the deviation from the mean along the factors of T,
    averaged over the others), θ²(T) = |mean_s e_s(T)|² − Σ_s |e_s(T) − mean|² / (n(n − 1)): the square of a
    mean less its expected error, which is the repeated-measures ANOVA estimate (MS_T − MS_T×sources). A share
    is θ²(T) / Σ θ². A resample carries the error twice, so that it is taken off twice there.

    Args:
        table: figures, shape (sources, levels of factor 1, levels of factor 2, …), none missing.
        factors: names, one for each axis after the first.
        metric: of the figures, for the signature.
        resamples: of the bootstrap over sources.
        seed: of the resamples.

    Returns:
        Unscored under 20 sources, or where the chains cannot be told apart.

    Raises:
        ValueError: axes and names do not fit, a factor has one level, or a figure is not finite.
    """
    table = np.asarray(table, float)
    if table.ndim != len(factors) + 1 or not factors or min(table.shape[1:]) < 2 or not np.isfinite(table).all():
        raise ValueError(f"a table of shape {table.shape} for the factors {', '.join(factors)}; 2 levels or more each")
    n, cells = len(table), table[0].size
    signature = Signature(
        metric="variance shares", settings={"of": metric, "factors": " × ".join(factors)}, version="1"
    )
    if n < LEAST_SOURCES:
        return Unscored(reason=f"{n} sources, {LEAST_SOURCES} are needed", signature=signature)
    weights = draw_sources(n, resamples, seed)
    terms = [term for size in range(1, len(factors) + 1) for term in combinations(factors, size)]
    values, draws = [], []
    for term in terms:
        effect = _effect(table, [factors.index(name) + 1 for name in term]).reshape(n, cells)
        squares = (effect**2).sum(axis=1)
        values.append(float(_squared(np.full((1, n), 1), effect, squares, times=1)[0]) / cells)
        draws.append(_squared(weights, effect, squares, times=2) / cells)
    total, totals = sum(values), np.sum(draws, axis=0)
    if total <= 0 or np.quantile(totals, (1 - LEVEL) / 2) <= 0:
        return Unscored(reason=NO_SPREAD, signature=signature)
    fine = totals > 0
    shares = {term: value / total for term, value in zip(terms, values, strict=True)}
    drawn = {term: column[fine] / totals[fine] for term, column in zip(terms, draws, strict=True)}

    def told(value: float, column: NDArray[Any], method: str = _METHOD) -> Estimate:
        lo, hi = percentile_interval(column)
        return Estimate(value=value, lo=min(lo, value), hi=max(hi, value), n=n, method=method, signature=signature)

    return Shares(
        spread=told(total**0.5, np.sqrt(np.maximum(totals, 0.0))),
        terms={term: told(shares[term], drawn[term]) for term in terms},
        lead={(a, b): told(shares[a,] - shares[b,], drawn[a,] - drawn[b,]) for a, b in combinations(factors, 2)},
        effects={
            name: tuple(
                told(
                    float(column.mean()),
                    weights @ column / n,
                    f"mean over sources; bootstrap over sources, {LEVEL:.0%}",
                )
                for column in _levels(table, axis).T
            )
            for axis, name in enumerate(factors, 1)
        },
    )


def _effect(table: NDArray[Any], axes: Sequence[int]) -> NDArray[Any]:
    """Each source's effect along these axes, in the shape of the table."""
    for axis in range(1, table.ndim):
        mean = table.mean(axis=axis, keepdims=True)
        table = table - mean if axis in axes else np.broadcast_to(mean, table.shape)
    return table


def _squared(weights: NDArray[Any], effect: NDArray[Any], squares: NDArray[Any], *, times: int) -> NDArray[np.float64]:
    """|mean effect|² less `times` its expected error, by row of weights."""
    n = len(effect)
    mean = ((weights @ effect / n) ** 2).sum(axis=1)
    error = (weights @ squares / n - mean) / (n - 1)
    return np.asarray(mean - times * error, np.float64)


def _levels(table: NDArray[Any], axis: int) -> NDArray[Any]:
    """Each source's effect of each level of one factor, shape (sources, levels)."""
    others = tuple(a for a in range(1, table.ndim) if a != axis)
    means = table.mean(axis=others) if others else table
    return np.asarray(means - means.mean(axis=1, keepdims=True))

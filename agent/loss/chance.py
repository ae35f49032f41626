"""Chance and floor: what a metric reads where nothing arrived, and where nothing was lost.

Imports numpy and scipy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from hopline.agent.loss.compare import Comparison, Figures, compare
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.resampling import LEVEL, RESAMPLES, draw_sources, percentile_interval
from hopline.agent.loss.score import Signature, Unscored

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BOOTSTRAP = f"bootstrap over sources, {LEVEL:.0%}"


def derangements(n: int, times: int, seed: int = 0) -> NDArray[np.int64]:
    """Pairings in which no source meets its own output, uniform, shape (times, n).

    Permutations are drawn until none of their points is fixed; one in e is such.

    Args:
        n: sources, at least 2.
        times: pairings.
        seed: of the draw.

    Raises:
        ValueError: fewer than 2 sources.
    """
    if n < 2:
        raise ValueError(f"{n} sources cannot be shuffled; give at least 2")
    draw = np.random.default_rng(seed)
    found: list[NDArray[np.int64]] = []
    while len(found) < times:
        order = draw.permutation(n)
        if (order != np.arange(n)).all():
            found.append(order)
    return np.array(found, dtype=np.int64).reshape(times, n)


def guess_corrected(retention: float, guess: float) -> float:
    """(r − g) / (1 − g): 1 where all arrived, 0 at chance, below 0 where it is worse than chance.

    Args:
        retention: r, in [0, 1].
        guess: g, in [0, 1).
    """
    return (retention - guess) / (1 - guess)


def measure_retention(
    kept: Sequence[float] | NDArray[Any],
    facts: Sequence[float] | NDArray[Any],
    guessed: Sequence[float] | NDArray[Any],
    *,
    metric: str = "retention",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate | Unscored:
    """Share of the facts that arrived, corrected for guessing; every fact counts the same.

    Both r and g are of the resampled sources. That every source meets the outputs of others is not
    resampled: with under 50 sources, or outputs much alike, take the mean over many derangements.

    Args:
        kept: facts of each source that its own output says, shape (sources,).
        facts: that each source says; a source without any does not count.
        guessed: that the outputs of other sources say, mean over derangements.
        metric: `retention`; or `precision`, where the facts are those of the outputs, and kept are those
            that its source says.
        resamples: of the bootstrap.
        seed: of the resamples.

    Returns:
        (r − g) / (1 − g), which reads 0 on chance and 1 where all arrived; r and g are in its method. Where
        every fact of every source arrived, its lower end is Clopper-Pearson's over the sources.

    Raises:
        ValueError: unequal lengths, or more facts kept than there are.
    """
    if not len(kept) == len(facts) == len(guessed):
        raise ValueError(f"{len(kept)} kept, {len(guessed)} guessed, {len(facts)} facts; give one each for a source")
    table = np.array([np.asarray(kept, float), np.asarray(guessed, float), np.asarray(facts, float)])
    if not (np.isfinite(table).all() and (table[:2] >= 0).all() and (table[:2] <= table[2]).all()):
        raise ValueError("facts kept and guessed lie between 0 and the facts of their source")
    table = table[:, table[2] > 0]
    n = table.shape[1]
    signature = Signature(metric=metric, settings={"guessing": "corrected"}, version="1")
    if not n:
        return Unscored(reason="no source has a fact", signature=signature)
    shares = table.sum(axis=1) / table[2].sum()
    if shares[1] == 1:
        return Unscored(reason="every guess is right: outputs of other sources say all facts", signature=signature)
    sums = draw_sources(n, resamples, seed) @ table.T
    r, g = sums[:, 0] / sums[:, 2], sums[:, 1] / sums[:, 2]
    fine = g < 1
    value = guess_corrected(float(shares[0]), float(shares[1]))
    lo, hi = percentile_interval((r[fine] - g[fine]) / (1 - g[fine]))
    if shares[0] == 1:
        lo = guess_corrected(((1 - LEVEL) / 2) ** (1 / n), float(shares[1]))
    return Estimate(
        value=value,
        lo=min(lo, value),
        hi=max(hi, value),
        n=n,
        ceiling=1.0,
        chance=0.0,
        method=f"(r − g) / (1 − g) with r = {shares[0]:.4f}, g = {shares[1]:.4f} of shuffled outputs; {_BOOTSTRAP}",
        signature=signature,
    )


def above_floor(
    loss: Figures,
    floors: Mapping[Any, Sequence[float]],
    *,
    metric: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison | Unscored:
    """How far a loss lies above what the metric reads where nothing was lost, paired by source.

    The floor of a source is its mean over the re-runs of the same hop, or over paraphrases that change
    no fact. Sources without one are left out.

    Args:
        loss: by source, None where there is none.
        floors: readings of the same metric without loss, by source.
        metric: for the signature.
        resamples: of the bootstrap over sources.
        seed: of the resamples.
    """
    floor = {source: sum(values) / len(values) if values else None for source, values in floors.items()}
    return compare(floor, loss, metric=f"{metric} above floor", resamples=resamples, seed=seed)

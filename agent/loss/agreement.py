"""What people say of the machine's readings: agreement, kappa, and a share corrected by a sample they rated.

Imports numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.resampling import LEVEL, RESAMPLES, draw_sources, percentile_interval
from hopline.agent.loss.score import Signature, Unscored

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BOOTSTRAP = f"bootstrap over sources, {LEVEL:.0%}"
_LEAST_FINE = 0.9
NO_VARIETY = "both give one answer to everything: kappa has no value"


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far two agree on the same cells.

    Attributes:
        raw: share of the cells with the same answer.
        kappa: Cohen's: raw agreement above what two who answer at random with the same shares reach.
        cells: how many were rated by both.
    """

    raw: Estimate
    kappa: Estimate | Unscored
    cells: int


def measure_agreement(
    one: Sequence[str], other: Sequence[str], sources: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> Agreement | Unscored:
    """Raw agreement and Cohen's kappa (Educational and Psychological Measurement 20:37, 1960).

    Args:
        one: answers, one a cell.
        other: answers to the same cells.
        sources: of the cells, which a bootstrap draws whole.
        resamples: of the bootstrap.
        seed: of the resamples.

    Raises:
        ValueError: unequal lengths.
    """
    if not len(one) == len(other) == len(sources):
        raise ValueError(f"{len(one)} and {len(other)} answers for {len(sources)} cells")
    if not one:
        return Unscored(reason="no cell was rated by both")
    answers = sorted({*one, *other})
    names, owner = np.unique(np.asarray(sources), return_inverse=True)
    # Confusion counts by source, shape (sources, answers, answers).
    counts = np.zeros((len(names), len(answers), len(answers)))
    mine, theirs = (np.array([answers.index(answer) for answer in said]) for said in (one, other))
    np.add.at(counts, (owner.reshape(-1), mine, theirs), 1)
    weights = draw_sources(len(names), resamples, seed)
    drawn = np.tensordot(weights, counts, axes=1)
    raw, kappa = _raw_and_kappa(counts.sum(axis=0)[None])
    raws, kappas = _raw_and_kappa(drawn)
    settings = {"answers": " ".join(answers)}

    def told(metric: str, value: float, draws: NDArray[Any]) -> Estimate:
        fine = draws[np.isfinite(draws)]
        bounded = len(fine) >= _LEAST_FINE * len(draws)
        lo, hi = percentile_interval(fine) if bounded else (value, value)
        return Estimate(
            value=value,
            lo=min(lo, value) if bounded else None,
            hi=max(hi, value) if bounded else None,
            n=len(names),
            ceiling=1.0,
            chance=0.0 if metric == "kappa" else None,
            method=_BOOTSTRAP,
            signature=Signature(metric=metric, settings=settings, version="1"),
        )

    return Agreement(
        raw=told("raw agreement", float(raw[0]), raws),
        kappa=told("kappa", float(kappa[0]), kappas) if np.isfinite(kappa[0]) else Unscored(reason=NO_VARIETY),
        cells=len(one),
    )


def _raw_and_kappa(counts: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of confusion counts, shape (…, answers, answers); kappa is nan where it has no value."""
    total = counts.sum(axis=(-2, -1))
    raw = np.trace(counts, axis1=-2, axis2=-1) / total
    chance = (counts.sum(axis=-1) * counts.sum(axis=-2)).sum(axis=-1) / total**2
    kappa = np.divide(raw - chance, 1 - chance, out=np.full_like(raw, np.nan), where=chance < 1 - 1e-12)
    return np.asarray(raw), np.asarray(kappa)


def corrected_share(
    machine: Mapping[str, tuple[float, float]],
    rated: Sequence[tuple[str, bool, bool]],
    *,
    metric: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate | Unscored:
    """A share that the machine counted everywhere, corrected by a random sample that people rated.

    Prediction-powered inference (Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, Science 382:669, 2023) with
    power tuning (Angelopoulos, Duchi and Zrnic, arXiv 2311.01453): λ·F + mean(y − λ·f) with F the machine's share
    of all N cells, f and y what machine and people say of the m rated ones, and λ = cov(y, f) / ((1 + m/N) var(f))
    held in [0, 1]. It needs no assumption of how the machine errs; a machine that is always right makes the
    interval that of all cells, a useless one that of the rated cells alone.

    Args:
        machine: cells that it counts, and all its cells, by source.
        rated: source, what the machine and what people say of each rated cell, drawn at random from all cells.
        metric: that is corrected, for the signature.
        resamples: of the bootstrap over sources.
        seed: of the resamples.

    Raises:
        ValueError: a rated cell of a source that is not there.
    """
    signature = Signature(metric=f"{metric}, corrected by people", settings={"by": "PPI++"}, version="1")
    if not rated:
        return Unscored(reason="no cell was rated", signature=signature)
    names = sorted(machine)
    place = {name: i for i, name in enumerate(names)}
    unknown = next((source for source, _, _ in rated if source not in place), None)
    if unknown is not None:
        raise ValueError(f"{unknown} was rated, but the machine has no cell of it")
    # By source: machine's sum, all cells, rated cells, machine's and people's sums over these.
    sums = np.zeros((len(names), 5))
    sums[:, :2] = [machine[name] for name in names]
    for source, by_machine, by_people in rated:
        sums[place[source], 2:] += (1, by_machine, by_people)
    f, y = (np.array([cell[k] for cell in rated], float) for k in (1, 2))
    spread = float(f.var())
    tuned = 0.0
    if spread > 0:
        tuned = float(((f - f.mean()) * (y - y.mean())).mean()) / (spread * (1 + len(rated) / sums[:, 1].sum()))
    tuned = min(max(tuned, 0.0), 1.0)

    def share(total: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(
            tuned * total[..., 0] / total[..., 1] + (total[..., 4] - tuned * total[..., 3]) / total[..., 2]
        )

    drawn = draw_sources(len(names), resamples, seed) @ sums
    value = float(share(sums.sum(axis=0)))
    lo, hi = percentile_interval(share(drawn[drawn[:, 2] > 0]))
    return Estimate(
        value=value,
        lo=min(lo, value),
        hi=max(hi, value),
        n=int((sums[:, 2] > 0).sum()),
        method=f"prediction-powered, λ = {tuned:.2f}, {len(rated)} of {sums[:, 1].sum():.0f} cells rated; {_BOOTSTRAP}",
        signature=signature,
    )

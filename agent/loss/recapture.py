"""Cormack-Jolly-Seber: survival and recall from histories of seen and not seen.

A fact is released where its source says it. On each leg it survives with φ, and where it is alive the
reader sees it with r. After a sighting only the time of the next one matters, so the log-likelihood is

    Σ passed·ln φ + Σ seen·ln r + Σ missed·ln(1 − r) + Σ last·ln χ

with χ the chance of never being seen again, χ_t = 1 − φ_{t+1} (1 − (1 − r_{t+1}) χ_{t+1}) and 1 at the end
(Cormack 1964; Jolly 1965; Seber 1965; written as in Lebreton et al. 1992, Ecological Monographs 62:67).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BOUND = 14.0
"""Of a logit: shares are estimated between 8e-7 and 1 − 8e-7, and beyond `_EDGE` are told as 0 or 1."""
_EDGE = 1e-5
_RESTART = 4.0
_STEP = 1e-4
_LONGEST_STEP = 2.0
_NEWTON_STEPS = 60
_GAIN = 1e-5
"""A resample is done when a step would gain less than this, in nats."""
_LEAST_CURVATURE = 1e-4
_AT_ONCE = 100
"""Resamples whose counts stay in the processor's cache together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tails:
    """What was read of facts after a node, each way that occurs once: first those not read at the next node.

    Attributes:
        unread: which tail after the next node each goes on with, of those not read there.
        read: the same of those read there.
    """

    unread: NDArray[np.int64]
    read: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.unread) + len(self.read)


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """All that the likelihood needs of the histories, by source.

    Attributes:
        table: shape (sources, 3 L + S) for L legs and S tails: per leg the facts known to have passed it, seen after
            it, and missed after it but seen later; then the facts last seen before each tail, node by node.
        tails: after nodes 0 to L − 1, of the facts last seen there or before.
    """

    table: NDArray[np.float64]
    tails: tuple[Tails, ...]

    @property
    def legs(self) -> int:
        """L."""
        return len(self.tails)


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """Which legs and nodes share a parameter.

    Attributes:
        leg: shape (L,): the survival parameter of each leg.
        power: shape (L,): φ of a leg is its parameter to this power; hops within the leg when the
            parameter is of one hop.
        node: shape (L,): the recall parameter of the node after each leg; −1 where r is 1, so that φ of the
            leg stands for φ·r.
    """

    leg: NDArray[np.int64]
    power: NDArray[np.int64]
    node: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """A maximum of the likelihood.

    Attributes:
        survival: by survival parameter.
        recall: by recall parameter.
        log_likelihood: at the maximum, in nats.
    """

    survival: NDArray[np.float64]
    recall: NDArray[np.float64]
    log_likelihood: float


def count(seen: NDArray[np.bool_], read: NDArray[np.bool_], source: NDArray[np.int64]) -> Counts:
    """Count histories.

    Args:
        seen: shape (facts, L): at the nodes after the source.
        read: shape (facts, L): False where nobody looked, which is not the same as not seen.
        source: shape (facts,): 0 to sources − 1.
    """
    facts, legs = seen.shape
    seen = seen & read
    last = np.where(seen.any(axis=1), legs - seen[:, ::-1].argmax(axis=1), 0)
    before_last = np.arange(1, legs + 1) <= last[:, None]
    tails: list[Tails] = []
    at, tail, sizes = np.zeros(facts, np.int64), np.zeros(facts, np.int64), [1]  # nothing is after the last node
    for t in range(legs - 1, -1, -1):
        due = last <= t
        ways, at[due] = np.unique(read[due, t] * sizes[0] + at[due], return_inverse=True)
        tails.insert(0, Tails(unread=ways[ways < sizes[0]], read=ways[ways >= sizes[0]] - sizes[0]))
        tail[last == t] = at[last == t]
        sizes.insert(0, len(ways))
    tail += np.concatenate([[0], np.cumsum(sizes)])[last]
    table = np.zeros((int(source.max()) + 1, 3 * legs + sum(sizes)))
    np.add.at(table[:, : 3 * legs], source, np.hstack([before_last, seen, before_last & read & ~seen]))
    np.add.at(table, (source, 3 * legs + tail), 1)
    return Counts(table=table, tails=tuple(tails))


def fit(counts: Counts, model: Model) -> Fit:
    """Maximum likelihood, each source once (L-BFGS-B on the logits, then Newton's method)."""
    sums = counts.table.sum(axis=0)[None]
    facts = max(1.0, float(sums[0, 3 * counts.legs :].sum()))

    def loss(logits: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = _likelihood(logits[None], sums, counts.tails, model)
        return -float(value[0]) / facts, -gradient[0] / facts

    size = _sizes(model)
    found = minimize(
        loss,
        np.full(sum(size), 1.0),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-_BOUND, _BOUND)] * sum(size),
        options={"ftol": 1e-12, "gtol": 1e-7, "maxiter": 1000},
    )
    logits, value = _climb(found.x[None], sums, counts.tails, model)
    shares = _shares(logits[0])
    return Fit(survival=shares[: size[0]], recall=shares[size[0] :], log_likelihood=float(value[0]))


def refit(counts: Counts, model: Model, weights: NDArray[Any], start: Fit) -> NDArray[np.float64]:
    """Maximum likelihood of many resamples at once (Newton's method, damped, from the fit of the whole).

    Args:
        counts: of the histories.
        model: as fitted.
        weights: how often each source counts in each resample, shape (resamples, sources).
        start: the fit of the whole.

    Returns:
        Survival and then recall parameters, shape (resamples, parameters).
    """
    shares = np.clip(np.concatenate([start.survival, start.recall]), 1e-9, 1 - 1e-9)
    begin = np.log(shares / (1 - shares))
    found = []
    for some in np.array_split(weights, -(-len(weights) // _AT_ONCE)):
        logits = np.tile(begin, (len(some), 1))
        found.append(_shares(_climb(logits, some @ counts.table, counts.tails, model)[0]))
    return np.concatenate(found)


def _climb(
    logits: NDArray[np.float64], sums: NDArray[np.float64], tails: Sequence[Tails], model: Model
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Newton's method, damped, for all rows at once: logits (B, P) and log-likelihoods (B,) at the top."""
    # Away from the edge, where the gradient is nothing and a start would stay.
    logits = np.clip(logits, -_RESTART, _RESTART)
    value, gradient = _likelihood(logits, sums, tails, model)
    damping = np.ones(len(sums))
    todo = np.arange(len(sums))
    for _ in range(_NEWTON_STEPS):
        step = _uphill(logits[todo], gradient[todo], sums[todo], tails, model)
        tried = np.clip(logits[todo] + step * damping[todo, None], -_BOUND, _BOUND)
        gain = ((tried - logits[todo]) * gradient[todo]).sum(axis=1) / damping[todo]
        todo, tried = todo[gain > _GAIN], tried[gain > _GAIN]
        if not len(todo):
            break
        new_value, new_gradient = _likelihood(tried, sums[todo], tails, model)
        better = new_value >= value[todo]
        up = todo[better]
        logits[up], gradient[up], value[up] = tried[better], new_gradient[better], new_value[better]
        damping[todo] = np.where(better, np.minimum(1.0, 2 * damping[todo]), damping[todo] / 4)
        todo = todo[damping[todo] > 1e-9]
    return logits, value


def _uphill(
    logits: NDArray[np.float64],
    gradient: NDArray[np.float64],
    sums: NDArray[np.float64],
    tails: Sequence[Tails],
    model: Model,
) -> NDArray[np.float64]:
    """Newton's step along every axis of curvature, uphill also where the surface is not yet concave."""
    size = logits.shape[1]
    hessian = np.empty((len(logits), size, size))
    for j in range(size):
        moved = logits.copy()
        moved[:, j] += _STEP
        hessian[:, j] = (_likelihood(moved, sums, tails, model)[1] - gradient) / _STEP
    scale, axes = np.linalg.eigh((hessian + hessian.transpose(0, 2, 1)) / 2)
    along = np.einsum("bij,bi->bj", axes, gradient) / np.maximum(np.abs(scale), _LEAST_CURVATURE)
    step = np.einsum("bij,bj->bi", axes, along)
    # Shortened as a whole: cut off by component it might no longer lead uphill.
    step *= np.minimum(1.0, _LONGEST_STEP / np.maximum(np.abs(step).max(axis=1), 1e-300))[:, None]
    return np.asarray(step)


def _sizes(model: Model) -> tuple[int, int]:
    """Survival and recall parameters."""
    return int(model.leg.max()) + 1, int(model.node.max()) + 1


def _shares(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = 1 / (1 + np.exp(-logits))
    return np.where(shares > 1 - _EDGE, 1.0, np.where(shares < _EDGE, 0.0, shares))


def _likelihood(
    logits: NDArray[np.float64], sums: NDArray[np.float64], tails: Sequence[Tails], model: Model
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log-likelihood, shape (B,), and its gradient, shape (B, P), at logits (B, P) for counts (B, D)."""
    legs = len(tails)
    survivals, _ = _sizes(model)
    passed, seen, missed = (sums[:, i * legs : (i + 1) * legs] for i in range(3))
    ends = 3 * legs + np.cumsum([0, *map(len, tails)])
    last = [sums[:, begin:end] for begin, end in pairwise(ends)]
    known, at = model.node >= 0, survivals + model.node
    share = 1 / (1 + np.exp(-logits))
    log_share, log_rest = -np.log1p(np.exp(-logits)), -np.log1p(np.exp(logits))
    log_phi = log_share[:, model.leg] * model.power
    phi = np.exp(log_phi)
    recall = np.where(known, share[:, at], 1.0) if known.any() else np.ones_like(phi)
    # χ of each tail of each node, and of what each goes on with.
    chi = [np.ones((len(sums), 1))] * (legs + 1)
    later = [(chi[0], chi[0])] * legs
    for t in range(legs - 1, -1, -1):
        later[t] = chi[t + 1][:, tails[t].unread], chi[t + 1][:, tails[t].read]
        seen_no_more = np.hstack([later[t][0], (1 - recall[:, t, None]) * later[t][1]])
        chi[t] = np.maximum(1 - phi[:, t, None] * (1 - seen_no_more), 1e-300)
    value = (passed * log_phi).sum(axis=1)
    by_log_phi, by_r = passed.copy(), np.zeros_like(phi)
    adjoint = np.zeros_like(chi[0])
    for t in range(legs):
        value = value + (last[t] * np.log(chi[t])).sum(axis=1)
        here = phi[:, t, None] * (adjoint + last[t] / chi[t])
        unread, read = here[:, : len(tails[t].unread)], here[:, len(tails[t].unread) :]
        q = 1 - recall[:, t, None]
        by_log_phi[:, t] -= (unread * (1 - later[t][0])).sum(axis=1) + (read * (1 - q * later[t][1])).sum(axis=1)
        by_r[:, t] = -(read * later[t][1]).sum(axis=1)
        adjoint = np.zeros_like(chi[t + 1])
        adjoint[:, tails[t].unread] += unread
        adjoint[:, tails[t].read] += read * q
    gradient = np.zeros_like(logits)
    by_leg = by_log_phi * model.power * (1 - share[:, model.leg])
    for t in range(legs):
        gradient[:, model.leg[t]] += by_leg[:, t]
        if known[t]:
            j, q = at[t], recall[:, t]
            value = value + seen[:, t] * log_share[:, j] + missed[:, t] * log_rest[:, j]
            gradient[:, j] += seen[:, t] * (1 - q) - missed[:, t] * q + by_r[:, t] * q * (1 - q)
    return value, gradient

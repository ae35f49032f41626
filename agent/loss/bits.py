"""Bits that arrive: over the slots of probe messages, and by which source an output is recognised.

Imports numpy and scipy; the loss of a single run does not need this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.score import Signature
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from scipy.stats import beta, t

if TYPE_CHECKING:
    from hopline.agent.loss.grammar import Slot
    from numpy.typing import NDArray

FOLDS = 5
RESAMPLES = 1000
LEVEL = 0.95
_LEAST_EPSILON = 1e-3
_EXACT = "Clopper-Pearson where nothing was missing or nothing was wrong"


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotBits:
    """What of the messages arrived.

    Attributes:
        total: summed over the slots; its ceiling is the entropy of a message.
        by_slot: each slot alone.
    """

    total: Estimate
    by_slot: Mapping[str, Estimate]


@dataclass(frozen=True, kw_only=True, slots=True)
class Identification:
    """How far an output tells which source it came from.

    Attributes:
        bits: cross-fitted lower bound.
        accuracy: share of outputs whose own source scores highest; a tie counts its share.
        fano: bits that an accuracy of this size needs at least, from Fano's inequality.
    """

    bits: Estimate
    accuracy: Estimate
    fano: float


def binary_entropy(p: float) -> float:
    """h(p) in bits.

    Args:
        p: in [0, 1].
    """
    return 0.0 if p in (0.0, 1.0) else -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def slot_bits(*, k: int, missing: float, wrong: float) -> float:
    """(1 − e)(log2 K − h(s) − s log2(K − 1)): bits of a uniform slot that arrive at least.

    Fano's inequality on the values that were read; never below 0, which it reaches at s = 1 − 1/K.

    Args:
        k: values of the slot, at least 2.
        missing: e, share not read, in [0, 1].
        wrong: s, share wrong among the read, in [0, 1].
    """
    wrong = min(wrong, 1 - 1 / k)  # worse than chance is told as chance
    kept = math.log2(k) - binary_entropy(wrong) - (wrong * math.log2(k - 1) if k > 2 else 0.0)
    return max(0.0, (1 - missing) * kept)


def measure_slots(
    slots: Sequence[Slot],
    sent: Sequence[Mapping[str, str]],
    read: Sequence[Mapping[str, str | None]],
    *,
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> SlotBits:
    """Slot bits of messages and what was read of them, paired by place.

    The share wrong, put into the formula as counted, reads too high by 1 / (2 n ln 2) on average where some but
    not all are wrong (Miller 1955, Madow); that is taken off. The interval is a bootstrap over sources (2.5
    and 97.5 percentiles, 1,000 resamples). A slot where nothing was missing, or nothing was wrong, does not
    vary in the bootstrap: the ends of that share are then those of Clopper-Pearson.

    Args:
        slots: of the grammar.
        sent: slot values of each message.
        read: as `Grammar.read` gives them.
        sources: which source each is of, where some were sent more than once; n counts sources.
        seed: of the resamples.

    Raises:
        ValueError: no messages, or unequal lengths.
    """
    if len(sent) != len(read) or not sent:
        raise ValueError(f"{len(sent)} messages and {len(read)} readings; give one reading for each message")
    _, owner = np.unique(np.arange(len(sent)) if sources is None else np.asarray(sources), return_inverse=True)
    n = int(owner.max()) + 1
    # States, shape (messages, slots): 0 right, 1 missing, 2 wrong; then counted by source.
    states = np.array(
        [[_state(s[slot.name], r.get(slot.name)) for slot in slots] for s, r in zip(sent, read, strict=True)]
    )
    sizes = np.array([len(slot.values) for slot in slots])
    sent_of = np.bincount(owner, minlength=n)
    absent_of, wrong_of = np.zeros((n, len(slots))), np.zeros((n, len(slots)))
    np.add.at(absent_of, owner, states == 1)
    np.add.at(wrong_of, owner, states == 2)
    draws = np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
    drawn = sent_of[draws].sum(axis=1)[:, None]
    missing = absent_of[draws].sum(axis=1) / drawn  # shape (RESAMPLES, slots)
    wrong_read = wrong_of[draws].sum(axis=1) / drawn
    wrong = np.divide(wrong_read, 1 - missing, out=np.zeros_like(missing), where=missing < 1)
    table = _slot_table(sizes, missing, wrong)
    tails = [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2]
    by_slot: dict[str, Estimate] = {}
    values, exact, shifts = [], [], []
    for j, slot in enumerate(slots):
        k = len(slot.values)
        absent, bad = int((states[:, j] == 1).sum()), int((states[:, j] == 2).sum())
        there = len(sent) - absent
        e, s = absent / len(sent), bad / there if there else 0.0
        shift = 1 / (2 * n * math.log(2)) if 0 < bad < there else 0.0
        value = max(0.0, slot_bits(k=k, missing=e, wrong=s) - shift)
        # Resampled shares carry the same excess once more.
        lo, hi = np.percentile(table[:, j], tails) - 2 * shift
        shifts.append(2 * shift)
        if absent == 0 or bad == 0:
            # Neither missing nor wrong: one share bounds both together, and all of it wrong costs most.
            worst = slot_bits(
                k=k,
                missing=_clopper_pearson(0, n)[1] if absent == 0 and bad else e,
                wrong=_clopper_pearson(0, round(n * there / len(sent)))[1] if bad == 0 else s,
            )
            exact.append(value - worst)
            lo = value - math.hypot(value - min(lo, value), value - worst)
        lo, hi = max(0.0, min(float(lo), value)), max(float(hi), value)
        values.append(value)
        by_slot[slot.name] = _slot_estimate(slot.name, value, lo, hi, n, slot.bits)
    total = sum(values)
    lo, hi = (float(x) for x in np.percentile(table.sum(axis=1), tails) - sum(shifts))
    lo = total - math.hypot(max(0.0, total - lo), *exact)
    ceiling = float(np.log2(sizes).sum())
    return SlotBits(
        total=_slot_estimate("total", total, max(0.0, min(lo, total)), max(hi, total), n, ceiling), by_slot=by_slot
    )


def _state(sent: str, read: str | None) -> int:
    if read is None:
        return 1
    return 0 if read == sent else 2


def _slot_table(sizes: NDArray[Any], missing: NDArray[Any], wrong: NDArray[Any]) -> NDArray[Any]:
    """`slot_bits` on arrays."""
    s = np.minimum(wrong, 1 - 1 / sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        h = np.where(s > 0, -s * np.log2(s) - (1 - s) * np.log2(1 - s), 0.0)
    kept: NDArray[Any] = (1 - missing) * (np.log2(sizes) - h - s * np.log2(sizes - 1))
    floored: NDArray[Any] = np.maximum(kept, 0.0)
    return floored


def _clopper_pearson(k: int, n: int) -> tuple[float, float]:
    """Exact two-sided 95% bounds of a share of k in n."""
    if n == 0:
        return 0.0, 1.0
    tail = (1 - LEVEL) / 2
    lo = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
    hi = float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
    return lo, hi


def _slot_estimate(name: str, value: float, lo: float, hi: float, n: int, ceiling: float) -> Estimate:
    return Estimate(
        value=value, lo=lo, hi=hi, n=n, ceiling=ceiling, chance=0.0,
        method=f"Fano bound per slot, Miller-Madow; bootstrap over sources, {_EXACT}",
        at_ceiling=value >= ceiling - 1e-9,
        signature=Signature(metric="slot_bits", settings={"slot": name}, version="1"),
    )  # fmt: skip


def measure_identification(scores: NDArray[Any], *, seed: int = 0) -> Identification:
    """Identification bits of a score matrix.

    N is the size of the pool: the sources, and distractors that might have been sent as well.
    q_i(j) = (1 − ε) softmax_j(s_ij / τ) + ε / N, with τ and ε fitted on the other folds; bits = log2 N + mean
    of log2 q_i(i). The interval is Student's over the sources' terms. If every output scores its own source
    strictly highest, the bits are exactly log2 N and only a lower bound ("≥"): the pool is too easy.

    Args:
        scores: shape (n, N), n at most N, row = output, column = source, the diagonal its own; higher is more alike.
        seed: of the folds.

    Raises:
        ValueError: the matrix has more outputs than sources, under 2 outputs, or a number that is not finite.
    """
    s = np.asarray(scores, dtype=float)
    if s.ndim != 2 or s.shape[0] > s.shape[1] or len(s) < 2:
        raise ValueError(f"the scores have shape {s.shape}; give a row an output of at least 2, and a column a source")
    if not np.isfinite(s).all():
        raise ValueError("a score is not finite; give every pair of output and source a number")
    n, pool = s.shape
    own = np.diag(s)
    others = np.where(np.eye(n, pool, dtype=bool), -np.inf, s)
    best = others.max(axis=1)
    ties = (others == own[:, None]).sum(axis=1)
    hits = np.where(own > best, 1.0, np.where(own == best, 1.0 / (1 + ties), 0.0))
    accuracy = float(hits.mean())
    ceiling = math.log2(pool)
    perfect = bool((own > best).all())
    warnings: tuple[str, ...] = ()
    if perfect:
        terms = np.full(n, ceiling)
        warnings = ("Every output was recognised: the pool is too easy to see more.",)
    else:
        terms = _cross_fitted(s, seed)
    value = float(terms.mean())
    half = float(t.ppf((1 + LEVEL) / 2, n - 1) * terms.std(ddof=1) / math.sqrt(n))
    # Information is never negative: an interval below 0 ends there.
    lo, hi = value - half, max(0.0, min(ceiling, value + half))
    if perfect:
        lo = _fano(_clopper_pearson(n, n)[0], pool)
    if pool < 256:
        warnings += (f"N = {pool}: 256 are needed for a headline.",)
    low, high = _clopper_pearson(round(accuracy * n), n)
    signature = Signature(metric="identification_bits", settings={"folds": str(FOLDS), "N": str(pool)}, version="1")
    return Identification(
        bits=Estimate(
            value=value, lo=lo, hi=max(hi, value), n=n, ceiling=ceiling, chance=0.0,
            method="cross-fitted softmax with a uniform share; Student's interval over sources",
            at_ceiling=perfect, warnings=warnings, signature=signature,
        ),
        accuracy=Estimate(
            value=accuracy, lo=min(low, accuracy), hi=max(high, accuracy), n=n, ceiling=1.0, chance=1 / pool,
            method="own source scores highest; Clopper-Pearson", at_ceiling=perfect,
            signature=Signature(metric="identification_accuracy", settings={"N": str(pool)}, version="1"),
        ),
        fano=_fano(accuracy, pool),
    )  # fmt: skip


def _fano(accuracy: float, n: int) -> float:
    """Least bits of N uniform sources that allow this accuracy."""
    return slot_bits(k=n, missing=0.0, wrong=1 - accuracy)


def _cross_fitted(s: NDArray[Any], seed: int) -> NDArray[Any]:
    """log2 N + log2 q_i(i) of every output, τ and ε from the other folds; shape (n,)."""
    n = len(s)
    spread = float(s.std()) or 1.0
    s = s / spread  # τ is then of the order of 1 whatever the metric
    fold = np.empty(n, dtype=int)
    folds = min(FOLDS, n)
    fold[np.random.default_rng(seed).permutation(n)] = np.arange(n) % folds
    terms = np.empty(n)
    for held in range(folds):
        rest, test = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        inverse, epsilon = _fit(s[rest], rest)
        log_q = log_softmax(s[test] * inverse, axis=1)[np.arange(len(test)), test]
        terms[test] = _mixed(log_q, epsilon, s.shape[1])
    return terms


def _mixed(log_q: NDArray[Any], epsilon: float, n: int) -> NDArray[Any]:
    """log2 N + log2 of the mixture with the uniform distribution."""
    both = np.stack([np.log1p(-epsilon) + log_q, np.full_like(log_q, math.log(epsilon / n))])
    bits: NDArray[Any] = (logsumexp(both, axis=0) + math.log(n)) / math.log(2)
    return bits


def _fit(s: NDArray[Any], own: NDArray[Any]) -> tuple[float, float]:
    """1/τ and ε of the greatest likelihood of the own sources; ε at least 0.001, so that no term is infinite."""
    n = s.shape[1]
    rows = np.arange(len(s))

    def loss(x: NDArray[Any]) -> float:
        log_q = log_softmax(s * math.exp(x[0]), axis=1)[rows, own]
        return -float(_mixed(log_q, _epsilon(x[1]), n).mean())

    starts = ((a, b) for a in (-1.0, 1.5, 4.0) for b in (-3.0, 0.0, 3.0))
    start = min(starts, key=lambda x: loss(np.array(x)))
    found = minimize(loss, np.array(start), method="L-BFGS-B", bounds=((-9.0, 9.0), (-7.0, 12.0)))
    return math.exp(found.x[0]), _epsilon(found.x[1])


def _epsilon(logit: float) -> float:
    """From the line to (0.001, 1)."""
    return _LEAST_EPSILON + (1 - 2 * _LEAST_EPSILON) / (1 + math.exp(-logit))


__all__ = [
    "FOLDS", "LEVEL", "Identification", "SlotBits", "binary_entropy", "measure_identification",
    "measure_slots", "slot_bits",
]  # fmt: skip

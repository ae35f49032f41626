"""Which hop to blame: how many facts were lost first there, its share of the log-retention, what replacing it gains.

The first two add up over the hops: the losses to all facts lost, the shares −ln φ to −ln of what is left.
Imports numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hopline.agent.loss.compare import Comparison, Figures, compare
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.resampling import percentile_interval
from hopline.agent.loss.score import Signature, Unscored

if TYPE_CHECKING:
    from hopline.agent.loss.survival import Leg, Survival
    from numpy.typing import NDArray

NOTHING_LEFT = "nothing was left after a hop: the logarithm of 0 has no value"
NOTHING_LOST = "nothing was lost"


@dataclass(frozen=True, kw_only=True, slots=True)
class LegBlame:
    """What one leg is to blame for.

    Attributes:
        leg: one hop, or a round trip.
        lost: facts expected to be lost first there, of all that the sources said.
        nats: −ln φ.
        part: of the nats of all legs, in [0, 1].
        with_reader: the three hold what its reader missed too, for only φ·r is known.
    """

    leg: Leg
    lost: Estimate | Unscored
    nats: Estimate | Unscored
    part: Estimate | Unscored
    with_reader: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Blame:
    """All legs and their sums.

    Attributes:
        legs: in order.
        lost: facts lost on the legs that are scored.
        nats: −ln of the share left after them.
    """

    legs: tuple[LegBlame, ...]
    lost: Estimate | Unscored
    nats: Estimate | Unscored


def first_absence(seen: NDArray[np.bool_], read: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """The naive hazards: each fact counted as lost at the first node where it was looked for and not seen.

    What readers miss is blamed on the hop before; `measure_survival` does not do that. Here as a control.

    Args:
        seen: shape (facts, nodes); node 0 is the source.
        read: shape (facts, nodes): somebody looked; everywhere by default.

    Returns:
        Shape (nodes − 1,); nan where no fact is left.
    """
    absent = ~seen[:, 1:] if read is None else ~seen[:, 1:] & read[:, 1:]
    gone = np.cumsum(absent, axis=1) > 0
    at_risk = np.hstack([np.ones((len(seen), 1), dtype=bool), ~gone[:, :-1]])
    lost = (gone & at_risk).sum(axis=0)
    hazards = np.full(len(lost), np.nan)
    np.divide(lost, at_risk.sum(axis=0), out=hazards, where=at_risk.any(axis=0))
    return hazards


def repair_gain(before: Figures, after: Figures, *, metric: str = "retention", seed: int = 0) -> Comparison | Unscored:
    """What one hop is to blame for, found by running again with another backend in its place.

    Not additive: two hops may each spoil what the other would have kept. With an oracle in the place it is the
    most that mending this hop can bring.

    Args:
        before: what of each source's facts arrives at the end of the chain, in [0, 1], by source.
        after: the same with the hop replaced; equal hops before it come from the cache (`Agent.replay`).
        metric: for the signature.
        seed: of resamples and flips.

    Returns:
        The paired difference after − before, with its interval over sources.
    """
    return compare(before, after, metric=f"{metric}, one hop replaced", seed=seed)


def measure_blame(survival: Survival) -> Blame:
    """First losses and log-retention shares of each leg, with intervals of the same resamples."""
    scored = [t for t, share in enumerate(survival.survived) if math.isfinite(share)]
    nothing = Unscored(reason="no hop has a hazard")
    if not scored:
        unscored = tuple(_unscored(leg) for leg in survival.legs)
        return Blame(legs=unscored, lost=nothing, nats=nothing)
    phi, draws = survival.survived[scored], survival.resampled[:, scored]
    left, left_drawn = np.cumprod(phi), np.cumprod(draws, axis=1)
    before = np.concatenate([[1.0], left[:-1]])
    before_drawn = np.hstack([np.ones((len(draws), 1)), left_drawn[:, :-1]])
    tell = _Teller(survival=survival, n=_sources(survival))
    total, total_drawn = float(_nats(left[-1:])[0]), _nats(left_drawn[:, -1])
    legs: dict[int, LegBlame] = {}
    for j, t in enumerate(scored):
        leg = survival.legs[t]
        lost = tell.facts(float(before[j] - left[j]), before_drawn[:, j] - left_drawn[:, j], leg, float(before[j]))
        own, own_drawn = float(_nats(phi[j : j + 1])[0]), _nats(draws[:, j])
        if not math.isfinite(total):
            nats: Estimate | Unscored = Unscored(reason=NOTHING_LEFT) if phi[j] == 0 else tell.nats(own, own_drawn, leg)
            part: Estimate | Unscored = Unscored(reason=NOTHING_LEFT)
        else:
            nats = tell.nats(own, own_drawn, leg)
            part = tell.part(own, total, own_drawn, total_drawn) if total else Unscored(reason=NOTHING_LOST)
        legs[t] = LegBlame(leg=leg, lost=lost, nats=nats, part=part, with_reader=leg.product is not None)
    return Blame(
        legs=tuple(legs.get(t) or _unscored(leg) for t, leg in enumerate(survival.legs)),
        lost=tell.facts(float(1 - left[-1]), 1 - left_drawn[:, -1], None, 1.0),
        nats=tell.nats(total, total_drawn, None) if math.isfinite(total) else Unscored(reason=NOTHING_LEFT),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Teller:
    survival: Survival
    n: int

    def facts(self, value: float, draws: NDArray[Any], leg: Leg | None, before: float) -> Estimate:
        lo, hi = percentile_interval(draws)
        share = _share(leg)
        if lo == hi and share is not None and share.lo is not None and share.hi is not None:
            lo, hi = before * share.lo, before * share.hi  # nothing varied: the exact ends of the hazard
        facts = self.survival.facts
        return self._estimate("first losses", "facts", value * facts, lo * facts, hi * facts, ceiling=float(facts))

    def nats(self, value: float, draws: NDArray[Any], leg: Leg | None) -> Estimate:
        share = _share(leg)
        if share is None:
            lo, hi = percentile_interval(draws) if np.isfinite(draws).all() else (None, None)
        elif share.lo is None or share.hi is None or share.hi == 1:
            lo, hi = None, None
        else:
            lo, hi = abs(math.log1p(-share.lo)), -math.log1p(-share.hi)
        return self._estimate("log-retention", "nats", value, lo, hi)

    def part(self, own: float, total: float, owns: NDArray[Any], totals: NDArray[Any]) -> Estimate:
        fine = np.isfinite(totals) & (totals > 0)
        lo, hi = percentile_interval(owns / totals) if fine.all() else (None, None)
        return self._estimate("log-retention share", "", own / total, lo, hi, ceiling=1.0)

    def _estimate(
        self, metric: str, unit: str, value: float, lo: float | None, hi: float | None, ceiling: float | None = None
    ) -> Estimate:
        bounded = lo is not None and hi is not None
        return Estimate(
            value=value,
            lo=min(lo, value) if lo is not None and bounded else None,
            hi=max(hi, value) if hi is not None and bounded else None,
            n=self.n,
            ceiling=ceiling,
            method="from Cormack-Jolly-Seber survival; bootstrap over sources, 95%",
            warnings=() if bounded else ("No interval: in some resamples nothing was left, or nothing lost.",),
            signature=Signature(
                metric=metric,
                settings={**({"unit": unit} if unit else {}), "facts": str(self.survival.facts)},
                version="1",
            ),
        )


def _share(leg: Leg | None) -> Estimate | None:
    """The hazard of a leg; for a product, what it lacks of 1."""
    if leg is None:
        return None
    if isinstance(leg.hazard, Estimate):
        return leg.hazard
    found = leg.product
    return None if found is None else _rest(found)


def _rest(found: Estimate) -> Estimate:
    lo = None if found.hi is None else 1 - found.hi
    hi = None if found.lo is None else 1 - found.lo
    return Estimate(
        value=1 - found.value, lo=lo, hi=hi, n=found.n, method=found.method, signature=found.signature
    )  # fmt: skip


def _sources(survival: Survival) -> int:
    return max(e.n for leg in survival.legs for e in (leg.hazard, leg.product) if isinstance(e, Estimate))


def _unscored(leg: Leg) -> LegBlame:
    why = leg.hazard if isinstance(leg.hazard, Unscored) else Unscored(reason="no hazard")
    return LegBlame(leg=leg, lost=why, nats=why, part=why, with_reader=False)


def _nats(share: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.asarray(np.abs(np.log(share)))

"""The hop that lost it: survival of facts by hop, told apart from what readers missed, over many sources.

A reader misses facts too, so the first node without a fact blames the wrong hop. Imports numpy and
scipy; the loss of a single run does not need this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from hopline.agent.loss.estimate import LEAST_SOURCES, Estimate
from hopline.agent.loss.kaplan_meier import kaplan_meier, last_sightings
from hopline.agent.loss.readings import ReadHop, checked, reader_key, usable
from hopline.agent.loss.recapture import Counts, Fit, Model, count, fit, refit
from hopline.agent.loss.resampling import LEVEL, RESAMPLES, draw_sources, percentile_interval
from hopline.agent.loss.score import Signature, Unscored
from scipy.stats import chi2

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRODUCT_ONLY = "only φ·r is known: its reader reads no node before"
ALL_LOST = "no fact was known to have come this far"
FLAT_ABOVE = 0.05
_METHOD = "Cormack-Jolly-Seber, maximum likelihood"
_BOOTSTRAP = f"bootstrap over sources, {LEVEL:.0%}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leg:
    """One hop, or the hops between two nodes that are read: a round trip.

    Attributes:
        hops: numbers of its hops, from 1.
        tools: of its hops.
        hazard: 1 − φ, the share of the facts alive before it that are dead after it.
        product: φ·r, survival and recall in one; only where no more is known.
        split: why its hops are not told apart; None for one hop.
        last_seen_before: facts last seen at the node before it and looked for after it.
    """

    hops: tuple[int, ...]
    tools: tuple[str, ...]
    hazard: Estimate | Unscored
    product: Estimate | None = None
    split: Unscored | None = None
    last_seen_before: int = 0

    @property
    def kind(self) -> str:
        """`text_to_image + image_captioning`; `4 × translation` where one follows itself."""
        runs = [(tool, len(list(run))) for tool, run in groupby(self.tools)]
        return " + ".join(f"{count} × {tool}" if count > 1 else tool for tool, count in runs)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Survival:
    """How long facts live.

    Attributes:
        legs: in order; every hop is in one.
        recall: r by (modality, reader): the share of facts there that it sees.
        kinds: mean hazard of the legs of one kind.
        curve: Kaplan-Meier share not yet last seen, after each leg that is read. What the readers missed
            at the end of the chain is lost here.
        flat: p of the likelihood-ratio test that all hops have the same hazard.
        half_life: hops until half is lost; only if they have.
        facts: in all histories.
        survived: φ by leg, nan where unscored, φ·r for a product; shape (legs,).
        resampled: the same in each resample, shape (resamples, legs).
    """

    legs: tuple[Leg, ...]
    recall: Mapping[tuple[str, str], Estimate | Unscored]
    kinds: Mapping[str, Estimate | Unscored]
    curve: tuple[Estimate, ...]
    flat: float | Unscored
    half_life: Estimate | Unscored
    facts: int
    survived: NDArray[np.float64] = field(repr=False)
    resampled: NDArray[np.float64] = field(repr=False)


def measure_survival(
    seen: NDArray[np.bool_],
    source: Sequence[Any] | NDArray[Any],
    chain: Sequence[ReadHop],
    *,
    read: NDArray[np.bool_] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Survival:
    """Survival by hop and recall by reader (Cormack-Jolly-Seber, see `recapture`).

    A reader has one recall at all nodes of one modality; two readers of one modality have two. A node
    that is not read, or read by the backend of the hop that leaves it, joins the hops on both sides
    into a round trip. Where the reader of the last node at which anything was seen reads none before it,
    only φ·r is reported. The model has no
    word for a reader that sees what is not there; the guess-corrected retention says how much that is.

    Intervals are 2.5 and 97.5 percentiles of a bootstrap over sources; where every resample gives the
    same hazard of 0 or 1, the other end is Clopper-Pearson's over the sources. The likelihood-ratio test
    takes facts for independent: where those of one source go together it rejects sooner, so that a
    half-life is withheld rather than made up.

    Args:
        seen: shape (facts, nodes): the fact was seen at the node. Node 0 is the source, all True.
        source: of each fact, shape (facts,); any labels.
        chain: the hops; hop k leads from node k − 1 to node k.
        read: shape (facts, nodes): False where nobody looked for this fact, or its object was gone (void).
        resamples: of the bootstrap.
        seed: of the resamples.

    Raises:
        ValueError: shapes that do not fit, no facts, no hops, or a fact not seen at its source.
    """
    seen, read = checked(seen, source, chain, read)
    names, label = np.unique(np.asarray(source), return_inverse=True)
    label = label.reshape(-1)
    nodes, why = usable(seen, read, chain)
    if not nodes:
        return _unread(seen, chain, why, resamples)
    seen, read = seen[:, nodes], read[:, nodes]
    counts, weights = count(seen, read, label), draw_sources(len(names), resamples, seed)
    keys = [reader_key(chain[k - 1]) for k in nodes]
    # Recall is learned from facts sighted later: what is read at the last sighting alone has none.
    end = int(np.flatnonzero(seen.any(axis=0))[-1])
    readers = list(dict.fromkeys(keys[:end]))
    model = Model(
        leg=np.arange(len(nodes)),
        power=np.ones(len(nodes), dtype=int),
        node=np.array([readers.index(key) if key in readers else -1 for key in keys]),
    )
    best = fit(counts, model)
    drawn = refit(counts, model, weights, best)
    tell = _Teller(n=len(names), facts=len(seen))
    ended, at_risk = last_sightings(seen, read, label)
    passed = counts.table[:, : len(nodes)]  # facts by source and leg
    reached = np.hstack([np.bincount(label)[:, None], passed[:, :-1]])
    legs = []
    for t, (first, node) in enumerate(zip([0, *nodes], nodes, strict=False)):
        hops = tuple(range(first + 1, node + 1))
        leg = Leg(hops=hops, tools=_tools(chain, hops), hazard=Unscored(reason=ALL_LOST), split=_split(hops, why))
        leg = replace(leg, last_seen_before=int(ended[:, t].sum()))
        legs.append(_scored(leg, t == end and model.node[t] < 0, best.survival[t], drawn[:, t], reached[:, t], tell))
    curve = _curve(legs, kaplan_meier(ended.sum(axis=0), at_risk.sum(axis=0)),
                   kaplan_meier(weights @ ended, weights @ at_risk), tell)  # fmt: skip
    flat, half_life = _half_life(counts, model, best, legs, weights, tell)
    legs += _rest(nodes[-1], chain, why)
    survived, resampled = np.full(len(legs), np.nan), np.full((resamples, len(legs)), np.nan)
    for t, leg in enumerate(legs):
        if isinstance(leg.hazard, Estimate) or leg.product is not None:
            survived[t], resampled[:, t] = best.survival[t], drawn[:, t]
    return Survival(
        legs=tuple(legs),
        recall=_recall(readers, model, best, drawn, passed, tell),
        kinds=_kinds(legs, survived, resampled, tell),
        curve=curve,
        flat=flat,
        half_life=half_life,
        facts=len(seen),
        survived=survived,
        resampled=resampled,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Teller:
    """Makes estimates of shares."""

    n: int
    facts: int

    def __call__(
        self, metric: str, of: str, value: float, draws: NDArray[Any], *, at_stake: int = 0, how: str = _METHOD
    ) -> Estimate:
        lo, hi = percentile_interval(draws)
        lo, hi, method = min(lo, value), max(hi, value), f"{how}; {_BOOTSTRAP}"
        if lo == hi and value in (0.0, 1.0) and at_stake:
            bound = 1 - ((1 - LEVEL) / 2) ** (1 / at_stake)
            lo, hi = (0.0, bound) if value == 0 else (1 - bound, 1.0)
            method = f"{how}; Clopper-Pearson over sources, {LEVEL:.0%}"
        signature = Signature(metric=metric, settings={"of": of, "facts": str(self.facts)}, version="1")
        return Estimate(value=value, lo=lo, hi=hi, n=self.n, ceiling=1.0, method=method, signature=signature)


def _scored(leg: Leg, product: bool, share: float, shares: NDArray[Any], reached: NDArray[Any], tell: _Teller) -> Leg:
    """The leg with its hazard, or with φ·r only."""
    at_stake = int((reached > 0).sum())
    if not at_stake:
        return leg
    if product:
        told = tell("survival and recall", leg.kind, float(share), shares, at_stake=at_stake)
        return replace(leg, hazard=Unscored(reason=PRODUCT_ONLY), product=told)
    return replace(leg, hazard=tell("hazard", leg.kind, float(1 - share), 1 - shares, at_stake=at_stake))


def _recall(
    readers: Sequence[tuple[str, str]],
    model: Model,
    best: Fit,
    drawn: NDArray[Any],
    passed: NDArray[Any],
    tell: _Teller,
) -> dict[tuple[str, str], Estimate | Unscored]:
    recall: dict[tuple[str, str], Estimate | Unscored] = {}
    for j, key in enumerate(readers):
        at_stake = int(passed[:, model.node == j].any(axis=1).sum())
        share, shares = float(best.recall[j]), drawn[:, len(model.leg) + j]
        recall[key] = (
            tell("recall", key[1], share, shares, at_stake=at_stake) if at_stake else Unscored(reason=ALL_LOST)
        )
    return recall


def _rest(last: int, chain: Sequence[ReadHop], why: Mapping[int, str]) -> list[Leg]:
    """The hops after the last node that is read."""
    hops = tuple(range(last + 1, len(chain) + 1))
    return [Leg(hops=hops, tools=_tools(chain, hops), hazard=Unscored(reason=why[hops[-1]]))] if hops else []


def _unread(seen: NDArray[np.bool_], chain: Sequence[ReadHop], why: Mapping[int, str], resamples: int) -> Survival:
    legs, nothing = _rest(0, chain, why), Unscored(reason="no node is read")
    return Survival(
        legs=tuple(legs),
        recall={},
        kinds={leg.kind: leg.hazard for leg in legs},
        curve=(),
        flat=nothing,
        half_life=nothing,
        facts=len(seen),
        survived=np.full(1, np.nan),
        resampled=np.full((resamples, 1), np.nan),
    )


def _tools(chain: Sequence[ReadHop], hops: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(chain[k - 1].tool for k in hops)


def _split(hops: tuple[int, ...], why: Mapping[int, str]) -> Unscored | None:
    reasons = dict.fromkeys(why[k] for k in hops[:-1])
    return Unscored(reason="; ".join(reasons)) if reasons else None


def _curve(legs: Sequence[Leg], values: NDArray[Any], draws: NDArray[Any], tell: _Teller) -> tuple[Estimate, ...]:
    """With the bootstrap in place of Greenwood's formula, which needs independent facts."""
    return tuple(
        tell("last sightings", leg.kind, float(v), draws[:, t], at_stake=tell.n, how="Kaplan-Meier")
        for t, (leg, v) in enumerate(zip(legs, values, strict=True))
    )


def _kinds(
    legs: Sequence[Leg], survived: NDArray[Any], resampled: NDArray[Any], tell: _Teller
) -> dict[str, Estimate | Unscored]:
    kinds: dict[str, Estimate | Unscored] = {}
    for kind in dict.fromkeys(leg.kind for leg in legs):
        own = [t for t, leg in enumerate(legs) if leg.kind == kind]
        scored = [t for t in own if isinstance(legs[t].hazard, Estimate)]
        if len(scored) < 2:
            kinds[kind] = legs[(scored or own)[0]].hazard
        else:
            value, draws = 1 - survived[scored].mean(), 1 - resampled[:, scored].mean(axis=1)
            kinds[kind] = tell("mean hazard", kind, float(value), draws, at_stake=tell.n)
    return kinds


def _half_life(
    counts: Counts, model: Model, best: Fit, legs: Sequence[Leg], weights: NDArray[Any], tell: _Teller
) -> tuple[float | Unscored, Estimate | Unscored]:
    """p of the test for one hazard of every hop, and the half-life if it is not rejected."""
    scored = [leg for leg in legs if isinstance(leg.hazard, Estimate)]
    if len(scored) < 2:
        few = Unscored(reason="two hops with a hazard are needed to compare them")
        return few, few
    last = model.node < 0
    one = Model(leg=last.astype(int), power=np.where(last, 1, [len(leg.hops) for leg in legs]), node=model.node)
    shared = fit(counts, one)
    ratio = max(0.0, 2 * (best.log_likelihood - shared.log_likelihood))
    p = float(chi2.sf(ratio, len(scored) - 1))
    if p <= FLAT_ABOVE:
        return p, Unscored(reason=f"the hazards are not flat: likelihood ratio {ratio:.1f}, p = {p:.2g}")
    if tell.n < LEAST_SOURCES:
        return p, Unscored(reason=f"{tell.n} sources cannot show flat hazards, {LEAST_SOURCES} are needed")
    survived = float(shared.survival[0])
    if survived in (0.0, 1.0):
        return p, Unscored(reason="nothing was lost" if survived == 1 else "everything was lost at once")
    rates = percentile_interval(-np.log(np.maximum(refit(counts, one, weights, shared)[:, 0], 1e-9)))
    value, closed = math.log(2) / -math.log(survived), rates[0] > 0
    return p, Estimate(
        value=value,
        lo=min(math.log(2) / rates[1], value) if closed else None,
        hi=max(math.log(2) / rates[0], value) if closed else None,
        n=tell.n,
        method=f"{_METHOD}, one hazard for every hop (likelihood ratio p = {p:.2f}); {_BOOTSTRAP}",
        warnings=() if closed else ("No interval: some resamples lost nothing.",),
        signature=Signature(metric="half-life", settings={"unit": "hops", "facts": str(tell.facts)}, version="1"),
    )

"""Survival by hop and recall by reader on chains whose hazards and readers are planted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hopline.agent.loss.blame import first_absence
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.readings import READER_IS_NEXT_HOP, ReadHop
from hopline.agent.loss.score import Unscored
from hopline.agent.loss.survival import Survival, measure_survival
from numpy.random import Generator
from numpy.typing import NDArray

from proving.row import Row

SOURCES, FACTS_EACH = 200, 5
HAZARDS = (0.05, 0.20, 0.30, 0.10, 0.05, 0.15, 0.25, 0.10)
"""Planted, two generations of speaking, hearing, drawing and captioning."""
BAR = 0.02
_HOP = (
    ReadHop(tool="text_to_speech", backend="voice", modality="audio", reader="second recogniser"),
    ReadHop(tool="speech_to_text", backend="recogniser", modality="text", reader="english/1"),
    ReadHop(tool="text_to_image", backend="pencil", modality="image", reader="second captioner"),
    ReadHop(tool="image_captioning", backend="captioner", modality="text", reader="english/1"),
)
CHAIN = _HOP * 2


def rows(full: bool) -> Iterator[Row]:
    """All rows; without `full` with fewer repeats."""
    for missed in (0.0, 0.1, 0.2):
        yield _hop_of_loss(missed, repeats=100 if full else 10, resamples=200 if full else 0)
    yield _same_backend(repeats=100 if full else 10)


def histories(draw: Generator, hazards: Sequence[float], recalls: Sequence[float]) -> NDArray[Any]:
    """Seen and not seen, shape (1000, hops + 1): facts that die by hop, readers that miss."""
    facts = SOURCES * FACTS_EACH
    alive = np.ones(facts, dtype=bool)
    columns = [alive]
    for hazard, recall in zip(hazards, recalls, strict=True):
        alive = alive & (draw.random(facts) >= hazard)
        columns.append(alive & (draw.random(facts) < recall))
    return np.array(columns).T


def _source() -> NDArray[Any]:
    return np.repeat(np.arange(SOURCES), FACTS_EACH)


def _hazards(survival: Survival) -> list[float]:
    return [leg.hazard.value if isinstance(leg.hazard, Estimate) else float("nan") for leg in survival.legs]


def _hop_of_loss(missed: float, repeats: int, resamples: int) -> Row:
    found, naive, missing, inside = [], [], [], []
    for repeat in range(repeats):
        draw = np.random.default_rng((repeat, int(100 * missed), 31))
        seen = histories(draw, HAZARDS, [1 - missed] * len(HAZARDS))
        survival = measure_survival(seen, _source(), CHAIN, resamples=resamples or 20, seed=repeat)
        found.append(_hazards(survival))
        naive.append(first_absence(seen))
        missing.append([1 - r.value if isinstance(r, Estimate) else float("nan") for r in survival.recall.values()])
        inside += [_covers(leg.hazard, h) for leg, h in zip(survival.legs, HAZARDS, strict=True)]
    worst = float(np.abs(np.mean(found, axis=0) - HAZARDS).max())
    worst_naive = float(np.abs(np.nanmean(naive, axis=0) - HAZARDS).max())
    worst_reader = float(np.abs(np.mean(missing, axis=0) - missed).max())
    return Row(
        test=f"hop of loss, readers miss {missed:.0%}, N = {SOURCES * FACTS_EACH} facts, {repeats} repeats",
        bar=f"mean hazard of every hop and miss rate of every reader within {BAR}"
        + ("; the naive first-absence rule fails that" if missed else ""),
        measured=f"hazard off by {worst:.3f} at most, miss rate by {worst_reader:.3f}, naive hazard by"
        f" {worst_naive:.3f}" + (f"; intervals hold the planted hazard {np.mean(inside):.1%}" if resamples else ""),
        met=worst <= BAR and worst_reader <= BAR and (not missed or worst_naive > BAR),
    )


def _covers(hazard: Estimate | Unscored, planted: float) -> bool:
    if not isinstance(hazard, Estimate) or hazard.lo is None or hazard.hi is None:
        return False
    return hazard.lo <= planted <= hazard.hi


def _same_backend(repeats: int) -> Row:
    """The captioner of the next hop as reader of the pictures, and then a second one that misses 10%."""
    own = [replace(hop, reader="captioner") if hop.modality == "image" else hop for hop in CHAIN]
    trips, splits, found, naive = [], 0, [], []
    for repeat in range(repeats):
        draw = np.random.default_rng((repeat, 37))
        seen = histories(draw, HAZARDS, [0.9] * len(HAZARDS))
        # The hop's own backend sees in the picture what it will say of it: the next node's reading.
        circular = seen.copy()
        circular[:, [3, 7]] = seen[:, [4, 8]]
        alone = measure_survival(circular, _source(), own, resamples=20)
        joined = {leg.hops: leg for leg in alone.legs if len(leg.hops) > 1}
        splits += set(joined) != {(3, 4), (7, 8)}
        splits += any(leg.split is None or leg.split.reason != READER_IS_NEXT_HOP for leg in joined.values())
        trips.append([leg.hazard.value for leg in joined.values() if isinstance(leg.hazard, Estimate)])
        found.append(_hazards(measure_survival(seen, _source(), CHAIN, resamples=20)))
        naive.append(_hazards(measure_survival(circular, _source(), CHAIN, resamples=20)))
    planted_trips = [1 - (1 - HAZARDS[k]) * (1 - HAZARDS[k + 1]) for k in (2, 6)]
    worst_trip = float(np.abs(np.mean(trips, axis=0) - planted_trips).max())
    worst = float(np.abs(np.mean(found, axis=0) - HAZARDS).max())
    worst_naive = float(np.abs(np.mean(naive, axis=0) - HAZARDS).max())
    return Row(
        test=f"same backend as probe and next hop, {repeats} repeats",
        bar=f"no split of blame; with a second, planted reader every mean hazard within {BAR}",
        measured=f"{splits} splits, round trips off by {worst_trip:.3f}; with the second reader hazards off by"
        f" {worst:.3f} (taking the hop's own backend for a reader: {worst_naive:.3f})",
        met=splits == 0 and worst <= BAR and worst_trip <= BAR,
    )

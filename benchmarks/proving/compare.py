"""Comparisons of two chains, shuffled pairings and paraphrases, on what is planted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from hopline.agent.loss.chance import derangements, measure_retention
from hopline.agent.loss.compare import Comparison, compare, sign_flip
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.extraction import English
from hopline.agent.loss.facts import align
from hopline.agent.loss.paraphrase import paraphrase
from hopline.agent.loss.planted import planted
from hopline.agent.loss.score import Score
from hopline.agent.loss.text import ChrF, Cosine
from hopline.tools.encoder import Encoder
from numpy.random import Generator
from numpy.typing import NDArray

from proving.row import Row

FACTS = 4
RETENTION = 0.7
SPREAD = 0.2
"""Standard deviation over sources of how well a source fares on any chain."""
DIFFERENCE = -0.10


def rows(full: bool) -> Iterator[Row]:
    """All rows; without `full` with fewer repeats."""
    yield _type_one(5000 if full else 2000)
    yield _power(1000 if full else 200)
    yield _shuffled(1000 if full else 100)
    yield _paraphrases(4 if full else 1)


def retentions(draw: Generator, n: int, difference: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Shares kept by two chains of the same n sources, 4 facts each; easy sources are easy for both."""
    ease = np.clip(draw.normal(RETENTION, SPREAD, size=n), 0.1, 1.0)
    one = draw.binomial(FACTS, ease) / FACTS
    other = draw.binomial(FACTS, np.clip(ease + difference, 0.0, 1.0)) / FACTS
    return one, other


def _type_one(repeats: int) -> Row:
    rejected = []
    for repeat in range(repeats):
        one, other = retentions(np.random.default_rng((repeat, 41)), 60, 0.0)
        rejected.append(sign_flip(other - one, flips=1999, seed=repeat)[0] <= 0.05)
    rate = float(np.mean(rejected))
    return Row(
        test=f"paired comparison, no difference, N = 60, {repeats} repeats",
        bar="type I error 0.02 to 0.08",
        measured=f"{rate:.3f}",
        met=0.02 <= rate <= 0.08,
    )


def _power(repeats: int) -> Row:
    found, spreads, covered = [], [], []
    for repeat in range(repeats):
        one, other = retentions(np.random.default_rng((repeat, 43)), 120, DIFFERENCE)
        result = compare(
            dict(enumerate(one)), dict(enumerate(other)), metric="retention", resamples=500, flips=1999, seed=repeat
        )
        assert isinstance(result, Comparison)
        estimate = result.difference
        assert estimate.lo is not None
        assert estimate.hi is not None
        found.append(result.p <= 0.05 and estimate.value < 0)
        spreads.append(result.sd or 0.0)
        covered.append(estimate.lo <= DIFFERENCE <= estimate.hi)
    return Row(
        test=f"paired comparison, {100 * DIFFERENCE:.0f} points, N = 120, {repeats} repeats",
        bar="power ≥ 0.9",
        measured=f"{np.mean(found):.3f}; differences spread by {np.mean(spreads):.3f}, intervals hold"
        f" {DIFFERENCE} {np.mean(covered):.1%} of the times",
        met=bool(np.mean(found) >= 0.9),
    )


def _shuffled(repeats: int) -> Row:
    """Outputs that say all, given to other sources: what is kept is chance, by the extractor of facts."""
    extractor = English()
    texts = [case.source for case in planted(3, 53)][:60]
    facts = [extractor.facts(text) for text in texts]
    kept = np.array([[align(f, g).count("kept") for g in facts] for f in facts])
    sizes = np.array([len(f) for f in facts])
    inside, raw, corrected = [], [], []
    for repeat in range(repeats):
        pairings = derangements(len(texts), 21, seed=repeat)
        own, *others = ([kept[i, j] for i, j in enumerate(order)] for order in pairings)
        found = measure_retention(own, sizes, np.mean(others, axis=0), seed=repeat)
        assert isinstance(found, Estimate)
        assert found.lo is not None
        assert found.hi is not None
        inside.append(found.lo <= 0.0 <= found.hi)
        raw.append(np.sum(own) / sizes.sum())
        corrected.append(found.value)
    return Row(
        test=f"shuffled pairing, {len(texts)} texts, {repeats} repeats",
        bar="retention' within its interval of 0 (a 95% interval, so 0.88 to 1.0 of the times)",
        measured=f"{np.mean(inside):.3f} of the times, {np.mean(corrected):+.4f} on average;"
        f" not corrected {np.mean(raw):.3f}",
        met=bool(np.mean(inside) >= 0.88),
    )


def _paraphrases(each: int) -> Row:
    extractor = English()
    sources = [case.source for case in planted(each, 1001)]
    pairs = [(text, other) for k, text in enumerate(sources) if (other := paraphrase(text, k)) != text]
    fates = [fate.status for a, b in pairs for fate in align(extractor.facts(a), extractor.facts(b)).fates]
    lost = 1 - fates.count("kept") / len(fates)
    dropped, figures = True, []
    for metric, ceiling in ((ChrF(), 100.0), (Cosine(Encoder()), 1.0)):
        scored = [metric(a, b) for a, b in pairs]
        values = [s.value for s in scored if isinstance(s, Score)]
        mean = float(np.mean(values)) if values else float("nan")
        dropped &= len(values) == len(pairs) and mean < ceiling
        figures.append(f"{metric.name} {mean:.3f}")
    return Row(
        test=f"paraphrases that keep every fact, {len(pairs)} texts",
        bar="fact loss ≤ 3% while cosine and chrF drop",
        measured=f"fact loss {lost:.2%} of {len(fates)}, {', '.join(figures)}",
        met=lost <= 0.03 and dropped,
    )

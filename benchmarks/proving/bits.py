"""Bits on channels whose true information is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from hopline.agent.loss.bits import measure_identification, measure_slots, slot_bits
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.grammar import PICTURE, SPEECH, Slot
from hopline.agent.loss.processing import check_processing
from numpy.random import Generator
from numpy.typing import NDArray

from proving.row import Row

CHANNELS = ((0.3, 0.0), (0.0, 0.3), (0.2, 0.2))
"""Shares erased and, among the others, replaced by a wrong source."""
SLOTS_SOURCES = 48


def rows(full: bool) -> Iterator[Row]:
    """All rows; without `full` with fewer repeats."""
    for n in (64, 256):
        for erased, replaced in CHANNELS:
            yield _channel(n, erased, replaced, repeats=60 if full or n == 64 else 20)
    yield _chance((64, 128, 256, 512, 1024) if full else (64, 256), repeats=20 if full else 8)
    yield _identity((64, 256, 1024) if full else (64, 256))
    yield _formula()
    yield _slots(2000 if full else 300)
    yield _processing(400 if full else 100)
    yield _shuffled(100 if full else 20)


def channel_scores(draw: Generator, n: int, erased: float, replaced: float) -> NDArray[Any]:
    """Scores of an erasure and substitution channel, shape (n, n): 1 for the source that came out, else 0."""
    scores = np.zeros((n, n))
    out = np.where(draw.random(n) < replaced, (np.arange(n) + draw.integers(1, n, size=n)) % n, np.arange(n))
    alive = np.flatnonzero(draw.random(n) >= erased)
    scores[alive, out[alive]] = 1.0
    return scores


def _channel(n: int, erased: float, replaced: float, repeats: int) -> Row:
    true = slot_bits(k=n, missing=erased, wrong=replaced)
    found, widths, parametric = [], [], []
    for repeat in range(repeats):
        draw = np.random.default_rng((n, int(100 * erased), int(100 * replaced), repeat))
        scores = channel_scores(draw, n, erased, replaced)
        bits = measure_identification(scores, seed=repeat).bits
        assert bits.lo is not None
        assert bits.hi is not None
        found.append((bits.value, bits.lo, bits.hi))
        widths.append(bits.hi - bits.lo)
        parametric.append(_parametric_width(scores, draw))
    table = np.array(found)
    bias = float(table[:, 0].mean() - true)
    coverage = float(((table[:, 1] <= true) & (true <= table[:, 2])).mean())
    ratio = float(np.median(widths) / np.median(parametric))
    return Row(
        test=f"erasure {erased:.0%} and substitution {replaced:.0%}, N = {n}, {repeats} repeats",
        bar="bias ≤ 0.10 bits, coverage 0.88 to 1.0, median width ≤ 1.5 × the parametric bootstrap's",
        measured=f"true {true:.3f}, bias {bias:+.3f}, coverage {coverage:.2f}, width ratio {ratio:.2f}",
        met=abs(bias) <= 0.10 and 0.88 <= coverage <= 1.0 and ratio <= 1.5,
    )


def _parametric_width(scores: NDArray[Any], draw: Generator, resamples: int = 400) -> float:
    """Width of the 95% interval of someone who knows the family of the channel and fits its two shares."""
    n = len(scores)
    alive = scores.any(axis=1)
    wrong = alive & (scores.argmax(axis=1) != np.arange(n))
    erased = 1 - draw.binomial(n, alive.mean(), size=resamples) / n
    share = wrong.sum() / max(1, alive.sum())
    replaced = [draw.binomial(m, share) / m for m in (n * (1 - erased)).round().astype(int)]
    bits = [slot_bits(k=n, missing=float(e), wrong=float(s)) for e, s in zip(erased, replaced, strict=True)]
    lo, hi = np.percentile(bits, (2.5, 97.5))
    return float(hi - lo)


def _chance(sizes: tuple[int, ...], repeats: int) -> Row:
    worst, least_rank = 0.0, math.inf
    for n in sizes:
        draw = np.random.default_rng((n, 7))
        bits, ranks = [], []
        for repeat in range(repeats if n <= 256 else max(4, repeats // 5)):
            scores = draw.normal(size=(n, n))
            bits.append(measure_identification(scores, seed=repeat).bits.value)
            rank = 1 + (scores > np.diag(scores)[:, None]).sum(axis=1)
            ranks.append(math.log2(n) - float(np.log2(rank).mean()))
        worst = max(worst, *(abs(b) for b in bits))
        least_rank = min(least_rank, float(np.mean(ranks)))
    return Row(
        test=f"chance scores, N = {', '.join(map(str, sizes))}",
        bar="|bits| ≤ 0.10 each time; the control log2 N − mean log2 rank reads > 1.2",
        measured=f"largest |bits| {worst:.3f}; the control reads {least_rank:.2f} or more",
        met=worst <= 0.10 and least_rank > 1.2,
    )


def _identity(sizes: tuple[int, ...]) -> Row:
    found = {n: measure_identification(np.eye(n)).bits for n in sizes}
    return Row(
        test="identity channel",
        bar="exactly log2 N, at_ceiling",
        measured=", ".join(f"N = {n}: {e.value:g}{' at ceiling' if e.at_ceiling else ''}" for n, e in found.items()),
        met=all(e.value == math.log2(n) and e.at_ceiling for n, e in found.items()),
    )


def _formula() -> Row:
    gap, wrong = slot_bits(k=8, missing=0.3, wrong=0.0), slot_bits(k=8, missing=0.0, wrong=0.3)
    return Row(
        test="slot formula, K = 8, 30% missing and 30% wrong",
        bar="2.100 and 1.277 to 1e-3",
        measured=f"{gap:.4f} and {wrong:.4f}",
        met=abs(gap - 2.100) <= 1e-3 and abs(wrong - 1.277) <= 1e-3,
    )


def _read(draw: Generator, slots: tuple[Slot, ...], sent: dict[str, str], e: float, s: float) -> dict[str, str | None]:
    """A reading through a channel that loses a share e and makes a share s of the others wrong."""
    read: dict[str, str | None] = {}
    for slot in slots:
        others = [value for value in slot.values if value != sent[slot.name]]
        value: str | None = sent[slot.name] if draw.random() >= s else others[draw.integers(len(others))]
        read[slot.name] = value if draw.random() >= e else None
    return read


def _slots(channels: int) -> Row:
    slots = SPEECH.slots
    over, excess = 0, []
    for channel in range(channels):
        draw = np.random.default_rng((channel, 11))
        e, s = draw.uniform(0, 0.5, size=2)
        sent = [dict(m.values) for m in SPEECH.messages(SLOTS_SOURCES, seed=channel)]
        read = [_read(draw, slots, values, e, s) for values in sent]
        true = sum(slot_bits(k=len(slot.values), missing=e, wrong=s) for slot in slots)
        got = measure_slots(slots, sent, read, seed=channel).total
        assert got.lo is not None
        excess.append(got.value - true)
        over += got.value - true > 2 * (got.value - got.lo) / 1.96
    share, mean = over / channels, float(np.mean(excess))
    return Row(
        test=f"slot bits on {channels} channels, {SLOTS_SOURCES} messages of {SPEECH.bits:.1f} bits",
        bar="≤ 5% exceed the true value by more than 2 standard errors; mean excess ≤ 0.15 bits over the slots",
        measured=f"{share:.1%} exceed; mean excess {mean:+.3f} bits",
        met=share <= 0.05 and mean <= 0.15,
    )


def _chain(draw: Generator, slots: tuple[Slot, ...], sources: int, leak: bool) -> list[Estimate]:
    """Slot bits of four nodes: each hop drops 15% of the slots, each reader 10%; the last hop may see the source."""
    sent = [dict(m.values) for m in PICTURE.messages(sources, seed=int(draw.integers(2**31)))]
    alive = np.ones((sources, len(slots)), dtype=bool)
    nodes = []
    for node in range(4):
        alive &= draw.random(alive.shape) >= 0.15
        there = draw.random(alive.shape) >= 0.15 if leak and node == 3 else alive
        seen = there & (draw.random(alive.shape) >= 0.10)
        read = [
            {slot.name: values[slot.name] if seen[i, j] else None for j, slot in enumerate(slots)}
            for i, values in enumerate(sent)
        ]
        nodes.append(measure_slots(slots, sent, read, seed=node).total)
    return nodes


def _processing(chains: int) -> Row:
    def flagged(leak: bool) -> float:
        found = (_chain(np.random.default_rng((i, 13)), PICTURE.slots, 120, leak) for i in range(chains))
        return float(np.mean([bool(check_processing(nodes).rises) for nodes in found]))

    false, caught = flagged(False), flagged(True)
    return Row(
        test=f"data-processing check, {chains} chains of 4 nodes, 120 sources",
        bar="false flags ≤ 5%; a planted leak flagged ≥ 95%",
        measured=f"false flags {false:.1%}; leak flagged {caught:.1%}",
        met=false <= 0.05 and caught >= 0.95,
    )


def _shuffled(repeats: int) -> Row:
    """Outputs paired with other sources: nothing arrives, whatever the outputs hold."""
    inside_slots, inside_bits = [], []
    for repeat in range(repeats):
        draw = np.random.default_rng((repeat, 17))
        sent = [dict(m.values) for m in SPEECH.messages(120, seed=repeat)]
        order = draw.permutation(120)
        slots = measure_slots(SPEECH.slots, sent, [dict(sent[i]) for i in order], seed=repeat).total
        inside_slots.append(slots.lo == 0.0)
        scores = channel_scores(draw, 120, 0.1, 0.1)[order]
        bits = measure_identification(scores, seed=repeat).bits
        assert bits.lo is not None
        assert bits.hi is not None
        inside_bits.append(bits.lo <= 0.0 <= bits.hi)
    return Row(
        test=f"shuffled pairing, {repeats} repeats",
        bar="bits within their interval of 0",
        measured=f"slot bits {np.mean(inside_slots):.0%}, identification bits {np.mean(inside_bits):.0%} of the times",
        met=bool(np.mean(inside_slots) >= 0.95 and np.mean(inside_bits) >= 0.95),
    )

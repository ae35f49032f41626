"""The telephone game on real tools: messages of known entropy through speech, and through pictures."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pictograms
from hopline.agent.experiments.experiment import run_experiment
from hopline.agent.experiments.figures import Analysis
from hopline.agent.experiments.spec import experiment_from
from hopline.agent.hops.journal import Journal
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.grammar import PICTURE, PICTURE_SEED, SPEECH, SPEECH_SEED

from proving.row import Row

NOISE_SEED = 7_041
"""Seed of the noise, set before the first run."""


def rows(full: bool) -> Iterator[Row]:
    """Speech with noise, and pictures in a closed loop."""
    with tempfile.TemporaryDirectory() as home, Journal(Path(home)) as journal:
        yield _speech(journal) if full else _short_speech(journal)
        yield _pictures(journal, *((200, 3) if full else (30, 2)))
    if full:
        yield _across_styles()


def _run(journal: Journal, grammar: str, count: int, chains: Sequence[dict[str, Any]]) -> Analysis:
    experiment = experiment_from(
        {"name": grammar, "sources": {"grammar": grammar, "count": count}, "chains": chains, "seed": NOISE_SEED}
    )
    return run_experiment(experiment, journal=journal).analysis


def _speech_chains(generations: int, *snr: int) -> list[dict[str, Any]]:
    noisy = "text_to_speech | noise(snr_db={snr}) | speech_to_text"
    return [
        {"name": "clean", "chain": "text_to_speech | speech_to_text", "generations": generations},
        {"name": "{snr} dB", "chain": noisy, "generations": generations, "factors": {"snr": list(snr)}},
    ]


def _bits(analysis: Analysis, chain: str, part: str = "all") -> list[Estimate]:
    """Slot bits of each generation."""
    last: dict[int, Estimate] = {}
    for node in analysis.nodes:
        found = analysis.of(node, "slot_bits", part)
        if node.chain == chain and isinstance(found, Estimate):
            last[node.generation] = found
    return list(last.values())


def _speech(journal: Journal) -> Row:
    analysis = _run(journal, "speech", 48, _speech_chains(3, 10, 0))
    names = ("clean", "10 dB", "0 dB")
    last = [_bits(analysis, name)[-1] for name in names]
    disjoint = all(a.lo is not None and b.hi is not None and a.lo > b.hi for a, b in pairwise(last))
    falls = not any(analysis.chains[name].rises for name in names)
    return Row(
        test=f"speech loop, 48 probes of {SPEECH.bits:.1f} bits, generations 1 to 3, seeds {SPEECH_SEED}, {NOISE_SEED}",
        bar="bits fall with noise and hops; at the last generation clean ≥ 18, 0 dB ≤ half of clean, "
        "the intervals disjoint",
        measured="; ".join(f"{name}: {', '.join(map(str, _bits(analysis, name)))}" for name in names),
        met=falls and disjoint and last[0].value >= 18 and last[2].value <= last[0].value / 2,
        known="clean and 10 dB are 2 bits apart, which 48 probes do not part; the rest of the bar holds"
        if falls and last[0].value >= 18 and last[2].value <= last[0].value / 2
        else "",
    )


def _short_speech(journal: Journal) -> Row:
    analysis = _run(journal, "speech", 20, _speech_chains(1, 0))
    clean, noisy = (_bits(analysis, name)[-1] for name in ("clean", "0 dB"))
    return Row(
        test=f"speech loop in short, 20 probes of {SPEECH.bits:.1f} bits, one generation",
        bar="clean ≥ 18, 0 dB below it (the whole bar needs the full size)",
        measured=f"clean: {clean}; 0 dB: {noisy}",
        met=clean.value >= 18 and noisy.value < clean.value,
    )


def _pictures(journal: Journal, count: int, generations: int) -> Row:
    chain = {"name": "pictures", "chain": "text_to_image | image_captioning", "generations": generations}
    analysis = _run(journal, "picture", count, [chain])
    parts = {slot.name: _bits(analysis, "pictures", slot.name)[-1] for slot in PICTURE.slots}
    told = ", ".join(f"{name} {estimate.value:.2f}" for name, estimate in parts.items())
    return Row(
        test=f"picture loop, closed, {count} probes of {PICTURE.bits:.1f} bits, generations 1 to {generations}, "
        f"seed {PICTURE_SEED}",
        bar="slot bits with intervals, by slot type; no rise from generation to generation",
        measured=f"{', '.join(map(str, _bits(analysis, 'pictures')))}; last generation by slot: {told}",
        met=not analysis.chains["pictures"].rises,
    )


def _across_styles() -> Row:
    """The same reader on pictures it has no exemplars of: what the closed loop flatters."""
    bar = 0.55
    try:
        found = pictograms.across_styles()
    except (OSError, subprocess.SubprocessError) as error:
        found, why = {}, f"their pictures are fetched from packages by npm: {type(error).__name__}"
    else:
        why = "the reader knows shapes of one style"
    told = [f"{style}: {got['top1']:.3f} of {got['n']} things" for style, got in found.items()]
    return Row(
        test="pictures of other styles, beside the closed loop",
        bar=f"first guess right ≥ {bar:.2f}",
        measured="; ".join(told) or "no other style is here",
        met=bool(found) and min(got["top1"] for got in found.values()) >= bar,
        known=why,
    )

"""The telephone game on real tools: messages of known entropy through speech, and through pictures."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from hopline.agent import Agent
from hopline.agent.loss.bits import SlotBits, measure_slots
from hopline.agent.loss.grammar import PICTURE, PICTURE_SEED, SPEECH, SPEECH_SEED, Grammar, Message
from hopline.agent.loss.processing import check_processing
from hopline.tools.artifact import TEXT
from hopline.tools.function import Audio, tool
from hopline.tools.media import decode_audio, encode_wav

from proving.row import Row

NOISE_SEED = 7_041
"""Seed of the noise, set before the first run; message and generation are added to it."""


@tool
def noise(audio: Audio, snr_db: float = 0.0, noise_seed: int = NOISE_SEED) -> Audio:
    """Adds white noise to a recording, at a ratio of signal to noise in dB."""
    samples, rate, _ = decode_audio(audio)
    power = float(np.mean(np.square(samples, dtype=np.float64))) / 10 ** (snr_db / 10)
    hiss = np.random.default_rng(noise_seed).normal(scale=power**0.5, size=samples.shape)
    return encode_wav(np.clip(samples + hiss, -1, 1).astype(np.float32), rate)


def rows(full: bool) -> Iterator[Row]:
    """Speech with noise, and pictures in a closed loop."""
    with tempfile.TemporaryDirectory() as home, Agent.from_profile("offline", tools=[noise], home=Path(home)) as agent:
        yield _speech(agent, 48, 3, (None, 10, 0)) if full else _short_speech(agent)
        yield _pictures(agent, *((200, 3) if full else (30, 2)))


def play(
    agent: Agent, grammar: Grammar, messages: Sequence[Message], link: Callable[[int, int], str], generations: int
) -> list[SlotBits]:
    """Slot bits of each generation; each generation begins and ends with text.

    Args:
        agent: runs the chains.
        grammar: of the messages.
        messages: what is sent.
        link: the chain of one generation, by numbers of message and generation from 0.
        generations: how often a message goes round.
    """
    read: list[list[dict[str, str | None]]] = [[] for _ in range(generations)]
    for number, message in enumerate(messages):
        links = [link(number, generation) for generation in range(generations)]
        run = agent.run(message.text, chain=" | ".join(links))
        ends = np.cumsum([one.count("|") + 1 for one in links])
        # A chain that broke ("no speech") leaves nothing to read in all that follows.
        said = {hop.step: ref for hop in run.hops for ref in hop.output_list if ref.modality == TEXT}
        steps = [step.id for step in run.plan.steps] if run.plan else []
        for generation, end in enumerate(ends):
            ref = said.get(steps[end - 1]) if end <= len(steps) else None
            read[generation].append(grammar.read(run.read(ref).text if ref else ""))
    return [measure_slots(grammar.slots, [m.values for m in messages], seen) for seen in read]


def _spoken(snr_db: int | None) -> Callable[[int, int], str]:
    def link(message: int, generation: int) -> str:
        seed = NOISE_SEED + 100 * message + generation
        hiss = f" | noise(snr_db={snr_db}, noise_seed={seed})" if snr_db is not None else ""
        return f"text_to_speech{hiss} | speech_to_text"

    return link


def _name(snr_db: int | None) -> str:
    return "clean" if snr_db is None else f"{snr_db} dB"


def _speech(agent: Agent, count: int, generations: int, levels: Sequence[int | None]) -> Row:
    messages = SPEECH.messages(count)
    found = {level: play(agent, SPEECH, messages, _spoken(level), generations) for level in levels}
    last = [found[level][-1].total for level in levels]
    disjoint = all(a.lo is not None and b.hi is not None and a.lo > b.hi for a, b in itertools.pairwise(last))
    falls = all(not check_processing([g.total for g in found[level]]).rises for level in levels)
    clean, worst = last[0].value, last[-1].value
    told = "; ".join(f"{_name(level)}: {', '.join(str(g.total) for g in found[level])}" for level in levels)
    return Row(
        test=f"speech loop, {count} probes of {SPEECH.bits:.1f} bits, generations 1 to {generations}, "
        f"seeds {SPEECH_SEED} and {NOISE_SEED}",
        bar="bits fall with noise and hops; at the last generation clean ≥ 18, 0 dB ≤ half of clean, "
        "the intervals disjoint",
        measured=told,
        met=falls and disjoint and clean >= 18 and worst <= clean / 2,
    )


def _short_speech(agent: Agent) -> Row:
    messages = SPEECH.messages(20)
    clean, noisy = (play(agent, SPEECH, messages, _spoken(level), 1)[0].total for level in (None, 0))
    return Row(
        test=f"speech loop in short, {len(messages)} probes of {SPEECH.bits:.1f} bits, one generation",
        bar="clean ≥ 18, 0 dB below it (the whole bar needs the full size)",
        measured=f"clean: {clean}; 0 dB: {noisy}",
        met=clean.value >= 18 and noisy.value < clean.value,
    )


def _pictures(agent: Agent, count: int, generations: int) -> Row:
    found = play(agent, PICTURE, PICTURE.messages(count), lambda *_: "text_to_image | image_captioning", generations)
    slots = ", ".join(f"{name} {estimate.value:.2f}" for name, estimate in found[-1].by_slot.items())
    rises = check_processing([g.total for g in found]).rises
    return Row(
        test=f"picture loop, closed, {count} probes of {PICTURE.bits:.1f} bits, generations 1 to {generations}, "
        f"seed {PICTURE_SEED}",
        bar="slot bits with intervals, by slot type; no rise from generation to generation",
        measured=f"{', '.join(str(g.total) for g in found)}; last generation by slot: {slots}",
        met=not rises,
    )

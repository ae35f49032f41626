"""Where long loops end: texts that no longer change, and pairs that alternate. Imports numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.resampling import LEVEL, draw_sources, percentile_interval
from hopline.agent.loss.score import Signature, Unscored

Kind = Literal["fixed point", "two-cycle"]
KINDS: tuple[Kind, ...] = ("fixed point", "two-cycle")
_LEAST_STATES = {"fixed point": 2, "two-cycle": 3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """What a trajectory settled on.

    Attributes:
        kind: one text again and again, or two in turn.
        generation: the first whose text is of it; 0 is the source.
    """

    kind: Kind
    generation: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Endings:
    """What the trajectories of a chain settled on.

    Attributes:
        shares: of the trajectories that reached each kind, a mean over sources.
        reached: the share that had settled by each generation from 0 on, of either kind.
        median: generation by which half of those that settled had; None if none did.
        distinct: different last texts, over all trajectories.
        trajectories: how many there were.
    """

    shares: Mapping[Kind, Estimate]
    reached: tuple[Estimate, ...]
    median: float | None
    distinct: int
    trajectories: int


def ending(states: Sequence[str]) -> Ending | None:
    """What the last texts of a loop are, or None where they still change.

    A fixed point is the same text in two generations or more up to the last; a two-cycle is two texts in turn,
    the first of which came back. White space is not looked at. Where a hop is not deterministic, a text that
    stayed may still change later.

    Args:
        states: the source, and what was said after each generation.
    """
    texts = [" ".join(state.split()) for state in states]
    for kind, period in zip(KINDS, (1, 2), strict=True):
        begin = len(texts) - period
        while begin > 0 and texts[begin - 1] == texts[begin - 1 + period]:
            begin -= 1
        if len(texts) - begin >= _LEAST_STATES[kind]:
            return Ending(kind=kind, generation=begin)
    return None


def measure_endings(loops: Mapping[str, Sequence[Sequence[str]]]) -> Endings | Unscored:
    """Which trajectories settled, on what, and when.

    Args:
        loops: by source, the states of each of its trajectories, all of one length.

    Returns:
        Shares with a bootstrap over sources; Clopper-Pearson over sources where none or all did.
    """
    loops = {source: own for source, own in loops.items() if own}
    lengths = {len(states) for own in loops.values() for states in own}
    if not loops or max(lengths) < max(_LEAST_STATES.values()):
        return Unscored(reason="fewer than 2 generations")
    found = {source: [ending(states) for states in own] for source, own in loops.items()}
    settled = sorted(e.generation for own in found.values() for e in own if e)

    def share(name: str, wanted: Mapping[str, Sequence[bool]]) -> Estimate:
        return _share(name, np.array([float(np.mean(flags)) for flags in wanted.values()]))

    return Endings(
        shares={
            kind: share(kind, {s: [e is not None and e.kind == kind for e in own] for s, own in found.items()})
            for kind in KINDS
        },
        reached=tuple(
            share("settled", {s: [e is not None and e.generation <= g for e in own] for s, own in found.items()})
            for g in range(max(lengths))
        ),
        median=float(np.median(settled)) if settled else None,
        distinct=len({" ".join(states[-1].split()) for own in loops.values() for states in own}),
        trajectories=sum(map(len, loops.values())),
    )


def _share(name: str, by_source: np.ndarray) -> Estimate:
    n, value = len(by_source), float(by_source.mean())
    lo, hi = percentile_interval(draw_sources(n) @ by_source / n)
    method = f"mean over sources; bootstrap over sources, {LEVEL:.0%}"
    if value in (0.0, 1.0):
        bound = 1 - ((1 - LEVEL) / 2) ** (1 / n)
        lo, hi = (0.0, bound) if value == 0 else (1 - bound, 1.0)
        method = f"mean over sources; Clopper-Pearson over sources, {LEVEL:.0%}"
    return Estimate(
        value=value,
        lo=min(lo, value),
        hi=max(hi, value),
        n=n,
        ceiling=1.0,
        method=method,
        signature=Signature(metric="settled", settings={"on": name}, version="1"),
    )

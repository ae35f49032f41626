"""What was said at each node, what it is measured against, and its facts, each read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from hopline.agent.experiments.corpus import Source
from hopline.agent.experiments.grid import Grid
from hopline.agent.experiments.observing import Node, Observation
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.extraction import Extractor
from hopline.agent.loss.facts import Alignment, Fact, align
from hopline.agent.loss.resampling import LEVEL, draw_sources, percentile_interval
from hopline.agent.loss.score import Signature, Unscored

if TYPE_CHECKING:
    from numpy.typing import NDArray

Encode = Callable[[Sequence[str]], "NDArray[np.float32]"]
"""Sentences to vectors of length 1, shape (texts, d)."""

Tally = Mapping[str, int]
"""How many facts, by type and `all`."""

GIVEN = "the sources"
FIRST_TEXT = "the first text of each chain"


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A trajectory at a node.

    Attributes:
        source: what was sent.
        reference: what the text is measured against.
        text: what was said there; None where the trajectory did not come so far.
    """

    source: Source
    reference: str
    text: str | None

    @property
    def id(self) -> str:
        """Of the source."""
        return self.source.id


class Evidence:
    """The readings of an experiment.

    Texts are measured against the references of the sources. Where no source has one, the first text of a
    trajectory takes its place: what was lost before it is not known.

    Args:
        grid: of the experiment.
        observations: of its trajectories.
        nodes: places with text, chain by chain.
        extractor: reads facts.
        encode: sentences to vectors of length 1, or None; it works beside until a cosine is asked for.

    Attributes:
        counted: what was counted of a measure, a reference and a text: facts that are right, and facts in all.
    """

    def __init__(
        self,
        grid: Grid,
        observations: Sequence[Observation],
        nodes: Sequence[Node],
        extractor: Extractor,
        encode: Encode | None,
    ) -> None:
        self.grid = grid
        self.extractor = extractor
        self.against = GIVEN if any(source.reference for source in grid.corpus.sources) else FIRST_TEXT
        self.asked = any(source.answer for source in grid.corpus.sources)
        self.nodes: dict[str, list[Node]] = {chain.name: [] for chain in grid.experiment.expanded()}
        for node in nodes:
            self.nodes[node.chain].append(node)
        self.observed: dict[str, list[Observation]] = {name: [] for name in self.nodes}
        for observation in observations:
            self.observed[observation.trajectory.chain.name].append(observation)
        self._facts: dict[str, tuple[Fact, ...]] = {}
        self._aligned: dict[tuple[str, str], Alignment] = {}
        self.counted: dict[tuple[str, str, str | None], tuple[Tally, Tally]] = {}
        self._vectors: Future[dict[str, NDArray[np.float32]]] | None = None
        if encode is not None:
            texts = {text for o in observations for text in o.texts.values()}
            texts |= {source.reference for source in grid.corpus.sources if source.reference}
            # Texts of one length side by side: a batch is as wide as its longest.
            ordered = sorted(texts, key=lambda text: (len(text), text))
            encoding = ThreadPoolExecutor(1)
            self._vectors = encoding.submit(lambda: dict(zip(ordered, encode(ordered), strict=True)))
            encoding.shutdown(wait=False)

    @property
    def encoded(self) -> bool:
        """Cosines can be asked for."""
        return self._vectors is not None

    def first(self, chain: str) -> int:
        """Number of the hop whose text is the reference; 0 where the sources have their own."""
        own = self.nodes[chain]
        return own[0].step if self.against == FIRST_TEXT and own else 0

    def reference(self, observation: Observation) -> str | None:
        """What the texts of a trajectory are measured against, None if there is nothing."""
        if self.against == GIVEN:
            return observation.trajectory.source.reference
        return observation.texts.get(self.first(observation.trajectory.chain.name))

    def at(self, node: Node) -> list[Said]:
        """Every trajectory that can be measured at a node, repeat by repeat."""
        if node.step <= self.first(node.chain):
            return []
        found = []
        for o in self.observed[node.chain]:
            reference = self.reference(o)
            if reference is not None:
                found.append(Said(source=o.trajectory.source, reference=reference, text=o.texts.get(node.step)))
        return found

    def ends(self, chain: str) -> list[Node]:
        """The last text node of each generation that is measured."""
        return [node for node in self.nodes[chain] if node.ends and node.step > self.first(chain)]

    def facts(self, text: str) -> tuple[Fact, ...]:
        """Facts of a text."""
        if text not in self._facts:
            self._facts[text] = self.extractor.facts(text)
        return self._facts[text]

    def aligned(self, reference: str, text: str) -> Alignment:
        """Facts of a reference against those of a text."""
        key = (reference, text)
        if key not in self._aligned:
            self._aligned[key] = self.compared(reference, text)
        return self._aligned[key]

    def compared(self, reference: str, text: str) -> Alignment:
        """The same, not kept: for a text of another source, which is looked at once."""
        return align(self.facts(reference), self.facts(text))

    def cosine(self, reference: str, text: str) -> float:
        """Of the two texts' vectors; waits for them."""
        vectors = self._vectors.result() if self._vectors else {}
        return float(vectors[reference] @ vectors[text])


def by_source(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Means over the repeats of each source."""
    grouped: dict[str, list[float]] = {}
    for source, value in values:
        grouped.setdefault(source, []).append(value)
    return {source: float(np.mean(group)) for source, group in grouped.items()}


def mean_over_sources(
    values: Mapping[str, float], signature: Signature, *, ceiling: float | None = None
) -> Estimate | Unscored:
    """Mean over sources with a bootstrap interval."""
    if not values:
        return Unscored(reason="nothing came", signature=signature)
    column = np.array(list(values.values()))
    lo, hi = percentile_interval(draw_sources(len(column)) @ column / len(column))
    value = float(column.mean())
    return Estimate(
        value=value,
        lo=min(lo, value),
        hi=max(hi, value),
        n=len(column),
        ceiling=ceiling,
        method=f"mean over sources; bootstrap over sources, {LEVEL:.0%}",
        signature=signature,
    )

"""What an analysis gives: figures at nodes, along chains and across them, each an Estimate or Unscored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hopline.agent.experiments.observing import Node, Observation
from hopline.agent.loss.blame import Blame
from hopline.agent.loss.compare import Comparison
from hopline.agent.loss.drift import DriftRate
from hopline.agent.loss.endings import Endings
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.facts import Fact
from hopline.agent.loss.processing import Rise
from hopline.agent.loss.score import Unscored
from hopline.agent.loss.shares import Shares
from hopline.agent.loss.survival import Survival


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure at one node of one chain.

    Attributes:
        node: where.
        measure: `slot_bits`, `answers`, `retention`, `precision`, `identification_bits`, `wer`, `chrf`, `cosine`, …
        part: a slot or a type of fact; `all`.
        failures: `left out`, or `lost`: what failed counts as total loss.
        figure: with its interval, or why there is none.
        guessed: g, where the figure is corrected for guessing.
    """

    node: Node
    measure: str
    part: str = "all"
    failures: str = "left out"
    figure: Estimate | Unscored
    guessed: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Two chains by one metric at their last nodes."""

    base: str
    other: str
    metric: str
    comparison: Comparison | Unscored


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossed:
    """Chains that cross factors, by one metric at their last nodes.

    Attributes:
        factors: names.
        levels: of each factor.
        metric: what was measured.
        shares: of the variance between the chains.
        left_out: sources without a figure of every chain.
    """

    factors: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    metric: str
    shares: Shares | Unscored
    left_out: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainFigures:
    """What is said of a chain as a whole.

    Attributes:
        first: hops before the text that the rest is measured against; 0 where the sources have references.
        survival: of facts, hop by hop after `first`.
        blame: of the hops.
        mcd: mean cosine to the source over all generations (MCD of arXiv 2509.04438; higher is better).
        drift: how fast that cosine falls, hop by hop (SDR of the same study).
        endings: fixed points and two-cycles.
        rises: by measure, where bits rose from one generation to a later one, which they cannot; their
            `earlier` and `later` are generations.
    """

    first: int
    survival: Survival | Unscored
    blame: Blame | Unscored
    mcd: Estimate | Unscored
    drift: DriftRate | Unscored
    endings: Endings | Unscored
    rises: Mapping[str, tuple[Rise, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class FactRow:
    """What became of one fact of a source at one node of one trajectory; for the tables."""

    observation: Observation
    step: int
    fact: Fact
    status: str
    became: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """All of it.

    Attributes:
        nodes: text nodes, chain by chain.
        figures: at the nodes.
        chains: by name.
        compared: pairs of chains.
        crossed: chains by their factors.
        facts: every fact at every node.
        floor: by measure, what it reads of paraphrases of the sources, in which nothing is lost.
        again: by chain and measure, what it reads between the repeats of a source after one generation.
        headline: measure of the headline, `slot_bits`, `answers` or `retention`.
        extractor: signature of who read the facts.
        against: `the sources`, or `the first text of each chain` where no source has a reference.
    """

    nodes: tuple[Node, ...]
    figures: tuple[Figure, ...]
    chains: Mapping[str, ChainFigures]
    compared: tuple[Compared, ...]
    crossed: tuple[Crossed, ...]
    facts: tuple[FactRow, ...]
    floor: Mapping[str, Estimate | Unscored]
    again: Mapping[str, Mapping[str, Estimate | Unscored]]
    headline: str
    extractor: str
    against: str
    _by_key: Mapping[tuple[Node, str, str, str], Estimate | Unscored] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        found = {(f.node, f.measure, f.part, f.failures): f.figure for f in reversed(self.figures)}
        object.__setattr__(self, "_by_key", found)

    def last(self, chain: str) -> Node | None:
        """The last text node of a chain."""
        return next((node for node in reversed(self.nodes) if node.chain == chain), None)

    def of(self, node: Node, measure: str, part: str = "all", failures: str = "left out") -> Estimate | Unscored | None:
        """One figure."""
        return self._by_key.get((node, measure, part, failures))

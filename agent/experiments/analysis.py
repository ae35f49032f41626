"""From what was said at each node to figures with intervals: bits, facts, survival, comparisons.

n is always sources: repeats of one source are one source. Each headline is given twice, over the
trajectories that were completed and with what failed counted as lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hopline.agent.experiments.across_chains import compared_chains, crossed_factors
from hopline.agent.experiments.along_chains import chain_figures
from hopline.agent.experiments.at_nodes import again_figures, floor_figures, late_figures, node_figures
from hopline.agent.experiments.evidence import Encode, Evidence
from hopline.agent.experiments.figures import Analysis, FactRow
from hopline.agent.experiments.grid import Grid
from hopline.agent.experiments.observing import Node, Observation, nodes_of
from hopline.agent.loss.extraction import Extractor
from hopline.agent.loss.text import TextMetric


def analyse(
    grid: Grid,
    observations: Sequence[Observation],
    *,
    extractor: Extractor,
    metrics: Iterable[TextMetric],
    encode: Encode | None,
    nodes: Sequence[Node] | None = None,
) -> Analysis:
    """All figures of an experiment.

    Args:
        grid: its grid.
        observations: as `observe` gives them.
        extractor: reads facts.
        metrics: of the field, between a source's reference and what was said.
        encode: sentences to vectors of length 1 for the cosine, or None.
        nodes: places with text, chain by chain; all that the plans make by default.
    """
    nodes = nodes_of(grid) if nodes is None else nodes
    metrics = list(metrics)
    evidence = Evidence(grid, observations, nodes, extractor, encode)
    early = [list(node_figures(evidence, node, metrics)) for node in nodes]
    figures = [f for node, own in zip(nodes, early, strict=True) for f in (*own, *late_figures(evidence, node))]
    return Analysis(
        nodes=tuple(nodes),
        figures=tuple(figures),
        chains={c.name: chain_figures(evidence, c.name, figures) for c in grid.experiment.expanded()},
        compared=tuple(compared_chains(evidence)),
        crossed=tuple(crossed_factors(evidence)),
        facts=tuple(_fact_rows(evidence, nodes)),
        floor=floor_figures(evidence, metrics),
        again={
            c.name: found for c in grid.experiment.expanded() if (found := again_figures(evidence, c.name, metrics))
        },
        headline="slot_bits" if grid.corpus.grammar else "answers" if evidence.asked else "retention",
        extractor=extractor.signature,
        against=evidence.against,
    )


def _fact_rows(evidence: Evidence, nodes: Sequence[Node]) -> Iterable[FactRow]:
    for node in nodes:
        if node.step <= evidence.first(node.chain):
            continue
        for o in evidence.observed[node.chain]:
            reference, text = evidence.reference(o), o.texts.get(node.step)
            if reference is None or text is None:
                continue
            aligned = evidence.aligned(reference, text)
            for fate in aligned.fates:
                became = fate.found.text if fate.found and fate.status == "altered" else ""
                yield FactRow(observation=o, step=node.step, fact=fate.fact, status=fate.status, became=became)
            for fact in aligned.invented:
                yield FactRow(observation=o, step=node.step, fact=fact, status="invented", became="")

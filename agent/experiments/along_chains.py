"""Figures along a chain: survival and blame, the field's drift, where loops end, and bits that rose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hopline.agent.experiments.at_nodes import NO_FACTS
from hopline.agent.experiments.evidence import Evidence, by_source
from hopline.agent.experiments.figures import ChainFigures, Figure
from hopline.agent.experiments.observing import Node
from hopline.agent.loss.blame import measure_blame
from hopline.agent.loss.drift import DriftRate, drift_rate, mean_cumulative_drift
from hopline.agent.loss.endings import Endings, measure_endings
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.processing import Rise, check_processing
from hopline.agent.loss.readings import ReadHop
from hopline.agent.loss.score import Unscored
from hopline.agent.loss.survival import Survival, measure_survival

BITS = ("slot_bits", "identification_bits")
NO_ENCODER = "no encoder, or no cosine was asked for"


def chain_figures(evidence: Evidence, name: str, figures: Sequence[Figure]) -> ChainFigures:
    """What is said of a chain as a whole.

    Args:
        evidence: of the experiment.
        name: of the chain.
        figures: at the nodes of all chains.
    """
    survival = _survival(evidence, name)
    ends = evidence.ends(name)
    mcd, drift = _drift(evidence, ends)
    return ChainFigures(
        first=evidence.first(name),
        survival=survival,
        blame=measure_blame(survival) if isinstance(survival, Survival) else survival,
        mcd=mcd,
        drift=drift,
        endings=_endings(evidence, name, ends),
        rises={measure: found for measure in BITS if (found := _rises(figures, ends, measure))},
    )


def _survival(evidence: Evidence, name: str) -> Survival | Unscored:
    grid, first = evidence.grid, evidence.first(name)
    steps = grid.plans[name].steps
    readable = {node.step for node in evidence.nodes[name]}
    hops = [
        ReadHop(
            tool=step.tool,
            backend=step.backend or step.tool,
            modality=next(iter(grid.makes(step.tool)), "none"),
            reader=evidence.extractor.name if number in readable else None,
        )
        for number, step in enumerate(steps, 1)
    ]
    seen, read, owners = [], [], []
    for o in evidence.observed[name]:
        reference = evidence.reference(o)
        if reference is None:
            continue
        fates = {k: evidence.aligned(reference, text).by_id() for k, text in o.texts.items() if k > first}
        for fact in evidence.facts(reference):
            status = [fates[k][fact.id].status if k in fates else "" for k in range(first + 1, len(steps) + 1)]
            seen.append([True, *(s == "kept" for s in status)])
            read.append([True, *(s not in ("", "void") for s in status)])
            owners.append(o.trajectory.source.id)
    if not seen or first == len(steps):
        return Unscored(reason=NO_FACTS)
    return measure_survival(np.array(seen), owners, hops[first:], read=np.array(read))


def _drift(evidence: Evidence, ends: Sequence[Node]) -> tuple[Estimate | Unscored, DriftRate | Unscored]:
    """MCD over what came, and SDR over the sources of which every generation came."""
    if not evidence.encoded or not ends:
        nothing = Unscored(reason=NO_ENCODER if ends else "no text after the reference")
        return nothing, nothing
    columns = [
        by_source((s.id, evidence.cosine(s.reference, s.text)) for s in evidence.at(node) if s.text is not None)
        for node in ends
    ]
    names = sorted({source for column in columns for source in column})
    table = np.array([[column.get(name, np.nan) for column in columns] for name in names]).reshape(-1, len(ends))
    whole = table[np.isfinite(table).all(axis=1)]
    settings = {"from": "text", "to": "text", "encoder": "the sentence encoder"}
    first = evidence.first(ends[0].chain)
    return mean_cumulative_drift(table, settings=settings), drift_rate(whole, [node.step - first for node in ends])


def _endings(evidence: Evidence, name: str, ends: Sequence[Node]) -> Endings | Unscored:
    loops: dict[str, list[list[str]]] = {}
    for o in evidence.observed[name]:
        reference = evidence.reference(o)
        texts = [o.texts.get(node.step) for node in ends]
        if reference is not None and all(text is not None for text in texts):
            loops.setdefault(o.trajectory.source.id, []).append([reference, *(text or "" for text in texts)])
    return measure_endings(loops)


def _rises(figures: Sequence[Figure], ends: Sequence[Node], measure: str) -> tuple[Rise, ...]:
    """The data-processing check over generations; `earlier` and `later` are generations, from 1."""
    there = {f.node: f.figure for f in figures if (f.measure, f.part, f.failures) == (measure, "all", "left out")}
    told = [(node.generation, found) for node in ends if isinstance(found := there.get(node), Estimate)]
    return tuple(
        replace(rise, earlier=told[rise.earlier][0], later=told[rise.later][0])
        for rise in check_processing([found for _, found in told]).rises
    )

"""Chains against each other on the same sources: paired differences, and factors that were crossed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
from hopline.agent.experiments.at_nodes import NOTHING_CAME, answered
from hopline.agent.experiments.evidence import FIRST_TEXT, Evidence, Said, by_source
from hopline.agent.experiments.figures import Compared, Crossed
from hopline.agent.experiments.spec import Chain
from hopline.agent.loss.compare import compare_all
from hopline.agent.loss.score import Unscored
from hopline.agent.loss.shares import Shares, variance_shares

OTHER_REFERENCES = "without references each chain is measured against its own first text, and these differ"


def compared_chains(evidence: Evidence) -> Iterable[Compared]:
    """Each pair of the experiment, Holm-corrected over its metrics."""
    for base, other in evidence.grid.experiment.pairs():
        one, two = _last(evidence, base), _last(evidence, other)
        if evidence.against == FIRST_TEXT and _references(one) != _references(two):
            for metric in _metrics(evidence):
                yield Compared(base=base, other=other, metric=metric, comparison=Unscored(reason=OTHER_REFERENCES))
            continue
        mine, theirs = _by_metric(evidence, one), _by_metric(evidence, two)
        # None is a figure that is missing: sources that came through one chain only are told as left out.
        for metric, found in compare_all({m: (dict(mine[m]), dict(theirs[m])) for m in mine}).items():
            yield Compared(base=base, other=other, metric=metric, comparison=found)


def crossed_factors(evidence: Evidence) -> Iterable[Crossed]:
    """Shares of the variance for the chains that cross the same factors, as far as the cross is complete."""
    groups: dict[tuple[str, ...], list[Chain]] = {}
    for chain in evidence.grid.experiment.expanded():
        if chain.levels:
            groups.setdefault(tuple(chain.levels), []).append(chain)
    for factors, chains in groups.items():
        cells = {tuple(str(chain.levels[name]) for name in factors): chain.name for chain in chains}
        levels = _crossed_levels(factors, list(cells))
        wanted = list(product(*levels.values()))
        factors_used = tuple(name for name in factors if len(levels[name]) > 1)
        if len(cells) != len(chains) or not set(wanted) <= set(cells) or not factors_used:
            continue
        last = [_last(evidence, cells[cell]) for cell in wanted]
        by_metric = [_by_metric(evidence, said) for said in last]
        everyone = {said.id for cell in last for said in cell}
        shape = tuple(len(levels[name]) for name in factors_used)
        for metric in _metrics(evidence):
            columns = [figures[metric] for figures in by_metric]
            whole = sorted(set.intersection(*(set(column) for column in columns)))
            shares: Shares | Unscored = Unscored(reason=NOTHING_CAME)
            if whole:
                table = np.array([[column[source] for column in columns] for source in whole])
                shares = variance_shares(table.reshape(len(whole), *shape), factors_used, metric=metric)
            yield Crossed(
                factors=factors_used,
                levels={name: levels[name] for name in factors_used},
                metric=metric,
                shares=shares,
                left_out=len(everyone) - len(whole),
            )


def _crossed_levels(factors: Sequence[str], cells: Sequence[tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Levels of which every combination is there: where chains were left out, the level that lacks most goes first."""
    levels = {name: list(dict.fromkeys(cell[axis] for cell in cells)) for axis, name in enumerate(factors)}
    while missing := [cell for cell in product(*levels.values()) if cell not in cells]:
        lacking = Counter((axis, level) for cell in missing for axis, level in enumerate(cell))
        # Of levels that lack as much, one of the factor with more of them.
        axis, level = max(lacking, key=lambda place: (lacking[place], len(levels[factors[place[0]]])))
        levels[factors[axis]].remove(level)
    return {name: tuple(own) for name, own in levels.items()}


def _last(evidence: Evidence, chain: str) -> list[Said]:
    own = evidence.nodes[chain]
    return evidence.at(own[-1]) if own else []


def _references(said: Iterable[Said]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in said:
        found.setdefault(one.id, set()).add(one.reference)
    return found


def _metrics(evidence: Evidence) -> list[str]:
    slots = ["slots right"] if evidence.grid.corpus.grammar else []
    asked = ["answers right"] if evidence.asked else []
    return [*slots, *asked, "facts kept", *(["cosine"] if evidence.encoded else [])]


def _by_metric(evidence: Evidence, last: Sequence[Said]) -> dict[str, dict[str, float]]:
    """Figures of each source at the end of a chain, means over its repeats."""
    found: dict[str, list[tuple[str, float]]] = {metric: [] for metric in _metrics(evidence)}
    grammar = evidence.grid.corpus.grammar
    for said in last:
        if said.text is None:
            continue
        if grammar is not None:
            values, read = said.source.values, grammar.read(said.text)
            found["slots right"].append((said.id, sum(read[s] == v for s, v in values.items()) / len(values)))
        if facts := evidence.facts(said.reference):
            kept = evidence.aligned(said.reference, said.text).count("kept")
            found["facts kept"].append((said.id, kept / len(facts)))
        if evidence.encoded:
            found["cosine"].append((said.id, evidence.cosine(said.reference, said.text)))
    if evidence.asked:
        found["answers right"] = list(answered(said for said in last if said.text is not None))
    return {metric: by_source(pairs) for metric, pairs in found.items()}

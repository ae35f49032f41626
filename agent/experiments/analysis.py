"""From what was said at each node to figures with intervals: bits, facts, survival, comparisons.

n is always sources: repeats of one source are one source. Each headline is given twice, over the
trajectories that were completed and with what failed counted as lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hopline.agent.experiments.grid import Grid
from hopline.agent.experiments.observing import Node, Observation, nodes_of
from hopline.agent.loss.bits import measure_identification, measure_slots
from hopline.agent.loss.blame import Blame, measure_blame
from hopline.agent.loss.chance import derangements, measure_retention
from hopline.agent.loss.compare import Comparison, Figures, compare_all
from hopline.agent.loss.drift import DriftRate, drift_rate
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.extraction import Extractor
from hopline.agent.loss.facts import FACT_TYPES, Alignment, Fact, align
from hopline.agent.loss.processing import Rise, check_processing
from hopline.agent.loss.readings import ReadHop
from hopline.agent.loss.resampling import LEVEL, draw_sources, percentile_interval
from hopline.agent.loss.score import Score, Signature, Unscored
from hopline.agent.loss.survival import Survival, measure_survival
from hopline.agent.loss.text import TextMetric, answers

if TYPE_CHECKING:
    from numpy.typing import NDArray

Encode = Callable[[Sequence[str]], "NDArray[np.float32]"]
"""Sentences to vectors of length 1, shape (texts, d)."""

SHUFFLES = 5
"""Pairings of outputs with other sources, over which guessing is averaged."""
GRAM = 3
"""Characters of the n-grams by which an output is compared with every source."""
NO_REFERENCE = "no source has a reference text"
NO_FACTS = "no source says a fact"


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure at one node of one chain.

    Attributes:
        node: where.
        measure: `slot_bits`, `answers`, `retention`, `precision`, `identification_bits`, `wer`, `chrf`, `cosine`, …
        part: a slot or a type of fact; `all`.
        failures: `left out`, or `lost`: what failed counts as total loss.
        figure: with its interval, or why there is none.
    """

    node: Node
    measure: str
    part: str = "all"
    failures: str = "left out"
    figure: Estimate | Unscored


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Two chains by one metric at their last nodes."""

    base: str
    other: str
    metric: str
    comparison: Comparison | Unscored


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainFigures:
    """What is said of a chain as a whole.

    Attributes:
        survival: of facts, hop by hop.
        blame: of the hops.
        mcd: mean cosine to the source over all generations (MCD of arXiv 2509.04438; higher is better).
        drift: how fast that cosine falls, hop by hop (SDR of the same study).
        rises: where bits rose along the chain, which they cannot.
    """

    survival: Survival | Unscored
    blame: Blame | Unscored
    mcd: Estimate | Unscored
    drift: DriftRate | Unscored
    rises: tuple[Rise, ...]


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
        facts: every fact at every node.
        headline: measure of the headline, `slot_bits`, `answers` or `retention`.
        extractor: signature of who read the facts.
    """

    nodes: tuple[Node, ...]
    figures: tuple[Figure, ...]
    chains: Mapping[str, ChainFigures]
    compared: tuple[Compared, ...]
    facts: tuple[FactRow, ...]
    headline: str
    extractor: str

    def last(self, chain: str) -> Node | None:
        """The last text node of a chain."""
        return next((node for node in reversed(self.nodes) if node.chain == chain), None)

    def of(self, node: Node, measure: str, part: str = "all", failures: str = "left out") -> Estimate | Unscored | None:
        """One figure."""
        for figure in self.figures:
            if (figure.node, figure.measure, figure.part, figure.failures) == (node, measure, part, failures):
                return figure.figure
        return None


def analyse(
    grid: Grid,
    observations: Sequence[Observation],
    *,
    extractor: Extractor,
    metrics: Iterable[TextMetric],
    encode: Encode | None,
) -> Analysis:
    """All figures of an experiment.

    Args:
        grid: its grid.
        observations: as `observe` gives them.
        extractor: reads facts.
        metrics: of the field, between a source's reference and what was said.
        encode: sentences to vectors of length 1 for the cosine, or None.
    """
    study = _Study(grid, observations, extractor, list(metrics), encode)
    nodes = nodes_of(grid)
    figures = [figure for node in nodes for figure in study.figures(node)]
    headline = "slot_bits" if grid.corpus.grammar else "answers" if study.asked else "retention"
    chains = {chain.name: study.chain(chain.name, figures) for chain in grid.experiment.expanded()}
    compared = [
        Compared(base=base, other=other, metric=metric, comparison=found)
        for base, other in grid.experiment.pairs()
        for metric, found in study.compare(base, other).items()
    ]
    return Analysis(
        nodes=tuple(nodes),
        figures=tuple(figures),
        chains=chains,
        compared=tuple(compared),
        facts=tuple(study.fact_rows(nodes)),
        headline=headline,
        extractor=extractor.signature,
    )


class _Study:
    """The readings of an experiment, each made once."""

    def __init__(
        self,
        grid: Grid,
        observations: Sequence[Observation],
        extractor: Extractor,
        metrics: list[TextMetric],
        encode: Encode | None,
    ) -> None:
        self.grid = grid
        self.metrics = metrics
        self.by_chain: dict[str, list[Observation]] = {chain.name: [] for chain in grid.experiment.expanded()}
        for observation in observations:
            self.by_chain[observation.trajectory.chain.name].append(observation)
        self.sources = {s.id: s for s in grid.corpus.sources if s.reference}
        self.asked = any(s.answer for s in self.sources.values())
        self.references = {name: s.reference or "" for name, s in self.sources.items()}
        self.extractor = extractor
        self._facts: dict[str, tuple[Fact, ...]] = {}
        self._aligned: dict[tuple[str, str], Alignment] = {}
        self.vectors: dict[str, NDArray[np.float32]] = {}
        if encode is not None:
            texts = {text for o in observations for text in o.texts.values()} | set(self.references.values())
            ordered = sorted(texts)
            self.vectors = dict(zip(ordered, encode(ordered), strict=True)) if ordered else {}

    # -- readings ----------------------------------------------------------------------------

    def facts(self, text: str) -> tuple[Fact, ...]:
        if text not in self._facts:
            self._facts[text] = self.extractor.facts(text)
        return self._facts[text]

    def aligned(self, source: str, text: str) -> Alignment:
        key = (self.references[source], text)
        if key not in self._aligned:
            self._aligned[key] = align(self.facts(key[0]), self.facts(text))
        return self._aligned[key]

    def at(self, node: Node) -> list[tuple[str, str | None]]:
        """Source and what was said, None where nothing was; sources with a reference, repeat by repeat."""
        return [
            (o.trajectory.source.id, o.texts.get(node.step))
            for o in self.by_chain[node.chain]
            if o.trajectory.source.id in self.sources
        ]

    # -- figures of a node -------------------------------------------------------------------

    def figures(self, node: Node) -> Iterable[Figure]:
        pairs = self.at(node)
        said = [(source, text) for source, text in pairs if text is not None]
        if not pairs:
            yield Figure(node=node, measure="retention", figure=Unscored(reason=NO_REFERENCE))
            return
        yield from self._slots(node, pairs, said)
        if self.asked:
            made = Signature(metric="answers", settings={"right": "its words are said"}, version="1")
            for failures, chosen in (("left out", said), ("lost", pairs)):
                share = _mean(_by_source(self._answered(chosen)), made, ceiling=1.0)
                yield Figure(node=node, measure="answers", failures=failures, figure=share)
        yield from self._retention(node, pairs, said)
        if said:
            yield self._identification(node, said)
        for metric in self.metrics:
            yield Figure(node=node, measure=metric.name, figure=self._scores(metric, said))
        if self.vectors:
            cosines = _by_source([(s, self._cosine(s, text)) for s, text in said])
            signature = Signature(metric="cosine", settings={"with": "the sentence encoder"}, version="1")
            yield Figure(node=node, measure="cosine", figure=_mean(cosines, signature, ceiling=1.0))

    def _answered(self, chosen: Iterable[tuple[str, str | None]]) -> Iterable[tuple[str, float]]:
        """1 for each source whose answer is in what was said, 0 for each other."""
        return ((source, float(answers(self.sources[source].answer, text or ""))) for source, text in chosen)

    def _slots(self, node: Node, pairs: list[tuple[str, str | None]], said: list[tuple[str, str]]) -> Iterable[Figure]:
        grammar = self.grid.corpus.grammar
        if grammar is None:
            return
        for failures, chosen in (("left out", said), ("lost", pairs)):
            if not chosen:
                yield Figure(node=node, measure="slot_bits", failures=failures, figure=Unscored(reason="nothing came"))
                continue
            found = measure_slots(
                grammar.slots,
                [self.sources[source].values for source, _ in chosen],
                [grammar.read(text or "") for _, text in chosen],
                sources=[source for source, _ in chosen],
            )
            yield Figure(node=node, measure="slot_bits", failures=failures, figure=found.total)
            for slot, figure in found.by_slot.items():
                yield Figure(node=node, measure="slot_bits", part=slot, failures=failures, figure=figure)

    def _retention(
        self, node: Node, pairs: list[tuple[str, str | None]], said: list[tuple[str, str]]
    ) -> Iterable[Figure]:
        for failures, chosen in (("left out", said), ("lost", pairs)):
            counts = self._counts(chosen)
            for part in ("all", *FACT_TYPES):
                kept, facts, guessed = counts.get(part, ([], [], []))
                if part != "all" and not sum(facts):
                    continue
                found: Estimate | Unscored = Unscored(reason=NO_FACTS)
                if sum(facts):
                    found = measure_retention(kept, facts, guessed)
                yield Figure(node=node, measure="retention", part=part, failures=failures, figure=found)
        invented = [(s, len(self.aligned(s, text).invented), len(self.facts(text))) for s, text in said]
        ratio = _ratio(invented, Signature(metric="precision", settings={"facts": self.extractor.signature}))
        yield Figure(node=node, measure="precision", figure=ratio)

    def _counts(self, chosen: Sequence[tuple[str, str | None]]) -> dict[str, tuple[list[float], ...]]:
        """Kept, facts and guessed by source, means over its repeats, by type of fact."""
        texts: dict[str, list[str | None]] = {}
        for source, text in chosen:
            texts.setdefault(source, []).append(text)
        names = sorted(texts)
        orders = list(derangements(len(names), SHUFFLES)) if len(names) > 1 else []
        counts: dict[str, tuple[list[float], list[float], list[float]]] = {}
        for i, name in enumerate(names):
            own = [self._kept(name, text) for text in texts[name]]
            other = [self._kept(name, text) for order in orders for text in texts[names[order[i]]]]
            facts = self.facts(self.references[name])
            for part in ("all", *FACT_TYPES):
                kept, total, guessed = counts.setdefault(part, ([], [], []))
                kept.append(_average(own, part))
                total.append(float(sum(part in ("all", fact.type) for fact in facts)))
                guessed.append(_average(other, part))
        return {part: tuple(lists) for part, lists in counts.items()}

    def _kept(self, source: str, text: str | None) -> dict[str, int]:
        counts: dict[str, int] = {"all": 0}
        if text is not None:
            for fate in self.aligned(source, text).fates:
                if fate.status == "kept":
                    counts["all"] += 1
                    counts[fate.fact.type] = counts.get(fate.fact.type, 0) + 1
        return counts

    def _identification(self, node: Node, said: list[tuple[str, str]]) -> Figure:
        first = dict(reversed(said))  # one output of each source: its first repeat
        names = sorted(first)
        if len(names) < 2:
            found: Estimate | Unscored = Unscored(reason="one source cannot be mistaken")
        else:
            pool = [*(self.references[n] for n in names), *self.grid.corpus.distractors]
            scores = _grams([first[n] for n in names]) @ _grams(pool).T
            found = measure_identification(scores).bits
        return Figure(node=node, measure="identification_bits", figure=found)

    def _scores(self, metric: TextMetric, said: list[tuple[str, str]]) -> Estimate | Unscored:
        scored = [(source, metric(self.references[source], text)) for source, text in said]
        values = [(source, score.value) for source, score in scored if isinstance(score, Score)]
        signature = next((score.signature for _, score in scored if score.signature), None)
        if not values or signature is None:
            reason = next((s.reason for _, s in scored if isinstance(s, Unscored)), "nothing came")
            return Unscored(reason=reason)
        return _mean(_by_source(values), signature)

    def _cosine(self, source: str, text: str) -> float:
        return float(self.vectors[self.references[source]] @ self.vectors[text])

    # -- whole chains ------------------------------------------------------------------------

    def chain(self, name: str, figures: Sequence[Figure]) -> ChainFigures:
        survival = self._survival(name)
        blame = measure_blame(survival) if isinstance(survival, Survival) else survival
        ends = [n for n in nodes_of(self.grid) if n.chain == name and n.ends]
        totals = [
            f.figure
            for f in figures
            if f.node in ends and f.measure == "slot_bits" and f.part == "all" and f.failures == "left out"
        ]
        rises = check_processing([t for t in totals if isinstance(t, Estimate)]).rises
        return ChainFigures(survival=survival, blame=blame, mcd=self._mcd(ends), drift=self._drift(ends), rises=rises)

    def _mcd(self, ends: Sequence[Node]) -> Estimate | Unscored:
        if not self.vectors:
            return Unscored(reason="no encoder")
        generations: dict[str, list[float]] = {}
        for node in ends:
            for source, text in self.at(node):
                if text is not None:
                    generations.setdefault(source, []).append(self._cosine(source, text))
        settings = {"generations": str(len(ends))}
        signature = Signature(metric="mcd", settings=settings, version="1")
        return _mean({s: float(np.mean(v)) for s, v in generations.items()}, signature, ceiling=1.0)

    def _drift(self, ends: Sequence[Node]) -> DriftRate | Unscored:
        if not self.vectors:
            return Unscored(reason="no encoder")
        found = [
            _by_source((s, self._cosine(s, text)) for s, text in self.at(node) if text is not None) for node in ends
        ]
        whole = [source for source in self.sources if all(source in column for column in found)]
        table = np.array([[column[source] for column in found] for source in whole]).reshape(len(whole), len(ends))
        return drift_rate(table, [node.step for node in ends])

    def _survival(self, name: str) -> Survival | Unscored:
        steps = self.grid.plans[name].steps
        text_steps = {node.step for node in nodes_of(self.grid) if node.chain == name}
        hops = [
            ReadHop(
                tool=step.tool,
                backend=step.backend or step.tool,
                modality=self.grid.makes(step.tool)[0] if self.grid.makes(step.tool) else "none",
                reader=self.extractor.name if number in text_steps else None,
            )
            for number, step in enumerate(steps, 1)
        ]
        seen, read, owners = [], [], []
        for o in self.by_chain[name]:
            source = o.trajectory.source.id
            if source not in self.sources:
                continue
            fates = {k: self.aligned(source, text).by_id() for k, text in o.texts.items()}
            for fact in self.facts(self.references[source]):
                status = [fates[k][fact.id].status if k in fates else "" for k in range(1, len(steps) + 1)]
                seen.append([True, *(s == "kept" for s in status)])
                read.append([True, *(s not in ("", "void") for s in status)])
                owners.append(source)
        if not seen:
            return Unscored(reason=NO_FACTS)
        return measure_survival(np.array(seen), owners, hops, read=np.array(read))

    # -- two chains --------------------------------------------------------------------------

    def compare(self, base: str, other: str) -> dict[str, Comparison | Unscored]:
        one, two = self._by_metric(base), self._by_metric(other)
        return compare_all({metric: (one[metric], two[metric]) for metric in one if metric in two})

    def _by_metric(self, name: str) -> dict[str, Figures]:
        """Figures of each source at the chain's last text node, means over its repeats."""
        node = next((n for n in reversed(nodes_of(self.grid)) if n.chain == name), None)
        if node is None:
            return {}
        said = [(source, text) for source, text in self.at(node) if text is not None]
        grammar = self.grid.corpus.grammar
        found: dict[str, Figures] = {}
        if grammar is not None:
            right = []
            for source, text in said:
                values, read = self.sources[source].values, grammar.read(text)
                right.append((source, sum(read[s] == v for s, v in values.items()) / len(values)))
            found["slots right"] = _by_source(right)
        if self.asked:
            found["answers right"] = _by_source(self._answered(said))
        with_facts = [(s, t) for s, t in said if self.facts(self.references[s])]
        kept = [(s, self._kept(s, t)["all"] / len(self.facts(self.references[s]))) for s, t in with_facts]
        found["facts kept"] = _by_source(kept)
        if self.vectors:
            found["cosine"] = _by_source([(s, self._cosine(s, t)) for s, t in said])
        return found

    # -- tables ------------------------------------------------------------------------------

    def fact_rows(self, nodes: Sequence[Node]) -> Iterable[FactRow]:
        for node in nodes:
            for o in self.by_chain[node.chain]:
                source, text = o.trajectory.source.id, o.texts.get(node.step)
                if source not in self.sources or text is None:
                    continue
                alignment = self.aligned(source, text)
                for fate in alignment.fates:
                    became = fate.found.text if fate.found and fate.status == "altered" else ""
                    yield FactRow(observation=o, step=node.step, fact=fate.fact, status=fate.status, became=became)
                for fact in alignment.invented:
                    yield FactRow(observation=o, step=node.step, fact=fact, status="invented", became="")


def _average(counts: Sequence[Mapping[str, int]], part: str) -> float:
    return float(np.mean([c.get(part, 0) for c in counts])) if counts else 0.0


def _by_source(values: Iterable[tuple[str, float]]) -> dict[Any, float]:
    """Means over the repeats of each source."""
    grouped: dict[str, list[float]] = {}
    for source, value in values:
        grouped.setdefault(source, []).append(value)
    return {source: float(np.mean(group)) for source, group in grouped.items()}


def _mean(values: Mapping[str, float], signature: Signature, *, ceiling: float | None = None) -> Estimate | Unscored:
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


def _ratio(counts: Sequence[tuple[str, int, int]], signature: Signature) -> Estimate | Unscored:
    """1 − the sum of the first counts divided by the sum of the second, by source."""
    table: dict[str, NDArray[np.float64]] = {}
    for source, part, whole in counts:
        table[source] = table.get(source, np.zeros(2)) + np.array([part, whole], float)
    rows = np.array(list(table.values())).reshape(-1, 2)
    if not rows[:, 1].sum():
        return Unscored(reason="nothing that was said holds a fact", signature=signature)
    sums = draw_sources(len(rows)) @ rows
    sums = sums[sums[:, 1] > 0]
    lo, hi = percentile_interval(1 - sums[:, 0] / sums[:, 1])
    value = float(1 - rows[:, 0].sum() / rows[:, 1].sum())
    return Estimate(
        value=value,
        lo=min(lo, value),
        hi=max(hi, value),
        n=len(rows),
        ceiling=1.0,
        method=f"share of the facts said that the source says; bootstrap over sources, {LEVEL:.0%}",
        signature=signature,
    )


def _grams(texts: Sequence[str]) -> NDArray[np.float64]:
    """Counts of the character n-grams of each text, rows of length 1: shape (texts, 4096)."""
    rows = np.zeros((len(texts), 4096))
    for i, text in enumerate(texts):
        padded = f"  {' '.join(text.lower().split())}  "
        for j in range(len(padded) - GRAM + 1):
            rows[i, _hashed(padded[j : j + GRAM])] += 1
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-9), np.float64)


def _hashed(gram: str) -> int:
    value = 0
    for character in gram:
        value = (value * 1_000_003 + ord(character)) % 4093
    return value

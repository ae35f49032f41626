"""Figures at one node: bits, retention and precision by part, identification, and the field's numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from hopline.agent.experiments.evidence import Evidence, Said, Tally, by_source, mean_over_sources
from hopline.agent.experiments.figures import Figure
from hopline.agent.experiments.observing import Node
from hopline.agent.loss.bits import measure_identification, measure_slots
from hopline.agent.loss.chance import derangements, measure_retention
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.facts import FACT_TYPES, Alignment
from hopline.agent.loss.grammar import Grammar
from hopline.agent.loss.paraphrase import paraphrase
from hopline.agent.loss.score import Score, Signature, Unscored
from hopline.agent.loss.text import TextMetric, answers

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHUFFLES = 5
"""Pairings of outputs with other sources, over which guessing is averaged."""
GRAM = 3
"""Characters of the n-grams by which an output is compared with every source."""
_BUCKETS = 4093
NO_REFERENCE = "no reference"
NOTHING_CAME = "nothing came"
NO_FACTS = "no source says a fact"

_ANSWERS = Signature(metric="answers", settings={"right": "its words are said"}, version="1")


def node_figures(evidence: Evidence, node: Node, metrics: Sequence[TextMetric]) -> Iterable[Figure]:
    """What is said of a node without the sentence encoder.

    Args:
        evidence: of the experiment.
        node: where.
        metrics: of the field, between reference and text.
    """
    everyone = evidence.at(node)
    came = [said for said in everyone if said.text is not None]
    if not everyone:
        yield Figure(node=node, measure="retention", figure=Unscored(reason=NO_REFERENCE))
        return
    completed = list(_both(evidence, node, came, "left out"))
    yield from completed
    if len(came) < len(everyone):
        yield from _both(evidence, node, everyone, "lost")
    else:  # nothing failed: the same figures again
        yield from (replace(figure, failures="lost") for figure in completed if figure.measure != "precision")
    yield _identification(node, came, evidence.grid.corpus.distractors)
    for metric in metrics:
        yield Figure(node=node, measure=metric.name, figure=_scores(metric, came))


def late_figures(evidence: Evidence, node: Node) -> Iterable[Figure]:
    """The rest: the cosine, which has to wait for the encoder, and scores that came with imported results.

    Args:
        evidence: of the experiment.
        node: where.
    """
    everyone = evidence.at(node)
    if not everyone:
        return
    if evidence.encoded:
        cosines = _cosines(evidence, [said for said in everyone if said.text is not None])
        yield Figure(node=node, measure="cosine", figure=cosines)
    yield from _published(evidence, node)


def _both(evidence: Evidence, node: Node, chosen: Sequence[Said], failures: str) -> Iterable[Figure]:
    """The figures that are given twice, over what came and with what failed as lost."""
    grammar = evidence.grid.corpus.grammar
    if grammar is not None:
        yield from _slots(node, grammar, chosen, failures)
    if evidence.asked:
        share = mean_over_sources(by_source(answered(chosen)), _ANSWERS, ceiling=1.0)
        yield Figure(node=node, measure="answers", failures=failures, figure=share)
    yield from _shares_of_facts(evidence, node, chosen, failures)


def floor_figures(evidence: Evidence, metrics: Sequence[TextMetric]) -> dict[str, Estimate | Unscored]:
    """What each measure reads where nothing was lost: a paraphrase that keeps every fact, source by source."""
    pairs = [
        Said(source=source, reference=source.reference, text=paraphrase(source.reference, number))
        for number, source in enumerate(evidence.grid.corpus.sources)
        if source.reference
    ]
    return _without_loss(evidence, pairs, metrics, "paraphrases") if pairs else {}


def answered(chosen: Iterable[Said]) -> Iterable[tuple[str, float]]:
    """1 for each source whose answer is in what was said, 0 for each other."""
    return ((said.id, float(answers(said.source.answer, said.text or ""))) for said in chosen)


def again_figures(evidence: Evidence, chain: str, metrics: Sequence[TextMetric]) -> dict[str, Estimate | Unscored]:
    """What each measure reads between the repeats of a source after one generation: the same hops run again.

    A repeat has another seed, and what is not deterministic is called again; equal texts mean that it is.

    Returns:
        Nothing where there is one repeat.
    """
    ends = evidence.ends(chain)
    first: dict[str, Said] = {}
    pairs = []
    for said in evidence.at(ends[0]) if ends else []:
        if said.text is not None:
            before = first.setdefault(said.id, said)
            if before is not said:
                pairs.append(replace(said, reference=before.text or ""))
    return _without_loss(evidence, pairs, metrics, "repeats") if pairs else {}


def _without_loss(
    evidence: Evidence, pairs: Sequence[Said], metrics: Sequence[TextMetric], what: str
) -> dict[str, Estimate | Unscored]:
    kept = [
        (said.id, _tally(evidence.aligned(said.reference, said.text or ""))["all"] / len(facts))
        for said in pairs
        if (facts := evidence.facts(said.reference))
    ]
    signature = Signature(metric="facts kept", settings={"of": what}, version="1")
    found = {"facts kept": mean_over_sources(by_source(kept), signature, ceiling=1.0)}
    return found | {metric.name: _scores(metric, pairs) for metric in metrics}


def _slots(node: Node, grammar: Grammar, chosen: Sequence[Said], failures: str) -> Iterable[Figure]:
    if not chosen:
        yield Figure(node=node, measure="slot_bits", failures=failures, figure=Unscored(reason=NOTHING_CAME))
        return
    found = measure_slots(
        grammar.slots,
        [said.source.values for said in chosen],
        [grammar.read(said.text or "") for said in chosen],
        sources=[said.id for said in chosen],
    )
    yield Figure(node=node, measure="slot_bits", failures=failures, figure=found.total)
    for slot, figure in found.by_slot.items():
        yield Figure(node=node, measure="slot_bits", part=slot, failures=failures, figure=figure)


def _shares_of_facts(evidence: Evidence, node: Node, chosen: Sequence[Said], failures: str) -> Iterable[Figure]:
    """Retention: facts of the source that arrived. Precision: facts said that the source says. Both by type."""
    grouped: dict[str, list[Said]] = {}
    for said in chosen:
        grouped.setdefault(said.id, []).append(said)
    names = sorted(grouped)
    orders = list(derangements(len(names), SHUFFLES)) if len(names) > 1 else []
    others = {
        name: [(own[k % len(own)], other) for order in orders for k, other in enumerate(grouped[names[order[i]]])]
        for i, name in enumerate(names)
        for own in (grouped[name],)
    }
    for measure in ("retention", "precision"):
        if measure == "precision" and failures == "lost":
            continue  # what failed said nothing that could be wrong
        rows = []
        for name in names:
            own = [_counted(evidence, measure, said.reference, said.text, evidence.aligned) for said in grouped[name]]
            guessed = [
                # Retention: others' texts against its reference. Precision: its texts against others' references.
                _counted(evidence, measure, mine.reference, other.text, evidence.compared)
                if measure == "retention"
                else _counted(evidence, measure, other.reference, mine.text, evidence.compared)
                for mine, other in others[name]
            ]
            rows.append((own, guessed))
        for part in ("all", *FACT_TYPES):
            kept = [_average([right for right, _ in own], part) for own, _ in rows]
            whole = [_average([total for _, total in own], part) for own, _ in rows]
            guesses = [
                # As a share of what could be guessed, so that outputs of another length count the same.
                total * _ratio(guessed, part)
                for total, (_, guessed) in zip(whole, rows, strict=True)
            ]
            if part != "all" and not sum(whole):
                continue
            found: Estimate | Unscored = Unscored(reason=NO_FACTS if chosen else NOTHING_CAME)
            g = None
            if sum(whole):
                found = measure_retention(kept, whole, guesses, metric=measure)
                g = sum(guesses) / sum(whole)
            yield Figure(node=node, measure=measure, part=part, failures=failures, figure=found, guessed=g)


def _counted(
    evidence: Evidence, measure: str, reference: str, text: str | None, compare: Callable[[str, str], Alignment]
) -> tuple[Tally, Tally]:
    """Facts that are right, and facts in all, by type."""
    key = (measure, reference, text)
    if key not in evidence.counted:
        facts = evidence.facts(reference if measure == "retention" else text or "")
        right: Tally = Counter()
        if measure == "precision":
            aligned = compare(reference, text or "")
            wrong = {fact.id for fact in aligned.invented}
            wrong |= {fate.found.id for fate in aligned.fates if fate.found and fate.status == "altered"}
            right = _typed(fact.type for fact in facts if fact.id not in wrong)
        elif text is not None:
            right = _tally(compare(reference, text))
        evidence.counted[key] = right, _typed(fact.type for fact in facts)
    return evidence.counted[key]


def _tally(aligned: Alignment) -> Tally:
    return _typed(fate.fact.type for fate in aligned.fates if fate.status == "kept")


def _typed(types: Iterable[str]) -> Tally:
    counts = Counter(types)
    counts["all"] = counts.total()
    return counts


def _average(counts: Sequence[Tally], part: str) -> float:
    return sum(c[part] for c in counts) / len(counts) if counts else 0.0


def _ratio(pairs: Sequence[tuple[Tally, Tally]], part: str) -> float:
    whole = sum(total[part] for _, total in pairs)
    return sum(right[part] for right, _ in pairs) / whole if whole else 0.0


def _identification(node: Node, came: Sequence[Said], distractors: Sequence[str]) -> Figure:
    first = {said.id: said for said in reversed(came)}  # one output of each source: its first repeat
    found: Estimate | Unscored = Unscored(reason="one source cannot be mistaken" if came else NOTHING_CAME)
    if len(first) > 1:
        ordered = [first[name] for name in sorted(first)]
        pool = [*(said.reference for said in ordered), *distractors]
        scores = _grams([said.text or "" for said in ordered]) @ _grams(pool).T
        found = measure_identification(scores).bits
    return Figure(node=node, measure="identification_bits", figure=found)


def _scores(metric: TextMetric, came: Sequence[Said]) -> Estimate | Unscored:
    scored = [(said.id, metric(said.reference, said.text or "")) for said in came]
    values = [(source, score.value) for source, score in scored if isinstance(score, Score)]
    signature = next((score.signature for _, score in scored if score.signature), None)
    if not values or signature is None:
        return Unscored(reason=next((s.reason for _, s in scored if isinstance(s, Unscored)), NOTHING_CAME))
    return mean_over_sources(by_source(values), signature)


def _cosines(evidence: Evidence, came: Sequence[Said]) -> Estimate | Unscored:
    values = by_source((said.id, evidence.cosine(said.reference, said.text or "")) for said in came)
    signature = Signature(metric="cosine", settings={"with": "the sentence encoder"}, version="1")
    return mean_over_sources(values, signature, ceiling=1.0)


def _published(evidence: Evidence, node: Node) -> Iterable[Figure]:
    """Scores that came with imported results, as they are."""
    values: dict[str, list[tuple[str, float]]] = {}
    for o in evidence.observed[node.chain]:
        for metric, value in o.scores.get(node.step, {}).items():
            values.setdefault(metric, []).append((o.trajectory.source.id, value))
    for metric, pairs in values.items():
        signature = Signature(metric=metric, settings={"by": "the imported study"})
        yield Figure(node=node, measure=metric, figure=mean_over_sources(by_source(pairs), signature))


def _grams(texts: Sequence[str]) -> NDArray[np.float64]:
    """Counts of the character n-grams of each text, rows of length 1: shape (texts, 4093)."""
    rows = np.zeros((len(texts), _BUCKETS))
    for i, text in enumerate(texts):
        for bucket, count in _counts(text).items():
            rows[i, bucket] = count
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-9), np.float64)


@lru_cache(maxsize=100_000)
def _counts(text: str) -> Mapping[int, int]:
    padded = f"  {' '.join(text.lower().split())}  "
    return Counter(_hashed(padded[j : j + GRAM]) for j in range(len(padded) - GRAM + 1))


@lru_cache(maxsize=100_000)
def _hashed(gram: str) -> int:
    value = 0
    for character in gram:
        value = (value * 1_000_003 + ord(character)) % _BUCKETS
    return value

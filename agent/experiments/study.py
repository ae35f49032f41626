"""An experiment that was run, and its tables as rows of text, for every kind of report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hopline.agent.experiments.figures import Analysis
from hopline.agent.experiments.grid import Grid
from hopline.agent.experiments.observing import Observation
from hopline.agent.experiments.shelf import Shelf
from hopline.agent.loss.chance import guess_corrected
from hopline.agent.loss.compare import Comparison
from hopline.agent.loss.drift import DriftRate
from hopline.agent.loss.endings import Endings
from hopline.agent.loss.estimate import LEAST_SOURCES, Estimate
from hopline.agent.loss.processing import Rise
from hopline.agent.loss.score import Unscored
from hopline.agent.loss.shares import Shares
from hopline.agent.loss.survival import Survival
from hopline.agent.views.words import name_of_tool

if TYPE_CHECKING:
    from hopline.agent.experiments.ratings import HumanCheck

WORST = 3
"""Trajectories that are shown whole."""
UNITS = {"slot_bits": "bits", "answers": "share answered right", "retention": "share of the facts"}
HEADLINES = {
    "slot_bits": "bits of the messages that arrive at the last generation",
    "answers": "share of the questions that are answered right",
    "retention": "share of the facts that arrives at the last generation, corrected for guessing",
}
CORRECTED = dict.fromkeys(UNITS, "facts kept, corrected by people") | {"retention": "corrected by people"}
"""What people correct of each headline."""
DIAGNOSTICS = ("precision", "identification_bits", "wer", "mer", "cer", "chrf", "cosine")
"""Shown beside the headline, in this order; scores that came with imported results follow."""

Rows = list[list[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """An experiment that was run, or imported.

    Attributes:
        grid: of the experiment.
        observations: of every trajectory.
        analysis: its figures.
        shelf: the media of its trajectories.
        command: that repeats it.
        versions: of hopline and of what the backends say decides their outputs, by chain link.
        notes: what a reader must know beside the figures, for this study.
        people: what people said of a sample of it, if they were asked.
    """

    grid: Grid
    observations: Sequence[Observation]
    analysis: Analysis
    shelf: Shelf
    command: str
    versions: Mapping[str, Mapping[str, str]]
    notes: Sequence[str] = field(default=())
    people: HumanCheck | None = None

    def _repr_html_(self) -> str:
        from importlib.util import find_spec

        from hopline.agent.experiments.plots import charts
        from hopline.agent.experiments.report import html
        from hopline.agent.views.frame import page_frame

        drawn = charts(self) if find_spec("matplotlib") else []
        return page_frame(html(self, drawn), title=f"experiment {self.grid.experiment.name}", height_px=900)


def shown(found: Estimate | Unscored | None, digits: int = 2) -> str:
    """`19.33 [17.43, 20.14]`, `≥ 21.81 [20.10, 21.81]`, or why there is no figure."""
    if found is None:
        return "–"
    if isinstance(found, Unscored):
        return f"Unscored: {found.reason}"
    interval = ""
    if found.lo is not None and found.hi is not None:
        interval = f" [{rounded(found.lo, digits)}, {rounded(found.hi, digits)}]"
    return f"{'≥ ' if found.at_ceiling else ''}{rounded(found.value, digits)}{interval}"


def rounded(value: float, digits: int = 2) -> str:
    """`−0.30`; nothing is never `−0.00`."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def corrected(study: Study, chain: str) -> Estimate | Unscored | None:
    """What people make of a chain's headline; None where nobody was asked.

    The share of the facts is corrected as it stands, for guessing too, with the machine's guesses. For bits and
    answers, which take more cells than people rate, the share of the facts kept stands in, not corrected for guessing.
    """
    node = study.analysis.last(chain)
    if study.people is None or node is None or chain not in study.people.kept:
        return None
    _, found = study.people.kept[chain]
    headline = study.analysis.of(node, study.analysis.headline)
    if study.analysis.headline != "retention" or isinstance(found, Unscored):
        return found
    if not isinstance(headline, Estimate):
        return headline
    guessed = next(f.guessed or 0.0 for f in study.analysis.figures if (f.node, f.measure) == (node, "retention"))
    lo, hi = (None if end is None else guess_corrected(end, guessed) for end in (found.lo, found.hi))
    return replace(found, value=guess_corrected(found.value, guessed), lo=lo, hi=hi)


def headline_rows(study: Study) -> Rows:
    """Chain, headline over completed trajectories and with failures as loss, ceiling, n; what people make of it."""
    rows = [["chain", UNITS[study.analysis.headline], "failures counted as lost", "ceiling", "sources"]]
    if study.people:
        rows[0] += [CORRECTED[study.analysis.headline], "sources rated"]
    for chain in study.grid.experiment.expanded():
        node = study.analysis.last(chain.name)
        if node is None:
            row = [chain.name, "Unscored: the chain has no text node", "–", "–", "–"]
        else:
            done = study.analysis.of(node, study.analysis.headline)
            all_of = study.analysis.of(node, study.analysis.headline, failures="lost")
            ceiling, n = "–", "–"
            if isinstance(done, Estimate):
                ceiling = f"{done.ceiling:.2f}" if done.ceiling is not None else "–"
                n = str(done.n)
            row = [chain.name, shown(done), shown(all_of), ceiling, n]
        if study.people:
            found = corrected(study, chain.name)
            row += [shown(found), str(found.n) if isinstance(found, Estimate) else "–"]
        rows.append(row)
    return rows


def generation_rows(study: Study) -> Rows:
    """The headline measure and the field's numbers at every text node; last, what they read where nothing is lost."""
    have = list(dict.fromkeys(figure.measure for figure in study.analysis.figures if figure.part == "all"))
    measures = [m for m in dict.fromkeys((study.analysis.headline, "retention", *DIAGNOSTICS, *have)) if m in have]
    rows = [["chain", "generation", "made by", *(m.replace("_", " ") for m in measures)]]
    times = Counter((node.chain, node.generation, node.tool) for node in study.analysis.nodes)
    for node in study.analysis.nodes:
        cells = [shown(study.analysis.of(node, m)) for m in measures]
        # There and back again: which of the two it is, the number of the hop tells.
        hop = f", hop {node.step}" if times[node.chain, node.generation, node.tool] > 1 else ""
        rows.append([node.chain, str(node.generation), f"{name_of_tool(node.tool)}{hop}", *cells])
    floors = [(name, "the same again", found) for name, found in study.analysis.again.items()]
    floors += [("nothing lost", "a paraphrase", study.analysis.floor)] if study.analysis.floor else []
    for name, made, floor in floors:
        cells = [shown(floor.get("facts kept" if m == "retention" else m)) for m in measures]
        rows.append([name, "–", made, *cells])
    return rows


def part_rows(study: Study) -> Rows:
    """Last generation by slot and by type of fact."""
    rows = [["measure", "part", *(chain.name for chain in study.grid.experiment.expanded())]]
    parts = dict.fromkeys(
        (f.measure, f.part) for f in study.analysis.figures if f.part != "all" and f.failures == "left out"
    )
    for measure, part in parts:
        cells = []
        for chain in study.grid.experiment.expanded():
            node = study.analysis.last(chain.name)
            cells.append(shown(study.analysis.of(node, measure, part)) if node else "–")
        rows.append([measure.replace("_", " "), part, *cells])
    return rows


def hop_rows(study: Study) -> Rows:
    """Hazard of each hop or round trip, and its share of the blame."""
    rows = [["chain", "hop", "what", "hazard", "share of the blame"]]
    for name, chain in study.analysis.chains.items():
        if not isinstance(chain.survival, Survival):
            rows.append([name, "–", "–", f"Unscored: {chain.survival.reason}", "–"])
            continue
        parts = [leg.part for leg in chain.blame.legs] if not isinstance(chain.blame, Unscored) else []
        for number, leg in enumerate(chain.survival.legs):
            hazard = shown(leg.hazard)
            if leg.product is not None:
                hazard = f"with what the reader missed: {shown(_less(leg.product))}"
            part = shown(parts[number]) if number < len(parts) else "–"
            first, last = leg.hops[0] + chain.first, leg.hops[-1] + chain.first
            rows.append([name, f"{first}–{last}" if last > first else str(first), leg.kind, hazard, part])
    return rows


def kind_rows(study: Study) -> Rows:
    """Mean hazard of the hops of one kind, and the recall of those who read."""
    rows = [["chain", "kind of hop", "mean hazard"]]
    for name, chain in study.analysis.chains.items():
        if isinstance(chain.survival, Survival):
            rows += [[name, kind, shown(hazard)] for kind, hazard in chain.survival.kinds.items()]
    return rows


def _less(found: Estimate) -> Estimate:
    """1 − an estimate."""
    lo, hi = (None, None) if found.lo is None or found.hi is None else (1 - found.hi, 1 - found.lo)
    return Estimate(value=1 - found.value, lo=lo, hi=hi, n=found.n, method=found.method, signature=found.signature)


def comparison_rows(study: Study) -> Rows:
    """Paired differences, p and Holm's p."""
    rows = [["other − base", "metric", "difference", "p", "Holm's p", "sources"]]
    for pair in study.analysis.compared:
        who, found = f"{pair.other} − {pair.base}", pair.comparison
        if isinstance(found, Comparison):
            numbers = [shown(found.difference, 3), _p(found.p), _p(found.adjusted), str(found.difference.n)]
            rows.append([who, pair.metric, *numbers])
        else:
            rows.append([who, pair.metric, f"Unscored: {found.reason}", "–", "–", "–"])
    return rows


def _p(p: float) -> str:
    return f"{p:.4f}" if p >= 0.0001 else "< 0.0001"


def factor_rows(study: Study) -> Rows:
    """Shares of the variance between chains, factor by factor and for what they do together."""
    rows = [["metric", "effect", "share of the variance between chains", "sources"]]
    for crossed in study.analysis.crossed:
        if len(crossed.factors) == 1:
            continue  # all of it comes from the one factor
        if isinstance(crossed.shares, Unscored):
            rows.append([crossed.metric, " × ".join(crossed.factors), f"Unscored: {crossed.shares.reason}", "–"])
            continue
        for term, share in crossed.shares.terms.items():
            rows.append([crossed.metric, " × ".join(term), shown(share), str(share.n)])
        for (a, b), lead in crossed.shares.lead.items():
            rows.append([crossed.metric, f"{a} less {b}", shown(lead), str(lead.n)])
    return rows


def level_rows(study: Study) -> Rows:
    """What each level of a factor does to the mean of all chains."""
    rows = [["metric", "factor", "level", "above or below the mean of all"]]
    for crossed in study.analysis.crossed:
        if isinstance(crossed.shares, Shares):
            for name, effects in crossed.shares.effects.items():
                for level, effect in zip(crossed.levels[name], effects, strict=True):
                    rows.append([crossed.metric, name, level, shown(effect, 3)])
    return rows


def loop_rows(study: Study) -> Rows:
    """Where loops of two generations or more end, and the field's drift."""
    rows = [
        ["chain", "same text again", "two texts in turn", "half of those by generation", "last texts", "MCD", "SDR"]
    ]
    for name, chain in study.analysis.chains.items():
        ends = ["–"] * 4
        if isinstance(chain.endings, Endings):
            fixed, cycle = chain.endings.shares.values()
            median = chain.endings.median
            distinct = f"{chain.endings.distinct} different of {chain.endings.trajectories}"
            ends = [shown(fixed), shown(cycle), f"{median:g}" if median is not None else "–", distinct]
        rate = chain.drift.b if isinstance(chain.drift, DriftRate) else chain.drift
        rows.append([name, *ends, shown(chain.mcd, 3), shown(rate, 3)])
    return rows


def flow_rows(study: Study) -> Rows:
    """What became of the sources: sent, completed, and each cause by hop."""
    rows = [["chain", "sources", "trajectories", "completed", "Unscored", "not completed, by hop and cause"]]
    for chain in study.grid.experiment.expanded():
        own = [o for o in study.observations if o.trajectory.chain.name == chain.name]
        causes = Counter(
            f"{o.status} at hop {o.failed_step}: {o.problem}" if o.failed_step else f"{o.status}: {o.problem}"
            for o in own
            if o.status != "ok"
        )
        told = "; ".join(f"{count} × {cause}" for cause, count in causes.most_common(6)) or "none"
        if len(causes) > 6:
            told += f"; {sum(causes.values()) - sum(c for _, c in causes.most_common(6))} more"
        sources = {o.trajectory.source.id: o.trajectory.source for o in own}
        bare = sum(source.reference is None for source in sources.values())
        unscored = "none"
        if bare == len(sources) and bare:
            unscored = "what was lost before the first text"
        elif bare:
            unscored = f"{bare} sources: no reference"
        completed = str(sum(o.status == "ok" for o in own))
        rows.append([chain.name, str(len(sources)), str(len(own)), completed, unscored, told])
    return rows


def unscored_rows(study: Study) -> Rows:
    """Every figure that is missing, and why; equal ones together."""
    found: Counter[tuple[str, str, str]] = Counter()
    for figure in study.analysis.figures:
        if isinstance(figure.figure, Unscored):
            found[figure.node.chain, figure.measure.replace("_", " "), figure.figure.reason] += 1
    for name, chain in study.analysis.chains.items():
        whole = {"survival": chain.survival, "mcd": chain.mcd, "sdr": chain.drift, "endings of loops": chain.endings}
        found.update((name, measure, why.reason) for measure, why in whole.items() if isinstance(why, Unscored))
        if isinstance(chain.survival, Survival):
            for leg in chain.survival.legs:
                if isinstance(leg.hazard, Unscored):
                    found[name, f"hazard of {leg.kind}", leg.hazard.reason] += 1
                if leg.split is not None:
                    found[name, f"which hop of {leg.kind}", leg.split.reason] += 1
    for pair in study.analysis.compared:
        if isinstance(pair.comparison, Unscored):
            found[f"{pair.other} − {pair.base}", pair.metric, pair.comparison.reason] += 1
    for crossed in study.analysis.crossed:
        if isinstance(crossed.shares, Unscored):
            found[" × ".join(crossed.factors), crossed.metric, crossed.shares.reason] += 1
    return [
        ["chain", "what", "why", "figures"],
        *([chain, measure, reason, str(count)] for (chain, measure, reason), count in found.items()),
    ]


def worst(study: Study) -> list[Observation]:
    """The trajectories that kept least at their last node, of different sources."""
    lost: dict[int, tuple[float, int]] = {}
    for row in study.analysis.facts:
        last = study.analysis.last(row.observation.trajectory.chain.name)
        if last and row.step == last.step and row.status != "invented":
            kept, total = lost.get(id(row.observation), (0.0, 0))
            lost[id(row.observation)] = (kept + (row.status == "kept"), total + 1)
    by_id = {id(o): o for o in study.observations}
    ranked = sorted(lost, key=lambda i: (lost[i][0] / lost[i][1], place_of(by_id[i])))
    chosen: dict[str, Observation] = {}
    for i in ranked:
        chosen.setdefault(by_id[i].trajectory.source.id, by_id[i])
    return list(chosen.values())[:WORST]


def place_of(observation: Observation) -> tuple[str, str, int]:
    """Chain, source and repeat of a trajectory."""
    trajectory = observation.trajectory
    return trajectory.chain.name, trajectory.source.id, trajectory.repeat


def notes(study: Study) -> list[str]:
    """What a reader must know beside the headline."""
    found = [*study.notes, *(f"{name} was left out: {why}" for name, why in study.grid.left_out.items())]
    for name, chain in study.analysis.chains.items():
        for measure, rises in chain.rises.items():
            found += [f"{name}, {measure.replace('_', ' ')}: {_risen(rise)}." for rise in rises]
    if study.analysis.against != "the sources":
        found.append(
            "No source has a reference text. What the first text of each chain lost is not known; later texts are "
            "measured against it."
        )
    if _closed(study):
        found.append(
            "Closed loop: drawings are read with the exemplars they were drawn from; other pictures are read worse."
        )
    headline = [f for f in study.analysis.figures if f.measure == study.analysis.headline]
    whole = [f.figure for f in headline if f.part == "all" and isinstance(f.figure, Estimate)]
    if any(isinstance(f.figure, Estimate) and f.figure.n < LEAST_SOURCES for f in headline if f.part != "all"):
        found.append(f"Slots and types of facts without an interval are found in fewer than {LEAST_SOURCES} sources.")
    return [*found, *sorted({warning for figure in whole for warning in figure.warnings})]


def _risen(rise: Rise) -> str:
    return (
        f"generation {rise.later} keeps {rise.bits:.2f} bits more than generation {rise.earlier}, which cannot "
        f"be: {rise.reason}"
    )


def _closed(study: Study) -> bool:
    """Some chain draws and reads pictures with the same pictograms."""
    for plan in study.grid.plans.values():
        tools = [step.tool for step in plan.steps]
        if "text_to_image" in tools and "image_captioning" in tools:
            return any("openmoji" in key for found in study.versions.values() for key in found)
    return False

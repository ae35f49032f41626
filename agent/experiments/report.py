"""The report of an experiment: one HTML file that asks nothing of any network, and a Markdown summary."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hopline.agent.experiments.analysis import Analysis, Figure
from hopline.agent.experiments.grid import Grid
from hopline.agent.experiments.observing import Node, Observation
from hopline.agent.experiments.plots import UNITS, generations_svg, hazards_svg, parts_svg
from hopline.agent.hops.journal import Journal
from hopline.agent.loss.compare import Comparison
from hopline.agent.loss.drift import DriftRate
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.score import Unscored
from hopline.agent.loss.survival import Survival
from hopline.agent.views.artifact import artifact_fragment
from hopline.agent.views.frame import page_frame
from hopline.agent.views.gallery import Gallery
from hopline.agent.views.markup import Html, tag
from hopline.agent.views.page import document, section
from hopline.agent.views.words import name_of_tool

WORST = 3
"""Trajectories that are shown whole."""
_EMBEDDED_BYTES = 8_000_000
HEADLINES = {
    "slot_bits": "bits of the messages that arrive at the last generation",
    "answers": "share of the questions that are answered right",
    "retention": "share of the facts that arrives at the last generation, corrected for guessing",
}
DIAGNOSTICS = ("wer", "mer", "cer", "chrf", "cosine", "precision", "identification_bits")
BIBTEX = """@software{hopline,
  title = {hopline: chains of tools across modalities, and what each hop loses},
  year = {2026}
}"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """An experiment that was run.

    Attributes:
        grid: of the experiment.
        observations: of every trajectory.
        analysis: its figures.
        journal: that the runs are in.
        command: that repeats it.
        versions: of hopline and of what the backends say decides their outputs, by chain link.
    """

    grid: Grid
    observations: Sequence[Observation]
    analysis: Analysis
    journal: Journal
    command: str
    versions: Mapping[str, Mapping[str, str]]

    def _repr_html_(self) -> str:
        return page_frame(html(self, plots(self)), title=f"experiment {self.grid.experiment.name}", height_px=900)


Rows = list[list[str]]


def shown(found: Estimate | Unscored | None, digits: int = 2) -> str:
    """`19.33 [17.43, 20.14]`, `≥ 21.81 [20.10, 21.81]`, or why there is no figure."""
    if found is None:
        return "–"
    if isinstance(found, Unscored):
        return f"Unscored: {found.reason}"
    interval = "" if found.lo is None else f" [{found.lo:.{digits}f}, {found.hi:.{digits}f}]"
    return f"{'≥ ' if found.at_ceiling else ''}{found.value:.{digits}f}{interval}"


# -- tables of the report, as text ---------------------------------------------------------------


def headline_rows(study: Study) -> Rows:
    """Chain, headline over completed trajectories and with failures as loss, ceiling, n."""
    rows = [["chain", UNITS[study.analysis.headline], "failures counted as lost", "ceiling", "sources"]]
    for chain in study.grid.experiment.expanded():
        node = study.analysis.last(chain.name)
        if node is None:
            rows.append([chain.name, "Unscored: the chain has no text node", "–", "–", "–"])
            continue
        done = study.analysis.of(node, study.analysis.headline)
        all_of = study.analysis.of(node, study.analysis.headline, failures="lost")
        ceiling, n = "–", "–"
        if isinstance(done, Estimate):
            ceiling = f"{done.ceiling:.2f}" if done.ceiling is not None else "–"
            n = str(done.n)
        rows.append([chain.name, shown(done), shown(all_of), ceiling, n])
    return rows


def generation_rows(study: Study) -> Rows:
    """The headline measure and the field's numbers at every text node."""
    measures = [m for m in (study.analysis.headline, "retention", *DIAGNOSTICS) if _any(study.analysis.figures, m)]
    measures = list(dict.fromkeys(measures))
    rows = [["chain", "generation", "made by", *(m.replace("_", " ") for m in measures)]]
    for node in study.analysis.nodes:
        cells = [shown(study.analysis.of(node, m)) for m in measures]
        rows.append([node.chain, str(node.generation), name_of_tool(node.tool), *cells])
    return rows


def _any(figures: Iterable[Figure], measure: str) -> bool:
    return any(figure.measure == measure for figure in figures)


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
    """Hazard of each hop or round trip, its share of the blame, and the mean cosine over generations."""
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
            rows.append([name, "–".join(map(str, leg.hops)), leg.kind, hazard, part])
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


def flow_rows(study: Study) -> Rows:
    """What became of the sources: sent, completed, and each cause by hop."""
    rows = [["chain", "sources", "trajectories", "completed", "not completed, by hop and cause"]]
    for chain in study.grid.experiment.expanded():
        own = [o for o in study.observations if o.trajectory.chain.name == chain.name]
        causes = Counter(
            f"{o.status} at hop {o.failed_step}: {o.problem}" if o.failed_step else f"{o.status}: {o.problem}"
            for o in own
            if o.status != "ok"
        )
        told = "; ".join(f"{count} × {cause}" for cause, count in causes.most_common(6)) or "none"
        sources = len({o.trajectory.source.id for o in own})
        rows.append([chain.name, str(sources), str(len(own)), str(sum(o.status == "ok" for o in own)), told])
    return rows


def worst(study: Study) -> list[Observation]:
    """The trajectories that kept least at their last node."""
    lost: dict[int, tuple[float, int]] = {}
    for row in study.analysis.facts:
        last = study.analysis.last(row.observation.trajectory.chain.name)
        if last and row.step == last.step and row.status != "invented":
            kept, total = lost.get(id(row.observation), (0.0, 0))
            lost[id(row.observation)] = (kept + (row.status == "kept"), total + 1)
    by_id = {id(o): o for o in study.observations}
    ranked = sorted(lost, key=lambda i: (lost[i][0] / lost[i][1], _place(by_id[i])))
    chosen: dict[str, Observation] = {}
    for i in ranked:
        chosen.setdefault(by_id[i].trajectory.source.id, by_id[i])
    return list(chosen.values())[:WORST]


def _place(observation: Observation) -> tuple[str, str, int]:
    trajectory = observation.trajectory
    return trajectory.chain.name, trajectory.source.id, trajectory.repeat


def methods(study: Study) -> str:
    """A paragraph that can stand in a paper."""
    experiment, corpus = study.grid.experiment, study.grid.corpus
    n = len(corpus.sources)
    sent = f"{n} sources"
    if corpus.grammar:
        sent = f"{n} probe messages of {corpus.grammar.bits:.1f} bits (grammar {corpus.grammar.name}, seed " + (
            f"{experiment.sources.seed if experiment.sources.seed is not None else corpus.grammar.seed})"
        )
    arrow = " → "
    chains = "; ".join(
        f"{c.name}: {f'once {arrow.join(c.before)}, then ' if c.before else ''}{arrow.join(c.links)}, "
        f"{c.generations} generation{'s' if c.generations > 1 else ''}"
        for c in experiment.expanded()
    )
    bits = ""
    if corpus.grammar:
        bits = (
            " Slot bits are the Fano bound (1 − e)(log2 K − h(s) − s log2(K − 1)) of each slot, with e the share not "
            "read and s the share wrong among the read, summed, with the Miller-Madow correction."
        )
    return (
        f"{sent} were sent through {len(experiment.expanded())} chain(s) ({chains}), {experiment.repeats} repeat(s), "
        f"seed {experiment.seed}. Facts were read by {study.analysis.extractor}.{bits} Retention is corrected for "
        "guessing, (r − g) / (1 − g), g the retention against outputs of other sources. Hazards are 1 − φ of a "
        "Cormack-Jolly-Seber model. Intervals are 95%, by bootstrap over sources (1,000 resamples); repeats of a "
        "source count as one source. Chains are compared by source with a sign-flip test, Holm-corrected over metrics."
    )


def latex(rows: Rows) -> str:
    """A table for a paper, booktabs."""
    escaped = [[_tex(cell) for cell in row] for row in rows]
    lines = [" & ".join(row) + r" \\" for row in escaped]
    return "\n".join(
        [rf"\begin{{tabular}}{{{'l' * len(rows[0])}}}", r"\toprule", lines[0], r"\midrule", *lines[1:],
         r"\bottomrule", r"\end{tabular}"]
    )  # fmt: skip


def _tex(cell: str) -> str:
    for character in "\\&%$#_{}":
        cell = cell.replace(character, rf"\{character}" if character != "\\" else r"\textbackslash ")
    return cell.replace("≥", r"$\geq$").replace("−", "$-$").replace("–", "--").replace("→", r"$\to$")


# -- Markdown ------------------------------------------------------------------------------------


def markdown(study: Study) -> str:
    """The summary."""
    experiment = study.grid.experiment
    parts = [
        f"# {experiment.name}",
        f"Headline: {HEADLINES[study.analysis.headline]}.",
        _md(headline_rows(study)),
        "## By generation",
        _md(generation_rows(study)),
        "## By slot and type of fact, last generation",
        _md(part_rows(study)),
        "## Hop by hop",
        _md(hop_rows(study)),
        "## Comparisons",
        _md(comparison_rows(study)) if study.analysis.compared else "One chain: nothing to compare.",
        "## What became of the sources",
        _md(flow_rows(study)),
        "## Methods",
        methods(study),
        f"Repeat it: `{study.command}`",
    ]
    return "\n\n".join([*parts[:3], *notes(study), *parts[3:]]) + "\n"


def _md(rows: Rows) -> str:
    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"

    return "\n".join([line(rows[0]), line(["---"] * len(rows[0])), *map(line, rows[1:])])


def notes(study: Study) -> list[str]:
    """What a reader must know beside the headline."""
    found = [f"{name} was left out: {why}" for name, why in study.grid.left_out.items()]
    for name, chain in study.analysis.chains.items():
        found += [f"{name}: {rise}." for rise in chain.rises]
        if isinstance(chain.mcd, Estimate):
            found.append(f"{name}: mean cosine to the source over all generations (MCD) {shown(chain.mcd, 3)}.")
        if isinstance(chain.drift, DriftRate):
            found.append(
                f"{name}: that cosine after g hops is about {chain.drift.a:.3f}·exp(−b·g) + {chain.drift.c:.3f}, "
                f"b = {shown(chain.drift.b, 3)} (SDR)."
            )
    if _closed(study):
        found.append(
            "Closed loop: drawings are read with the exemplars they were drawn from; other pictures are read worse."
        )
    headline = [f.figure for f in study.analysis.figures if f.measure == study.analysis.headline]
    return [*found, *sorted({w for figure in headline if isinstance(figure, Estimate) for w in figure.warnings})]


def _closed(study: Study) -> bool:
    """Some chain draws and reads pictures with the same pictograms."""
    for plan in study.grid.plans.values():
        tools = [step.tool for step in plan.steps]
        if "text_to_image" in tools and "image_captioning" in tools:
            return any("openmoji" in key for found in study.versions.values() for key in found)
    return False


# -- HTML ----------------------------------------------------------------------------------------


def plots(study: Study) -> dict[str, str]:
    """The report's pictures as SVG, by name; without those for which there is nothing to draw."""
    made = {
        "generations": generations_svg(study.grid, study.analysis),
        "parts": parts_svg(study.grid, study.analysis),
        "hazards": hazards_svg(study.analysis),
    }
    return {name: svg for name, svg in made.items() if svg is not None}


def html(study: Study, pictures: Mapping[str, str]) -> str:
    """The report, with its pictures and the worst trajectories' media in it.

    Args:
        study: what was found.
        pictures: as `plots` gives them.
    """
    experiment = study.grid.experiment
    words = {
        "generations": _curve_words(study),
        "parts": "What is left at the last generation, part by part.",
        "hazards": "The share of the facts alive that each hop loses.",
    }
    drawn = {name: _picture(pictures.get(name), told) for name, told in words.items()}
    sections = [
        ("headline", "What arrived", join_parts(_lead(study), _table(headline_rows(study)), drawn["generations"])),
        ("notes", "Worth knowing", tag("ul", (tag("li", note) for note in notes(study)), class_="hl-list")),
        ("by-part", "Which parts arrived", join_parts(drawn["parts"], _fold("As a table", _table(part_rows(study))))),
        ("by-hop", "Which hop lost them", join_parts(drawn["hazards"], _table(hop_rows(study)))),
        ("compared", "Compared, source by source", _table(comparison_rows(study))),
        ("generations", "Every generation", _table(generation_rows(study))),
        ("flow", "What became of the sources", _table(flow_rows(study))),
        ("worst", "What went worst", _worst(study)),
        ("methods", "How it was done", _methods(study)),
    ]
    if not study.analysis.compared:
        sections = [s for s in sections if s[0] != "compared"]
    links = [tag("li", tag("a", title, href=f"#{name}")) for name, title, _ in sections]
    body = (
        tag("a", "Skip to the headline", href="#headline", class_="hl-skip"),
        tag(
            "header",
            tag("p", tag("span", "hopline", class_="hl-brand"), tag("span", "experiment"), class_="hl-eyebrow"),
            tag("h1", experiment.name),
            class_="hl-header",
        ),
        tag("nav", tag("ul", links, class_="hl-plain", role="list"), class_="hl-contents", aria_label="On this page"),
        tag("main", (section(*found) for found in sections), id="main"),
        tag("footer", tag("p", f"Repeat it: {study.command}"), class_="hl-footer"),
    )
    return document(f"{experiment.name} – hopline", body)


def join_parts(*parts: Html | None) -> Html:
    """Elements one after the other."""
    return Html("\n".join(part for part in parts if part is not None))


def _lead(study: Study) -> Html:
    """The headline in one sentence, with interval and n."""
    sentences = []
    for row in headline_rows(study)[1:]:
        unit = UNITS[study.analysis.headline]
        sentences.append(f"{row[0]}: {row[1]} {unit}" + (f" of {row[3]}" if row[3] != "–" else ""))
    n = len(study.grid.corpus.sources)
    words = (
        f"{HEADLINES[study.analysis.headline].capitalize()}: {'; '.join(sentences)}. n = {n} sources, 95% intervals."
    )
    return tag("p", words, class_="hl-lead")


def _curve_words(study: Study) -> str:
    return f"{UNITS[study.analysis.headline].capitalize()} by generation, a line for each chain, with 95% intervals."


def _picture(svg: str | None, words: str) -> Html | None:
    if svg is None:
        return None
    data = base64.b64encode(svg.encode()).decode("ascii")
    image = tag("img", src=f"data:image/svg+xml;base64,{data}", alt=words)
    return tag("figure", image, tag("figcaption", words, class_="hl-muted"), class_="hl-artifact hl-chart")


def _table(rows: Rows) -> Html:
    head = tag("thead", tag("tr", (tag("th", cell, scope="col") for cell in rows[0])))
    body = tag("tbody", (tag("tr", (tag("td", cell) for cell in row)) for row in rows[1:]))
    return tag("div", tag("table", head, body), class_="hl-scroll", tabindex=0, role="region", aria_label=rows[0][0])


def _fold(title: str, content: Html) -> Html:
    return tag("details", tag("summary", title), content, class_="hl-more")


def _worst(study: Study) -> Html:
    gallery = Gallery(study.journal.read, None, limit=_EMBEDDED_BYTES)
    items = []
    for number, observation in enumerate(worst(study), 1):
        trajectory = observation.trajectory
        source = trajectory.source
        steps = [
            tag(
                "li",
                tag("h4", f"{hop.step} {name_of_tool(hop.tool)}"),
                (
                    artifact_fragment(ref, gallery, anchor=f"worst-{number}-{hop.id}-{i}")
                    for i, ref in enumerate(hop.output_list)
                ),
            )
            for hop in study.journal.hops(observation.run)
            if hop.parent is None
        ]
        items.append(
            tag(
                "li",
                tag("h3", f"{source.id} through {trajectory.chain.name}"),
                tag("p", f"Sent: {source.reference or source.id}", class_="hl-words"),
                _fold("Every hop", tag("ol", steps, class_="hl-plain")),
                tag("p", tag("code", f"hopline show {observation.run} --html page.html"), class_="hl-muted"),
            )
        )
    return tag("ol", items, class_="hl-plain") if items else tag("p", "Nothing to show.", class_="hl-muted")


def _methods(study: Study) -> Html:
    versions = [["link", *_columns(study.versions)]]
    for link, identity in study.versions.items():
        versions.append([link, *(identity.get(column, "–")[:16] for column in versions[0][1:])])
    return join_parts(
        tag("p", methods(study), class_="hl-lead"),
        _fold("Versions and digests", _table(versions)),
        _fold("LaTeX", tag("pre", latex(headline_rows(study)))),
        _fold("BibTeX", tag("pre", BIBTEX)),
    )


def _columns(versions: Mapping[str, Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(key for identity in versions.values() for key in identity))


__all__ = ["Node", "Study", "html", "latex", "markdown", "plots", "shown"]

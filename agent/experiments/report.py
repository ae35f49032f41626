"""The report of an experiment as a page: one HTML file that asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from hopline.agent.experiments.figures import FactRow
from hopline.agent.experiments.methods import bibtex, latex, methods
from hopline.agent.experiments.observing import Observation
from hopline.agent.experiments.plots import Chart, dark
from hopline.agent.experiments.ratings import agreement_rows, corrected_rows
from hopline.agent.experiments.study import (
    CORRECTED,
    Rows,
    Study,
    comparison_rows,
    corrected,
    factor_rows,
    flow_rows,
    generation_rows,
    headline_rows,
    hop_rows,
    kind_rows,
    level_rows,
    loop_rows,
    notes,
    part_rows,
    rounded,
    shown,
    unscored_rows,
    worst,
)
from hopline.agent.hops.records import ArtifactRef
from hopline.agent.loss.endings import Endings
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.score import Unscored
from hopline.agent.loss.shares import Shares
from hopline.agent.views.artifact import artifact_fragment
from hopline.agent.views.gallery import Gallery
from hopline.agent.views.markup import Child, Html, tag
from hopline.agent.views.page import Section, document, section
from hopline.agent.views.words import name_of_tool
from hopline.tools.artifact import TEXT

_HEADLINES = {
    "slot_bits": "Bits that arrive at the last generation",
    "answers": "Share of the questions answered right",
    "retention": "Share of the facts that arrives at the last generation",
}
_EMBEDDED_BYTES = 8_000_000
_LONG_CELL = 24
_NAMED_FACTS = 12
"""Facts that a worst trajectory lists one by one."""


def html(study: Study, drawn: Sequence[Chart]) -> str:
    """The report, with its pictures and the worst trajectories' media in it.

    Args:
        study: what was found.
        drawn: as `charts` gives them.
    """
    sections = [found for found in _sections(study, {c.name: _picture(c) for c in drawn}) if found is not None]
    links = [tag("li", tag("a", title, href=f"#{name}")) for name, title, _ in sections]
    body = (
        tag("a", "Skip to what was found", href="#headline", class_="hl-skip"),
        tag(
            "header",
            tag("p", tag("span", "hopline", class_="hl-brand"), tag("span", "experiment"), class_="hl-eyebrow"),
            tag("h1", study.grid.experiment.name),
            tag("p", _sent(study), class_="hl-sent"),
            _headline(study),
            class_="hl-header",
        ),
        tag("nav", tag("ul", links, class_="hl-plain", role="list"), class_="hl-contents", aria_label="On this page"),
        tag("main", (section(*found) for found in sections), id="main"),
        tag("footer", tag("p", "Repeat it: ", tag("code", study.command)), class_="hl-footer"),
    )
    return document(f"{study.grid.experiment.name} – hopline", body)


def _sections(study: Study, drawn: Mapping[str, Html]) -> Sequence[Section | None]:
    told = notes(study)
    return (
        ("notes", "Worth knowing", tag("ul", (tag("li", note) for note in told), class_="hl-list")) if told else None,
        _section("generations", "Generation by generation", drawn.get("generations"), _fold(generation_rows(study))),
        _section(
            "by-part", "Which parts arrived", _pair(drawn.get("parts"), drawn.get("types")), _fold(part_rows(study))
        ),
        _section("by-hop", "Which hop lost them", _hops(study, drawn.get("hazards"), drawn.get("survival"))),
        _compared(study),
        _factors(study, drawn.get("factors")),
        _loops(study, drawn.get("settled")),
        _people(study),
        ("worst", "What went worst", _worst(study)),
        ("flow", "What became of the sources", _parts(_table(flow_rows(study)), _twice(study))),
        _unscored(study),
        ("methods", "How it was done", _methods(study)),
    )


def _section(name: str, title: str, *parts: Html | None) -> Section:
    return name, title, _parts(*parts)


def _parts(*parts: Html | None) -> Html:
    """Elements one after the other."""
    return Html("\n".join(part for part in parts if part is not None))


def _pair(*drawn: Html | None) -> Html | None:
    """Charts beside each other where there is room; one alone has all of it."""
    there = [chart for chart in drawn if chart is not None]
    return tag("div", there, class_="hl-pair") if len(there) > 1 else _parts(*there)


# -- the first screen ----------------------------------------------------------------------------


def _sent(study: Study) -> str:
    """What was sent through what, in a sentence."""
    experiment, corpus = study.grid.experiment, study.grid.corpus
    chains = experiment.expanded()
    what = f"{len(corpus.sources)} sources"
    if corpus.grammar:
        what = f"{len(corpus.sources)} messages of {corpus.grammar.bits:.1f} bits"
    generations = sorted({chain.generations for chain in chains})
    ways = f"{len(chains)} chain{'s' if len(chains) > 1 else ''}"
    turns = f"{generations[-1]} generation{'s' if generations[-1] > 1 else ''}"
    if len(generations) > 1:
        turns = f"{generations[0]} to {turns}"
    times = f", {experiment.repeats} times" if experiment.repeats > 1 else ""
    return f"{what} through {ways}, {turns}{times}."


def _headline(study: Study) -> Html:
    """Each chain's figure with its interval on one scale, and n."""
    what = _HEADLINES[study.analysis.headline]
    figures = {
        chain.name: (study.analysis.of(node, study.analysis.headline) if node else None)
        for chain in study.grid.experiment.expanded()
        for node in (study.analysis.last(chain.name),)
    }
    estimates = [found for found in figures.values() if isinstance(found, Estimate)]
    counts = sorted({found.n for found in estimates})
    n = "–" if not counts else str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    ceiling = max((found.ceiling or found.value for found in estimates), default=1.0)
    of = f", of {ceiling:.2f}" if study.analysis.headline == "slot_bits" and estimates else ""
    interval = "95% intervals" if any(f.lo is not None for f in estimates) else "no interval under 20 sources"
    about = tag(
        "p",
        tag("strong", f"{what}{of}"),
        tag("span", f"n = {n} sources · {interval}"),
        class_="hl-headline-about",
    )
    rows = [_headline_row(study, name, found, ceiling, len(counts) > 1) for name, found in figures.items()]
    return tag("div", about, tag("ul", rows, class_="hl-plain", role="list"), id="headline", class_="hl-headline")


def _headline_row(study: Study, name: str, found: Estimate | Unscored | None, ceiling: float, counted: bool) -> Html:
    """A chain; with its own n where the chains have different ones."""
    if not isinstance(found, Estimate):
        why = found.reason if found else "the chain has no text node"
        return tag("li", tag("span", name, class_="hl-headline-chain"), tag("span", f"Unscored: {why}"))
    bits = study.analysis.headline == "slot_bits"
    interval = ""
    if found.lo is not None and found.hi is not None:
        interval = f"{rounded(found.lo)} to {rounded(found.hi)}"
    value = f"{'≥ ' if found.at_ceiling else ''}{rounded(found.value)}"
    return tag(
        "li",
        tag(
            "span",
            tag("span", name, class_="hl-headline-chain"),
            (" ", tag("span", f"n = {found.n}", class_="hl-headline-interval")) if counted else None,
        ),
        tag("span", tag("strong", value), " bits" if bits else "", class_="hl-headline-value"),
        tag("span", interval, class_="hl-headline-interval"),
        _range(found, ceiling),
        _corrected(study, name),
    )


def _corrected(study: Study, name: str) -> Html | None:
    """What people make of it, below."""
    found = corrected(study, name)
    if found is None:
        return None
    rated = f" · {found.n} sources rated" if isinstance(found, Estimate) else ""
    words = f"{CORRECTED[study.analysis.headline]}: {shown(found)}{rated}"
    return tag("span", words, class_="hl-headline-people")


def _range(found: Estimate, ceiling: float) -> Html:
    """A figure and its interval on a line from nothing to all of it."""

    def place(value: float) -> str:
        return f"{100 * min(max(value / ceiling, 0.0), 1.0):.2f}%"

    lo, hi = (found.value, found.value) if found.lo is None or found.hi is None else (found.lo, found.hi)
    width = f"{100 * (min(max(hi / ceiling, 0.0), 1.0) - min(max(lo / ceiling, 0.0), 1.0)):.2f}%"
    return tag(
        "svg",
        tag("line", x1="0", x2="100%", y1="10", y2="10", class_="hl-range-line"),
        tag("line", x1="0", x2=place(found.value), y1="10", y2="10", class_="hl-range-kept"),
        tag("rect", x=place(lo), width=width, y="5", height="10", class_="hl-range-interval"),
        tag("line", x1=place(found.value), x2=place(found.value), y1="1", y2="19", class_="hl-range-value"),
        class_="hl-range",
        height="20",
        aria_hidden="true",
    )


def _twice(study: Study) -> Html:
    """The headline over what was completed, and with what failed as total loss."""
    return _parts(
        tag("h3", "The headline twice"),
        tag("p", "Over what was completed, and with what failed counted as lost.", class_="hl-muted"),
        _table(headline_rows(study)),
    )


# -- figures and tables --------------------------------------------------------------------------


def _picture(chart: Chart) -> Html:
    """The chart for this width and these colours."""

    def data(svg: str) -> str:
        return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode('ascii')}"

    phone, night = "(max-width: 799px)", "(prefers-color-scheme: dark)"
    sources = (
        (f"screen and {phone} and {night}", dark(chart.narrow)),
        (phone, chart.narrow),
        (f"screen and {night}", dark(chart.wide)),
    )
    image = tag(
        "picture",
        (tag("source", media=media, srcset=data(svg)) for media, svg in sources),
        tag("img", src=data(chart.wide), alt=chart.words),
    )
    return tag("figure", image, tag("figcaption", chart.words, class_="hl-muted"), class_="hl-artifact hl-chart")


def _table(rows: Rows) -> Html:
    head = tag("thead", tag("tr", (tag("th", cell, scope="col") for cell in rows[0])))
    body = tag("tbody", (tag("tr", (tag("td", cell, class_=_cell_class(cell)) for cell in row)) for row in rows[1:]))
    return tag("div", tag("table", head, body), class_="hl-scroll", tabindex=0, role="region", aria_label=rows[0][0])


def _cell_class(cell: str) -> str | None:
    """An interval is read as one word, and words do not stand one below the other on a phone."""
    return "hl-figure" if " [" in cell else "hl-said" if len(cell) > _LONG_CELL else None


def _fold(rows: Rows, title: str = "As a table") -> Html:
    return _folded(title, _table(rows))


def _folded(title: str, content: Child) -> Html:
    return tag("details", tag("summary", title), content, class_="hl-more")


def _hops(study: Study, *drawn: Html | None) -> Html:
    return _parts(
        _pair(*drawn),
        _fold(hop_rows(study), "Hop by hop as a table"),
        _fold(kind_rows(study), "By kind of hop") if len(kind_rows(study)) > 1 else None,
    )


def _compared(study: Study) -> Section | None:
    if not study.analysis.compared:
        return None
    return "compared", "Compared, source by source", _table(comparison_rows(study))


def _factors(study: Study, drawn: Html | None) -> Section | None:
    shares, levels = factor_rows(study), level_rows(study)
    if len(shares) == len(levels) == 1:  # nothing but their heads
        return None
    said = [_matters(crossed.shares, crossed.metric) for crossed in study.analysis.crossed]
    content = _parts(
        tag("ul", (tag("li", words) for words in said if words), class_="hl-list") if any(said) else None,
        drawn,
        _table(shares) if len(shares) > 1 else None,
        _fold(levels, "Level by level") if len(levels) > 1 else None,
    )
    return "factors", "Which factor matters" if len(shares) > 1 else "What the factor does", content


def _matters(shares: Shares | Unscored, metric: str) -> str:
    """In words, only as far as the interval of the lead goes."""
    if isinstance(shares, Unscored):
        return ""
    said = []
    for (a, b), lead in shares.lead.items():
        if lead.lo is not None and lead.hi is not None and not lead.lo <= 0 <= lead.hi:
            more, less = (a, b) if lead.value > 0 else (b, a)
            said.append(f"{metric}: {more} matters more than {less}.")
        else:
            said.append(f"{metric}: it cannot be told whether {a} or {b} matters more.")
    return " ".join(said)


def _loops(study: Study, drawn: Html | None) -> Section | None:
    chains = study.analysis.chains.values()
    if not any(isinstance(c.mcd, Estimate) or isinstance(c.endings, Endings) for c in chains):
        return None
    words = (
        "A loop settles when the same text comes out again up to the last generation, or two texts in turn. MCD and "
        "SDR are those of arXiv 2509.04438, from text to text with our sentence encoder; a higher MCD is better."
    )
    return "loops", "Loops and drift", _parts(drawn, tag("p", words, class_="hl-muted"), _table(loop_rows(study)))


def _people(study: Study) -> Section | None:
    """How far the machine and people agree, and what they make of the facts kept."""
    if study.people is None:
        return None
    words = f"{study.people.rated} facts were rated, {study.people.unsure} of them unsure."
    if study.people.gone:
        words += f" {study.people.gone} more are left out: what people saw is no longer in the experiment."
    return _section(
        "people",
        "What people say",
        tag("p", words, class_="hl-muted"),
        _table(corrected_rows(study.people)),
        tag("h3", "How far they agree"),
        _table(agreement_rows(study.people)),
    )


def _unscored(study: Study) -> Section | None:
    rows = unscored_rows(study)
    if len(rows) == 1:
        return None
    said = tag("p", "No number, and why. Unscored is not zero.", class_="hl-muted")
    return "unscored", "What was not scored, and why", _parts(said, _table(rows))


# -- the worst -----------------------------------------------------------------------------------


def _worst(study: Study) -> Html:
    gallery = Gallery(study.shelf.read, None, limit=_EMBEDDED_BYTES)
    chosen = worst(study)
    if not chosen:
        return tag("p", "Nothing to show.", class_="hl-muted")
    facts: dict[int, list[FactRow]] = {id(o): [] for o in chosen}
    for row in study.analysis.facts:
        if id(row.observation) in facts:
            facts[id(row.observation)].append(row)
    items = [_trajectory(study, o, facts[id(o)], gallery, number) for number, o in enumerate(chosen, 1)]
    return tag("ol", items, class_="hl-plain hl-hops")


def _trajectory(
    study: Study, observation: Observation, facts: Sequence[FactRow], gallery: Gallery, number: int
) -> Html:
    trajectory = observation.trajectory
    source = trajectory.source
    made = [(stage, ref) for stage in study.shelf.stages(observation) for ref in stage.outputs]
    steps: list[Html] = []
    for place, (stage, ref) in enumerate(made):
        title = f"{stage.step} {name_of_tool(stage.tool)}"
        generation = tag("span", f"generation {trajectory.chain.generation(stage.step)}", class_="hl-time")
        fragment = artifact_fragment(
            ref, gallery, anchor=f"worst-{number}-{stage.step}-{place}", description=f"What hop {title} made"
        )
        steps.append(tag("li", tag("p", title, " ", generation, class_="hl-stage"), fragment))
    # The first generation shows how it began; what came of it in the end stands above.
    begun = sum(trajectory.chain.generation(stage.step) <= 1 for stage, _ in made)
    last = study.analysis.last(trajectory.chain.name)
    arrived = observation.texts.get(last.step) if last else None
    at_end = [row for row in facts if last and row.step == last.step]
    given: list[Html] = []
    if source.artifact.modality != TEXT:
        ref = ArtifactRef(
            id=source.artifact.id,
            modality=source.artifact.modality,
            media_type=source.artifact.media_type,
            size_bytes=len(source.artifact.data),
        )
        given.append(artifact_fragment(ref, gallery, description="What was sent"))
    if source.reference is not None:
        given.append(tag("blockquote", source.reference, class_="hl-words", dir="auto"))
    return tag(
        "li",
        tag("h3", f"{source.id} through {trajectory.chain.name}"),
        tag(
            "div",
            tag("div", tag("p", "Sent", class_="hl-side-name"), given),
            tag(
                "div",
                tag("p", "Arrived", class_="hl-side-name"),
                tag("blockquote", arrived or "(nothing)", class_="hl-words", dir="auto"),
            ),
            class_="hl-sent-arrived",
        ),
        _fates(at_end),
        tag("ol", steps[:begun], class_="hl-plain hl-strip"),
        _folded(f"The other {len(steps) - begun} hops", tag("ol", steps[begun:], class_="hl-plain hl-strip"))
        if len(steps) > begun
        else None,
        tag("p", tag("code", f"hopline show {observation.run} --html page.html"), class_="hl-muted")
        if observation.run
        else None,
        class_="hl-hop",
    )


def _fates(rows: Sequence[FactRow]) -> Html | None:
    """What became of each fact of the source, worst first."""
    order = ("missing", "void", "altered", "kept", "invented")
    told = sorted(rows, key=lambda row: order.index(row.status))
    if not told:
        return None
    marks = []
    for row in told[:_NAMED_FACTS]:
        said = f"{row.fact.text} → {row.became}" if row.became else row.fact.text
        marks.append(
            tag(
                "li",
                tag("span", row.status, class_="hl-fate-status"),
                " ",
                said,
                class_=f"hl-mark hl-fate-{row.status}",
            )
        )
    if len(told) > _NAMED_FACTS:
        marks.append(tag("li", f"and {len(told) - _NAMED_FACTS} more", class_="hl-muted"))
    return tag("ul", marks, class_="hl-plain hl-fates", role="list", aria_label="What became of each fact")


# -- how it was done -----------------------------------------------------------------------------


def _methods(study: Study) -> Html:
    experiment = study.grid.experiment
    ran = [["chain", "links", "generations", "seeds"]]
    seeds = ", ".join(str(experiment.seed + repeat) for repeat in range(experiment.repeats))
    ran += [[c.name, " | ".join((*c.before, *c.links)), str(c.generations), seeds] for c in experiment.expanded()]
    digest = hashlib.sha256("\n".join(source.artifact.id for source in study.grid.corpus.sources).encode()).hexdigest()
    versions = [["what", "what decides its outputs"]]
    versions.append(["hopline", f"{version('hopline')}; Python {platform.python_version()}; {platform.platform()}"])
    versions.append(["sources", f"{len(study.grid.corpus.sources)}, sha256 of their ids {digest}"])
    for link, identity in study.versions.items():
        versions.append([link, "; ".join(f"{key} {value}" for key, value in identity.items())])
    heads = {"headline": headline_rows(study), "comparisons": comparison_rows(study), "hop by hop": hop_rows(study)}
    if study.people:
        heads["agreement with people"] = agreement_rows(study.people)
    tables = "\n\n".join(latex(rows, f"{experiment.name}: {name}") for name, rows in heads.items() if len(rows) > 1)
    specification = experiment.model_dump_json(indent=2, exclude={"folder"}, exclude_defaults=True)
    return _parts(
        tag("p", methods(study), class_="hl-lead"),
        tag("h3", "What was run"),
        _table(ran),
        _fold(versions, "Versions and digests"),
        _folded("The specification", tag("pre", specification)),
        tag("h3", "For a paper"),
        _folded("LaTeX tables", tag("pre", tables)),
        _folded("BibTeX", tag("pre", bibtex(study))),
    )


__all__ = ["html"]

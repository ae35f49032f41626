"""The pictures of a report, as SVG: told apart by marks and lines as well as by colours.

Each is drawn twice, for a desk and for a phone, and shown in light and dark colours.
"""

from __future__ import annotations

import importlib.util
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hopline.agent.experiments.study import UNITS, Study
from hopline.agent.loss.endings import Endings
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.shares import Shares
from hopline.agent.loss.survival import Survival
from hopline.tools.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _FAINT, _GRID, _SHEET = "#1e2126", "#595f69", "#dfdcd4", "#ffffff"
# Okabe and Ito's colours, which people who see colours differently tell apart, with marks and lines.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b5548a", "#2b9fd9", "#b87a00", "#1e2127")
_MARKS = "osD^vPX"
_LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (3, 1, 1, 1, 1, 1)))
_DARK = {_INK: "#eceae5", _FAINT: "#a9aeb8", _GRID: "#343942", _SHEET: "#1c1f25"}
_BRIGHT = ("#62b6ee", "#ff9a55", "#3fd3a6", "#eba6cd", "#a5dcff", "#f5c04a", "#fefefe")
_DARK |= dict(zip(_COLOURS, _BRIGHT, strict=True))
_WIDE_INCH, _NARROW_INCH = 7.0, 3.75


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A picture of a report.

    Attributes:
        name: of its file.
        words: what it shows, for a caption and for people who do not see it.
        wide: SVG for a desk, about 670 px wide.
        narrow: SVG for a phone, about 360 px wide.
    """

    name: str
    words: str
    wide: str
    narrow: str


def require_plots() -> None:
    """Say at once what is missing, rather than when all has run.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtra("a report needs matplotlib.", hint="pip install 'hopline[experiments]'")


def dark(svg: str) -> str:
    """The picture in the colours of a dark page."""
    return re.sub("|".join(_DARK), lambda found: _DARK[found[0]], svg)


def charts(study: Study) -> list[Chart]:
    """What there is to draw of a study, in the order of its report."""
    makers = (_generations, _parts, _types, _hazards, _sightings, _shares, _settled)
    return [chart for make in makers if (chart := make(study)) is not None]


def _drawn(name: str, words: str, height_inch: float, draw: Callable[[Axes, bool], None]) -> Chart:
    """Both sizes of a picture; `draw` is told whether it is for a phone. Equal figures give equal bytes."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    found = []
    settings: dict[Any, Any] = {  # the names of matplotlib's settings are a type of their own
        "svg.hashsalt": "hopline",
        "svg.fonttype": "path",
        "figure.facecolor": _SHEET,
        "axes.facecolor": _SHEET,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "xtick.labelcolor": _INK,
        "ytick.labelcolor": _INK,
        "axes.edgecolor": _FAINT,
        "xtick.color": _FAINT,
        "ytick.color": _FAINT,
    }
    for phone in (False, True):
        with matplotlib.rc_context({**settings, "font.size": 9.5 if phone else 10.5}):
            drawing = Figure(figsize=(_NARROW_INCH if phone else _WIDE_INCH, height_inch), layout="constrained")
            FigureCanvasSVG(drawing)
            axes = drawing.subplots()
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(color=_GRID, linewidth=0.7)
            axes.set_axisbelow(True)
            draw(axes, phone)
            buffer = io.StringIO()
            drawing.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        found.append(buffer.getvalue())
    return Chart(name=name, words=words, wide=found[0], narrow=found[1])


def _style(number: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "marker": _MARKS[number % len(_MARKS)],
        "linestyle": _LINES[number % len(_LINES)],
        "markersize": 7,
        "capsize": 3,
        "linewidth": 1.6,
        "markeredgecolor": _SHEET,
        "markeredgewidth": 0.5,
    }


def _error(figure: Estimate) -> tuple[float, float]:
    if figure.lo is None or figure.hi is None:
        return 0.0, 0.0
    return figure.value - figure.lo, figure.hi - figure.value


def _legend(axes: Axes, phone: bool) -> None:
    """Above the picture, as many beside each other as there is room for."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        room = (_NARROW_INCH if phone else _WIDE_INCH) - 0.2
        fit = max(1, int(room / (0.65 + 0.078 * max(map(len, labels)))))
        columns = math.ceil(len(labels) / math.ceil(len(labels) / fit))
        axes.figure.legend(
            handles, labels, frameon=False, ncols=columns, loc="outside upper left",
            handlelength=2.6, columnspacing=1.2,
        )  # fmt: skip


def _lines(axes: Axes, by_chain: Mapping[str, Sequence[tuple[float, Estimate]]], order: Sequence[str]) -> None:
    """A line a chain with its intervals, a little apart so that none hides another."""
    xs = sorted({x for points in by_chain.values() for x, _ in points})
    gap = 0.035 * min((b - a for a, b in pairwise(xs)), default=1.0)
    for chain, points in by_chain.items():
        number = order.index(chain)
        shift = gap * (number - (len(order) - 1) / 2)
        axes.errorbar(
            [x + shift for x, _ in points],
            [f.value for _, f in points],
            yerr=list(zip(*(_error(f) for _, f in points), strict=True)),
            label=chain,
            **_style(number),
        )


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))


def _names(study: Study) -> list[str]:
    return [chain.name for chain in study.grid.experiment.expanded()]


def _generations(study: Study) -> Chart | None:
    analysis, by_chain = study.analysis, {}
    ceiling = None
    for chain in study.grid.experiment.expanded():
        points = []
        for node in analysis.nodes:
            found = analysis.of(node, analysis.headline)
            if node.chain == chain.name and isinstance(found, Estimate):
                points.append(((node.step - len(chain.before)) / len(chain.links), found))
                ceiling = found.ceiling
        if points:
            by_chain[chain.name] = points
    if not by_chain:
        return None
    unit = UNITS[analysis.headline]

    def draw(axes: Axes, phone: bool) -> None:
        _lines(axes, by_chain, _names(study))
        for level, words, below in ((ceiling, "all of it", True), (0.0, "chance", False)):
            if level is not None:
                axes.axhline(level, color=_FAINT, linewidth=1, linestyle=(0, (1, 2)))
                axes.annotate(
                    words, (0.0, level), xytext=(3, -3 if below else 3), va="top" if below else "bottom",
                    textcoords="offset points", color=_FAINT, fontsize=8.5,
                )  # fmt: skip
        axes.set_xlim(left=0)
        _whole_numbers(axes)
        axes.set_xlabel("generation")
        axes.set_ylabel(unit)
        _legend(axes, phone)

    return _drawn("generations", f"{unit.capitalize()} by generation{_interval_words(study)}.", 3.7, draw)


def _parts(study: Study) -> Chart | None:
    """What is left at the end by slot, as a share of all of it."""
    if study.analysis.headline == "retention":
        return None  # the next one
    return _by_part(study, "parts", study.analysis.headline, "What is left of each slot at the last generation.")


def _types(study: Study) -> Chart | None:
    """What is left at the end by type of fact."""
    words = "Facts that arrive at the last generation by type, corrected for guessing"
    return _by_part(study, "types", "retention", f"{words}{_interval_words(study)}.")


def _interval_words(study: Study) -> str:
    figures = (f.figure for f in study.analysis.figures)
    return ", with 95% intervals" if any(isinstance(f, Estimate) and f.lo is not None for f in figures) else ""


def _by_part(study: Study, name: str, measure: str, words: str) -> Chart | None:
    analysis, chains = study.analysis, _names(study)
    shares: dict[str, dict[str, tuple[float, float, float]]] = {}
    for figure in analysis.figures:
        if figure.measure != measure or figure.part == "all" or figure.failures != "left out":
            continue
        if figure.node == analysis.last(figure.node.chain) and isinstance(figure.figure, Estimate):
            found, whole = figure.figure, figure.figure.ceiling or 1.0
            low, high = _error(found)
            shares.setdefault(figure.part, {})[figure.node.chain] = (found.value / whole, low / whole, high / whole)
    if not shares:
        return None

    def draw(axes: Axes, phone: bool) -> None:
        for number, chain in enumerate(chains):
            rows = [(i, by_chain[chain]) for i, by_chain in enumerate(shares.values()) if chain in by_chain]
            offset = (number - (len(chains) - 1) / 2) * 0.7 / max(1, len(chains))
            axes.errorbar(
                [value for _, (value, _, _) in rows],
                [i + offset for i, _ in rows],
                xerr=[[low for _, (_, low, _) in rows], [high for _, (_, _, high) in rows]],
                label=chain,
                **_style(number) | {"linestyle": "none"},
            )
        axes.set_yticks(range(len(shares)), list(shares))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(min(0.0, axes.get_xlim()[0]), 1.04)
        axes.set_xlabel("share left at the last generation")
        _legend(axes, phone)

    height = 1.3 + (0.3 + 0.1 * len(chains)) * len(shares)
    return _drawn(name, words, height, draw)


def _hazards(study: Study) -> Chart | None:
    by_chain = {}
    for name, chain in study.analysis.chains.items():
        if isinstance(chain.survival, Survival):
            legs = enumerate(chain.survival.legs, 1)
            if rows := [(float(i), leg.hazard) for i, leg in legs if isinstance(leg.hazard, Estimate)]:
                by_chain[name] = rows
    if not by_chain:
        return None

    def draw(axes: Axes, phone: bool) -> None:
        _lines(axes, by_chain, _names(study))
        _whole_numbers(axes)
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.set_xlabel("hop or round trip")
        axes.set_ylabel("lost there, of the facts alive")
        _legend(axes, phone)

    return _drawn("hazards", "The share of the facts still alive that each hop or round trip loses.", 3.4, draw)


def _sightings(study: Study) -> Chart | None:
    by_chain = {}
    for name, chain in study.analysis.chains.items():
        if isinstance(chain.survival, Survival) and len(chain.survival.curve) > 1:
            by_chain[name] = [(float(i), found) for i, found in enumerate(chain.survival.curve, 1)]
    if not by_chain:
        return None

    def draw(axes: Axes, phone: bool) -> None:
        for chain, points in by_chain.items():
            number = _names(study).index(chain)
            style = {key: _style(number)[key] for key in ("color", "linestyle", "linewidth")}
            xs, ys = [0.0, *(x for x, _ in points)], [1.0, *(f.value for _, f in points)]
            axes.step(xs, ys, where="post", **style)
            marks = _style(number) | {"linestyle": "none"}
            error = list(zip(*(_error(f) for _, f in points), strict=True))
            axes.errorbar(xs[1:], ys[1:], yerr=error, label=chain, **marks)
        axes.set_xlim(left=0)
        axes.set_ylim(min(0.0, axes.get_ylim()[0]), 1.02)
        _whole_numbers(axes)
        axes.set_xlabel("hop or round trip")
        axes.set_ylabel("facts not yet seen for the last time")
        _legend(axes, phone)

    return _drawn("survival", f"How long facts live (Kaplan-Meier){_interval_words(study)}.", 3.4, draw)


def _shares(study: Study) -> Chart | None:
    rows = [
        (" × ".join(term), share)
        for crossed in study.analysis.crossed
        if isinstance(crossed.shares, Shares) and crossed.metric == "facts kept" and len(crossed.factors) > 1
        for term, share in crossed.shares.terms.items()
    ]
    if not rows:
        return None

    def draw(axes: Axes, phone: bool) -> None:
        axes.errorbar(
            [share.value for _, share in rows],
            range(len(rows)),
            xerr=list(zip(*(_error(share) for _, share in rows), strict=True)),
            **_style(0) | {"linestyle": "none", "markersize": 8, "capsize": 4},
        )
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(min(-0.02, axes.get_xlim()[0]), max(1.02, axes.get_xlim()[1]))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel("share of the variance between chains" if not phone else "share of the variance")

    words = "How much of what tells the chains apart (facts kept) comes from each factor, and from both together."
    return _drawn("factors", words, 1.1 + 0.42 * len(rows), draw)


def _settled(study: Study) -> Chart | None:
    by_chain = {}
    for name, chain in study.analysis.chains.items():
        if (
            isinstance(chain.endings, Endings)
            and chain.endings.reached[-1].value > 0
            and len(chain.endings.reached) > 3
        ):
            by_chain[name] = [(float(g), share) for g, share in enumerate(chain.endings.reached)]
    if not by_chain:
        return None

    def draw(axes: Axes, phone: bool) -> None:
        _lines(axes, by_chain, _names(study))
        axes.set_ylim(-0.02, 1.02)
        _whole_numbers(axes)
        axes.set_xlabel("generation")
        axes.set_ylabel("share that has settled")
        _legend(axes, phone)

    words = "Trajectories whose text no longer changes, or alternates between two, by generation."
    return _drawn("settled", words, 3.2, draw)

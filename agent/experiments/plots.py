"""The pictures of a report, as SVG: told apart by marks and lines as well as by colours, readable on a phone."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hopline.agent.experiments.analysis import Analysis
from hopline.agent.experiments.grid import Grid
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.survival import Survival
from hopline.tools.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

# Okabe and Ito's colours, which people who see colours differently tell apart, with marks and lines.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_MARKS = "osD^vPX"
_LINES = ("-", "--", "-.", ":")
_WIDTH_INCH = 6.4
UNITS = {"slot_bits": "bits", "answers": "share answered right", "retention": "share of the facts"}


def require_plots() -> None:
    """Say at once what is missing, rather than when all has run.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtra("a report needs matplotlib.", hint="pip install 'hopline[experiments]'")


def _figure(height_inch: float) -> tuple[Drawing, Axes]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(_WIDTH_INCH, height_inch), layout="constrained")
    FigureCanvasSVG(drawing)
    axes = drawing.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=12)
    return drawing, axes


def _svg(drawing: Drawing) -> str:
    """The picture; equal figures give equal bytes."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "hopline", "svg.fonttype": "path"}):
        drawing.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _style(number: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "marker": _MARKS[number % len(_MARKS)],
        "linestyle": _LINES[number % len(_LINES)],
        "markersize": 8,
        "capsize": 4,
        "linewidth": 1.8,
    }


def _error(figure: Estimate) -> tuple[float, float]:
    if figure.lo is None or figure.hi is None:
        return 0.0, 0.0
    return figure.value - figure.lo, figure.hi - figure.value


def generations_svg(grid: Grid, analysis: Analysis) -> str:
    """The headline measure by generation, a line a chain, with 95% intervals."""
    drawing, axes = _figure(4.2)
    ceiling = None
    chains = grid.experiment.expanded()
    for number, chain in enumerate(chains):
        points = []
        for node in analysis.nodes:
            found = analysis.of(node, analysis.headline)
            if node.chain == chain.name and isinstance(found, Estimate):
                points.append(((node.step - len(chain.before)) / len(chain.links), found))
                ceiling = found.ceiling
        if not points:
            continue
        shift = 0.03 * (number - (len(chains) - 1) / 2)
        axes.errorbar(
            [x + shift for x, _ in points],
            [f.value for _, f in points],
            yerr=list(zip(*(_error(f) for _, f in points), strict=True)),
            label=chain.name,
            **_style(number),
        )
    if ceiling is not None:
        axes.axhline(ceiling, color="0.4", linewidth=1, linestyle=(0, (1, 2)))
        axes.annotate(
            "all of it", (0.0, ceiling), xytext=(2, -13), textcoords="offset points", fontsize=11, color="0.3"
        )
    axes.axhline(0, color="0.4", linewidth=1)
    axes.annotate("chance", (0.0, 0), xytext=(2, 4), textcoords="offset points", fontsize=11, color="0.3")
    longest = max(chain.generations for chain in chains)
    axes.set_xlim(0, longest + 0.25)
    axes.set_xticks(range(1, longest + 1))
    axes.set_xlabel("generation", fontsize=13)
    axes.set_ylabel(UNITS[analysis.headline], fontsize=13)
    if len(chains) > 1:
        axes.legend(fontsize=12, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return _svg(drawing)


def parts_svg(grid: Grid, analysis: Analysis) -> str | None:
    """What is left at the end by slot or by type of fact, as a share of all of it; None if nothing is."""
    chains = [chain.name for chain in grid.experiment.expanded()]
    shares: dict[str, dict[str, tuple[float, float, float]]] = {}
    for figure in analysis.figures:
        if figure.measure != analysis.headline or figure.part == "all" or figure.failures != "left out":
            continue
        if figure.node == analysis.last(figure.node.chain) and isinstance(figure.figure, Estimate):
            found, whole = figure.figure, figure.figure.ceiling or 1.0
            low, high = _error(found)
            shares.setdefault(figure.part, {})[figure.node.chain] = (found.value / whole, low / whole, high / whole)
    if not shares:
        return None
    drawing, axes = _figure(1.2 + 0.42 * len(shares) + 0.12 * len(chains) * len(shares))
    for number, chain in enumerate(chains):
        rows = [(i, by_chain[chain]) for i, by_chain in enumerate(shares.values()) if chain in by_chain]
        offset = (number - (len(chains) - 1) / 2) * 0.7 / max(1, len(chains))
        style = _style(number) | {"linestyle": "none"}
        axes.errorbar(
            [value for _, (value, _, _) in rows],
            [i + offset for i, _ in rows],
            xerr=[[low for _, (_, low, _) in rows], [high for _, (_, _, high) in rows]],
            label=chain,
            **style,
        )
    axes.set_yticks(range(len(shares)), list(shares), fontsize=12)
    axes.invert_yaxis()
    axes.set_xlim(min(0.0, axes.get_xlim()[0]), 1.04)
    axes.grid(axis="x", color="0.9")
    axes.set_xlabel("share left at the last generation", fontsize=13)
    if len(chains) > 1:
        axes.legend(fontsize=12, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return _svg(drawing)


def hazards_svg(analysis: Analysis) -> str | None:
    """The share of the facts alive that each hop or round trip loses; None where none is scored."""
    legs = hazards(analysis)
    if not legs:
        return None
    longest = max(len(rows) for rows in legs.values())
    drawing, axes = _figure(3.8)
    for number, (chain, rows) in enumerate(legs.items()):
        shift = 0.06 * (number - (len(legs) - 1) / 2)
        axes.errorbar(
            [i + 1 + shift for i, _ in rows],
            [f.value for _, f in rows],
            yerr=list(zip(*(_error(f) for _, f in rows), strict=True)),
            label=chain,
            **_style(number),
        )
    axes.set_xticks(range(1, longest + 1))
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_xlabel("hop or round trip", fontsize=13)
    axes.set_ylabel("facts lost there, of those alive", fontsize=13)
    if len(legs) > 1:
        axes.legend(fontsize=12, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return _svg(drawing)


def hazards(analysis: Analysis) -> Mapping[str, Sequence[tuple[int, Estimate]]]:
    """Scored hazards by chain: number of the leg from 0, and its hazard."""
    found = {}
    for name, chain in analysis.chains.items():
        if isinstance(chain.survival, Survival):
            rows = [(i, leg.hazard) for i, leg in enumerate(chain.survival.legs) if isinstance(leg.hazard, Estimate)]
            if rows:
                found[name] = rows
    return found

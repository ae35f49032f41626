"""The tables of an experiment: long format, CSV and Parquet; equal for equal trajectories, byte for byte.

Ids of runs and times are in `trajectories` alone, with what else may differ between two runs of the same
experiment.
"""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hopline.agent.experiments.figures import Analysis
from hopline.agent.experiments.grid import Grid
from hopline.agent.experiments.observing import Node, Observation
from hopline.agent.loss.compare import Comparison
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.score import Unscored

Cell = str | int | float | None
Table = tuple[Sequence[str], Iterable[Sequence[Cell]]]


def tables(grid: Grid, observations: Sequence[Observation], analysis: Analysis) -> Mapping[str, Table]:
    """Columns and rows of each table, by its name."""
    return {
        "outcomes": _outcomes(grid, observations),
        "texts": _texts(observations, analysis.nodes),
        "facts": _facts(analysis),
        "figures": _figures(grid, analysis),
        "comparisons": _comparisons(analysis),
        "factors": _factors(analysis),
        "survival": _survival(analysis),
        "chains": _chains(analysis),
        "floor": _floor(analysis),
        "trajectories": _trajectories(observations),
    }


def write_tables(folder: Path, named: Mapping[str, Table]) -> list[Path]:
    """Write each table as CSV, and as Parquet where DuckDB is installed.

    Args:
        folder: made if it is not there.
        named: as `tables` gives them.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, (columns, rows) in named.items():
        path = folder / f"{name}.csv"
        path.write_text(_csv(columns, rows), "utf-8", newline="")
        files.append(path)
    if importlib.util.find_spec("duckdb"):
        files += _parquet(files)
    return files


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return buffer.getvalue()


def _parquet(files: Sequence[Path]) -> list[Path]:
    import duckdb

    made = []
    with duckdb.connect() as connection:
        for path in files:
            target = path.with_suffix(".parquet")
            # Values are passed as literals with quotes doubled: COPY takes no parameters.
            source, to = (str(p).replace("'", "''") for p in (path, target))
            connection.execute(f"COPY (FROM read_csv('{source}', header = true)) TO '{to}' (FORMAT parquet)")
            made.append(target)
    return made


def _key(observation: Observation) -> tuple[str, str, int]:
    trajectory = observation.trajectory
    return trajectory.chain.name, trajectory.source.id, trajectory.repeat


def _outcomes(grid: Grid, observations: Sequence[Observation]) -> Table:
    factors = sorted({name for chain in grid.experiment.expanded() for name in chain.levels})
    columns = ("chain", "source", "repeat", *factors, "status", "failed_step", "problem", "mechanical_losses")
    rows = (
        (
            *_key(o),
            *(o.trajectory.chain.levels.get(name) for name in factors),
            o.status,
            o.failed_step,
            o.problem,
            " ".join(f"{kind}:{count}" for kind, count in o.losses.items()),
        )
        for o in observations
    )
    return columns, rows


def _texts(observations: Sequence[Observation], nodes: Sequence[Node]) -> Table:
    generations = {(node.chain, node.step): node for node in nodes}
    rows = []
    for o in observations:
        for step, text in o.texts.items():
            node = generations[o.trajectory.chain.name, step]
            rows.append((*_key(o), node.generation, step, node.tool, text))
    return ("chain", "source", "repeat", "generation", "step", "tool", "text"), rows


def _facts(analysis: Analysis) -> Table:
    columns = ("chain", "source", "repeat", "step", "fact", "type", "said", "status", "became")
    rows = (
        (*_key(row.observation), row.step, row.fact.id, row.fact.type, row.fact.text, row.status, row.became)
        for row in analysis.facts
    )
    return columns, rows


def _figures(grid: Grid, analysis: Analysis) -> Table:
    factors = sorted({name for chain in grid.experiment.expanded() for name in chain.levels})
    levels = {chain.name: chain.levels for chain in grid.experiment.expanded()}
    columns = (
        *("chain", *factors, "generation", "step", "tool", "measure", "part", "failures"),
        *("value", "lo", "hi", "n", "ceiling", "chance", "at_ceiling", "method", "warnings", "signature", "unscored"),
    )
    rows = []
    for figure in analysis.figures:
        node, found = figure.node, figure.figure
        where = (
            *(node.chain, *(levels[node.chain].get(name) for name in factors)),
            *(node.generation, node.step, node.tool, figure.measure, figure.part, figure.failures),
        )
        rows.append((*where, *_estimate(found), "" if isinstance(found, Estimate) else found.reason))
    return columns, rows


def _estimate(found: object) -> tuple[Cell, ...]:
    if not isinstance(found, Estimate):
        return (None,) * 10
    return (
        *(_round(found.value), _round(found.lo), _round(found.hi), found.n, _round(found.ceiling)),
        *(_round(found.chance), int(found.at_ceiling), found.method, " ".join(found.warnings), str(found.signature)),
    )


def _round(value: float | None) -> float | None:
    """To nine digits: sums in another order differ after that."""
    return None if value is None else float(f"{value:.9g}")


def _comparisons(analysis: Analysis) -> Table:
    columns = ("base", "other", "metric", "difference", "lo", "hi", "n", "sd", "p", "holm_p", "unpaired", "unscored")
    rows: list[Sequence[Cell]] = []
    for pair in analysis.compared:
        who = (pair.base, pair.other, pair.metric)
        found = pair.comparison
        if isinstance(found, Comparison):
            d = found.difference
            numbers = (_round(d.value), _round(d.lo), _round(d.hi), d.n, _round(found.sd))
            rows.append((*who, *numbers, _round(found.p), _round(found.adjusted), found.unpaired, ""))
        else:
            rows.append((*who, *(None,) * 8, found.reason))
    return columns, rows


def _factors(analysis: Analysis) -> Table:
    """Shares of the variance between crossed chains, leads of one factor over another, and effects of levels."""
    columns = ("factors", "metric", "what", "of", "level", "value", "lo", "hi", "n", "unscored")
    rows: list[Sequence[Cell]] = []
    for crossed in analysis.crossed:
        who, found = (" × ".join(crossed.factors), crossed.metric), crossed.shares
        if isinstance(found, Unscored):
            rows.append((*who, "share", "", "", *(None,) * 4, found.reason))
            continue
        told = [("spread", "", "", found.spread)]
        told += [("share", " × ".join(term), "", share) for term, share in found.terms.items()]
        told += [("lead", f"{a} − {b}", "", lead) for (a, b), lead in found.lead.items()]
        for name, effects in found.effects.items():
            told += [("effect", name, level, e) for level, e in zip(crossed.levels[name], effects, strict=True)]
        rows += [(*who, *what, *_interval(figure), figure.n, "") for *what, figure in told]
    return columns, rows


def _interval(found: Estimate) -> tuple[Cell, ...]:
    return _round(found.value), _round(found.lo), _round(found.hi)


def _chains(analysis: Analysis) -> Table:
    """Figures of whole chains: drift as the field has it, and where long loops end."""
    columns = ("chain", "measure", "value", "lo", "hi", "n", "unscored")
    rows: list[Sequence[Cell]] = []
    for name, chain in analysis.chains.items():
        told: list[tuple[str, Estimate | Unscored]] = [("mcd", chain.mcd)]
        told.append(("sdr", chain.drift if isinstance(chain.drift, Unscored) else chain.drift.b))
        if isinstance(chain.endings, Unscored):
            told.append(("settled", chain.endings))
        else:
            told += [(f"settled on a {kind}", share) for kind, share in chain.endings.shares.items()]
            told += [(f"settled by generation {g}", share) for g, share in enumerate(chain.endings.reached)]
        if not isinstance(chain.survival, Unscored):
            told += [(f"hazard of {kind}", hazard) for kind, hazard in chain.survival.kinds.items()]
            told += [
                (f"recall of {reader} on {modality}", r) for (modality, reader), r in chain.survival.recall.items()
            ]
            told += [(f"still seen after leg {k}", share) for k, share in enumerate(chain.survival.curve, 1)]
        for measure, found in told:
            rows.append((name, measure, *_estimated(found)))
    return columns, rows


def _floor(analysis: Analysis) -> Table:
    """What each measure reads where nothing is lost: of paraphrases of the sources, and between repeats of a chain."""
    floors = {"paraphrase": analysis.floor, **{f"again: {name}": found for name, found in analysis.again.items()}}
    rows = [(of, measure, *_estimated(found)) for of, measures in floors.items() for measure, found in measures.items()]
    return ("of", "measure", "value", "lo", "hi", "n", "unscored"), rows


def _estimated(found: Estimate | Unscored) -> tuple[Cell, ...]:
    if isinstance(found, Unscored):
        return (None, None, None, None, found.reason)
    return (*_interval(found), found.n, "")


def _survival(analysis: Analysis) -> Table:
    columns = ("chain", "hops", "kind", "hazard", "lo", "hi", "n", "recall_confounded", "unscored")
    rows: list[Sequence[Cell]] = []
    for name, chain in analysis.chains.items():
        if isinstance(chain.survival, Unscored):
            rows.append((name, "", "", None, None, None, None, None, chain.survival.reason))
            continue
        for leg in chain.survival.legs:
            hops, hazard = "-".join(str(chain.first + hop) for hop in leg.hops), leg.hazard
            if isinstance(hazard, Estimate):
                numbers = (_round(hazard.value), _round(hazard.lo), _round(hazard.hi), hazard.n)
                rows.append((name, hops, leg.kind, *numbers, 0, ""))
            elif leg.product is not None:
                p = leg.product
                numbers = (_round(1 - p.value), _one_less(p.hi), _one_less(p.lo), p.n)
                rows.append((name, hops, leg.kind, *numbers, 1, hazard.reason))
            else:
                rows.append((name, hops, leg.kind, None, None, None, None, None, hazard.reason))
    return columns, rows


def _one_less(value: float | None) -> float | None:
    return None if value is None else _round(1 - value)


def _trajectories(observations: Sequence[Observation]) -> Table:
    return ("chain", "source", "repeat", "run", "calls"), ((*_key(o), o.run, o.calls) for o in observations)

"""`hopline experiment`: check, run and report; people's ratings; results of other studies."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from hopline.agent.faces.cli.output import human, say_json, table_console, visible, want_json
from hopline.agent.faces.cli.running import Json
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hopline.agent.experiments.engine import Ended
    from hopline.agent.experiments.study import Rows, Study

Specification = Annotated[Path, typer.Argument(help="The experiment's TOML file.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder of report and tables; the experiment's name by default.")
]

experiment = typer.Typer(
    name="experiment",
    help="Chains over a corpus, generation after generation: what arrives, with intervals.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(experiment)


@experiment.callback()
def _alone() -> None:
    # The matrices of an analysis are small: waking a second thread costs ten times what it saves.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@experiment.command("check")
def check(specification: Specification, json_: Json = False) -> None:
    """Validate an experiment; say how many hops it has, how long it takes, and how many sources it needs."""
    from hopline.agent.experiments.experiment import check_experiment
    from hopline.agent.experiments.spec import read_experiment
    from hopline.agent.hops.journal import Journal

    want_json(json_)
    with Journal() as journal:
        found = check_experiment(read_experiment(specification), journal)
    if json_:
        say_json(
            {
                "format": "hopline.experiment-check/1",
                "sources": found.sources,
                "trajectories": found.trajectories,
                "hops": found.hops,
                "finished": found.finished,
                "calls": found.calls,
                "seconds": found.seconds,
                "untimed": list(found.untimed),
                "lanes": found.lanes,
                "sources_needed": found.sources_needed,
                "warnings": list(found.warnings),
            }
        )
        return
    typer.echo(f"{found.sources} sources, {found.trajectories} trajectories, {found.hops} hops")
    typer.echo(f"{found.finished} trajectories are finished; the others take at most {found.calls} calls of tools")
    if found.calls > 0 and found.seconds:
        side = f", about {_time(found.seconds / found.lanes)} on {found.lanes} lanes" if found.lanes > 1 else ""
        typer.echo(f"these take {_time(found.seconds)} one after another{side}")
    if found.untimed:
        typer.echo(f"not yet timed here: {', '.join(found.untimed)}")
    if found.sources_needed is not None:
        typer.echo(f"{found.sources_needed} sources show the wanted difference with power 0.9")
    for warning in found.warnings:
        human().print(Text(f"warning: {warning}", style="yellow"))


@experiment.command("run")
def run(specification: Specification, out: Out = None, json_: Json = False) -> None:
    """Run what is not finished, then write the report. Stop it whenever you like: the same command goes on."""
    from hopline.agent.experiments.experiment import run_experiment, write_study
    from hopline.agent.experiments.plots import require_plots
    from hopline.agent.experiments.spec import read_experiment
    from hopline.agent.hops.journal import Journal

    want_json(json_)
    require_plots()
    wanted = read_experiment(specification)
    with Journal() as journal:
        with _progress(wanted.name) as on_ended:
            study = run_experiment(wanted, journal=journal, on_ended=on_ended, command=_command(specification, out))
        files = write_study(study, out or Path(wanted.name))
    _say(study, files[0], json_)


@experiment.command("report")
def report(specification: Specification, out: Out = None, json_: Json = False) -> None:
    """Write the report of what is finished; nothing runs."""
    from hopline.agent.experiments.experiment import stored_study, write_study
    from hopline.agent.experiments.plots import require_plots
    from hopline.agent.experiments.spec import read_experiment
    from hopline.agent.hops.journal import Journal

    want_json(json_)
    require_plots()
    wanted = read_experiment(specification)
    with Journal() as journal:
        study = stored_study(wanted, journal=journal, command=_command(specification, out))
        files = write_study(study, out or Path(wanted.name))
    _say(study, files[0], json_)


@experiment.command("sample")
def sample(
    specification: Specification,
    n: Annotated[int, typer.Option("-n", help="How many items.", min=1)] = 100,
    seed: Annotated[int, typer.Option("--seed", help="Of the draw and its order.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the sheet; NAME-sample by default.")] = None,
    json_: Json = False,
) -> None:
    """Draw facts for people to check: a sheet of texts, pictures and sounds without the machine's answers, and a
    table to fill in."""
    from hopline.agent.experiments.experiment import stored_study
    from hopline.agent.experiments.sampling import all_cells, draw_cells, write_sample
    from hopline.agent.experiments.spec import read_experiment
    from hopline.agent.hops.journal import Journal

    want_json(json_)
    wanted = read_experiment(specification)
    with Journal() as journal:
        study = stored_study(wanted, journal=journal)
        cells = draw_cells(all_cells(study), n, seed)
        sheet, ratings, key = write_sample(study, cells, out or Path(f"{wanted.name}-sample"))
    items = sum(cell.item > 0 for cell in cells)
    if json_:
        say_json({"format": "hopline.experiment-sample/1", "items": items, "cells": len(cells), "sheet": str(sheet),
                  "ratings": str(ratings), "key": str(key)})  # fmt: skip
        return
    human().print(f"{items} of {len(cells)} cells. Give people {sheet.name} and {ratings.name}, not {key.name}.")
    typer.echo(str(sheet))


@experiment.command("import-ratings")
def import_ratings(
    files: Annotated[list[Path], typer.Argument(help="Filled tables, of one person or of several.")],
    key: Annotated[
        Path | None, typer.Option("--key", help="The key of the sample; key.csv beside the first table by default.")
    ] = None,
    json_: Json = False,
) -> None:
    """Measure what people wrote: agreement with the machine and with each other, and the facts kept, corrected. It is
    kept for the experiment's reports."""
    from hopline.agent.experiments.ratings import agreement_rows, corrected_rows, keep_ratings, read_ratings
    from hopline.tools.home import home

    want_json(json_)
    check = read_ratings(files, key)
    kept = keep_ratings(files, home(), key)
    tables = {"agreement": agreement_rows(check), "kept": corrected_rows(check)}
    if json_:
        told = {name: [dict(zip(rows[0], row, strict=True)) for row in rows[1:]] for name, rows in tables.items()}
        say_json({"format": "hopline.experiment-ratings/1", "rated": check.rated, "unsure": check.unsure,
                  "ratings": str(kept), **told})  # fmt: skip
        return
    human().print(f"{check.rated} cells rated, {check.unsure} of them unsure.")
    for rows in tables.values():
        _print(rows)
    human().print("`hopline experiment report` shows them beside the headline.", highlight=False)


@experiment.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="Folder of results.")],
    format_: Annotated[
        str, typer.Option("--format", help="semantic-drift (arXiv 2509.04438) or broken-telephone (arXiv 2502.20258).")
    ],
    name: Annotated[str | None, typer.Option("--name", help="Of the study; the folder's by default.")] = None,
    out: Out = None,
    json_: Json = False,
) -> None:
    """Read the published results of another study, and analyse them again with intervals; nothing runs."""
    from hopline.agent.experiments.experiment import write_study
    from hopline.agent.experiments.importing import import_study
    from hopline.agent.experiments.plots import require_plots

    want_json(json_)
    require_plots()
    study = import_study(folder, format_, name=name)
    files = write_study(study, out or Path(study.grid.experiment.name))
    _say(study, files[0], json_)


def _command(specification: Path, out: Path | None) -> str:
    words = ["hopline", "experiment", "run", specification.name, *(["--out", out.name] if out else [])]
    return shlex.join(words)


@contextmanager
def _progress(name: str) -> Iterator[Callable[[Ended, int, int], None]]:
    """A bar on a terminal, else a line for every twentieth part."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = human()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
    with bar if console.is_terminal else nullcontext():
        task = bar.add_task(visible(name), total=None)

        def on_ended(ended: Ended, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if not console.is_terminal and (done == total or done % max(1, total // 20) == 0):
                console.print(f"{done} of {total} trajectories")
            if ended.problem:
                trajectory = ended.trajectory
                words = f"{trajectory.source.id} through {trajectory.chain.name}: {visible(ended.problem)}"
                console.print(Text(words, style="red"))

        yield on_ended


def _say(study: Study, page: Path, json_: bool) -> None:
    from hopline.agent.experiments.study import headline_rows

    rows = headline_rows(study)
    if json_:
        say_json({"format": "hopline.experiment/1", "name": study.grid.experiment.name, "report": str(page),
                  "headline": [dict(zip(rows[0], row, strict=True)) for row in rows[1:]],
                  "completed": sum(o.status == "ok" for o in study.observations),
                  "trajectories": len(study.observations)})  # fmt: skip
        return
    _print(rows)
    typer.echo(str(page))


def _print(rows: Rows) -> None:
    table = Table(box=None, pad_edge=False)
    for column in rows[0]:
        table.add_column(column)
    for row in rows[1:]:
        table.add_row(*map(visible, row))
    table_console().print(table)


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"

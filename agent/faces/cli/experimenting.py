"""`hopline experiment`: check, run and report."""

from __future__ import annotations

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
    from hopline.agent.experiments.study import Study

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
    table = Table(box=None, pad_edge=False)
    for column in rows[0]:
        table.add_column(column)
    for row in rows[1:]:
        table.add_row(*row)
    table_console().print(table)
    typer.echo(str(page))


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"

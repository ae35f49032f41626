"""An experiment from its specification to its report.

from hopline.agent.experiments.experiment import run_experiment
study = run_experiment(read_experiment(Path("speech-loop.toml")), out=Path("speech-loop"))
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hopline.agent.experiments.analysis import analyse
from hopline.agent.experiments.corpus import Corpus, read_corpus
from hopline.agent.experiments.engine import Ended, Engine, LocalEngine
from hopline.agent.experiments.evidence import Encode
from hopline.agent.experiments.grid import Grid, OnEnded, finished, make_grid, registry_with_channels, run_grid
from hopline.agent.experiments.observing import observe
from hopline.agent.experiments.plots import charts
from hopline.agent.experiments.ratings import people_of
from hopline.agent.experiments.report import html
from hopline.agent.experiments.shelf import JournalShelf
from hopline.agent.experiments.spec import Experiment
from hopline.agent.experiments.study import Study
from hopline.agent.experiments.summary import markdown
from hopline.agent.experiments.tables import tables, write_tables
from hopline.agent.hops.journal import Journal
from hopline.agent.loss.compare import sources_needed
from hopline.agent.loss.plugins import extractor, metrics
from hopline.agent.loss.score import Unscored
from hopline.agent.loss.text import TextMetric
from hopline.agent.running.profile import Profile, load_profile
from hopline.tools.encoder import Encoder
from hopline.tools.errors import BadInput, Unavailable
from hopline.tools.home import Limits, limits
from hopline.tools.registry import Registry


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What an experiment would do.

    Attributes:
        sources: how many.
        trajectories: chains × sources × repeats.
        hops: of all trajectories.
        finished: trajectories that the journal has.
        calls: of tools for the others, at most: equal beginnings and what the journal has are called once.
        seconds: that these calls take one after another, by the median times of the journal; of those it knows.
        untimed: backends that the journal has no times of.
        lanes: trajectories that run side by side.
        sources_needed: to see the wanted difference with power 0.9.
        warnings: sentences for the person.
    """

    sources: int
    trajectories: int
    hops: int
    finished: int
    calls: int
    seconds: float
    untimed: tuple[str, ...]
    lanes: int
    sources_needed: int | None
    warnings: tuple[str, ...]


def check_experiment(experiment: Experiment, journal: Journal) -> Check:
    """Validate an experiment and say what it would do; nothing runs.

    Raises:
        UserError, BadInput, BadPlan, Unavailable: it cannot run here; says why.
    """
    grid, _ = _grid(experiment, ready=True)
    have = finished(grid, journal)
    _metrics(experiment)
    needed = sources_needed(experiment.difference, experiment.spread)
    sources = len(grid.corpus.sources)
    warnings = [f"{name} is left out: {why}" for name, why in grid.left_out.items()]
    if isinstance(needed, int) and sources < needed:
        warnings.append(
            f"{sources} sources: a difference of {experiment.difference:g} between two chains needs about {needed}."
        )
    if sources < 20:
        warnings.append(f"{sources} sources: under 20 no interval is given.")
    if not any(source.reference for source in grid.corpus.sources):
        warnings.append("No source has a reference text: texts are measured against the first one of their chain.")
    for chain in grid.experiment.expanded():
        last = grid.plans[chain.name].steps[-1]
        if "text" not in grid.makes(last.tool):
            warnings.append(f"{chain.name}: it ends in {last.tool}; end it in text, so that it can be read.")
    todo = [t for t in grid.trajectories if t.cell not in have]
    calls, took = grid.calls(todo), journal.median_ms()
    return Check(
        sources=sources,
        trajectories=len(grid.trajectories),
        hops=grid.hops,
        finished=len(grid.trajectories) - len(todo),
        calls=calls.total(),
        seconds=sum(count * took[backend] / 1000 for backend, count in calls.items() if backend in took),
        untimed=tuple(sorted(backend for backend in calls if backend not in took)),
        lanes=experiment.engine.lanes or os.cpu_count() or 2,
        sources_needed=None if isinstance(needed, Unscored) else needed,
        warnings=tuple(warnings),
    )


def run_experiment(
    experiment: Experiment,
    *,
    journal: Journal,
    registry: Registry | None = None,
    profile: Profile | None = None,
    engine: Engine | None = None,
    corpus: Corpus | None = None,
    on_ended: OnEnded = lambda *_: None,
    command: str = "",
) -> Study:
    """Run what the journal does not have, and analyse all of it.

    Args:
        experiment: as `read_experiment` gives it.
        journal: where the trajectories are and will be.
        registry: what the chains may use; the installed tools and the channels by default.
        profile: which backend serves each tool; the experiment's by default.
        engine: who runs them; this machine by default.
        corpus: what is sent, made by a program; the experiment's sources by default.
        on_ended: told of each trajectory.
        command: that repeats it, for the report.

    Raises:
        UserError, BadInput, BadPlan, Unavailable: it cannot run here; says why.
    """
    grid, profile = _grid(experiment, registry, profile, corpus, ready=True)
    _metrics(experiment)
    engine = engine or LocalEngine(
        registry=grid.registry,
        profile=profile,
        journal=journal,
        lanes=experiment.engine.lanes,
        batch=grid.batch,
        within=_within(experiment),
    )
    return _study(grid, profile, run_grid(grid, engine, journal, on_ended), journal, command)


def stored_study(experiment: Experiment, *, journal: Journal, command: str = "") -> Study:
    """The study of what the journal has; nothing runs.

    Raises:
        UserError, BadInput, BadPlan, Unavailable: as `run_experiment`.
    """
    grid, profile = _grid(experiment)
    have = finished(grid, journal)
    run = {t.chain.name for t in grid.trajectories if t.cell in have}
    unrun = {c.name: "it was not run" for c in grid.experiment.expanded() if c.optional and c.name not in run}
    if run and unrun:
        left_out = {**grid.left_out, **unrun}
        grid = replace(_grid(experiment.without(left_out))[0], left_out=left_out)
    ended = {t.cell: Ended(trajectory=t, run=have[t.cell]) for t in grid.trajectories if t.cell in have}
    return _study(grid, profile, ended, journal, command)


def write_study(study: Study, folder: Path) -> Sequence[Path]:
    """Write `report.html`, `report.md`, `tables/` and `plots/`.

    Returns:
        The files, the report first.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page, summary = folder / "report.html", folder / "report.md"
    named = tables(study.grid, study.observations, study.analysis)
    files = write_tables(folder / "tables", named)
    drawn = charts(study)
    (folder / "plots").mkdir(exist_ok=True)
    for chart in drawn:
        files.append(folder / "plots" / f"{chart.name}.svg")
        files[-1].write_text(chart.wide, "utf-8")
    page.write_text(html(study, drawn), "utf-8")
    summary.write_text(markdown(study), "utf-8")
    return [page, summary, *files]


def _grid(
    experiment: Experiment,
    registry: Registry | None = None,
    profile: Profile | None = None,
    corpus: Corpus | None = None,
    *,
    ready: bool = False,
) -> tuple[Grid, Profile]:
    profile = profile or load_profile(experiment.profile)
    files = (experiment.folder / name for name in experiment.tools_from)
    registry = registry or registry_with_channels(files, profile)
    return make_grid(experiment, corpus or read_corpus(experiment), registry, profile, ready=ready), profile


def _within(experiment: Experiment) -> Limits:
    """The limits of a hop: what the experiment says, else the environment's."""
    own = experiment.limits.model_dump(include={"hop_timeout_s", "hop_memory_mib"}, exclude_none=True)
    return limits().model_copy(update=own)


def _metrics(experiment: Experiment) -> list[TextMetric]:
    """The metrics of the field that are asked for.

    Raises:
        BadInput: there is none of a name.
    """
    there = {metric.name: metric for metric in metrics()}
    wanted = there if experiment.measures is None else experiment.measures
    unknown = next((name for name in wanted if name not in there), None)
    if unknown is not None:
        raise BadInput(f"there is no measure {unknown!r}; there are: {', '.join(there)}.")
    return [there[name] for name in wanted]


def _study(grid: Grid, profile: Profile, ended: dict[str, Ended], journal: Journal, command: str) -> Study:
    observations = observe(grid, ended, journal)
    wanted = _metrics(grid.experiment)
    # The cosine is taken of all texts at once, which is much faster than pair by pair.
    others = [metric for metric in wanted if metric.name != "cosine"]
    encode: Encode | None = None
    if len(others) < len(wanted):
        encoder = Encoder()
        with suppress(Unavailable):
            encoder.load()
            encode = encoder.encode
    reads = extractor(grid.experiment.extractor)
    analysis = analyse(grid, observations, extractor=reads, metrics=others, encode=encode)
    versions = {}
    for plan in grid.plans.values():
        for step in plan.steps:
            backend = profile.choose(grid.registry, step.tool, step.backend)
            versions[backend.id] = backend.identity()
    study = Study(
        grid=grid,
        observations=observations,
        analysis=analysis,
        shelf=JournalShelf(journal),
        command=command or f"hopline experiment run {grid.experiment.name}.toml",
        versions=versions,
    )
    return replace(study, people=people_of(study, journal.folder))

"""An experiment from its specification to its report.

from hopline.agent.experiments.experiment import run_experiment
study = run_experiment(read_experiment(Path("speech-loop.toml")), out=Path("speech-loop"))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hopline.agent.experiments.analysis import Encode, analyse
from hopline.agent.experiments.corpus import read_corpus
from hopline.agent.experiments.engine import Ended, Engine, LocalEngine
from hopline.agent.experiments.grid import Grid, OnEnded, finished, make_grid, registry_with_channels, run_grid
from hopline.agent.experiments.observing import observe
from hopline.agent.experiments.report import Study, html, markdown, plots
from hopline.agent.experiments.spec import Experiment
from hopline.agent.experiments.tables import tables, write_tables
from hopline.agent.hops.journal import Journal
from hopline.agent.loss.compare import sources_needed
from hopline.agent.loss.plugins import extractor, metrics
from hopline.agent.loss.score import Unscored
from hopline.agent.running.profile import Profile, load_profile
from hopline.tools.encoder import Encoder
from hopline.tools.errors import Unavailable
from hopline.tools.registry import Registry

SPREAD = 0.33
"""Standard deviation of differences by source, where no pilot says better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What an experiment would do.

    Attributes:
        sources: how many.
        trajectories: chains × sources × repeats.
        hops: of all trajectories; equal prefixes and what the journal has are called less often.
        finished: trajectories that the journal has.
        seconds: that the others take, by the median times of the journal; None where it knows no times.
        sources_needed: to see the wanted difference with power 0.9.
        warnings: sentences for the person.
    """

    sources: int
    trajectories: int
    hops: int
    finished: int
    seconds: float | None
    sources_needed: int | None
    warnings: tuple[str, ...]


def check_experiment(experiment: Experiment, journal: Journal) -> Check:
    """Validate an experiment and say what it would do; nothing runs.

    Raises:
        UserError, BadInput, BadPlan, Unavailable: it cannot run here; says why.
    """
    grid, profile = _grid(experiment)
    have = finished(grid, journal)
    needed = sources_needed(experiment.difference, SPREAD)
    sources = len(grid.corpus.sources)
    warnings = []
    if isinstance(needed, int) and sources < needed:
        warnings.append(
            f"{sources} sources: a difference of {experiment.difference:g} between two chains needs about {needed}."
        )
    if sources < 20:
        warnings.append(f"{sources} sources: under 20 no interval is given.")
    if not any(source.reference for source in grid.corpus.sources):
        warnings.append("No source has a reference text: nothing can be measured against it.")
    for chain in experiment.expanded():
        last = grid.plans[chain.name].steps[-1]
        if "text" not in grid.makes(last.tool):
            warnings.append(f"{chain.name}: it ends in {last.tool}; end it in text, so that it can be read.")
    todo = [t for t in grid.trajectories if t.cell not in have]
    per_hop = journal.median_ms()
    seconds: float | None = 0.0
    for trajectory in todo:
        for step in grid.plans[trajectory.chain.name].steps:
            cost = per_hop.get(profile.choose(grid.registry, step.tool, step.backend).id)
            seconds = None if cost is None or seconds is None else seconds + cost / 1000
    return Check(
        sources=sources,
        trajectories=len(grid.trajectories),
        hops=sum(len(grid.plans[t.chain.name].steps) for t in grid.trajectories),
        finished=len(grid.trajectories) - len(todo),
        seconds=seconds,
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
        on_ended: told of each trajectory.
        command: that repeats it, for the report.

    Raises:
        UserError, BadInput, BadPlan, Unavailable: it cannot run here; says why.
    """
    grid, profile = _grid(experiment, registry, profile)
    engine = engine or LocalEngine(registry=grid.registry, profile=profile, journal=journal, lanes=experiment.lanes)
    return _study(grid, profile, run_grid(grid, engine, journal, on_ended), journal, command)


def stored_study(experiment: Experiment, *, journal: Journal, command: str = "") -> Study:
    """The study of what the journal has; nothing runs.

    Raises:
        UserError, BadInput, BadPlan, Unavailable: as `run_experiment`.
    """
    grid, profile = _grid(experiment)
    have = finished(grid, journal)
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
    pictures = plots(study)
    (folder / "plots").mkdir(exist_ok=True)
    for name, svg in pictures.items():
        files.append(folder / "plots" / f"{name}.svg")
        files[-1].write_text(svg, "utf-8")
    page.write_text(html(study, pictures), "utf-8")
    summary.write_text(markdown(study), "utf-8")
    return [page, summary, *files]


def _grid(
    experiment: Experiment, registry: Registry | None = None, profile: Profile | None = None
) -> tuple[Grid, Profile]:
    profile = profile or load_profile(experiment.profile)
    registry = registry or registry_with_channels()
    return make_grid(experiment, read_corpus(experiment), registry, profile), profile


def _study(grid: Grid, profile: Profile, ended: dict[str, Ended], journal: Journal, command: str) -> Study:
    observations = observe(grid, ended, journal)
    encoder = Encoder()
    try:
        encoder.load()
        encode: Encode | None = encoder.encode
    except Unavailable:
        encode = None
    analysis = analyse(
        grid,
        observations,
        extractor=extractor(),
        # The cosine is taken of all texts at once, which is much faster than pair by pair.
        metrics=[metric for metric in metrics() if metric.name != "cosine"],
        encode=encode,
    )
    versions = {}
    for plan in grid.plans.values():
        for step in plan.steps:
            backend = profile.choose(grid.registry, step.tool, step.backend)
            versions[backend.id] = backend.identity()
    return Study(
        grid=grid,
        observations=observations,
        analysis=analysis,
        journal=journal,
        command=command or f"hopline experiment run {grid.experiment.name}.toml",
        versions=versions,
    )

"""The grid: chains × sources × repeats. What the journal has is not run again; the rest goes to an engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from hopline.agent.experiments.channels import CHANNELS
from hopline.agent.experiments.corpus import Corpus, Source
from hopline.agent.experiments.engine import Ended, Engine, Trajectory, Unit
from hopline.agent.experiments.spec import Chain, Experiment
from hopline.agent.hops.journal import Journal
from hopline.agent.hops.records import RunRecord
from hopline.agent.planning.chain import chain_plan
from hopline.agent.planning.check import check
from hopline.agent.planning.plan import Plan
from hopline.agent.running.profile import Profile
from hopline.tools.errors import BadPlan
from hopline.tools.registry import Registry, installed

FINISHED = ("ok", "failed", "partial")
"""Statuses of a run that is not run again."""
STOPPED = ("cancelled", "interrupted", "bug")
"""Reasons for which a run is finished later."""

OnEnded = Callable[[Ended, int, int], None]
"""Told each trajectory that ended, how many have, and how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """All trajectories of an experiment.

    Attributes:
        experiment: it.
        corpus: its sources.
        plans: of each chain, by name; its inputs are those of a source of the corpus's first modality.
        units: trajectories by source.
        registry: of the tools in the plans.
    """

    experiment: Experiment
    corpus: Corpus
    plans: Mapping[str, Plan]
    units: tuple[Unit, ...]
    registry: Registry

    def makes(self, tool: str) -> tuple[str, ...]:
        """Types of what a tool makes."""
        return tuple(port.type for port in self.registry.tool(tool).outputs)

    @property
    def trajectories(self) -> tuple[Trajectory, ...]:
        """All, source by source."""
        return tuple(trajectory for unit in self.units for trajectory in unit)


def registry_with_channels() -> Registry:
    """The installed tools and the channels of experiments."""
    registry = installed()
    for channel in CHANNELS:
        registry.add_function(channel)
    return registry


def make_grid(experiment: Experiment, corpus: Corpus, registry: Registry, profile: Profile) -> Grid:
    """The grid, checked; nothing runs.

    Raises:
        BadPlan: a chain does not read, does not fit its sources, or does not fit itself when repeated.
        NotFound, MissingBackend: a tool is unknown, or nothing here serves it.
    """
    plans = {}
    identities = {}
    for chain in experiment.expanded():
        plan = _plan(chain, corpus.sources[0], registry)
        plans[chain.name] = plan
        backends = [profile.choose(registry, step.tool, step.backend) for step in plan.steps]
        # What decides the outputs, channel by channel: a changed backend makes new cells.
        identities[chain.name] = [(b.identity(), s.parameters) for b, s in zip(backends, plan.steps, strict=True)]
    units = tuple(
        tuple(
            Trajectory(
                source=source,
                chain=chain,
                repeat=repeat,
                seed=experiment.seed + repeat,
                cell=_cell(source, identities[chain.name], experiment.seed + repeat),
                experiment=experiment.name,
            )
            for chain in experiment.expanded()
            for repeat in range(experiment.repeats)
        )
        for source in corpus.sources
    )
    return Grid(experiment=experiment, corpus=corpus, plans=plans, units=units, registry=registry)


def _plan(chain: Chain, source: Source, registry: Registry) -> Plan:
    modality = source.artifact.modality
    is_text = modality == "text"
    handles = {} if is_text else {f"{modality}1": modality}
    plan = chain_plan(chain.written, registry, handles, source.artifact.text if is_text else chain.name)
    problems = [p for p in check(plan, registry, handles) if p.severity == "error"]
    if problems:
        raise BadPlan(f"chain {chain.name!r}, {problems[0].step}: {problems[0].message}")
    return plan


def _cell(source: Source, steps: Iterable[object], seed: int) -> str:
    """Address of a trajectory: what was sent, through what, with which seed."""
    text = json.dumps([source.artifact.id, source.artifact.media_type, list(steps), seed], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def run_grid(grid: Grid, engine: Engine, journal: Journal, on_ended: OnEnded) -> dict[str, Ended]:
    """Run what the journal does not have.

    Args:
        grid: of the experiment.
        engine: who runs it.
        journal: where it writes.
        on_ended: told of each trajectory, in any order.

    Returns:
        How each trajectory ended, by cell; cells of a stopped experiment may be missing.
    """
    have, cut = _known(grid, journal)
    ended: dict[str, Ended] = {}
    total = len(grid.trajectories)
    for unit in grid.units:
        missing = []
        for trajectory in unit:
            if trajectory.cell in ended:
                continue
            if trajectory.cell in have:
                ended[trajectory.cell] = Ended(trajectory=trajectory, run=have[trajectory.cell].id)
                on_ended(ended[trajectory.cell], len(ended), total)
            else:
                missing.append(replace(trajectory, cut=cut.get(trajectory.cell, "")))
        if missing:
            engine.submit(tuple(missing))
    for one in engine.results():
        ended[one.trajectory.cell] = one
        on_ended(one, len(ended), total)
    return ended


def finished(grid: Grid, journal: Journal) -> dict[str, str]:
    """Ids of finished runs by cell."""
    return {cell: run.id for cell, run in _known(grid, journal)[0].items()}


def _known(grid: Grid, journal: Journal) -> tuple[dict[str, RunRecord], dict[str, str]]:
    """Finished runs by cell, and ids of runs that were cut and can be finished, by cell."""
    have: dict[str, RunRecord] = {}
    cut: dict[str, str] = {}
    for run in journal.labelled("experiment", grid.experiment.name):
        cell = str(run.options["labels"]["cell"])
        if run.status in FINISHED and not (run.error and run.error.reason in STOPPED):
            have.setdefault(cell, run)
        elif run.plan is not None and not journal.live(run.id):
            cut.setdefault(cell, run.id)
    return have, cut

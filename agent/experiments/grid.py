"""The grid: chains × sources × repeats. What the journal has is not run again; the rest goes to an engine."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hopline.agent.experiments.channels import CHANNELS
from hopline.agent.experiments.corpus import Corpus, Source
from hopline.agent.experiments.engine import LANE_THREADS, Ended, Engine, Trajectory, Unit
from hopline.agent.experiments.spec import Chain, Experiment
from hopline.agent.hops.journal import Journal
from hopline.agent.hops.records import RunRecord
from hopline.agent.planning.chain import chain_plan
from hopline.agent.planning.check import check
from hopline.agent.planning.plan import Plan
from hopline.agent.running.profile import Profile, registry_for
from hopline.agent.running.readiness import readiness_of
from hopline.agent.running.runner import seeded
from hopline.tools.artifact import TEXT
from hopline.tools.backend import Backend
from hopline.tools.errors import BadPlan, MissingBackend, Unavailable
from hopline.tools.function import functions_of
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
        experiment: it, without the chains that were left out.
        corpus: its sources.
        plans: of each chain, by name; its inputs are those of a source of the corpus's first modality.
        units: trajectories by source.
        registry: of the tools in the plans.
        links: backend and parameters of each step of each chain, by its name.
        left_out: optional chains that lack something here, by name, and what.
    """

    experiment: Experiment
    corpus: Corpus
    plans: Mapping[str, Plan]
    units: tuple[Unit, ...]
    registry: Registry
    links: Mapping[str, Sequence[Link]]
    left_out: Mapping[str, str]

    def makes(self, tool: str) -> tuple[str, ...]:
        """Types of what a tool makes."""
        return tuple(port.type for port in self.registry.tool(tool).outputs)

    @property
    def trajectories(self) -> tuple[Trajectory, ...]:
        """All, source by source."""
        return tuple(trajectory for unit in self.units for trajectory in unit)

    @property
    def batch(self) -> int:
        """Most calls that a backend of it takes at once."""
        return max(link.batch for links in self.links.values() for link in links)

    @property
    def hops(self) -> int:
        """Hops of all trajectories, as if nothing were shared."""
        return sum(len(self.plans[t.chain.name].steps) for t in self.trajectories)

    def calls(self, trajectories: Iterable[Trajectory]) -> Counter[str]:
        """How often each backend is called at most for some trajectories: what they share is called once."""
        seen: set[bytes] = set()
        found: Counter[str] = Counter()
        for trajectory in trajectories:
            at = f"{trajectory.source.artifact.id} {trajectory.source.question}".encode()
            for link in self.links[trajectory.chain.name]:
                seed = trajectory.seed if link.seeded else 0
                at = hashlib.sha256(at + f"{link.decides} {seed}".encode()).digest()
                if at not in seen:
                    seen.add(at)
                    found[link.backend] += 1
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One step of a chain, ready to be called.

    Attributes:
        backend: its id.
        decides: what decides its outputs, beside its inputs and its seed.
        seeded: its seed matters too, or tells repeats apart.
        batch: calls that it takes at once.
    """

    backend: str
    decides: str
    seeded: bool
    batch: int


def registry_with_channels(files: Iterable[Path] = (), profile: Profile | None = None) -> Registry:
    """The tools of a profile, the channels of experiments, and the `@tool` functions of some Python files.

    Raises:
        BadInput: a file is not there, or marks none.
    """
    registry = registry_for(profile) if profile else installed()
    for function in (*CHANNELS, *functions_of(files)):
        registry.add_function(function)
    return registry


def make_grid(
    experiment: Experiment, corpus: Corpus, registry: Registry, profile: Profile, *, ready: bool = False
) -> Grid:
    """The grid, checked; nothing runs.

    Args:
        experiment: as it was written.
        corpus: its sources.
        registry: what the chains may use.
        profile: which backend serves each tool.
        ready: what the backends need must be here.

    Raises:
        BadPlan: a chain does not read, does not fit its sources, or does not fit itself when repeated; or the
            experiment is larger than its limit.
        NotFound: a tool is unknown.
        Unavailable: a chain that is not optional lacks something here.
    """
    plans: dict[str, Plan] = {}
    links: dict[str, Sequence[Link]] = {}
    identities: dict[str, list[object]] = {}
    left_out: dict[str, str] = {}
    for chain in experiment.expanded():
        plan = _plan(chain, corpus.sources[0], registry)
        try:
            backends = [profile.choose(registry, step.tool, step.backend) for step in plan.steps]
            if ready:
                _require(backends, registry, profile)
            # What decides the outputs, channel by channel: a changed backend makes new cells.
            decides: list[object] = [(b.identity(), s.parameters) for b, s in zip(backends, plan.steps, strict=True)]
        except Unavailable as error:
            if not chain.optional:
                raise type(error)(f"chain {chain.name!r}: {error.args[0]}", hint=error.hint) from None
            left_out[chain.name] = str(error)
            continue
        plans[chain.name], identities[chain.name] = plan, decides
        links[chain.name] = [
            Link(backend=b.id, decides=_plain(d), seeded=seeded(b), batch=b.batch_on(threads=LANE_THREADS))
            for b, d in zip(backends, decides, strict=True)
        ]
    if not plans:
        raise MissingBackend("all chains were left out: " + "; ".join(f"{n}: {why}" for n, why in left_out.items()))
    here = experiment.without(left_out) if left_out else experiment
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
            for chain in here.expanded()
            for repeat in range(experiment.repeats)
        )
        for source in corpus.sources
    )
    grid = Grid(
        experiment=here, corpus=corpus, plans=plans, units=units, registry=registry, links=links, left_out=left_out
    )
    most = experiment.limits.hops
    if most is not None and grid.hops > most:
        raise BadPlan(f"{experiment.name} has {grid.hops} hops; its limit is {most}.")
    return grid


def _plan(chain: Chain, source: Source, registry: Registry) -> Plan:
    modality = source.artifact.modality
    handles = {} if modality == TEXT else {f"{modality}1": modality}
    plan = chain_plan(chain.written, registry, handles, source.request)
    problems = [p for p in check(plan, registry, handles) if p.severity == "error"]
    if problems:
        raise BadPlan(f"chain {chain.name!r}, {problems[0].step}: {problems[0].message}")
    return plan


def _require(backends: Sequence[Backend], registry: Registry, profile: Profile) -> None:
    """All that some backends need is here, and what those need that they call.

    Raises:
        Unavailable: something is not.
    """
    for backend in backends:
        found = readiness_of(backend, profile)
        if not found.ready:
            raise MissingBackend(
                f"{backend.id} cannot be called here: {', '.join(found.missing)}.", hint="; ".join(found.commands)
            )
        _require([profile.choose(registry, tool) for tool in backend.needs], registry, profile)


def _cell(source: Source, steps: Sequence[object], seed: int) -> str:
    """Address of a trajectory: what was sent, through what, with which seed."""
    asked = [source.question] if source.question else []
    text = _plain([source.artifact.id, source.artifact.media_type, list(steps), seed, *asked])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)


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
    minutes = grid.experiment.limits.minutes
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
    bell = threading.Timer(minutes * 60, engine.cancel) if minutes else None
    if bell:
        bell.start()
    try:
        for one in engine.results():
            ended[one.trajectory.cell] = one
            on_ended(one, len(ended), total)
    finally:
        if bell:
            bell.cancel()
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

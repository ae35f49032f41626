"""What each trajectory said at each of its text nodes, as the journal has it; nothing here depends on the
order in which trajectories ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hopline.agent.experiments.engine import Ended, Trajectory
from hopline.agent.experiments.grid import Grid
from hopline.agent.hops.journal import Journal
from hopline.agent.hops.records import Hop
from hopline.tools.artifact import TEXT


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A place of a chain at which there is text.

    Attributes:
        chain: its name.
        step: number of the hop that makes it, from 1.
        generation: from 1; 0 before the first one.
        tool: of that hop.
        ends: it is the last text of its generation.
    """

    chain: str
    step: int
    generation: int
    tool: str
    ends: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """How one trajectory went.

    Attributes:
        trajectory: which.
        run: id of its run; empty if there is none.
        status: of the run, or `refused` if it could not begin.
        problem: why it did not end well, in words.
        failed_step: number of the hop that failed, 0 if none did.
        texts: by step number, what was said there.
        losses: kinds of mechanical losses, how many times each.
        calls: hops that were called, not taken from the cache.
        scores: by step number, scores that came with imported results, by metric.
    """

    trajectory: Trajectory
    run: str
    status: str
    problem: str
    failed_step: int
    texts: Mapping[int, str]
    losses: Mapping[str, int]
    calls: int
    scores: Mapping[int, Mapping[str, float]] = field(default_factory=dict)


def nodes_of(grid: Grid) -> list[Node]:
    """The text nodes of all chains, in order."""
    found = []
    for chain in grid.experiment.expanded():
        steps = enumerate(grid.plans[chain.name].steps, 1)
        texts = [(number, step.tool) for number, step in steps if TEXT in grid.makes(step.tool)]
        last = {chain.generation(number): number for number, _ in texts}
        for number, tool in texts:
            generation = chain.generation(number)
            ends = generation > 0 and last[generation] == number
            found.append(Node(chain=chain.name, step=number, generation=generation, tool=tool, ends=ends))
    return found


def observe(grid: Grid, ended: Mapping[str, Ended], journal: Journal) -> list[Observation]:
    """Every trajectory of the grid, in its order."""
    return [_observation(t, ended.get(t.cell), journal) for t in grid.trajectories]


def _observation(trajectory: Trajectory, ended: Ended | None, journal: Journal) -> Observation:
    if ended is None or not ended.run:
        problem = ended.problem if ended else "it was not run."
        return Observation(
            trajectory=trajectory, run="", status="refused" if ended else "missing", problem=problem, failed_step=0,
            texts={}, losses={}, calls=0,
        )  # fmt: skip
    run = journal.run(ended.run)
    # A resumed run has its interrupted hops beside those that took their place: the last one counts.
    last = {(hop.step, hop.item): hop for hop in journal.hops(ended.run) if hop.parent is None}
    hops = sorted(last.values(), key=lambda hop: (_number(hop), hop.item))
    said = {
        _number(hop): [ref for ref in hop.output_list if ref.modality == TEXT] for hop in hops if hop.status == "ok"
    }
    texts = {number: "\n".join(journal.read(ref).text for ref in refs) for number, refs in said.items() if refs}
    losses: dict[str, int] = {}
    for hop in hops:
        for loss in hop.mechanical_losses:
            losses[loss.kind] = losses.get(loss.kind, 0) + 1
    failed = next((hop for hop in hops if hop.status == "failed"), None)
    return Observation(
        trajectory=trajectory,
        run=ended.run,
        status=run.status,
        problem=run.error.message if run.error else "",
        failed_step=_number(failed) if failed else 0,
        texts=dict(sorted(texts.items())),
        losses=dict(sorted(losses.items())),
        calls=sum(hop.cached_from is None and hop.status in ("ok", "failed") for hop in hops),
    )


def _number(hop: Hop) -> int:
    return int(hop.step.removeprefix("step"))

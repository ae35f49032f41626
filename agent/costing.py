"""What the journal measured of the backends that a plan may call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hopline.agent.hops.journal import Journal
from hopline.agent.loss.run import RunLoss, measure
from hopline.agent.planning.costs import Costs, Measured
from hopline.agent.running.profile import Profile
from hopline.agent.running.readiness import is_ready
from hopline.tools.errors import HoplineError
from hopline.tools.registry import Registry

MOST_RUNS = 50
"""The latest runs whose losses are counted."""


def costs(journal: Journal, registry: Registry, profile: Profile, tools: Iterable[str], *, losses: bool) -> Costs:
    """What can serve these tools here, and what the journal measured of it.

    Args:
        journal: times, and the readings that losses are measured by; nothing is read or called anew.
        registry: has the backends.
        profile: its choice comes first; one that sends content away is left out where it forbids that.
        tools: names of declared tools.
        losses: measure the losses too, of the latest `MOST_RUNS` runs.
    """
    times = journal.times_ms()
    there = {tool: list(_there(registry, profile, tool, times)) for tool in tools}
    every = [backend for backends in there.values() for backend in backends]
    remote = {backend for backend in every if registry.backend(backend).remote}
    kept: dict[str, list[tuple[int, int]]] = {}
    if losses and every:
        for run_id in journal.calling(every, limit=MOST_RUNS):
            hops = journal.hops(run_id)
            cached = {hop.id for hop in hops if hop.cached_from is not None}
            loss = measure(journal.run(run_id), hops, journal.probes(run_id), journal.read)
            for hop, backend, before, after in shares(loss):
                if hop not in cached:
                    kept.setdefault(backend, []).append((before, after))
    measured = {
        backend: Measured(
            hops=len(times.get(backend, ())),
            ms=_median(times.get(backend, ())),
            facts=sum(before for before, _ in kept.get(backend, ())),
            kept=sum(after for _, after in kept.get(backend, ())),
            loss_hops=len(kept.get(backend, ())),
            remote=backend in remote,
        )
        for backend in every
    }
    return Costs(backends=there, measured=measured)


def shares(loss: RunLoss) -> Iterator[tuple[int, str, int, int]]:
    """Of each hop whose loss is its own: its id, its backend, the facts that came in, and those that came out.

    A hop that is measured together with another (a round trip) is left out, and so is one behind it.
    """
    rows = {row.hop: row for row in loss.hops}
    nodes = {node.id: node for node in loss.nodes}
    for row in loss.hops:
        if row.kept is None or row.round_trip:
            continue
        parents = {parent for node in loss.nodes if node.hop == row.hop for parent in node.parents}
        made_by = {nodes[parent].hop for parent in parents if not nodes[parent].is_source}
        before = 0
        if not made_by:
            before = row.kept + (row.altered or 0) + (row.missing or 0) + (row.void or 0)
        elif len(made_by) == 1:
            (earlier,) = (rows.get(hop) if hop is not None else None for hop in made_by)
            if earlier is not None and earlier.kept is not None and earlier.against == row.against:
                before = earlier.kept
        if before:
            yield row.hop, row.backend, before, row.kept


def _there(registry: Registry, profile: Profile, tool: str, called: Iterable[str]) -> Iterator[str]:
    """Backends of a tool that can be called here: the profile's, the installed ones, and those called before."""
    try:
        first = [profile.choose(registry, tool).id]
    except HoplineError:
        first = []
    others = [f"{backend.tool}:{backend.name}" for backend in registry.backends(tool)]
    before = [backend for backend in called if backend.partition(":")[0] == tool]
    for name in dict.fromkeys([*first, *others, *before]):
        try:
            backend = profile.choose(registry, tool, name)
        except HoplineError:
            continue
        if is_ready(backend):
            yield backend.id


def _median(ascending: list[float] | tuple[()]) -> float | None:
    return ascending[len(ascending) // 2] if ascending else None

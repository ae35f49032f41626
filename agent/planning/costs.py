"""What the journal measured of backends, as planning is handed it, and which backends and paths that speaks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hopline.agent.planning.plan import FromAttachment, FromStep, Plan, Step, in_order
from hopline.tools.errors import NoPlan, UserError
from hopline.tools.registry import Registry

ROUTES = ("cheapest", "fastest", "most-faithful")
"""Least paid calls and then least computing; least time from start to end; largest share of facts kept."""

FEW = 5
"""A choice on fewer hops than this is said to rest on few."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was measured of one backend.

    Attributes:
        hops: calls that the time rests on; those taken from the cache do not count.
        ms: median wall clock of one, loading left out; None where there were none.
        facts: facts that came in, over the hops whose loss could be measured by itself.
        kept: those of them that came out.
        loss_hops: hops that these rest on.
        remote: calls leave this machine.
    """

    hops: int = 0
    ms: float | None = None
    facts: int = 0
    kept: int = 0
    loss_hops: int = 0
    remote: bool = False

    @property
    def share(self) -> float | None:
        """Of the facts that came in, those that came out; None where nothing was measured."""
        return self.kept / self.facts if self.facts else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """What there is to choose from, and what was measured of it.

    Attributes:
        backends: by tool, those that can be called here; the profile's choice first.
        measured: by backend.
    """

    backends: Mapping[str, Sequence[str]] = field(default_factory=dict)
    measured: Mapping[str, Measured] = field(default_factory=dict)

    def of(self, backend: str) -> Measured:
        """What was measured of a backend; nothing where it was never called."""
        return self.measured.get(backend, Measured())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Route:
    """One way to compare.

    Attributes:
        known: whether enough was measured of a backend.
        cost: of a backend that is known; the least wins.
        total: of the steps of a plan, from the cost of each.
        hops: what the cost of a backend rests on.
        shown: the cost of a backend, for people.
    """

    known: Callable[[Measured], bool]
    cost: Callable[[Measured], tuple[float, ...]]
    total: Callable[[Plan, Mapping[str, tuple[float, ...]]], tuple[float, ...]]
    hops: Callable[[Measured], int]
    shown: Callable[[Measured], str]


def _summed(plan: Plan, costs: Mapping[str, tuple[float, ...]]) -> tuple[float, ...]:
    rows = [tuple(part * _width(step) for part in costs[step.id]) for step in plan.steps]
    return tuple(map(sum, zip(*rows, strict=True)))


def _critical(plan: Plan, costs: Mapping[str, tuple[float, ...]]) -> tuple[float, ...]:
    """The longest way through the plan: independent steps run side by side."""
    ends: dict[str, float] = {}
    for step in in_order(plan.steps):
        ends[step.id] = costs[step.id][0] + max((ends[need] for need in step.needs()), default=0.0)
    return (max(ends.values(), default=0.0),)


def _compounded(plan: Plan, costs: Mapping[str, tuple[float, ...]]) -> tuple[float, ...]:
    kept = 1.0
    for step in plan.steps:
        kept *= 1 - costs[step.id][0]
    return (1 - kept,)


def _ms(measured: Measured) -> float:
    return measured.ms or 0.0


_BY_NAME: Mapping[str, _Route] = {
    "cheapest": _Route(
        known=lambda m: m.ms is not None,
        cost=lambda m: (float(m.remote), _ms(m)),
        total=_summed,
        hops=lambda m: m.hops,
        shown=lambda m: f"{_ms(m) / 1000:.3g} s" + (" and a call elsewhere" if m.remote else ""),
    ),
    "fastest": _Route(
        known=lambda m: m.ms is not None,
        cost=lambda m: (_ms(m),),
        total=_critical,
        hops=lambda m: m.hops,
        shown=lambda m: f"{_ms(m) / 1000:.3g} s",
    ),
    "most-faithful": _Route(
        known=lambda m: m.share is not None,
        cost=lambda m: (1 - (m.share or 0.0),),
        total=_compounded,
        hops=lambda m: m.loss_hops,
        shown=lambda m: f"{m.kept} of {m.facts} facts kept",
    ),
}


def check_route(route: str) -> str:
    """The name of a route, or the empty one.

    Raises:
        UserError: there is no such route.
    """
    if route and route not in ROUTES:
        raise UserError(f"there is no route {route!r}.", hint=f"Use --route {', '.join(ROUTES)}.")
    return route


def routed(plan: Plan, others: Sequence[Plan], costs: Costs, route: str) -> Plan:
    """The plan, or another that does as much, with the backends that what was measured speaks for.

    A backend or path wins only over others that were measured too: with nothing to compare, the profile's
    backends and the planner's path stand.

    Args:
        plan: checked; the planner's choice.
        others: that would do as well.
        costs: what there is, and what was measured of it.
        route: one of `ROUTES`.

    Returns:
        The chosen plan; `why["route"]` says what was compared, on how many hops that rests, and what stands.
    """
    by = _BY_NAME[route]
    ways = [_backed(way, costs, by) for way in (plan, *others)]
    sums = [_total(steps, costs, by) for steps, _ in ways]
    best = 0
    if sums[0] is not None:
        known = [(total, place) for place, total in enumerate(sums) if total is not None]
        best = min(known)[1]
    steps, compared = ways[best]
    paths = []
    if len(ways) > 1 and sums[best] is not None and sum(total is not None for total in sums) > 1:
        paths = [
            {"tools": way.tools, route: _figure(total)}
            for (way, _), total in zip(ways, sums, strict=True)
            if total is not None
        ]
    used = {row["backend"] for rows in compared.values() for row in rows}
    if paths:
        used |= {_chosen(step, costs) for way, _ in ways for step in way.steps}
    hops = sum(by.hops(costs.of(backend)) for backend in used)
    why: dict[str, Any] = {"wanted": route, "hops": hops, "compared": compared, "paths": paths}
    why["words"] = _words(route, hops, compared, paths, ways[best][0], costs, by)
    return steps.model_copy(update={"why": {**steps.why, "route": why}})


def _backed(plan: Plan, costs: Costs, by: _Route) -> tuple[Plan, dict[str, list[dict[str, Any]]]]:
    """A plan with the best measured backend in each step that names none, and what was compared."""
    compared: dict[str, list[dict[str, Any]]] = {}
    steps = []
    for step in plan.steps:
        known = [b for b in costs.backends.get(step.tool, ()) if by.known(costs.of(b))]
        if step.backend is None and len(known) > 1 and _chosen(step, costs) in known:
            # The first of equals is the profile's.
            best = min(known, key=lambda backend: by.cost(costs.of(backend)))
            compared[step.id] = [
                {"backend": b, "hops": by.hops(costs.of(b)), "measured": by.shown(costs.of(b))}
                for b in sorted(known, key=lambda backend: by.cost(costs.of(backend)))
            ]
            step = step.model_copy(update={"backend": best if best != _chosen(step, costs) else None})
        steps.append(step)
    return plan.model_copy(update={"steps": tuple(steps)}), compared


def _chosen(step: Step, costs: Costs) -> str:
    """The backend of a step: its own, or the profile's."""
    return step.backend or next(iter(costs.backends.get(step.tool, ())), "")


def _total(plan: Plan, costs: Costs, by: _Route) -> tuple[float, ...] | None:
    """What a plan costs; None where a step of it was never measured."""
    measured = {step.id: costs.of(_chosen(step, costs)) for step in plan.steps}
    if not measured or not all(by.known(one) for one in measured.values()):
        return None
    return by.total(plan, {step: by.cost(one) for step, one in measured.items()})


def _width(step: Step) -> int:
    """How many calls a step makes, as far as the plan says."""
    return max((len(sources) for sources in step.inputs.values()), default=1)


def _figure(total: tuple[float, ...]) -> list[float]:
    return [round(part, 3) for part in total]


def _words(
    route: str,
    hops: int,
    compared: Mapping[str, Sequence[Mapping[str, Any]]],
    paths: Sequence[Mapping[str, Any]],
    plan: Plan,
    costs: Costs,
    by: _Route,
) -> str:
    if not compared and not paths:
        measured = [by.hops(costs.of(_chosen(step, costs))) for step in plan.steps]
        if any(measured):
            rest = f"measured on {sum(measured)} hops, but nothing to compare it with"
        else:
            rest = "nothing is measured yet"
        return f"{route}: {rest}; the profile's choice stands."
    parts = []
    for step, rows in compared.items():
        told = ", ".join(f"{row['backend'].partition(':')[2]} {row['measured']} ({row['hops']})" for row in rows)
        parts.append(f"{step} {told}")
    if paths:
        parts.append("paths " + ", ".join(" → ".join(path["tools"]) for path in paths))
    few = ", which is few" if hops < FEW else ""
    return f"{route}, by {hops} measured hops{few}: {'; '.join(parts)}."


def others_like(plan: Plan, request: str, registry: Registry, types: Mapping[str, str]) -> list[Plan]:
    """Plans that would do as much: they score about as well, read the same and end in the same types.

    Args:
        plan: the planner's choice.
        request: plain words.
        registry: what can be called.
        types: by handle, of what the plan may read.
    """
    from hopline.agent.planning.typed import Reading, search

    given = {handle: types[handle] for handle in _outside(plan) if handle in types}
    close: list[Plan] = []
    try:
        first = search(Reading(request, registry, given), "typed", also=close)
    except NoPlan:
        return []
    shape = _shape(plan, registry)
    found = [
        other
        for other in (first, *close)
        if other.tools != plan.tools and not other.errors and _shape(other, registry) == shape
    ]
    return list({tuple(other.tools): other.model_copy(update={"planner": plan.planner}) for other in found}.values())


def _outside(plan: Plan) -> list[str]:
    sources = [s for step in plan.steps for given in step.inputs.values() for s in given]
    return sorted({s.attachment for s in sources if isinstance(s, FromAttachment)})


def _shape(plan: Plan, registry: Registry) -> tuple[Any, ...]:
    """What goes in and what comes out."""
    made = [port.type for step in plan.leaves() for port in registry.tool(step.tool).outputs]
    asked = [s for step in plan.steps for given in step.inputs.values() for s in given]
    literal = sorted(s.model_dump_json() for s in asked if not isinstance(s, FromStep | FromAttachment))
    return (_outside(plan), sorted(made), literal)

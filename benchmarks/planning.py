"""How well planners choose and join tools: TaskBench on tool lists that are not ours, and plain requests.

    python benchmarks/planning.py --shared DIR [--planner typed encoder assisted model …] [--every N] [--json]

Scores as TaskBench has them (Shen et al., arXiv 2311.18760): node F1 is the F1 of the predicted
set of tool names, edge F1 of the predicted (source, target) pairs, averaged over the cases (macro;
edges over the cases that have links) and pooled (micro). A request is accepted when the tools of
its plan, in an order in which they can run and with mapped steps expanded, are one of those listed.

The baselines are `encoder`, the best tool of each clause by itself, and `model`, the local language model's
constrained choice of names by itself, joined by type alone. `assisted` and `model` take some seconds a case:
`--every 3` scores every third one.
"""

from __future__ import annotations

import argparse
import atexit
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

from hopline.agent.planning import assisted, typed
from hopline.agent.planning.choosing import judge
from hopline.agent.planning.clauses import parse
from hopline.agent.planning.matching import matcher
from hopline.agent.planning.plan import FromStep, Plan, Step, handles
from hopline.agent.running.local_model import LocalModel
from hopline.agent.running.workers import Workers
from hopline.tools.errors import BackendFailed, NoPlan
from hopline.tools.exchange import Exchange
from hopline.tools.registry import Registry, installed
from hopline.tools.spec import tool_from_json

Planner = Callable[[str, Registry, Mapping[str, str]], Plan]


def encoder_alone(request: str, registry: Registry, attachments: Mapping[str, str]) -> Plan:
    """The baseline: the best tool of each clause, one after the other, no search."""
    found = matcher([tool for tool in registry if tool.planned]).matches(parse(request), attachments.values())
    steps: list[Step] = []
    for clause in sorted({m.clause for m in found}):
        best = max((m for m in found if m.clause == clause), key=lambda m: m.score)
        if best.score < typed.ASKED or best.tool in [s.tool for s in steps]:
            continue
        tool = registry.tool(best.tool)
        fits = steps and tool.inputs and tool.inputs[0].type in {p.type for p in registry.tool(steps[-1].tool).outputs}
        inputs = {tool.inputs[0].name: (FromStep(step=steps[-1].id),)} if fits else {}
        steps.append(Step(id=f"step{len(steps) + 1}", tool=tool.name, inputs=inputs))
    return Plan(planner="encoder", steps=tuple(steps))


@cache
def _model() -> LocalModel:
    workers = Workers()
    atexit.register(workers.stop)
    model = LocalModel(workers)
    if not model.present:
        raise SystemExit("the local language model is not here: LLM=1 make demo brings it.")
    return model


_ANSWERS: dict[str, Exchange] = {}
"""What the model said, by what it was asked: two planners that ask the same pay once."""


def ask(messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], most_tokens: int) -> Exchange:
    """One exchange with the local language model."""
    key = json.dumps([messages, schema, most_tokens])
    if key not in _ANSWERS:
        _ANSWERS[key] = _model().ask(messages, schema, most_tokens, purpose="plan", kept=[])
    return _ANSWERS[key]


def assisted_by_model(request: str, registry: Registry, attachments: Mapping[str, str]) -> Plan:
    """The search with the local language model's judgement; typed where the model chooses nothing."""
    return assisted.plan(request, registry, attachments, ask)


def model_alone(request: str, registry: Registry, attachments: Mapping[str, str]) -> Plan:
    """The baseline: the model's names in its order, each fed by the last step before it whose type fits."""
    reading = typed.Reading(request, registry, attachments)
    steps: list[Step] = []
    try:
        named = judge(request, reading.matches, list(reading.registry), attachments, ask, reading.worked()).names
    except BackendFailed:
        named = ()
    for name in named:
        tool = registry.tool(name)
        inputs = {}
        for port in tool.inputs:
            before = [s for s in steps if port.type in {p.type for p in registry.tool(s.tool).outputs}]
            if before:
                inputs[port.name] = (FromStep(step=before[-1].id),)
        steps.append(Step(id=f"step{len(steps) + 1}", tool=name, inputs=inputs))
    return Plan(planner="model", steps=tuple(steps))


PLANNERS: dict[str, Planner] = {
    "typed": typed.plan,
    "encoder": encoder_alone,
    "assisted": assisted_by_model,
    "model": model_alone,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One scored prediction.

    Attributes:
        kind: `single`, `chain` or `dag`.
        nodes: (found, predicted, wanted) counts of tool names.
        links: the same of (source, target) pairs.
        errors: errors of the check, and the plan's absence.
        duration_ms: time to plan.
    """

    id: str
    kind: str
    nodes: tuple[int, int, int]
    links: tuple[int, int, int]
    errors: int
    steps: int
    duration_ms: float


def f1(found: int, predicted: int, wanted: int) -> float:
    """Harmonic mean of precision and recall; 1 where both sides are empty."""
    return 1.0 if predicted + wanted == 0 else 2 * found / (predicted + wanted)


def links_of(plan: Plan) -> set[tuple[str, str]]:
    """Pairs of tool names of which the second reads the first."""
    return {(plan.step(need).tool, step.tool) for step in plan.steps for need in step.needs()}


def scored(plan: Plan, case: Mapping[str, Any], errors: int = 0, duration_ms: float = 0.0) -> Case:
    """A plan beside the tools and links of a TaskBench case."""
    nodes, wanted = set(plan.tools), set(case["nodes"])
    links, wanted_links = links_of(plan), {tuple(link) for link in case["links"]}
    return Case(
        id=case["id"],
        kind=case["type"],
        nodes=(len(nodes & wanted), len(nodes), len(wanted)),
        links=(len(links & wanted_links), len(links), len(wanted_links)),
        errors=errors,
        steps=len(plan.steps),
        duration_ms=duration_ms,
    )


def taskbench(planner: Planner, shared: Path, name: str, every: int = 1) -> list[Case]:
    """The cases of one TaskBench set, or every so many of them."""
    tools = json.loads((shared / f"taskbench/{name}-tools.json").read_text("utf-8"))
    registry = Registry(tools=[tool_from_json(entry) for entry in tools])
    cases = []
    for line in (shared / f"taskbench/{name}-dev.jsonl").read_text("utf-8").splitlines()[::every]:
        case = json.loads(line)
        start = time.perf_counter()
        try:
            plan = planner(case["request"], registry, {})
            errors = len(plan.errors)
        except NoPlan:
            plan, errors = Plan(), 1
        spent = (time.perf_counter() - start) * 1000
        cases.append(scored(plan, case, errors, spent))
    return cases


def summary(cases: Sequence[Case]) -> dict[str, Any]:
    """Macro and micro F1 in percent, shares of checked and non-empty plans."""
    linked = [c for c in cases if c.links[2]]

    def pooled(counts: Iterable[tuple[int, int, int]]) -> float:
        return round(100 * f1(*(sum(column) for column in zip(*counts, strict=True))), 1)

    def mean(values: Sequence[float]) -> float | None:
        return round(100 * statistics.fmean(values), 1) if values else None

    return {
        "cases": len(cases),
        "node_f1": mean([f1(*c.nodes) for c in cases]),
        "edge_f1": mean([f1(*c.links) for c in linked]),
        "node_f1_micro": pooled(c.nodes for c in cases),
        "edge_f1_micro": pooled(c.links for c in linked) if linked else None,
        "checked": mean([float(c.errors == 0) for c in cases]),
        "with_steps": mean([float(c.steps > 0) for c in cases]),
        "median_ms": round(statistics.median(c.duration_ms for c in cases), 1),
        "slowest_ms": round(max(c.duration_ms for c in cases), 1),
    }


def installed_port_is_many(tool: str, port: str) -> bool:
    """Whether an input of one of our tools takes a list in one call."""
    declared = _OURS.tool(tool)
    return port in declared.input_names and declared.input(port).many


def accepted(plan: Plan, accept: Sequence[Sequence[str]]) -> bool:
    """Whether some order in which the plan can run is one of the sequences."""
    if not plan.steps:
        return [] in [list(wanted) for wanted in accept]
    return any(list(names) in [list(wanted) for wanted in accept] for names in _orders(plan))


def _orders(plan: Plan) -> Iterable[tuple[str, ...]]:
    """Tools called, in every order in which the steps can run; a mapped step counts once an item."""
    width: dict[str, int] = {}
    for step in plan.steps:
        counts = [
            sum(width[s.step] if isinstance(s, FromStep) and s.item is None else 1 for s in sources)
            for name, sources in step.inputs.items()
            if not _OURS.tool(step.tool).input(name).many
        ]
        width[step.id] = max(counts, default=1)
    chains = all(len(step.needs()) == 1 for step in plan.steps[1:])
    for order in [plan.steps] if chains or len(plan.steps) > 7 else permutations(plan.steps):
        done: set[str] = set()
        for step in order:
            if not set(step.needs()) <= done:
                break
            done.add(step.id)
        else:
            yield tuple(step.tool for step in order for _ in range(width[step.id]))


def requests(planner: Planner, path: Path, every: int = 1) -> list[dict[str, Any]]:
    """Each request, or every so many of them, with the tools planned for it and whether they are accepted."""
    rows = []
    for line in path.read_text("utf-8").splitlines()[::every]:
        case = json.loads(line)
        try:
            plan = planner(case["request"], _OURS, handles(case["attachments"]))
        except NoPlan as error:
            rows.append(case | {"tools": [str(error)], "accepted": False})
            continue
        fits = not plan.errors and accepted(plan, case["accept"])
        rows.append(case | {"tools": plan.tools, "accepted": fits})
    return rows


def cold_seconds() -> float:
    """One plan from a fresh interpreter, imports and model included."""
    code = (
        "from hopline.agent.planning import typed; from hopline.tools.registry import installed; "
        "typed.plan('Describe this photo out loud.', installed(), {'image1': 'image'})"
    )
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return round(time.perf_counter() - start, 2)


def main() -> None:
    """Print the table, or one JSON object."""
    parser = argparse.ArgumentParser(description="How well planners choose and join tools.")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of taskbench/ and requests")
    parser.add_argument("--planner", nargs="+", choices=sorted(PLANNERS), default=["typed", "encoder"])
    parser.add_argument("--every", type=int, default=1, help="score every so many cases")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report: dict[str, Any] = {"format": "hopline.benchmark.planning/1", "cold_s": cold_seconds(), "rows": []}
    root = Path(__file__).parent.parent
    files = [
        options.shared / "requests-dev.jsonl",
        root / "agent/planning/requests.jsonl",
        root / "tests/planning/requests-held-out.jsonl",
    ]
    for name in options.planner:
        for tools in ("huggingface", "multimedia"):
            cases = taskbench(PLANNERS[name], options.shared, tools, options.every)
            for kind in ("all", "single", "chain", "dag"):
                chosen = [c for c in cases if kind in ("all", c.kind)]
                report["rows"].append({"planner": name, "set": tools, "type": kind, **summary(chosen)})
        for path in files:
            rows = requests(PLANNERS[name], path, options.every)
            missed = [{k: row[k] for k in ("request", "tools", "accept")} for row in rows if not row["accepted"]]
            accepted_count = len(rows) - len(missed)
            report["rows"].append(
                {"planner": name, "set": path.stem, "cases": len(rows), "accepted": accepted_count, "missed": missed}
            )
    if options.json:
        print(json.dumps(report, indent=1))
        return
    print(f"cold command line: {report['cold_s']} s")
    for row in report["rows"]:
        if "accepted" in row:
            print(f"{row['planner']:8} {row['set']:18} accepted {row['accepted']} of {row['cases']}")
            for miss in row["missed"]:
                print(f"         missed: {miss['request']} → {miss['tools']}")
            continue
        print(
            f"{row['planner']:8} {row['set']:12} {row['type']:6} n={row['cases']:<4} node F1 {row['node_f1']} "
            f"(micro {row['node_f1_micro']}), edge F1 {row['edge_f1']} (micro {row['edge_f1_micro']}), "
            f"checked {row['checked']} %, with steps {row['with_steps']} %, "
            f"{row['median_ms']} ms (slowest {row['slowest_ms']})"
        )


_OURS = installed()

if __name__ == "__main__":
    main()

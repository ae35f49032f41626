"""Fit the weights of the typed planner's ranking, and say how they do on what they were not fitted to.

    python benchmarks/fit_ranking.py --shared DIR [--folds 5]

Learns from requests whose tools are known: for tools that are known by their descriptions alone, TaskBench's
development cases and the requests over our own tools stripped of their examples; for tools that declare
examples, the requests over our own tools. Which clause asks for which tool is not known, so
a tool's chance is that some clause asks for it. Prints the weights, the node F1 of tools with a chance of a third
or more on requests left out in turn and on each tool list with weights from the others, and how many of our own
requests are planned as accepted with weights from the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hopline.agent.planning.matching import matcher
from hopline.agent.planning.plan import Plan, handles
from hopline.agent.planning.ranking import WEIGHTS
from hopline.agent.planning.typed import Reading
from hopline.agent.planning.typed import plan as typed_plan
from hopline.tools.errors import NoPlan
from hopline.tools.registry import Registry, installed
from hopline.tools.spec import tool_from_json
from planning import accepted, f1, scored
from scipy.optimize import minimize

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE = Path(__file__).parent
LEAST = 1 / 3
SHRINK = 3.0
OWN, BARE = "own", "own without examples"
COUNTS = {BARE: 0.3}
"""Of one request, where there are many on one list of few tools."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request whose tools are known.

    Attributes:
        name: of its tool list; OWN for the tools that declare examples.
        registry: its tools.
        case: as read.
        features: of shape (clauses, tools, features).
        wanted: 1.0 by tool that it asks for.
    """

    name: str
    registry: Registry
    case: Mapping[str, Any]
    features: NDArray[np.float64]
    wanted: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """Weights by feature, and the three numbers beside them; see `ranking`."""

    weights: NDArray[np.float64]
    bias: float
    none: float
    share: float

    def chances(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """By tool, that some clause asks for it."""
        return np.asarray(-np.expm1(_log_unasked(features @ self.weights + self.bias, self.none, self.share)[0]))


def described(shared: Path) -> list[Asked]:
    """What may be learned of tools that are known by their descriptions alone."""
    found = []
    for name in ("huggingface", "multimedia"):
        tools = map(tool_from_json, json.loads((shared / f"taskbench/{name}-tools.json").read_text()))
        registry = Registry(tools=tools)
        cases = _lines(shared / f"taskbench/{name}-dev.jsonl")
        found += [_asked(name, registry, case, {}, [case["nodes"]]) for case in cases]
    bare = Registry(tools=[replace(tool, examples=()) for tool in installed()])
    return found + [_asked(BARE, bare, a.case, handles(a.case["attachments"]), a.case["accept"]) for a in own(shared)]


def own(shared: Path) -> list[Asked]:
    """What may be learned of tools that declare examples."""
    paths = (shared / "requests-dev.jsonl", HERE.parent / "agent/planning/requests.jsonl")
    cases = [case for path in paths for case in _lines(path)]
    return [_asked(OWN, installed(), case, handles(case["attachments"]), case["accept"]) for case in cases]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _asked(
    name: str,
    registry: Registry,
    case: Mapping[str, Any],
    attachments: Mapping[str, str],
    accept: Sequence[Sequence[str]],
) -> Asked:
    """A request that asks for the first tools to accept of which all are there."""
    reading = Reading(case["request"], registry, attachments)
    features = matcher(list(reading.registry)).features(reading.parsed, reading.types)
    wanted = next(names for names in accept if set(names) <= set(reading.tools))
    known = np.array([float(name in wanted) for name in reading.tools])
    return Asked(name=name, registry=reading.registry, case=case, features=features, wanted=known)


def fit(learned: Sequence[Asked]) -> Fitted:
    """Weights of the greatest likelihood, drawn to 0 in units of each feature's spread."""
    every = np.concatenate([a.features.reshape(-1, len(WEIGHTS)) for a in learned])
    spread = every.std(axis=0) + 1e-9
    scaled = [a.features / spread for a in learned]

    def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias, none, pull = point[:-3], point[-3], point[-2], point[-1]
        share = 1 / (1 + np.exp(-pull))
        total, slope = SHRINK * float(weights @ weights) / 2, np.zeros_like(point)
        slope[:-3] = SHRINK * weights
        for features, asked in zip(scaled, learned, strict=True):
            ratings = features @ weights + bias
            unasked, (alone, competing, absent, chance) = _log_unasked(ratings, none, share)
            likely = np.clip(-np.expm1(unasked), 1e-9, 1.0)
            counts = COUNTS.get(asked.name, 1.0)
            total -= counts * float(np.sum(asked.wanted * np.log(likely) + (1 - asked.wanted) * unasked))
            by_chance = counts * (1 - asked.wanted - asked.wanted * np.exp(unasked) / likely) / (1 - chance)
            pulled = (by_chance * competing).sum(axis=1, keepdims=True)
            by_rating = share * by_chance * alone * (1 - alone) + (1 - share) * competing * (by_chance - pulled)
            slope[:-3] += np.tensordot(by_rating, features, axes=([0, 1], [0, 1]))
            slope[-3] += by_rating.sum()
            slope[-2] -= (1 - share) * float((absent * pulled).sum())
            slope[-1] += share * (1 - share) * float((by_chance * (alone - competing)).sum())
        return total, slope

    start = np.zeros(len(WEIGHTS) + 3)
    start[-3] = -4.0
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 400}).x
    return Fitted(
        weights=found[:-3] / spread,
        bias=float(found[-3]),
        none=float(found[-2]),
        share=float(1 / (1 + np.exp(-found[-1]))),
    )


def _log_unasked(ratings: NDArray[np.float64], none: float, share: float) -> tuple[NDArray[np.float64], Any]:
    """Log of the chance that no clause asks for a tool, and what it was made of."""
    alone = 1 / (1 + np.exp(-ratings))
    top = np.maximum(ratings.max(axis=1, keepdims=True), none)
    among, absent = np.exp(ratings - top), np.exp(none - top)
    whole = among.sum(axis=1, keepdims=True) + absent
    chance = (share * alone + (1 - share) * among / whole).clip(0, 1 - 1e-9)
    return np.log1p(-chance).sum(axis=0), (alone, among / whole, absent / whole, chance)


def node_f1(fitted: Fitted, asked: Asked) -> float:
    """F1 of the tools with a chance of `LEAST` or more; the likeliest where there is none."""
    chances = fitted.chances(asked.features)
    chosen = chances >= min(LEAST, chances.max())
    return float(2 * (chosen * asked.wanted).sum() / (chosen.sum() + asked.wanted.sum()))


def left_out(learned: Sequence[Asked], parts: Sequence[int]) -> list[Fitted]:
    """For each request the fit on all that are in another part."""
    fits = {p: fit([a for a, part in zip(learned, parts, strict=True) if part != p]) for p in sorted(set(parts))}
    return [fits[part] for part in parts]


def planned(fits: Sequence[Fitted], learned: Sequence[Asked]) -> str:
    """What the whole planner makes of the requests, each with its fit: shares accepted, or node and edge F1."""
    nodes: dict[str, list[float]] = {}
    links: dict[str, list[float]] = {}
    for fitted, asked in zip(fits, learned, strict=True):
        ranker = matcher(list(asked.registry)).ranker
        assert ranker is not None
        ranker.weigh(fitted.weights, fitted.bias, fitted.none, fitted.share)
        try:
            plan = typed_plan(asked.case["request"], asked.registry, handles(asked.case.get("attachments", ())))
        except NoPlan:
            plan = Plan()
        if "accept" in asked.case:
            nodes.setdefault(asked.name, []).append(not plan.errors and accepted(plan, asked.case["accept"]))
            continue
        score = scored(plan, asked.case)
        nodes.setdefault(asked.name, []).append(f1(*score.nodes))
        if score.links[2]:
            links.setdefault(asked.name, []).append(f1(*score.links))
    return ", ".join(
        f"{name} {100 * np.mean(nodes[name]):.1f}" + (f" / {100 * np.mean(links[name]):.1f}" if name in links else "")
        for name in sorted(nodes)
    )


def _print(name: str, fitted: Fitted) -> None:
    print(f"{name}WEIGHTS")
    for feature, weight in zip(WEIGHTS, fitted.weights, strict=True):
        print(f'    "{feature}": {weight:.2f},')
    numbers = ", ".join(f"{number:.2f}" for number in (fitted.bias, fitted.none, fitted.share))
    print(f"{name}BIAS, {name}NONE, {name}SHARE = {numbers}")


def main() -> None:
    """Print the weights and how they do."""
    parser = argparse.ArgumentParser(description="Fit the weights of the typed planner's ranking.")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--folds", type=int, default=5)
    options = parser.parse_args()
    for prefix, learned in (("", described(options.shared)), ("TAUGHT_", own(options.shared))):
        fitted = fit(learned)
        _print(prefix, fitted)
        lists = sorted({a.name for a in learned})
        turns = np.random.default_rng(0).permutation(len(learned)) % options.folds
        ways = {"fitted on these": [fitted] * len(learned), "requests left out": left_out(learned, turns.tolist())}
        if len(lists) > 1:
            ways["tool list left out"] = left_out(learned, [lists.index(a.name) for a in learned])
        for way, fits in ways.items():
            scores = {
                name: np.mean([node_f1(f, a) for f, a in zip(fits, learned, strict=True) if a.name == name])
                for name in lists
            }
            print(f"node F1, {way}: " + ", ".join(f"{name} {100 * score:.1f}" for name, score in scores.items()))
            print(f"planned, node / edge F1 or accepted, {way}: {planned(fits, learned)}")


if __name__ == "__main__":
    main()

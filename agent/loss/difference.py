"""What changed between two runs of the same request: facts and scores, paired step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMAT = "hopline.difference/1"
COUNTS = ("kept", "altered", "missing", "void", "invented")


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The paired difference of two `hopline.loss/1`.

    One pair of runs says what happened to this source; it has no interval and proves nothing about
    the backends. That takes an experiment over many sources.

    Args:
        before: of the run that was replayed.
        after: of the replay.

    Returns:
        Plain data of format `hopline.difference/1`: `hops`, paired by step, each figure as
        `[before, after]` (None where Unscored or absent); `facts` of the same source that were last
        seen elsewhere or became something else, with both ends; `repair`, what the replaced hop gained at the
        end of the chain, None where either end is Unscored.
    """
    return {
        "format": FORMAT,
        "before": before["run"],
        "after": after["run"],
        "hops": _hops(before, after),
        "facts": _facts(before, after),
        "repair": _repair(before, after),
    }


def _hops(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    first, second = _by_step(before), _by_step(after)
    rows = []
    for step in dict.fromkeys([*first, *second]):
        one, other = first.get(step, {}), second.get(step, {})
        scores_before, scores_after = _scores(one), _scores(other)
        rows.append(
            {
                "step": step,
                "tool": [one.get("tool"), other.get("tool")],
                "backend": [one.get("backend"), other.get("backend")],
                **{name: [one.get(name), other.get(name)] for name in COUNTS},
                "scores": [
                    {"metric": metric, "values": [scores_before.get(metric), scores_after.get(metric)]}
                    for metric in dict.fromkeys([*scores_before, *scores_after])
                ],
            }
        )
    return rows


def _repair(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, int] | None:
    """Facts that the last hop with counts kept, before and after, of those that there were: both against the same."""
    ends = [
        next((row for row in reversed(loss["hops"]) if row.get("kept") is not None), None) for loss in (before, after)
    ]
    one, other = ends
    if one is None or other is None or (one["step"], one.get("against")) != (other["step"], other.get("against")):
        return None
    facts = sum(one[name] for name in ("kept", "altered", "missing", "void"))
    if facts != sum(other[name] for name in ("kept", "altered", "missing", "void")):
        return None
    return {"gain": other["kept"] - one["kept"], "lost": facts - one["kept"], "facts": facts}


def _by_step(loss: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The first hop of each step; a mapped step's others would pair with nothing certain."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in loss["hops"]:
        found.setdefault(row["step"], row)
    return found


def _scores(row: Mapping[str, Any]) -> dict[str, float | None]:
    return {score["metric"]: score["value"] for score in row.get("scores", ())}


def _facts(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    first, second = _by_fact(before), _by_fact(after)
    rows = []
    for key in first:
        if key not in second:
            continue
        ends = [_end(first[key]), _end(second[key])]
        if ends[0] != ends[1]:
            _, kind, text = key
            rows.append({"type": kind, "text": text, "ends": ends})
    return rows


def _by_fact(loss: Mapping[str, Any]) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    return {(fact["source"], fact["type"], fact["text"]): fact for fact in loss["facts"]}


def _end(fact: Mapping[str, Any]) -> dict[str, Any]:
    return {"last_seen": fact["last_seen"], "altered_to": dict(fact["altered_to"])}

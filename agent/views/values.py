"""Plain JSON values as HTML: parameters, details, the why of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hopline.agent.views.markup import Html, tag

_DEEPEST = 6
_MOST = 200


def value_fragment(value: Any, depth: int = 0) -> Html:
    """Lists and name-value pairs, nested; very long or deep ones say how much they leave out."""
    if isinstance(value, Mapping):
        if not value:
            return tag("span", "none", class_="hl-muted")
        if depth >= _DEEPEST:
            return tag("span", f"… {len(value)} entries", class_="hl-muted")
        return pairs({str(key): value_fragment(inner, depth + 1) for key, inner in list(value.items())[:_MOST]})
    if isinstance(value, list | tuple):
        if all(isinstance(inner, str | int | float | bool) for inner in value) and len(value) <= 12:
            return tag("span", ", ".join(_scalar(inner) for inner in value) or "none")
        if depth >= _DEEPEST:
            return tag("span", f"… {len(value)} entries", class_="hl-muted")
        items = [tag("li", value_fragment(inner, depth + 1)) for inner in value[:_MOST]]
        rest = tag("li", f"… {len(value) - _MOST} more", class_="hl-muted") if len(value) > _MOST else None
        return tag("ul", items, rest)
    return tag("span", _scalar(value), dir="auto" if isinstance(value, str) else None)


def pairs(values: Mapping[str, Html | str | None]) -> Html:
    """Names and values as a definition list; a value of None leaves its name out."""
    rows = [tag("div", tag("dt", k), tag("dd", v)) for k, v in values.items() if v is not None]
    return tag("dl", rows, class_="hl-pairs")


def _scalar(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)

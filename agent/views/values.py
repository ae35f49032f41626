"""Plain JSON values as HTML: parameters, details, the why of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hopline.agent.views.markup import Html, tag

_DEEPEST = 6
_MOST = 200
_UNFOLDED = 6


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
        if (rows := _rows(value)) is not None:
            return _table(*rows)
        items = [tag("li", value_fragment(inner, depth + 1)) for inner in value[:_MOST]]
        rest = tag("li", f"… {len(value) - _MOST} more", class_="hl-muted") if len(value) > _MOST else None
        return tag("ul", items, rest)
    return tag("span", _scalar(value), dir="auto" if isinstance(value, str) else None)


def _rows(values: list[Any] | tuple[Any, ...]) -> tuple[list[str], list[list[Any]]] | None:
    """Column names and rows of a list whose entries are alike and flat; None for any other."""
    first = values[0]
    if len(values) < 2 or not isinstance(first, Mapping | list | tuple) or not first:
        return None
    names = [str(key) for key in first] if isinstance(first, Mapping) else []
    rows = []
    for value in values:
        if type(value) is not type(first) or len(value) != len(first):
            return None
        if isinstance(value, Mapping) and list(value) != list(first):
            return None
        rows.append(list(value.values()) if isinstance(value, Mapping) else list(value))
    flat = all(cell is None or isinstance(cell, str | int | float) for row in rows for cell in row)
    return (names, rows) if flat else None


def _table(names: list[str], rows: list[list[Any]]) -> Html:
    head = tag("thead", tag("tr", [tag("th", name, scope="col") for name in names])) if names else None
    body = [tag("tr", [tag("td", _scalar(cell)) for cell in row]) for row in rows[:_MOST]]
    rest = tag("p", f"… {len(rows) - _MOST} more", class_="hl-muted") if len(rows) > _MOST else None
    table = tag("table", head, tag("tbody", body))
    label = f"{len(rows)} rows"
    shown = tag("div", table, rest, class_="hl-scroll", tabindex=0, role="region", aria_label=label)
    return shown if len(rows) <= _UNFOLDED else tag("details", tag("summary", label), shown)


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

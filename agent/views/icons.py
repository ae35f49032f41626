"""Small line drawings for modalities and marks; every one is decoration beside words."""

from __future__ import annotations

from hopline.agent.views.markup import Html, tag

_PATHS = {
    "text": "M4 5h12M4 10h12M4 15h7",
    "image": "M3 4h14v12H3zM3 13l4-4 4 4 2-2 4 4M13 8h.01",
    "audio": "M3 9v2M6.5 6v8M10 3v14M13.5 6v8M17 9v2",
    "video": "M3 5h10v10H3zM13 9l4-3v8l-4-3",
    "cut": "M5 5l10 10M15 5L5 15",
    "note": "M10 4v8M10 16h.01",
    "remote": "M6 14L14 6M8 6h6v6",
    "cached": "M15 10a5 5 0 1 1-1.5-3.5M15 3v4h-4",
    "other": "M4 4h12v12H4z",
}


def icon(name: str) -> Html:
    """The drawing of a modality or mark, 20 by 20 units; a square for an unknown name."""
    path = tag("path", d=_PATHS.get(name, _PATHS["other"]))
    return tag("svg", path, class_="hl-icon", viewBox="0 0 20 20", aria_hidden="true", focusable="false")


def icon_path(name: str, x: float, y: float) -> Html:
    """The same drawing inside another picture, its corner at (x, y)."""
    path = tag("path", d=_PATHS.get(name, _PATHS["other"]))
    return tag("g", path, class_="hl-icon-part", transform=f"translate({x:g} {y:g}) scale(0.8)")

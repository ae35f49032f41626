"""The plan as a picture: boxes from left to right where there is room, a rail from top to bottom on a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from hopline.agent.hops.records import AttachmentRecord, Hop
from hopline.agent.views.icons import icon_path
from hopline.agent.views.markup import Html, shortened, tag
from hopline.agent.views.plan_graph import Box, Graph, graph
from hopline.agent.views.words import STATUS_WORDS

_GAP_X, _GAP_Y = 44, 18
_WIDEST_PICTURE, _NARROWEST_BOX, _WIDEST_BOX = 1176, 140, 250
_LETTER = 8.7
"""Mean width of a bold letter at 14 px in a wide font (DejaVu Sans)."""
_ROW, _LANE, _EDGE = 56, 22, 14


def plan_svg(
    plan: Mapping[str, Any],
    hops: Sequence[Hop] = (),
    attachments: Sequence[AttachmentRecord] = (),
    *,
    name: str = "plan",
) -> Html:
    """The plan as inline SVG, in two shapes of which the style sheet shows the one that fits.

    Args:
        plan: plain data of a `hopline.plan/1`.
        hops: of the run, for status, time and links to `#hop-…`.
        attachments: of the run, for their names.
        name: start of the ids inside, unique on the page.
    """
    drawn = graph(plan, hops, attachments)
    if not drawn.boxes:
        return tag("p", "No tool was needed: the plan has no steps.", class_="hl-muted")
    said = _said(drawn)
    wide = _flow(drawn, f"{name}-wide", said)
    rail = _rail(drawn, f"{name}-rail", said)
    shapes = (wide, rail) if wide else (rail,)
    return tag("div", shapes, class_="hl-plan" if wide else "hl-plan hl-plan-long")


def _said(drawn: Graph) -> str:
    titles = {box.key: f"{box.title} ({box.note})" for box in drawn.boxes}
    sentences = []
    for box in drawn.boxes:
        if box.step:
            feeding = " and ".join(titles[key] for key in drawn.feeding(box.key))
            outcome = f", {STATUS_WORDS.get(box.status, box.status)}" if box.status else ""
            sentences.append(f"{titles[box.key]}{f' reads {feeding}' if feeding else ''}{outcome}.")
    return " ".join(sentences)


def _svg(width: float, height: float, name: str, said: str, class_: str, children: Sequence[Html]) -> Html:
    return tag(
        "svg",
        tag("title", "The plan", id=f"{name}-title"),
        tag("desc", said, id=f"{name}-desc"),
        children,
        class_=class_,
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="group",
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-desc",
    )


# -- left to right ------------------------------------------------------------------------------


def _flow(drawn: Graph, name: str, said: str) -> Html | None:
    """None when the picture would be wider than a desktop page."""
    columns, paths = _columns(drawn)
    room = (_WIDEST_PICTURE - (len(columns) - 1) * _GAP_X) // len(columns)
    if room < _NARROWEST_BOX:
        return None
    letters = max(max(len(box.title), len(box.note) * 0.88) for box in drawn.boxes)
    width = min(max(round(letters * _LETTER) + 52, _NARROWEST_BOX), _WIDEST_BOX, room)
    titles = {box.key: _wrapped(box.title, int((width - 48) / _LETTER)) for box in drawn.boxes}
    height = 60 if all(len(lines) == 1 for lines in titles.values()) else 76
    tallest = max(len(column) for column in columns)
    at: dict[str, tuple[float, float]] = {}
    for number, column in enumerate(columns):
        above = (tallest - len(column)) * (height + _GAP_Y) / 2
        for place, key in enumerate(column):
            at[key] = (2 + number * (width + _GAP_X), 2 + above + place * (height + _GAP_Y))
    boxes = {box.key: box for box in drawn.boxes}
    lines = [_bend(path, at, width, height, boxes) for path in paths]
    drawn_boxes = [_box(box, titles[box.key], *at[box.key], width, height) for box in drawn.boxes]
    whole = len(columns) * (width + _GAP_X) - _GAP_X + 4
    return _svg(whole, tallest * (height + _GAP_Y) - _GAP_Y + 4, name, said, "hl-plan-wide", [*lines, *drawn_boxes])


def _wrapped(title: str, letters: int) -> list[str]:
    """The title on one line or two."""
    if len(title) <= letters:
        return [title]
    first, *rest = title.split()
    while rest and len(first) + 1 + len(rest[0]) <= letters:
        first = f"{first} {rest.pop(0)}"
    return [shortened(line, letters) for line in (first, " ".join(rest)) if line]


def _columns(drawn: Graph) -> tuple[list[list[str]], list[list[str]]]:
    """Keys by column, and each edge as the keys it passes; an edge over several columns gets places of its own."""
    column_of = drawn.layers()
    columns: list[list[str]] = [[] for _ in range(max(column_of.values()) + 1)]
    for box in drawn.boxes:
        columns[column_of[box.key]].append(box.key)
    paths = []
    for start, end in drawn.edges:
        passed = [f"{start} to {end} past {n}" for n in range(column_of[start] + 1, column_of[end])]
        for number, key in enumerate(passed, start=column_of[start] + 1):
            columns[number].append(key)
        paths.append([start, *passed, end])
    before: dict[str, list[str]] = {}
    for path in paths:
        for left, right in pairwise(path):
            before.setdefault(right, []).append(left)
    for number in range(1, len(columns)):
        height = {key: place for place, key in enumerate(columns[number - 1])}
        columns[number].sort(key=lambda key, h=height: _mean([h[k] for k in before.get(key, ()) if k in h]))  # type: ignore[misc]
    return columns, paths


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _bend(
    path: Sequence[str], at: Mapping[str, tuple[float, float]], width: float, height: float, boxes: Mapping[str, Box]
) -> Html:
    x, y = at[path[0]]
    x, y = x + width, y + height / 2
    line = f"M{x:g} {y:g}"
    for key in path[1:]:
        left, top = at[key]
        end_x, end_y = left - (_EDGE / 2 if key in boxes else 0), top + height / 2
        half = (end_x - x) / 2
        line += f"C{x + half:g} {y:g} {end_x - half:g} {end_y:g} {end_x:g} {end_y:g}"
        x, y = end_x, end_y
        if key not in boxes:
            line += f"H{left + width:g}"
            x = left + width
    head = f"M{x - 3:g} {y - 5:g}L{x + 4:g} {y:g}L{x - 3:g} {y + 5:g}"
    return tag("g", tag("path", d=line), tag("path", d=head), class_="hl-edge")


def _box(box: Box, title: Sequence[str], x: float, y: float, width: float, height: float) -> Html:
    top = y + height / 2 - 4 - 8 * (len(title) - 1)
    lines = [
        tag("text", words, x=x + 38, y=top + 16 * number, class_="hl-box-title") for number, words in enumerate(title)
    ]
    note = shortened(box.note, int((width - 48) / _LETTER * 1.12))
    parts = (
        tag("rect", x=x, y=y, width=width, height=height, rx=10),
        icon_path(box.modality, x + 12, y + height / 2 - 8) if box.modality else None,
        *lines,
        tag("text", note, x=x + 38, y=top + 16 * len(title) + 2, class_="hl-box-note"),
        tag("title", f"{box.title}: {box.note}"),
    )
    return _linked(box, parts)


def _linked(box: Box, parts: Sequence[Html | None]) -> Html:
    class_ = f"hl-box hl-box-{'step' if box.step else 'given'} hl-status-{box.status or 'none'}"
    if box.link:
        return tag("a", parts, class_=class_, href=box.link)
    return tag("g", parts, class_=class_)


# -- top to bottom, as a rail ---------------------------------------------------------------------


def _rail(drawn: Graph, name: str, said: str) -> Html:
    """One row a box, its name beside it; a lane stays taken until the last row that reads from it."""
    row = {box.key: number for number, box in enumerate(drawn.boxes)}
    lane: dict[str, int] = {}
    until: dict[int, int] = {}
    for box in drawn.boxes:
        here = row[box.key]
        inherited = [lane[k] for k in drawn.feeding(box.key) if until[lane[k]] <= here]
        free = [n for n in range(len(until) + 1) if until.get(n, -1) < here]
        lane[box.key] = inherited[0] if inherited else free[0]
        until[lane[box.key]] = max([row[k] for k in drawn.fed(box.key)], default=here)
    text_x = 16 + _LANE * max(lane.values()) + 24
    lines = []
    for start, end in drawn.edges:
        x1, y1 = 14 + lane[start] * _LANE, row[start] * _ROW + 28
        x2, y2 = 14 + lane[end] * _LANE, row[end] * _ROW + 28
        turn = y2 - _ROW / 2
        bend = f"V{y2}" if x1 == x2 else f"V{turn:g}C{x1} {y2 - 6:g} {x2} {turn:g} {x2} {y2}"
        lines.append(tag("path", d=f"M{x1} {y1}{bend}", class_="hl-edge"))
    rows = []
    for box in drawn.boxes:
        x, y = 14 + lane[box.key] * _LANE, row[box.key] * _ROW + 28
        parts = (
            tag("rect", x=0, y=y - 26, width=340, height=52, class_="hl-rail-touch"),
            tag("circle", cx=x, cy=y, r=8 if box.step else 6, class_="hl-dot"),
            tag("text", shortened(box.title, 34), x=text_x, y=y - 3, class_="hl-box-title"),
            tag("text", shortened(box.note, 40), x=text_x, y=y + 15, class_="hl-box-note"),
        )
        rows.append(_linked(box, parts))
    return _svg(340, len(drawn.boxes) * _ROW, name, said, "hl-plan-rail", [*lines, *rows])

"""Where each group of a scene stands: a grid from the relations, then pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hopline.tools.text_to_image.scene import Scene

# Distances that the reader tells apart: things of a group, neighbours, and things apart.
ITEM_GAP = 0.14
NEAR_GAP = 0.24
FAR_GAP = 0.75
ON_GAP = 0.12

_STEPS: Mapping[str, tuple[int, int]] = {
    "left of": (-1, 0),
    "right of": (1, 0),
    "next to": (-1, 0),
    "above": (0, -1),
    "on": (0, -1),
    "below": (0, 1),
}
_SIZE = {"small": 0.7, "": 1.0, "large": 1.4}


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A square on the canvas, in units of its side: `x` and `y` of the corner, `side`."""

    group: int
    x: float
    y: float
    side: float


def place(scene: Scene) -> tuple[Box, ...]:
    """A box for every thing of a scene, on a canvas of side 1.

    Groups with a relation stand as it says: `left of`, `right of` and `above`, `below` with a wide
    gap, `next to` and `on` with a narrow one. The others follow in a row or a second one.
    """
    if not scene.groups:
        return ()
    cells = _cells(scene)
    near = {
        (min(r.subject, r.object), max(r.subject, r.object)): r.relation
        for r in scene.relations
        if r.relation in ("next to", "on")
    }
    sides_near = _near_sides(cells, near)
    shapes = {g: _shape(scene.groups[g].count) for g in cells}
    sides = {g: _SIZE[scene.groups[g].size] for g in cells}
    columns = sorted({x for x, _ in cells.values()})
    rows = sorted({y for _, y in cells.values()})
    widths = {x: max(_span(shapes[g][0], sides[g]) for g in cells if cells[g][0] == x) for x in columns}
    heights = {y: max(_span(shapes[g][1], sides[g]) for g in cells if cells[g][1] == y) for y in rows}
    lefts = _offsets(columns, widths, lambda a, b: _gap(a, b, 0, cells, near))
    tops = _offsets(rows, heights, lambda a, b: _gap(a, b, 1, cells, near))
    boxes = []
    for g, (x, y) in cells.items():
        across, down = shapes[g]
        width, height = _span(across, sides[g]), _span(down, sides[g])
        slack = widths[x] - width
        left = lefts[x] + {"left": slack, "right": 0.0}.get(sides_near.get(g, ""), slack / 2)
        # Things stand on the ground of their row, but close under what stands on them.
        top = tops[y] + (0.0 if sides_near.get(g) == "under" else heights[y] - height)
        step = sides[g] * (1 + ITEM_GAP)
        boxes += [
            Box(group=g, x=left + (item % across) * step, y=top + (item // across) * step, side=sides[g])
            for item in range(scene.groups[g].count)
        ]
    return _fitted(boxes)


def _cells(scene: Scene) -> dict[int, tuple[int, int]]:
    cells: dict[int, tuple[int, int]] = {}
    for relation in scene.relations:
        dx, dy = _STEPS[relation.relation]
        if relation.object not in cells and relation.subject not in cells:
            # Things that nothing relates to the others stand in a row of their own.
            cells[relation.object] = _free(cells, (0, max((y for _, y in cells.values()), default=-1) + 1))
        if relation.subject not in cells:
            x, y = cells[relation.object]
            cells[relation.subject] = _free(cells, (x + dx, y + dy), (dx, dy))
        elif relation.object not in cells:
            x, y = cells[relation.subject]
            cells[relation.object] = _free(cells, (x - dx, y - dy), (-dx, -dy))
    loose = [g for g in range(len(scene.groups)) if g not in cells]
    below = max((y for _, y in cells.values()), default=-1) + 1
    if not cells and len(loose) > 3:
        for index, g in enumerate(loose):
            cells[g] = (index % math.ceil(len(loose) / 2), index // math.ceil(len(loose) / 2))
    elif cells and len(cells) + len(loose) > 3:
        for index, g in enumerate(loose):
            cells[g] = (index, below)
    else:
        right = max((x for x, _ in cells.values()), default=-1) + 1
        row = max((y for _, y in cells.values()), default=0)
        for index, g in enumerate(loose):
            cells[g] = (right + index, row)
    return cells


def _free(
    cells: Mapping[int, tuple[int, int]], cell: tuple[int, int], step: tuple[int, int] = (1, 0)
) -> tuple[int, int]:
    taken = set(cells.values())
    while cell in taken:
        cell = (cell[0] + step[0], cell[1] + step[1])
    return cell


def _near_sides(cells: Mapping[int, tuple[int, int]], near: Mapping[tuple[int, int], str]) -> dict[int, str]:
    """Which groups lean towards a neighbour: `left` and `right` of a pair, and what is `under` another."""
    leaning = {}
    for pair, relation in near.items():
        axis = 0 if relation == "next to" else 1
        first, second = sorted(pair, key=lambda g: cells[g][axis])
        if relation == "next to":
            leaning[first], leaning[second] = "left", "right"
        else:
            leaning[second] = "under"
    return leaning


def _shape(count: int) -> tuple[int, int]:
    """Things across and down."""
    across = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3}.get(count, 4)
    return across, math.ceil(count / across)


def _span(number: int, side: float) -> float:
    return side * (number + (number - 1) * ITEM_GAP)


def _gap(
    before: int, after: int, axis: int, cells: Mapping[int, tuple[int, int]], near: Mapping[tuple[int, int], str]
) -> float:
    wanted = "next to" if axis == 0 else "on"
    for (a, b), relation in near.items():
        pair = sorted((cells[a][axis], cells[b][axis]))
        if relation == wanted and pair == [before, after]:
            return NEAR_GAP if axis == 0 else ON_GAP
    return FAR_GAP


def _offsets(keys: list[int], sizes: Mapping[int, float], gap: Callable[[int, int], float]) -> dict[int, float]:
    at = 0.0
    offsets = {}
    for index, key in enumerate(keys):
        if index:
            at += gap(keys[index - 1], key)
        offsets[key] = at
        at += sizes[key]
    return offsets


def _fitted(boxes: list[Box]) -> tuple[Box, ...]:
    """Scaled and centred on the canvas, with a margin; a lone thing does not fill it all."""
    margin = 0.045
    width = max(b.x + b.side for b in boxes) - min(b.x for b in boxes)
    height = max(b.y + b.side for b in boxes) - min(b.y for b in boxes)
    scale = min((1 - 2 * margin) / max(width, height), 0.42)
    left = (1 - width * scale) / 2 - min(b.x for b in boxes) * scale
    top = (1 - height * scale) / 2 - min(b.y for b in boxes) * scale + 0.04 * (1 - height * scale)
    return tuple(Box(group=b.group, x=left + b.x * scale, y=top + b.y * scale, side=b.side * scale) for b in boxes)

"""A drawing read back: background, things, what each is, its colour, and how they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from hopline.tools.image_captioning.bank import bank, foreground, palette, shape
from hopline.tools.image_captioning.strange import second_look
from hopline.tools.openmoji import BACKDROPS, COLOURS, plural

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

SIDE = 512
"""Drawings are read at this side, in pixels."""

SURE, DOUBTFUL = 0.8, 0.62
"""Likeness to an exemplar from which a noun is named, and from which it is named as a guess."""

_NEAR = 0.68
"""Gap between groups, in sides of a thing, under which they stand next to or on each other."""

_FELLOW_GAP = 0.7
"""Gap to another thing, in lengths, within which it may be one more of the same."""

_AGREE = 0.14
"""How much less like its neighbours' noun than like its own a thing may be and still take it."""

_PART_GAP = 0.13
"""Gap between parts of one thing, at most, in lengths of the larger part."""

STRANGE = 0.66
"""Likeness under which a drawing may be of another style, and gets a second look."""

MAX_RELATED_GROUPS = 4
_NUMBERS = "no one two three four five six seven eight nine ten eleven twelve".split()
_PLACES = {
    "night": "at night", "sunset": "at sunset", "beach": "on a beach", "sea": "by the sea", "forest": "in a forest",
    "field": "in a field", "desert": "in a desert", "snow": "in the snow", "street": "on a street", "room": "in a room",
    "sky": "in the sky", "": "",
}  # fmt: skip
_PHRASES = {
    "left of": "to the left of", "right of": "to the right of", "next to": "next to", "above": "above",
    "below": "below", "on": "on top of",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """One thing of a drawing.

    Attributes:
        noun: its best name; `card` for a labelled card.
        likeness: to that noun's exemplar, cosine in [-1, 1].
        colour: of eleven; empty for the drawing's own colours.
        left, top, right, bottom: its place, shares of the side.
        side: of its whole box, a share of the picture's.
    """

    noun: str
    likeness: float
    colour: str
    left: float
    top: float
    right: float
    bottom: float
    side: float


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupRead:
    """Equal things together."""

    noun: str
    count: int
    colour: str
    size: str
    likeness: float
    left: float
    top: float
    right: float
    bottom: float
    side: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneRead:
    """What was read.

    Attributes:
        groups: left to right, top to bottom.
        relations: (subject, relation, object) by index of group, of all pairs of up to four groups; of more,
            those that face each other.
        backdrop: of `openmoji.BACKDROPS`; empty for a plain one.
    """

    groups: tuple[GroupRead, ...]
    relations: tuple[tuple[int, str, int], ...]
    backdrop: str

    def to_json(self) -> dict[str, Any]:
        """Plain data for a hop's details."""
        return {
            "objects": [
                {"noun": g.noun, "count": g.count, "colour": g.colour, "size": g.size, "likeness": round(g.likeness, 3)}
                for g in self.groups
            ],
            "relations": [
                {"subject": self.groups[a].noun, "relation": relation, "object": self.groups[b].noun}
                for a, relation, b in self.relations
            ],
            "backdrop": self.backdrop,
        }


def read(pixels: Pixels) -> SceneRead:
    """Read a drawing.

    Args:
        pixels: RGB uint8 (h, w, 3), of any size.
    """
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    pixels = np.asarray(picture, np.uint8)
    background = _background(pixels)
    groups = _groups(_things(pixels, background))
    relations = []
    for a, b in _told(groups):
        relations.append((a, _relation(groups[a], groups[b]), b))
    return SceneRead(groups=tuple(groups), relations=tuple(relations), backdrop=_backdrop(background))


def _told(groups: Sequence[GroupRead]) -> list[tuple[int, int]]:
    """The pairs whose relation is told: all of a few groups; of many, those that face each other.

    Two groups face each other if one stands across or down from the other with nothing between. Each group
    is told with its nearest before it at least.
    """
    pairs = list(combinations(range(len(groups)), 2))
    if len(groups) <= MAX_RELATED_GROUPS:
        return pairs

    def gaps(a: GroupRead, b: GroupRead) -> tuple[float, float]:
        return max(a.left, b.left) - min(a.right, b.right), max(a.top, b.top) - min(a.bottom, b.bottom)

    def face(a: GroupRead, b: GroupRead) -> bool:
        across, down = gaps(a, b)
        if (across < 0) == (down < 0):
            return False
        left, right = sorted((a.left, a.right, b.left, b.right))[1:3]
        top, bottom = sorted((a.top, a.bottom, b.top, b.bottom))[1:3]
        return not any(
            max(c.left, left) < min(c.right, right) and max(c.top, top) < min(c.bottom, bottom)
            for c in groups
            if c is not a and c is not b
        )

    nearest = {(min(range(b), key=lambda a: max(gaps(groups[a], groups[b]))), b) for b in range(1, len(groups))}
    return [(a, b) for a, b in pairs if (a, b) in nearest or face(groups[a], groups[b])]


def _background(pixels: Pixels) -> Floats:
    """The colour of each row, from the margins, where nothing stands: float32 (h, 3)."""
    import numpy as np

    margin = max(4, pixels.shape[1] // 40)
    edges = np.concatenate([pixels[:, :margin], pixels[:, -margin:]], axis=1)
    return np.asarray(np.median(edges, axis=1), np.float32)


def _backdrop(background: Floats) -> str:
    import numpy as np

    height = len(background)
    upper, lower = np.median(background[: height // 4], axis=0), np.median(background[-height // 10 :], axis=0)

    def distance(name: str) -> float:
        top, bottom, _ = BACKDROPS[name]
        return float(np.abs(upper - _rgb(top)).sum() + np.abs(lower - _rgb(bottom)).sum())

    best = min(BACKDROPS, key=distance)
    return best if distance(best) < 60 else ""


def _rgb(written: str) -> Floats:
    import numpy as np

    return np.array([int(written[i : i + 2], 16) for i in (1, 3, 5)], np.float32)


def _things(pixels: Pixels, background: Floats) -> list[Thing]:
    import numpy as np
    from scipy import ndimage

    mask = foreground(pixels, background)
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    found: list[_Candidate] = []
    cards = []
    for numbers in _parts_together(ndimage.find_objects(labels)):
        own = np.isin(labels, numbers)
        rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        top, left, bottom, right = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
        own, crop = own[top:bottom, left:right], pixels[top:bottom, left:right]
        if own.sum() < 60 or min(own.shape) < 8:
            continue
        box = (left / SIDE, top / SIDE, right / SIDE, bottom / SIDE)
        if _is_card(crop, own):
            cards.append(_thing("card", 1.0, "", box, 0.9))
        else:
            colours = palette(crop, own)
            likeness = _by_noun(shape(crop, own))
            if likeness.max() < STRANGE:
                likeness = second_look(likeness, crop, own, colours, DOUBTFUL)
            found.append(_Candidate(box=box, likeness=likeness, palette=colours))
    return cards + _agreed(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    """Something that may be a thing: its place, likeness to each noun, and colours."""

    box: tuple[float, float, float, float]
    likeness: Floats
    palette: Floats

    @property
    def length(self) -> float:
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    def near(self, other: _Candidate) -> bool:
        """Close by, and of about the same size: perhaps the same thing once more."""
        gap = max(
            max(self.box[0], other.box[0]) - min(self.box[2], other.box[2]),
            max(self.box[1], other.box[1]) - min(self.box[3], other.box[3]),
        )
        return gap < _FELLOW_GAP * self.length and abs(self.length - other.length) < 0.15 * self.length


def _thing(noun: str, likeness: float, colour: str, box: tuple[float, float, float, float], extent: float) -> Thing:
    left, top, right, bottom = box
    side = max(right - left, bottom - top) / extent
    return Thing(noun=noun, likeness=likeness, colour=colour, left=left, top=top, right=right, bottom=bottom, side=side)


def _by_noun(vector: Floats) -> Floats:
    """Likeness to each noun: to the nearest of its exemplars."""
    import numpy as np

    exemplars = bank()
    best = np.full(len(exemplars.names), -1.0, np.float32)
    np.maximum.at(best, exemplars.owners, exemplars.shapes @ vector)
    return best


def first_guess(crop: Pixels, mask: NDArray[np.bool_]) -> str:
    """The noun of one cropped drawing, of whatever style."""
    likeness = _by_noun(shape(crop, mask))
    if likeness.max() < STRANGE:
        likeness = second_look(likeness, crop, mask, palette(crop, mask), DOUBTFUL)
    return bank().names[int(likeness.argmax())]


def _agreed(found: list[_Candidate]) -> list[Thing]:
    """Things named so that equal neighbours share a name and a colour, where they nearly do already."""
    import numpy as np

    exemplars = bank()
    nouns_of = [int(c.likeness.argmax()) for c in found]
    fellows = [[j for j, other in enumerate(found) if j != i and c.near(other)] for i, c in enumerate(found)]
    for i, candidate in enumerate(found):
        votes = [nouns_of[j] for j in fellows[i]]
        if votes and nouns_of[i] not in votes:
            wanted = max(set(votes), key=lambda n: (votes.count(n), float(candidate.likeness[n])))
            if candidate.likeness[wanted] >= candidate.likeness[nouns_of[i]] - _AGREE:
                nouns_of[i] = wanted
    colours = [_colour(c.palette, exemplars.palettes[n]) for c, n in zip(found, nouns_of, strict=True)]
    things = []
    for i, candidate in enumerate(found):
        noun = nouns_of[i]
        same = [j for j in fellows[i] if nouns_of[j] == noun]
        likeness = max(float(candidate.likeness[noun]), *(float(found[j].likeness[noun]) - 0.1 for j in same), -1.0)
        if likeness < DOUBTFUL:
            continue
        together: Floats = np.asarray(
            np.mean([candidate.palette, *(found[j].palette for j in same)], axis=0), np.float32
        )
        shared = _colour(together, exemplars.palettes[noun])
        colour = shared if any(colours[j] == shared for j in same) else colours[i]
        extent = float(max(exemplars.extents[noun]))
        things.append(_thing(exemplars.names[noun], likeness, colour, candidate.box, extent))
    return things


def _parts_together(places: Sequence[tuple[slice, ...]]) -> list[list[int]]:
    """Labels by thing: parts lie nearer to each other, for their size, than things do."""
    boxes = [(p[0].start, p[1].start, p[0].stop, p[1].stop) for p in places]
    owner = list(range(len(boxes)))

    def root(index: int) -> int:
        while owner[index] != index:
            index = owner[index]
        return index

    for a, b in combinations(range(len(boxes)), 2):
        first, second = boxes[a], boxes[b]
        gap = max(
            max(first[0], second[0]) - min(first[2], second[2]), max(first[1], second[1]) - min(first[3], second[3])
        )
        largest = max(first[2] - first[0], first[3] - first[1], second[2] - second[0], second[3] - second[1])
        if gap < _PART_GAP * largest:
            owner[root(a)] = root(b)
    together: dict[int, list[int]] = {}
    for index in range(len(boxes)):
        together.setdefault(root(index), []).append(index + 1)
    return list(together.values())


def _is_card(crop: Pixels, mask: NDArray[np.bool_]) -> bool:
    height, width = mask.shape
    return bool(width > 1.6 * height and mask.mean() > 0.95 and (crop.min(axis=2) > 215).mean() > 0.5)


def _colour(seen: Floats, palettes: Floats) -> str:
    """Which tint the colours are: the exemplar's palette that is nearest, its own first."""
    import numpy as np

    distances = np.abs(palettes - seen).sum(axis=2).min(axis=0)
    distances[0] -= 0.1
    best = int(distances.argmin())
    return "" if best == 0 else tuple(COLOURS)[best - 1]


def _groups(things: list[Thing]) -> list[GroupRead]:
    kinds: dict[tuple[str, str], list[Thing]] = {}
    for thing in things:
        kinds.setdefault((thing.noun, thing.colour), []).append(thing)
    sides = sorted(thing.side for thing in things)
    usual = sides[len(sides) // 2] if sides else 1.0
    groups = []
    for (noun, colour), members in kinds.items():
        side = sum(m.side for m in members) / len(members)
        size = "small" if side < 0.82 * usual else "large" if side > 1.22 * usual else ""
        groups.append(
            GroupRead(
                noun=noun,
                count=len(members),
                colour=colour,
                size=size,
                likeness=min(m.likeness for m in members),
                left=min(m.left for m in members),
                top=min(m.top for m in members),
                right=max(m.right for m in members),
                bottom=max(m.bottom for m in members),
                side=side,
            )
        )
    return sorted(groups, key=lambda g: (round(g.top, 1), g.left))


def _relation(a: GroupRead, b: GroupRead) -> str:
    """How group a stands to group b."""
    across = max(a.left, b.left) - min(a.right, b.right)
    down = max(a.top, b.top) - min(a.bottom, b.bottom)
    side = (a.side + b.side) / 2
    if across >= down:
        if across / side < _NEAR and down < 0:
            return "next to"
        return "left of" if a.left + a.right < b.left + b.right else "right of"
    over = a.top + a.bottom < b.top + b.bottom
    if over and down / side < _NEAR and across < 0:
        return "on"
    return "above" if over else "below"


def caption(scene: SceneRead) -> str:
    """A scene in plain English; an empty one is said to be empty."""
    place = _PLACES[scene.backdrop]
    if not scene.groups:
        return f"An empty picture {place}.".replace(" .", ".") if place else "A picture in which nothing is recognised."
    named = [_named(group) for group in scene.groups]
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    sentences = [f"The picture shows {listed}{' ' + place if place else ''}."]
    for subject, relation, other in scene.relations:
        verb = "is" if scene.groups[subject].count == 1 else "are"
        first, second = _the(scene, subject), _the(scene, other)
        sentences.append(f"{first[0].upper()}{first[1:]} {verb} {_PHRASES[relation]} {second}.")
    return " ".join(sentences)


def _named(group: GroupRead) -> str:
    if group.noun == "card":
        words = "card with a word" if group.count == 1 else "cards with words"
    else:
        words = group.noun if group.count == 1 else plural(group.noun)
    described = " ".join(part for part in (group.size, group.colour, words) if part)
    if group.likeness < SURE:
        described += ", as far as can be told"
    if group.count > 1:
        return f"{_NUMBERS[group.count] if group.count < len(_NUMBERS) else group.count} {described}"
    return described if words.endswith("s") and words == plural(group.noun) else f"{_article(described)} {described}"


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" and not words.startswith(("uni", "one")) else "a"


def _the(scene: SceneRead, index: int) -> str:
    """A group by its noun, with its colour where two groups share the noun."""
    group = scene.groups[index]
    shared = sum(g.noun == group.noun for g in scene.groups) > 1
    words = group.noun if group.count == 1 else plural(group.noun)
    return " ".join(part for part in ("the", group.colour if shared else "", words) if part)

"""What a prompt asks to be drawn: groups of things with count, colour and size, and how they stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hopline.tools.openmoji import COLOUR_WORDS, noun_of

MAX_GROUPS = 6
MAX_COUNT = 12

_COUNTS = {
    "a": 1, "an": 1, "one": 1, "single": 1, "two": 2, "couple": 2, "both": 2, "pair": 2, "three": 3, "four": 4,
    "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "dozen": 12,
}  # fmt: skip
_SIZES = {"big": "large", "large": "large", "huge": "large", "giant": "large", "tall": "large"} | {
    "small": "small", "little": "small", "tiny": "small",
}  # fmt: skip
BACKDROP_WORDS: Mapping[str, tuple[str, ...]] = {
    "night": ("night", "dark", "midnight", "moonlight", "evening"),
    "sunset": ("sunset", "sunrise", "dusk", "dawn"),
    "beach": ("beach", "shore", "sand", "seaside", "coast"),
    "sea": ("sea", "ocean", "lake", "river", "water", "pond", "harbour", "harbor"),
    "forest": ("forest", "woods", "jungle", "woodland"),
    "field": ("field", "meadow", "grass", "lawn", "garden", "park", "farm", "plain", "savanna", "countryside"),
    "desert": ("desert", "dunes"),
    "snow": ("snow", "winter", "ice", "arctic"),
    "street": ("street", "road", "city", "town", "pavement", "highway"),
    "room": ("room", "kitchen", "office", "indoors", "inside", "table", "floor", "salon", "hall"),
    "sky": ("sky", "air"),
}
"""The words that ask for a backdrop."""

# Longest first; what stands before the words is the subject.
RELATIONS: tuple[tuple[str, str], ...] = (
    ("to the left of", "left of"), ("to the right of", "right of"), ("on the left of", "left of"),
    ("on the right of", "right of"), ("on top of", "on"), ("in front of", "below"), ("next to", "next to"),
    ("left of", "left of"), ("right of", "right of"), ("beside", "next to"), ("near", "next to"), ("by", "next to"),
    ("above", "above"), ("over", "above"), ("below", "below"), ("beneath", "below"), ("under", "below"),
    ("behind", "above"), ("upon", "on"), ("on", "on"),
)  # fmt: skip
_SMALL = frozenset(
    "a an the and or of in on at to with is are was were be been there it its his her their this that these those for "
    "from by as into i you he she they we my your our but so then which who where very some any not no up out next "
    "left right above below near beside under over standing sitting stands sits has have had picture image drawing "
    "photo scene shows show showing side top front behind".split()
)
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*|\d+|[.!?;,]")
_QUOTED = re.compile(r"[“\"]([^”\"]{1,60})[”\"]|\b(?:saying|says|reads|labelled|labeled) ['‘]([^'’]{1,60})['’]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Equal things that stand together.

    Attributes:
        noun: of the pictograms, or any word for a labelled card.
        count: 1 to 12.
        colour: one of eleven, or empty for the drawing's own.
        size: `small`, `large` or empty.
        card: there is no pictogram: a card with the word is drawn.
    """

    noun: str
    count: int = 1
    colour: str = ""
    size: str = ""
    card: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """How one group stands to another, by their places in the scene."""

    subject: int
    relation: str
    object: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """All that is to be drawn.

    Attributes:
        groups: at most six.
        relations: between them.
        backdrop: of `openmoji.BACKDROPS`, or empty for a plain one.
        text: words to be written in the picture.
        undrawn: words of the prompt that are not in the picture.
        cut: things beyond the limits, in words.
        substituted: `[word, noun]` where another noun's drawing stands in.
    """

    groups: tuple[Group, ...] = ()
    relations: tuple[Relation, ...] = ()
    backdrop: str = ""
    text: str = ""
    undrawn: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    substituted: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data, as a hop declares it."""
        return {
            "objects": [
                {"noun": g.noun, "count": g.count, "colour": g.colour, "size": g.size, "card": g.card}
                for g in self.groups
            ],
            "relations": [
                {
                    "subject": self.groups[r.subject].noun,
                    "relation": r.relation,
                    "object": self.groups[r.object].noun,
                }
                for r in self.relations
            ],
            "backdrop": self.backdrop,
            "text": self.text,
        }


@dataclass(slots=True)
class _Reading:
    groups: list[Group] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    substituted: list[tuple[str, str]] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    backdrop: str = ""


def parse(prompt: str) -> Scene:
    """The scene of an English prompt.

    Args:
        prompt: a description, a transcript, or any prose; what cannot be drawn is listed.
    """
    quoted = _QUOTED.search(prompt)
    text = (quoted[1] or quoted[2]) if quoted else ""
    words = _WORD.findall(_QUOTED.sub(" ", prompt))
    lower = [word.lower().replace("’", "'") for word in words]
    reading = _Reading()
    subject: int | None = None
    pending = ""
    index = sentence = 0
    while index < len(lower):
        if lower[index] in ".!?;":
            subject, pending = None, ""
            index += 1
            sentence = index
            continue
        found = _phrase(lower, index)
        if found is None:
            relation = _relation(lower, index)
            side = _side(lower, index)
            latest = len(reading.groups) - 1
            if side and subject is not None and latest not in (-1, subject):
                # "a house with a tree on the left": beside what the sentence is about.
                if not any(r.subject == latest for r in reading.relations):
                    reading.relations.append(Relation(subject=latest, relation=side, object=subject))
                index += 3
            elif relation:
                pending = relation[1]
                index += len(relation[0].split())
            else:
                index += 1
            continue
        group, start, end, written = found
        reading.used.update(range(start, end))
        place = _place(reading, group, written)
        if place is not None:
            if pending and subject is not None and subject != place:
                relation_made = Relation(subject=subject, relation=pending, object=place)
                reading.relations.append(relation_made)
            elif subject is None or "with" not in lower[sentence:start]:
                subject = place
            pending = ""
        index = end
    _set_backdrop(reading, lower)
    if not reading.groups and not reading.backdrop:
        _cards(reading, words)
    undrawn = [
        words[i] for i, word in enumerate(lower) if i not in reading.used and word not in _SMALL and word[0].isalnum()
    ]
    return Scene(
        groups=tuple(reading.groups),
        relations=tuple(reading.relations),
        backdrop=reading.backdrop,
        text=text,
        undrawn=tuple(dict.fromkeys(undrawn)),
        cut=tuple(reading.cut),
        substituted=tuple(reading.substituted),
    )


def _phrase(words: list[str], index: int) -> tuple[Group, int, int, str] | None:
    """A noun phrase that begins here: [count] [size, colour …] noun; its words' range."""
    count, size, colour = 1, "", ""
    place = index
    while place < len(words):
        word = words[place]
        longest = next(
            (n for n in (3, 2, 1) if place + n <= len(words) and noun_of(" ".join(words[place : place + n]))), 0
        )
        if longest and not (word in COLOUR_WORDS and longest == 1 and _noun_follows(words, place + 1)):
            written = " ".join(words[place : place + longest])
            noun = noun_of(written)
            return Group(noun=noun, count=count, colour=colour, size=size), index, place + longest, written
        if word in _COUNTS:
            count = _COUNTS[word]
        elif word.isdigit():
            count = int(word)
        elif word in COLOUR_WORDS:
            colour = COLOUR_WORDS[word]
        elif word in _SIZES:
            size = _SIZES[word]
        elif word not in ("the", "of", "very", "bright", "dark", "light", "and") or place == index:
            return None
        place += 1
    return None


def _noun_follows(words: list[str], place: int) -> bool:
    return place < len(words) and bool(noun_of(words[place]))


def _relation(words: list[str], index: int) -> tuple[str, str] | None:
    for written, name in RELATIONS:
        parts = written.split()
        if words[index : index + len(parts)] == parts:
            return written, name
    return None


def _side(words: list[str], index: int) -> str:
    """`left of` or `right of` for "on the left", "at its right", not followed by "of"."""
    preposition, article, side, after = (words[index : index + 4] + [""] * 4)[:4]
    turned = preposition in ("on", "at", "to") and article in ("the", "its") and side in ("left", "right")
    return f"{side} of" if turned and after != "of" else ""


def _place(reading: _Reading, group: Group, written: str) -> int | None:
    """Put a group into the scene; a second mention of the same thing is the same thing."""
    for place, known in enumerate(reading.groups):
        same = known.noun == group.noun and group.colour in ("", known.colour) and group.count in (1, known.count)
        if same:
            return place
    if len(reading.groups) >= MAX_GROUPS:
        reading.cut.append(written)
        return None
    if group.count > MAX_COUNT:
        reading.cut.append(f"{group.count - MAX_COUNT} of {group.count} {written}")
        group = replace(group, count=MAX_COUNT)
    if group.count < 1:
        return None
    head = written.split()[-1]
    if noun_of(written) not in (written, head) and not head.startswith(group.noun.split()[-1][:3]):
        reading.substituted.append((written, group.noun))
    reading.groups.append(group)
    return len(reading.groups) - 1


def _set_backdrop(reading: _Reading, words: list[str]) -> None:
    for name, names in BACKDROP_WORDS.items():
        places = [i for i, word in enumerate(words) if word in names and i not in reading.used]
        if places:
            reading.backdrop = name
            reading.used.update(places)
            return


def _cards(reading: _Reading, words: list[str]) -> None:
    """Nothing has a pictogram: cards with the longest words, in their order."""
    known = [(i, w) for i, w in enumerate(words) if w.lower() not in _SMALL and w[0].isalpha() and len(w) > 2]
    longest = sorted(sorted(known, key=lambda pair: -len(pair[1]))[:3])
    for index, word in longest:
        reading.groups.append(Group(noun=word.lower(), card=True))
        reading.used.add(index)

"""Noun phrases: the things of a text, how many of each, and their colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hopline.agent.loss.english.numerals import Numeral
from hopline.agent.loss.english.tags import COLOURS, Tag
from hopline.agent.loss.english.tokens import Token
from hopline.agent.loss.english.words import COMPOUNDS, canonical, codes, is_plural, lexicon, singular

_MEASURES = frozenset(  # the thing is what follows "of"
    [
        "pair",
        "couple",
        "group",
        "bunch",
        "lot",
        "number",
        "piece",
        "kind",
        "sort",
        "type",
        "slice",
        "set",
        "row",
        "line",
        "stack",
        "pile",
        "plenty",
        "variety",
        "herd",
        "flock",
        "crowd",
        "team",
        "bit",
        "sheet",
        "length",
        "series",
        "handful",
        "collection",
        "dozen",
        "hundred",
        "thousand",
        "total",
        "heap",
        "load",
        "trio",
        "quartet",
    ]
)
_PICTURES = frozenset(
    [
        "picture",
        "photo",
        "photograph",
        "image",
        "drawing",
        "illustration",
        "scene",
        "view",
        "painting",
        "sketch",
        "close",
    ]
)
_PLACES_ONLY = frozenset(
    [
        "side",
        "top",
        "bottom",
        "middle",
        "front",
        "back",
        "center",
        "centre",
        "left",
        "right",
        "edge",
        "end",
        "part",
        "half",
        "rest",
        "way",
        "area",
        "place",
        "spot",
        "point",
        "kind",
        "distance",
        "direction",
        "background",
        "foreground",
        "corner",
        "piece",
        "thing",
        "something",
        "one",
        "other",
        "home",
        "air",
        "line",
        "position",
        "row",
        "color",
        "colour",
        "world",
        "country",
        "earth",
        "land",
        "region",
        "state",
        "district",
        "east",
        "west",
        "north",
        "south",
        "somewhere",
        "anywhere",
        "everywhere",
        "abroad",
        "sight",
        "view",
        "length",
        "order",
        "case",
        "matter",
        "life",
        "body",
        "head",
        "company",
        "party",
        "class",
        "member",
        "leader",
        "mind",
        "course",
        "key",
        "name",
        "word",
        "letter",
        "line",
        "note",
        "step",
        "turn",
        "work",
        "post",
        "figure",
        "form",
        "shape",
        "pattern",
    ]
)
_THINGS_TOO = frozenset(
    ["head", "body", "key", "letter", "home", "corner", "land", "earth", "party", "country", "note", "line"]
)
_NOT_THINGS = _PLACES_ONLY - _THINGS_TOO


@dataclass(kw_only=True, slots=True)
class Thing:
    """One noun phrase that names a thing.

    Attributes:
        noun: canonical head noun.
        head: token index of the head's last word.
        start: index of the phrase's first token.
        end: index after its last token.
        count: how many, if the text says so.
        implied: how many the grammar implies (`a car` is one); None for a plural or mass noun.
        colours: canonical colour and token index.
    """

    noun: str
    head: int
    start: int
    end: int
    count: str | None = None
    count_at: int = -1
    implied: str | None = None
    colours: list[tuple[str, int]] = field(default_factory=list)


def things(tokens: Sequence[Token], tags: Sequence[Tag], numbers: Sequence[Numeral]) -> list[Thing]:
    """Things in the order of the text."""
    at = {n.start: n for n in numbers}
    found: list[Thing] = []
    i = 0
    while i < len(tokens):
        if tags[i] not in ("D", "#", "J", "C", "N", "R") or (tags[i] == "R" and not _adverb_inside(tags, i)):
            i += 1
            continue
        thing, i = _phrase(tokens, tags, at, i)
        if thing is not None:
            found.append(thing)
    _predicates(tokens, tags, found)
    return found


def _adverb_inside(tags: Sequence[Tag], i: int) -> bool:
    return i + 1 < len(tags) and tags[i + 1] in ("J", "C")


def _phrase(
    tokens: Sequence[Token], tags: Sequence[Tag], at: dict[int, Numeral], start: int
) -> tuple[Thing | None, int]:
    i = start
    number: Numeral | None = None
    determiner = ""
    colours: list[tuple[str, int]] = []
    nouns: list[int] = []
    while i < len(tokens):
        if nouns and tags[i] != "N" and tokens[i].text not in "-‐‑":
            if not (tags[i] == "C" and i + 1 < len(tokens) and tags[i + 1] == "N" and tokens[i - 1].text in "-"):
                break
        if i in at and not nouns:
            if number is not None:
                break
            number = at[i]
            i = number.end
            continue
        if tags[i] == "D":
            if (determiner or number or colours) and i > start and tokens[i].kind != "possessive":
                break
            determiner = tokens[i].lower
            number = None
            colours.clear()
        elif tags[i] == "C":
            colours.append((COLOURS[tokens[i].lower], i))
        elif tags[i] == "N":
            nouns.append(i)
        elif tags[i] in ("J", "R") or (
            tags[i] == "&" and i + 1 < len(tokens) and tags[i + 1] in ("C",) and i and tags[i - 1] in ("C",)
        ):
            pass
        elif tags[i] == "." and tokens[i].text in ",-‐‑" and tokens[i].text and i > start and i + 1 < len(tokens):
            joins = tags[i + 1] in ("J", "C") and tags[i - 1] in ("J", "C") if tokens[i].text == "," else True
            if not joins or (nouns and tokens[i].start != tokens[i - 1].end):
                break
        else:
            break
        i += 1
    if i == start:
        return None, start + 1
    if not nouns:
        return None, i
    head = nouns[-1]
    word = tokens[head].lower
    noun = _compound(tokens, nouns)
    plural = is_plural(word)
    if (
        word in ("pair", "couple")
        and _is(tokens, head + 1, "of")
        and determiner in ("a", "an", "the")
        and number is None
    ):
        counted, count_at = "2", head
    else:
        counted, count_at = (number.value, number.start) if number and not number.ordinal else (None, -1)
    if singular(word) in _MEASURES | _PICTURES and _is(tokens, head + 1, "of"):
        inner, after = _phrase(tokens, tags, at, head + 2) if head + 2 < len(tokens) else (None, i)
        if inner is not None:
            if singular(word) in _MEASURES and inner.count is None and counted is not None:
                if word in ("pair", "couple") or not plural or plural:
                    inner.count, inner.count_at = counted, count_at
            inner.start = start
            inner.colours = colours + inner.colours
            return inner, after
        return None, max(i, head + 2)
    if not _is_thing(noun, word, determiner, number is not None or bool(colours)):
        return None, i
    implied = "1" if not plural and determiner in ("a", "an", "another", "this", "that", "each", "every") else None
    thing = Thing(
        noun=noun, head=head, start=start, end=i, count=counted, count_at=count_at, implied=implied, colours=colours
    )
    return thing, i


def _is(tokens: Sequence[Token], i: int, word: str) -> bool:
    return i < len(tokens) and tokens[i].lower == word


def _compound(tokens: Sequence[Token], nouns: Sequence[int]) -> str:
    head = tokens[nouns[-1]].lower
    if len(nouns) > 1:
        two = f"{tokens[nouns[-2]].lower}_{head}"
        if two in COMPOUNDS or singular(two) in COMPOUNDS or "o" in lexicon().get(singular(two), ""):
            return canonical(two)
    return canonical(head)


def _is_thing(noun: str, word: str, determiner: str, described: bool) -> bool:
    if noun in _NOT_THINGS or noun in _PICTURES:
        return False
    if "_" in noun:
        return True
    what = codes(noun) or codes(word)
    if not what:
        return True
    letter = next((c for c in what if c in "ola"), "")
    return letter == "o" or letter == "l"


def _predicates(tokens: Sequence[Token], tags: Sequence[Tag], found: list[Thing]) -> None:
    """Colours said of a thing after it: `the car is red`, `a house painted white`."""
    used = {at for thing in found for _, at in thing.colours}
    for i, t in enumerate(tags):
        if t != "C" or i in used:
            continue
        subject = next((thing for thing in reversed(found) if thing.end <= i), None)
        if subject is None:
            continue
        between = range(subject.end, i)
        if any(tokens[k].kind == "stop" for k in between):
            continue
        if all(tags[k] in ("X", "R", "O", "C", "&") or tokens[k].lower in ("painted", "colored", "coloured", "looks",
               "turned", "dyed", ",", "dark", "light", "bright", "pale", "deep") for k in between):  # fmt: skip
            if not any(tokens[k].lower in ("not", "never") or tokens[k].lower.endswith("n't") for k in between):
                subject.colours.append((COLOURS[tokens[i].lower], i))

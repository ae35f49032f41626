"""Where things stand to each other: `left of`, `above`, `next to`, `on`, `in`, `behind`, …"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hopline.agent.loss.english.phrases import Thing
from hopline.agent.loss.english.tables import inverted
from hopline.agent.loss.english.tags import Tag
from hopline.agent.loss.english.tokens import Token

_PHRASES = {tuple(way.split()): relation for way, relation in inverted("relations", "|").items()}
_LONGEST = max(map(len, _PHRASES))
_FIRST = frozenset(words[0] for words in _PHRASES)
INVERSE = {"right of": "left of", "below": "above", "behind": "in front of"}
"""Said the other way round, so that `A right of B` and `B left of A` are one relation."""
SYMMETRIC = frozenset({"next to"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """`subject relation object`, by index into the things of the text; a second object for `between`."""

    relation: str
    subject: int
    object: int
    second: int | None
    start: int
    end: int


def relations(tokens: Sequence[Token], tags: Sequence[Tag], things: Sequence[Thing]) -> list[Relation]:
    """Relations between neighbouring things of one sentence, left to right."""
    found: list[Relation] = []
    by_start = {thing.start: k for k, thing in enumerate(things)}
    i = 0
    while i < len(tokens):
        match = _match(tokens, i)
        if match is None:
            i += 1
            continue
        relation, end = match
        target = by_start.get(end)
        if target is None:
            i += 1
            continue
        subject = _subject(tokens, tags, things, i, target)
        second = _also(tokens, things, target) if relation == "between" else None
        if subject is None and relation != "between":
            subject = _inverted(tokens, tags, things, target)
        if subject is not None and (relation != "between" or second is not None):
            found.append(Relation(relation=relation, subject=subject, object=target, second=second, start=i, end=end))
        i = end
    return found


def _match(tokens: Sequence[Token], i: int) -> tuple[str, int] | None:
    if tokens[i].lower not in _FIRST:
        return None
    for length in range(min(_LONGEST, len(tokens) - i), 0, -1):
        words = tuple(t.lower for t in tokens[i : i + length])
        if words in _PHRASES:
            return _PHRASES[words], i + length
    return None


def _clear(tokens: Sequence[Token], tags: Sequence[Tag], start: int, end: int) -> bool:
    """Nothing between two places ends the sentence."""
    return not any(t.kind == "stop" for t in tokens[start:end])


def _subject(tokens: Sequence[Token], tags: Sequence[Tag], things: Sequence[Thing], at: int, target: int) -> int | None:
    """The thing before a relation word: the nearest one, or the first of a chain said of one subject."""
    before: list[int] = []
    for k in range(target - 1, -1, -1):
        if things[k].end <= at:
            if not _clear(tokens, tags, things[k].end, at):
                break
            before.insert(0, k)
    if not before:
        return None
    nearest = before[-1]
    between = range(things[nearest].end, at)
    joined = any(tokens[k].lower == "and" for k in between) or (at and tokens[at - 1].text == ",")
    if joined and len(before) > 1 and not any(tags[k] in ("V", "X") for k in between):
        # "a car next to a tree and above a dog": both are said of the car.
        return before[0] if len(before) == 2 else nearest
    return nearest


def _also(tokens: Sequence[Token], things: Sequence[Thing], target: int) -> int | None:
    """The second thing of `between A and B`."""
    end = things[target].end
    if end < len(tokens) and tokens[end].lower == "and":
        return next((k for k, thing in enumerate(things) if thing.start == end + 1), None)
    return None


def _inverted(tokens: Sequence[Token], tags: Sequence[Tag], things: Sequence[Thing], target: int) -> int | None:
    """`Next to the tree is a car`: the thing that follows the target and a verb or comma."""
    end = things[target].end
    following = next((k for k in range(target + 1, len(things)) if things[k].start >= end), None)
    if following is None or not _clear(tokens, tags, end, things[following].start):
        return None
    between = range(end, things[following].start)
    if not between:
        return None
    verb_or_comma = any(tags[k] in ("V", "X") or tokens[k].text == "," or tokens[k].lower == "there" for k in between)
    return following if verb_or_comma and len(between) <= 4 else None

"""What a text says is not so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hopline.agent.loss.english.tables import words
from hopline.agent.loss.english.tags import Tag
from hopline.agent.loss.english.tokens import Token
from hopline.agent.loss.english.words import canonical, function_class, verb_base

_NOT_NEGATIVE = {("no", "matter"), ("no", "doubt"), ("not", "only"), ("no", "wonder"), ("nothing", "but")}
_REACH = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Negation:
    """A negation and the word it is about."""

    value: str
    start: int
    end: int
    scope: int


def negations(tokens: Sequence[Token], tags: Sequence[Tag]) -> list[Negation]:
    """Negations in the order of the text."""
    found: list[Negation] = []
    for i, token in enumerate(tokens):
        word = token.lower
        if token.kind != "word" or not (word in words("negation", "words") or word.endswith("n't")):
            continue
        after = tokens[i + 1].lower if i + 1 < len(tokens) else ""
        if (word, after) in _NOT_NEGATIVE or (word == "no" and (not after or tokens[i + 1].kind != "word")):
            continue
        scope = (
            -1
            if word in words("negation", "without_scope")
            else _scope(tokens, tags, i, noun=word in ("no", "without"))
        )
        value = _base(tokens[scope].lower, tags[scope]) if scope >= 0 else word
        found.append(Negation(value=value, start=i, end=max(scope, i) + 1, scope=scope))
    return found


def _scope(tokens: Sequence[Token], tags: Sequence[Tag], i: int, *, noun: bool) -> int:
    """The head of what is negated: a noun after `no`, else the next verb, adjective or noun."""
    last = -1
    for j in range(i + 1, min(len(tokens), i + 1 + _REACH)):
        if tokens[j].kind == "stop" or tokens[j].text == ",":
            break
        if tokens[j].kind != "word":
            continue
        if tags[j] == "N":
            last = j
            if noun and j + 1 < len(tokens) and tags[j + 1] == "N":
                continue
            return j
        if last >= 0:
            break
        if tags[j] in ("V", "C", "NP") or (tags[j] == "J" and not noun):
            follows_noun = j + 1 < len(tokens) and tags[j + 1] == "N" and tags[j] in ("J", "C")
            if not follows_noun:
                return j
        if function_class(tokens[j].lower) == "conjunction":
            break
    return last


def _base(word: str, tag: Tag) -> str:
    return verb_base(word) if tag == "V" else canonical(word) if tag == "N" else word

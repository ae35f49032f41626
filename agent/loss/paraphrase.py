"""Say it otherwise without changing a fact: the floor of every metric.

What a fact-preserving paraphrase costs a metric is no loss; a loss is reported above it. The
rules touch only wording: digits and number words, synonyms, ways to say a relation, units,
openers, contractions, and the order of sentences that do not refer to each other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hopline.agent.loss.english.measures import UNITS, measures
from hopline.agent.loss.english.numerals import Numeral, numerals
from hopline.agent.loss.english.phrases import things
from hopline.agent.loss.english.tables import inverted, ordered, pairs, table, words
from hopline.agent.loss.english.tags import Tag, tag
from hopline.agent.loss.english.tokens import Token, casing, tokenize
from hopline.agent.loss.english.words import codes, function_class, singular

_OPENERS = (
    ("there is", ("one can see", "you can find", "here is")),
    ("there are", ("one can see", "you can find", "here are")),
    ("the picture shows", ("in this scene we see", "this drawing contains", "visible here: ")),
    ("in this picture", ("within this image", "in the scene")),
    ("a drawing of", ("an illustration of", "a sketch of")),
)
_CONTRACTIONS = {f"{verb}n't": f"{verb} not" for verb in ordered("paraphrase", "with_not")} | {"can't": "cannot"}
_SAME_WORDS = pairs("paraphrase", "same_words")
_RELATIONS_TO_USE = frozenset(table("paraphrase")["relations"].split("|"))
_SYNONYMS_TO_USE = ordered("paraphrase", "synonyms")
_REFERRING = words("paraphrase", "referring")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change:
    """Characters `start` to `end` become `text`."""

    start: int
    end: int
    text: str


def paraphrase(text: str, seed: int) -> str:
    """A text that says the same in other words, as far as the rules reach.

    Args:
        text: English; a text on which no rule works comes back as it is.
        seed: which of the ways; the same seed gives the same text.
    """
    rng = random.Random(seed)
    return _reordered(_reworded(text, rng), rng)


def _reworded(text: str, rng: random.Random) -> str:
    tokens = tokenize(text)
    numbers = numerals(tokens)
    dates = [m for m in measures(tokens, numbers, cased=casing(tokens) == "cased") if m.type == "date"]
    taken = {i for m in dates for i in range(m.start, m.end)}
    changes: list[_Change] = []
    for rule in (_openers, _relations, _numbers, _words):
        for start, end, written in rule(tokens, numbers, rng):
            if not taken & set(range(start, end)):
                taken.update(range(start, end))
                first = tokens[start]
                if first.text[:1].isupper() and first.first and casing(tokens) == "cased":
                    written = written[:1].upper() + written[1:]
                elif first.text.isupper() and len(first.text) > 1:
                    written = written.upper()
                changes.append(_Change(start=first.start, end=tokens[end - 1].end, text=written))
    for change in sorted(changes, key=lambda c: -c.start):
        text = text[: change.start] + change.text + text[change.end :]
    return text


_Found = list[tuple[int, int, str]]
_Rule = Callable[[Sequence[Token], Sequence[Numeral], random.Random], _Found]


def _openers(tokens: Sequence[Token], numbers: Sequence[Numeral], rng: random.Random) -> _Found:
    found: _Found = []
    for i in range(len(tokens)):
        for opener, others in _OPENERS:
            parts = opener.split()
            if [t.lower for t in tokens[i : i + len(parts)]] == parts and _before(tokens, i) in ("", "and"):
                after = tokens[i + len(parts)].lower if i + len(parts) < len(tokens) else ""
                if after not in ("no", "not", "nothing"):
                    found.append((i, i + len(parts), rng.choice(others).strip()))
    return found


def _before(tokens: Sequence[Token], i: int) -> str:
    return tokens[i - 1].lower if i and tokens[i - 1].kind != "stop" else ""


def _relations(tokens: Sequence[Token], numbers: Sequence[Numeral], rng: random.Random) -> _Found:
    found: _Found = []
    ways = inverted("relations", "|")
    longest = max(len(way.split()) for way in ways)
    i = 0
    while i < len(tokens):
        length = next((k for k in range(longest, 0, -1) if _said(tokens, i, k) in ways), 1)
        said = _said(tokens, i, length)
        if said in _RELATIONS_TO_USE:
            same = [w for w in table("relations")[ways[said]].split("|") if w in _RELATIONS_TO_USE and w != said]
            found.extend([(i, i + length, rng.choice(same))] if same else [])
        i += length
    return found


def _said(tokens: Sequence[Token], start: int, length: int) -> str:
    return " ".join(t.lower for t in tokens[start : start + length])


def _numbers(tokens: Sequence[Token], numbers: Sequence[Numeral], rng: random.Random) -> _Found:
    """Digits to words up to ninety-nine and back; a symbol of money or share to its word."""
    found: _Found = []
    for n in numbers:
        if n.ordinal or n.year or "." in n.value or n.value in ("0", "1"):
            continue
        before = tokens[n.start - 1].text if n.start else ""
        after = tokens[n.end].lower if n.end < len(tokens) else ""
        if before in ("$", "€", "£"):
            found.append((n.start - 1, n.end, f"{n.value} {({'$': 'dollars', '€': 'euros', '£': 'pounds'})[before]}"))
        elif after == "%":
            found.append((n.start, n.end + 1, f"{n.value} percent"))
        elif (before in "-:/" and before) or after in ("-", ":", "/"):
            continue
        elif n.words:
            found.append((n.start, n.end, n.value))
        elif int(n.value) < 100 and (len(n.value) < 2 or after not in UNITS or len(after) > 2):
            found.append((n.start, n.end, _spelled(int(n.value))))
    return found


def _spelled(value: int) -> str:
    ones, tens = ordered("numerals", "ones"), ordered("numerals", "tens")
    if value < 20:
        return ones[value]
    unit = f"-{ones[value % 10]}" if value % 10 else ""
    return f"{tens[value // 10 - 2]}{unit}"


def _words(tokens: Sequence[Token], numbers: Sequence[Numeral], rng: random.Random) -> _Found:
    """Synonyms and contractions, one word at a time."""
    back: dict[str, list[str]] = {}
    for word in _SYNONYMS_TO_USE:
        back.setdefault(pairs("nouns", "synonyms").get(word, word), []).append(word)
    found: _Found = []
    for i, token in enumerate(tokens):
        word = token.lower
        if token.kind != "word" or (token.text[:1].isupper() and not token.first and casing(list(tokens)) == "cased"):
            continue
        if word in _CONTRACTIONS:
            found.append((i, i + 1, _CONTRACTIONS[word]))
        elif word in _SAME_WORDS:
            found.append((i, i + 1, _SAME_WORDS[word]))
        elif singular(word) in back and not _in_compound(tokens, i):
            other = rng.choice(back[singular(word)])
            article = tokens[i - 1].lower if i else ""
            vowel = other[0] in "aeiou"
            if singular(word) != word:
                found.append((i, i + 1, _plural(other)))
            elif article in ("a", "an"):
                found.append((i - 1, i + 1, f"{'an' if vowel else 'a'} {other}"))
            else:
                found.append((i, i + 1, other))
    return found


def _in_compound(tokens: Sequence[Token], i: int) -> bool:
    """Part of `car park` or `toy car`: another word there may be another thing."""
    after = tokens[i + 1].lower if i + 1 < len(tokens) and tokens[i + 1].kind == "word" else ""
    return bool(after) and not function_class(after) and codes(after)[:1] in ("o", "m", "a", "l")


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _reordered(text: str, rng: random.Random) -> str:
    """Sentences in another order, where none speaks of another."""
    tokens = tokenize(text)
    stops = [i for i, t in enumerate(tokens) if t.kind == "stop" and t.text == "."]
    if len(stops) < 2 or "\n" in text or stops[-1] != len(tokens) - 1:
        return text
    if any(t.lower in _REFERRING for t in tokens) or _speaks_again(tokens):
        return text
    bounds = [0, *(tokens[s].end for s in stops)]
    sentences = [text[a:b].strip() for a, b in pairwise(bounds)]
    shift = rng.randrange(1, len(sentences))
    return " ".join(sentences[shift:] + sentences[:shift])


def _speaks_again(tokens: Sequence[Token]) -> bool:
    fixed: dict[int, Tag] = {}
    return any(thing.same_as is not None for thing in things(tokens, tag(tokens, fixed), numerals(tokens)))

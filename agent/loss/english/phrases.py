"""Noun phrases: the things of a text, how many of each, and their colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hopline.agent.loss.english.numerals import Numeral
from hopline.agent.loss.english.tables import words
from hopline.agent.loss.english.tags import COLOURS, Tag
from hopline.agent.loss.english.tokens import Token
from hopline.agent.loss.english.words import NOUN, canonical, codes, is_plural, lexicon, singular

_ONE = frozenset({"a", "an", "another", "this", "that", "each", "every"})
_KNOWN = frozenset({"the", "this", "that", "these", "those", "its", "his", "her", "their", "both"})
_HYPHENS = "-‐‑"


@dataclass(kw_only=True, slots=True)
class Thing:
    """One noun phrase that names a thing.

    Attributes:
        noun: canonical head noun.
        head: token index of the head's last word.
        start: index of the phrase's first token.
        end: index after its last token.
        count: how many, if the text says so.
        count_at: index of the first token of the count; -1 without one.
        implied: how many the grammar implies (`a car` is one); None for a plural or mass noun.
        colours: canonical colour and token index.
        same_as: index of the thing that it mentions again, `a car … the car`.
    """

    noun: str
    head: int
    start: int
    end: int
    count: str | None = None
    count_at: int = -1
    implied: str | None = None
    colours: list[tuple[str, int]] = field(default_factory=list)
    same_as: int | None = None


@dataclass(kw_only=True, slots=True)
class _Parts:
    """A noun phrase as it stands: determiner, number, colours, nouns, and whether anything describes it."""

    start: int
    end: int = 0
    determiner: str = ""
    number: Numeral | None = None
    colours: list[tuple[str, int]] = field(default_factory=list)
    nouns: list[int] = field(default_factory=list)
    described: bool = False


def things(tokens: Sequence[Token], tags: Sequence[Tag], numbers: Sequence[Numeral]) -> list[Thing]:
    """Things in the order of the text."""
    at = {n.start: n for n in numbers}
    found: list[Thing] = []
    i = 0
    while i < len(tokens):
        if tags[i] in ("D", "#", "J", "C", "N") or (tags[i] == "R" and tags[i + 1 : i + 2] in (["J"], ["C"])):
            thing, i, determiner = _phrase(tokens, tags, at, i)
            if thing is not None:
                thing.same_as = _mentioned(thing, determiner, found)
                found.append(thing)
        else:
            i += 1
    _predicates(tokens, tags, found)
    return found


def _mentioned(thing: Thing, determiner: str, found: Sequence[Thing]) -> int | None:
    """The earlier thing that a definite phrase speaks of."""
    if determiner not in _KNOWN or thing.count is not None:
        return None
    colours = {c for c, _ in thing.colours}
    for k, other in reversed(list(enumerate(found))):
        theirs = {c for c, _ in other.colours}
        if other.noun == thing.noun and other.same_as is None and (not colours or not theirs or colours & theirs):
            return k
    return None


def _phrase(
    tokens: Sequence[Token], tags: Sequence[Tag], at: dict[int, Numeral], start: int
) -> tuple[Thing | None, int, str]:
    """The thing of the phrase at `start` if it has one, the index after it, and its determiner."""
    parts = _parts(tokens, tags, at, start)
    if not parts.nouns:
        return None, parts.end, ""
    head = parts.nouns[-1]
    word = tokens[head].lower
    number = parts.number if parts.number and not parts.number.ordinal else None
    count, count_at = (number.value, number.start) if number else (None, -1)
    after = tokens[head + 1].lower if head + 1 < len(tokens) else ""
    single = singular(word)
    if after == "of" and (single in words("nouns", "measures") or single in words("nouns", "pictures")):
        if single in ("pair", "couple") and number is None:
            count, count_at = "2", head
        inner, end, _ = _phrase(tokens, tags, at, head + 2) if head + 2 < len(tokens) else (None, head + 2, "")
        if inner is not None:
            if inner.count is None and count is not None and _counts(single):
                inner.count, inner.count_at = count, count_at
            inner.start = start
            inner.colours = parts.colours + inner.colours
        return inner, max(end, parts.end), parts.determiner
    noun = _compound(tokens, parts.nouns)
    if not _is_thing(noun, word, parts):
        return None, parts.end, ""
    thing = Thing(
        noun=noun,
        head=head,
        start=start,
        end=parts.end,
        count=count,
        count_at=count_at,
        implied="1" if not is_plural(word) and parts.determiner in _ONE else None,
        colours=parts.colours,
    )
    return thing, parts.end, parts.determiner


def _counts(measure: str) -> bool:
    """`two pairs of` and `a pair of` count the things; `two kinds of` do not."""
    return measure in ("pair", "couple", "dozen", "total", "number", "piece", "slice", "bit")


def _parts(tokens: Sequence[Token], tags: Sequence[Tag], at: dict[int, Numeral], start: int) -> _Parts:
    parts = _Parts(start=start)
    i = start
    while i < len(tokens):
        here = tokens[i]
        if parts.nouns and tags[i] != "N" and not (here.text in _HYPHENS and _joins(tokens, tags, i)):
            break
        if i in at:
            if parts.number is not None or parts.nouns:
                break
            parts.number = at[i]
            i = at[i].end
            continue
        if tags[i] == "D":
            if i > start and parts.determiner + str(parts.number or "") and here.kind != "possessive":
                break
            parts.determiner = here.lower
        elif tags[i] == "C":
            parts.colours.append((COLOURS[here.lower], i))
        elif tags[i] == "N":
            parts.nouns.append(i)
        elif tags[i] == "J":
            parts.described = True
        elif not (tags[i] == "R" or _joins(tokens, tags, i)) or i == start:
            break
        i += 1
    parts.end = max(i, start + 1)
    return parts


def _joins(tokens: Sequence[Token], tags: Sequence[Tag], i: int) -> bool:
    """A hyphen inside a phrase, or a comma or `and` between two of its adjectives."""
    if not 0 < i < len(tokens) - 1:
        return False
    both = tags[i - 1] in ("J", "C") and tags[i + 1] in ("J", "C")
    if tokens[i].text in _HYPHENS:
        return tokens[i].start == tokens[i - 1].end and tokens[i].end == tokens[i + 1].start
    if tags[i] == "&":
        return tags[i - 1] == tags[i + 1] == "C"
    return tokens[i].text == "," and both


def _compound(tokens: Sequence[Token], nouns: Sequence[int]) -> str:
    head = tokens[nouns[-1]].lower
    if len(nouns) > 1:
        two = singular(f"{tokens[nouns[-2]].lower}_{head}")
        if two in words("nouns", "compounds") or "o" in lexicon().codes.get(two, ""):
            return canonical(two)
    return canonical(head)


def _is_thing(noun: str, word: str, phrase: _Parts) -> bool:
    """Whether a head noun names a thing, given what is said with it."""
    if noun in words("nouns", "pictures"):
        return False
    if phrase.colours or "_" in noun or noun in words("nouns", "things") or word in words("nouns", "things"):
        return True
    if noun in words("nouns", "determined_things"):
        return bool(phrase.determiner or phrase.described)
    if noun in words("nouns", "not_things"):
        return False
    what = codes(noun) or codes(word)
    letter = next((c for c in what if c in NOUN), "")
    return letter in ("o", "l") or (letter == "m" and phrase.number is not None) or not what


def _predicates(tokens: Sequence[Token], tags: Sequence[Tag], found: list[Thing]) -> None:
    """Colours said of a thing after it: `the car is red`, `a house painted white`."""
    used = {at for thing in found for _, at in thing.colours}
    for i, tagged in enumerate(tags):
        if tagged != "C" or i in used:
            continue
        verb = _linking_verb(tokens, tags, i)
        subject = _subject(tokens, tags, found, verb) if verb >= 0 else None
        if subject is not None:
            subject.colours.append((COLOURS[tokens[i].lower], i))


def _linking_verb(tokens: Sequence[Token], tags: Sequence[Tag], at: int) -> int:
    """Index of the `is`, `turned` or `painted` before a colour; -1 if there is none or it is denied."""
    j = at - 1
    while j >= 0:
        word = tokens[j].lower
        if word in ("not", "never") or word.endswith("n't"):
            return -1
        if tags[j] == "X" or word in words("colour_words", "linking"):
            return j
        if not (
            tags[j] in ("C", "J", "R", "&")
            or word in words("colour_words", "shade")
            or word in ("a", "an", ",", "with", "in")
        ):
            return -1
        j -= 1
    return -1


def _subject(tokens: Sequence[Token], tags: Sequence[Tag], found: Sequence[Thing], verb: int) -> Thing | None:
    """What a linking verb speaks of: the head of the chain of phrases before it, `the horn of the car is`."""
    before = [thing for thing in found if thing.end <= verb]
    if not before or any(t.kind == "stop" for t in tokens[before[-1].end : verb]):
        return None
    if (
        tags[verb] == "V"
        and tokens[verb].lower in ("painted", "dyed", "coloured", "colored")
        and before[-1].end == verb
    ):
        return before[-1]
    k = len(before) - 1
    while k and _hangs_on(tokens, tags, before[k - 1], before[k]):
        k -= 1
    return before[k]


def _hangs_on(tokens: Sequence[Token], tags: Sequence[Tag], first: Thing, second: Thing) -> bool:
    """The second phrase follows the first after nothing but a preposition."""
    between = range(first.end, second.start)
    return bool(between) and all(tags[k] == "P" for k in between)

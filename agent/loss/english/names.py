"""Proper names, by capitals where they can be trusted, else by lexicon, titles and unknown words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hopline.agent.loss.english.tables import words
from hopline.agent.loss.english.tokens import Token, casing
from hopline.agent.loss.english.words import codes, function_class

TITLES = words("names", "titles")
_CALLED = words("names", "called")
_CHATTER = words("names", "chatter")
_LINKS = words("names", "links")
_CALENDAR = words("names", "calendar")


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """A proper name: token indices with its title, and its value in lower case without."""

    value: str
    start: int
    end: int


def names(tokens: Sequence[Token], taken: set[int]) -> list[Name]:
    """Names of the text in order.

    Args:
        tokens: of one text.
        taken: indices that numbers and dates hold.
    """
    cased = casing(list(tokens)) == "cased"
    found: list[Name] = []
    i = 0
    while i < len(tokens):
        end = _run(tokens, taken, i, cased=cased)
        if end == i:
            i += 1
            continue
        start = i
        while tokens[start].lower in TITLES and end - start > 1:
            start += 1
            start += start < end and tokens[start].text == "."
        value = " ".join(t.lower for t in tokens[start:end] if t.kind == "word")
        if value:
            found.append(Name(value=value, start=i, end=end))
        i = end
    return found


def _run(tokens: Sequence[Token], taken: set[int], i: int, *, cased: bool) -> int:
    """Index after the longest name that starts at i; i when none does."""
    starts = _capital(tokens, taken, i) if cased else _likely(tokens, taken, i)
    if not starts:
        return i
    j = i + 1
    if tokens[i].lower in TITLES and j < len(tokens) and tokens[j].text == ".":
        j += 1
    while j < len(tokens):
        if _continues(tokens, taken, j, cased=cased) or (
            tokens[j].text == "." and len(tokens[j - 1].text) == 1 and tokens[j].kind == "mark"
        ):
            j += 1
        elif cased and tokens[j].lower in _LINKS:
            k = j + 1
            while k < len(tokens) and tokens[k].lower in _LINKS:
                k += 1
            if k < len(tokens) and _continues(tokens, taken, k, cased=True) and tokens[j].lower != "the":
                j = k + 1
            else:
                break
        else:
            break
    if cased and codes(tokens[j - 1].lower)[:1] == "j" and _noun_follows(tokens, j - 1) and not tokens[j - 1].first:
        return i
    alone = all(t.lower in TITLES or t.kind != "word" for t in tokens[i:j])
    return i if alone and tokens[i].lower in TITLES and (tokens[i].first or not cased) else j


def _continues(tokens: Sequence[Token], taken: set[int], j: int, *, cased: bool) -> bool:
    token = tokens[j]
    if token.kind != "word" or j in taken or token.first:
        return False
    if cased:
        return token.text[0].isupper() and token.lower != "i" and token.lower not in _CALENDAR
    what = codes(token.lower)
    return (
        not function_class(token.lower)
        and token.lower not in _CHATTER
        and ((what == "" and tokens[j - 1].lower in TITLES) or (bool(what) and what[0] in "pf") or _strange(tokens, j))
    )


def _capital(tokens: Sequence[Token], taken: set[int], i: int) -> bool:
    token = tokens[i]
    if token.kind != "word" or i in taken or not token.text[0].isupper() or token.lower in ("i", "o", "oh"):
        return False
    if token.lower in _CALENDAR or token.lower.startswith("i'"):
        return False
    what = codes(token.lower)
    if token.first or _opens_quote(tokens, i):
        return _capital_at_start(tokens, taken, i, what)
    if what[:1] == "j" and ("p" in what or what == "j"):
        # Nationalities (`an American car`) are adjectives unless they stand alone or the name goes on.
        return _name_goes_on(tokens, taken, i) or not _noun_follows(tokens, i)
    return True


def _capital_at_start(tokens: Sequence[Token], taken: set[int], i: int, what: str) -> bool:
    """The first word of a sentence has a capital anyway: a name only if it is one, or goes on as one."""
    token = tokens[i]
    if function_class(token.lower):
        return False
    k = i + 2 if token.lower in TITLES and i + 1 < len(tokens) and tokens[i + 1].text == "." else i + 1
    goes_on = k < len(tokens) and _continues(tokens, taken, k, cased=True)
    if token.lower in TITLES or what[:1] not in ("p", "f", ""):
        return goes_on
    return True


def _name_goes_on(tokens: Sequence[Token], taken: set[int], i: int) -> bool:
    """The next capital makes a name with this one, and no common noun ends the phrase."""
    j = i + 1
    while j < len(tokens) and _continues(tokens, taken, j, cased=True):
        j += 1
    last = codes(tokens[j - 1].lower)
    return j > i + 1 and not (last[:1] == "j" and _noun_follows(tokens, j - 1))


def _noun_follows(tokens: Sequence[Token], i: int) -> bool:
    """The next word is a common noun or an adjective before one."""
    if i + 1 >= len(tokens) or tokens[i + 1].kind != "word":
        return False
    word = tokens[i + 1].lower
    return not function_class(word) and any(c in "omlaj" for c in codes(word)[:1] or "o")


def _opens_quote(tokens: Sequence[Token], i: int) -> bool:
    return i > 0 and tokens[i - 1].text in "\"“'‘(" and tokens[i - 1].kind == "mark"


def _likely(tokens: Sequence[Token], taken: set[int], i: int) -> bool:
    token = tokens[i]
    if token.kind != "word" or i in taken or function_class(token.lower) or len(token.text) < 2:
        return False
    if token.lower in _CHATTER or token.lower in _CALENDAR:
        return False
    before = tokens[i - 1].lower if i and tokens[i - 1].kind in ("word", "number", "possessive") else ""
    what = codes(token.lower)
    if token.lower in TITLES and i + 1 < len(tokens):
        return _continues(tokens, taken, i + 1, cased=False) and before not in ("a", "an")
    if before in TITLES and before not in ("count", "major", "general", "judge") and i > 1:
        return what == "" or "p" in what or "f" in what
    if before in _CALLED:
        return True
    if token.lower in words("names", "features") and before not in ("a", "an", "the", "to"):
        return i + 1 < len(tokens) and _continues(tokens, taken, i + 1, cased=False)
    if what and what[0] in "pf":
        return before not in ("a", "an", "two", "three", "these", "those")
    return _strange(tokens, i)


def _strange(tokens: Sequence[Token], i: int) -> bool:
    """A word that is no English word and does not stand where a common noun stands."""
    word = tokens[i].lower
    if codes(word) or len(word) < 3 or function_class(word) or word in _CHATTER or "'" in word:
        return False
    if not word.isascii():
        return False
    before = tokens[i - 1] if i else None
    if before is None or before.kind == "stop":
        return True
    if before.kind == "number" or before.text == "-":
        return False
    kind = function_class(before.lower)
    if kind == "determiner" or before.kind == "possessive":
        return False
    return not (codes(before.lower)[:1] == "j" or before.lower in ("one", "two", "three", "four", "five", "six"))

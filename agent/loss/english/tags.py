"""The part each word plays, by lexicon and neighbours: enough to find noun phrases, not a parser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hopline.agent.loss.english.tables import inverted, words
from hopline.agent.loss.english.tokens import Token
from hopline.agent.loss.english.words import NOUN, codes, function_class, is_plural, verb_base

Tag = Literal["D", "N", "J", "C", "#", "V", "P", "&", "X", "R", "O", "NP", "."]
"""Determiner, noun, adjective, colour, number, verb, preposition, conjunction, auxiliary, adverb, pronoun,
proper name, anything else."""

COLOURS = inverted("colours")
"""Canonical colour by word."""


def tag(tokens: Sequence[Token], fixed: dict[int, Tag]) -> list[Tag]:
    """A tag for each token.

    Args:
        tokens: of one text.
        fixed: by index, what is known already (numbers, dates, names).
    """
    tags: list[Tag] = []
    for i in range(len(tokens)):
        tags.append(fixed[i] if i in fixed else _tag(tokens, tags, i, fixed))
    return tags


def _tag(tokens: Sequence[Token], tags: Sequence[Tag], i: int, fixed: dict[int, Tag]) -> Tag:
    token, word = tokens[i], tokens[i].lower
    if token.kind == "possessive":
        return "D"
    if token.kind == "number":
        return "#"
    if token.kind != "word":
        return "."
    before = _before(tokens, tags, i)
    after = tokens[i + 1].lower if i + 1 < len(tokens) and tokens[i + 1].kind == "word" else ""
    if word in COLOURS and not _colour_is_noun(word, before, tokens, i, fixed):
        return "C"
    if word in ("left", "right") and after == "of":
        return "P"
    kind = function_class(word)
    if kind:
        return _closed(kind, word, before, tokens, i)
    what = codes(word)
    noun = any(c in NOUN for c in what)
    verb, adjective = "v" in what, "j" in what
    if not what:
        return "V" if before in ("X", "O") and word.endswith(("ed", "ing")) else "N"
    if before in ("D", "#", "J", "C"):
        return _inside(word, what, noun, adjective, verb, after, before, i + 1 in fixed)
    if what[0] == "r" or (word.endswith("ly") and "r" in what):
        return "R"
    if verb and (before in ("X", "O", "TO") or (before == "R" and not noun)):
        if before == "X" and adjective and what[0] == "j":
            return "J"
        if not (before == "TO" and what[0] in "ol"):
            return "V"
    if before in ("N", "NP") and verb and tokens[i - 1].kind == "word":
        return _after_noun(word, what, noun, before, tokens[i - 1].lower, after)
    if before == "P" and noun and not _participle(word):
        return "J" if adjective and what[0] == "j" and after and _may_be_noun(after) else "N"
    if _participle(word) and word.endswith("ing") and verb and not (noun and what[0] in "ol"):
        return "V"
    if what[0] == "v" and (not noun or _starts_object(after)) and after != "of":
        return "V"
    if adjective and (what[0] == "j" or not noun) and after and _may_be_noun(after):
        return "J"
    if noun:
        return "J" if what[0] == "j" and not is_plural(word) else "V" if what[0] == "v" and not is_plural(word) else "N"
    if adjective:
        return "J"
    return "V" if verb else "R" if "r" in what else "N"


def _participle(word: str) -> bool:
    """A form in -ed or -ing of a verb: `barking`, not `king`."""
    return word.endswith(("ed", "ing")) and verb_base(word) != word


def _after_noun(word: str, what: str, noun: bool, before: str, last: str, after: str) -> Tag:
    """A word that may be a verb, right after a noun: `the dog barks` against `the desk top`."""
    if _participle(word) or not noun:
        return "V"
    if function_class(after) == "auxiliary":
        return "N"
    base = verb_base(word) == word and not is_plural(word)
    if base and before == "N" and not is_plural(last):
        return "N"
    if what[0] == "v":
        return "V"
    if after and _starts_object(after) and after not in ("of", "and", "or"):
        return "V" if "v" in what[:2] or is_plural(word) else "N"
    return "N"


def _inside(
    word: str, what: str, noun: bool, adjective: bool, verb: bool, after: str, before: str, after_is_fixed: bool
) -> Tag:
    """A word after a determiner, number, adjective or colour."""
    goes_on = bool(after) and _may_be_noun(after) and not after_is_fixed
    if _participle(word) and (verb or adjective) and not (noun and what[0] in "ol"):
        return "J" if goes_on else "N" if noun and before in ("D", "#") else "V"
    if adjective and (what[0] == "j" or not noun):
        return "J" if goes_on or not noun else "N"
    if what[0] == "v" and before == "#" and not is_plural(word):
        return "V"
    if noun:
        return "N"
    if "r" in what:
        return "R"
    if verb:
        return "J" if goes_on else "V"
    return "N"


def _before(tokens: Sequence[Token], tags: Sequence[Tag], i: int) -> str:
    """Tag of the word before, looking through hyphens and commas between adjectives."""
    j = i - 1
    if j < 0 or tokens[j].kind == "stop":
        return ""
    if tokens[j].text in "-‐‑" and j:
        j -= 1
        return "J" if tags[j] in ("N", "J", "V", "#", "C") else tags[j]
    if tokens[j].text == "," and j and tags[j - 1] in ("J", "C"):
        return tags[j - 1]
    if tokens[j].lower == "to":
        return "TO"
    if tags[j] == "&" and j and tags[j - 1] in ("C", "J"):
        return tags[j - 1]
    return tags[j]


def _closed(kind: str, word: str, before: str, tokens: Sequence[Token], i: int) -> Tag:
    after = tokens[i + 1].lower if i + 1 < len(tokens) and tokens[i + 1].kind == "word" else ""
    if kind == "determiner":
        if word in ("that", "which", "this", "these", "those", "what", "all", "both", "each", "either", "some", "any"):
            return "D" if after and _may_be_noun(after) and word != "which" and not _plain_verb(after) else "O"
        if word == "her" and not (after and _may_be_noun(after)):
            return "O"
        return "D"
    return {"pronoun": "O", "preposition": "P", "conjunction": "&", "auxiliary": "X", "adverb": "R"}[kind]  # type: ignore[return-value]  # five tags


def _plain_verb(word: str) -> bool:
    what = codes(word)
    return bool(what) and what[0] == "v"


def _may_be_noun(word: str) -> bool:
    if word in COLOURS:
        return True
    if function_class(word):
        return word in ("one", "ones")
    what = codes(word)
    return not what or any(c in "omlajpf" for c in what)


def _starts_object(word: str) -> bool:
    return function_class(word) in ("determiner", "preposition", "pronoun", "adverb") or word == ""


def _colour_is_noun(word: str, before: str, tokens: Sequence[Token], i: int, fixed: dict[int, Tag]) -> bool:
    """`an orange` is a fruit, `a tan` and `the gold` are not colours of anything that follows."""
    after = tokens[i + 1] if i + 1 < len(tokens) else None
    follows = after is not None and after.kind == "word" and (after.lower in COLOURS or _may_be_noun(after.lower))
    if word == "orange":
        return before in ("D", "#") and not follows and (tokens[i - 1].lower in ("an", "one", "the") or before == "#")
    return word in words("colour_words", "unsure") and not follows

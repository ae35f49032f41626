"""What a word can be, its singular or base form, and its synonym: the lexicon."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

from hopline.agent.loss.english.tables import inverted, pairs, words

NOUN = frozenset("omla")
"""Codes of nouns in `words.txt`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lexicon:
    """The words of `words.txt`.

    Attributes:
        codes: by word, what it can be, most frequent first; letters as at the head of the file.
        verbs: base by irregular form, `ran` to `run`.
        nouns: singular by irregular plural.
    """

    codes: dict[str, str]
    verbs: dict[str, str]
    nouns: dict[str, str]


@cache
def lexicon() -> Lexicon:
    """About 80,000 words, read once in some 50 ms."""
    found: dict[str, str] = {}
    irregular: dict[str, dict[str, str]] = {"VERB": {}, "NOUN": {}}
    for line in files(__package__).joinpath("words.txt").read_text("utf-8").splitlines():
        code, _, rest = line.partition(": ")
        if code in irregular:
            irregular[code] = dict(pair.split("=", 1) for pair in rest.split(" "))
        elif not line.startswith("#"):
            found.update(dict.fromkeys(rest.split(" "), code))
    return Lexicon(codes=found, verbs=irregular["VERB"], nouns=irregular["NOUN"])


def function_class(word: str) -> str:
    """`determiner`, `pronoun`, … of a closed-class word; "" for any other."""
    return inverted("function_words").get(word, "")


@lru_cache(maxsize=65536)
def codes(word: str) -> str:
    """What a word can be, itself or its base form, most frequent first; "" for an unknown word."""
    known = lexicon()
    here = known.codes.get(word, "")
    if word in known.verbs and word not in ("saw", "found", "left", "felt", "ground", "lay", "wound", "shot"):
        rest = here.replace("v", "")
        return "v" + rest
    single = singular(word)
    if here and set(here) <= {"p", "f"} and single != word and "o" in known.codes.get(single, ""):
        return "o" + here  # "windows" are windows before they are a product
    if here:
        return here + "v" if word in known.verbs and "v" not in here else here
    if single != word and single in known.codes:
        base = known.codes[single]
        return "".join(c for c in base if c in NOUN or c == "v") or base
    if verb_base(word) != word:
        return "vj" if word.endswith(("ed", "ing")) else "v"
    for ending, code in (("est", "j"), ("er", "j"), ("ly", "r")):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2:
            ways = (stem, stem + "e", stem[:-1], stem[:-1] + "y")
            if any("j" in known.codes.get(way, "") for way in ways):
                return code
    return ""


@lru_cache(maxsize=65536)
def singular(word: str) -> str:
    """The singular of a noun, by table, rule and lexicon: `boxes` to `box`, `people` to `person`."""
    if "_" in word:
        head, _, last = word.rpartition("_")
        return f"{head}_{singular(last)}"
    table = lexicon()
    if word in pairs("nouns", "plurals"):
        return pairs("nouns", "plurals")[word]
    if word in words("nouns", "same_plural") or len(word) < 3:
        return word
    if word in table.nouns and word not in table.codes:
        return table.nouns[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    stems = _stems(word)
    for stem in stems:
        if any(c in NOUN for c in table.codes.get(stem, "")):
            return stem
    return word if word in table.codes else stems[0]


def _stems(word: str) -> list[str]:
    if word.endswith("ies"):
        return [word[:-3] + "y", word[:-1]]
    if word.endswith("ves"):
        return [word[:-1], word[:-3] + "f", word[:-3] + "fe"]
    if word.endswith(("sses", "zzes")):
        return [word[:-2], word[:-1], word[:-3]]
    if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        known = lexicon().codes
        both = [word[:-2], word[:-1]]
        return both[::-1] if word[:-1] in known and word[:-2] not in known else both
    return [word[:-1]]


@lru_cache(maxsize=65536)
def verb_base(word: str) -> str:
    """The base of a verb form the lexicon knows: `barking` to `bark`, `ran` to `run`; else the word."""
    known = lexicon()
    if word in known.verbs:
        return known.verbs[word]
    for ending in ("ing", "ed", "es", "s"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 1:
            doubled = stem[:-1] if len(stem) > 2 and stem[-1] == stem[-2] else stem
            for base in (stem, stem + "e", doubled, stem[:-1] + "y" if stem.endswith("i") else stem):
                if "v" in known.codes.get(base, ""):
                    return base
    return word


def canonical(noun: str) -> str:
    """The name a thing goes by here: singular, and one word for its synonyms."""
    single = singular(noun.replace(" ", "_").replace("-", "_"))
    return pairs("nouns", "synonyms").get(single, single)


def is_plural(word: str) -> bool:
    """A plural form, as far as its spelling tells."""
    return singular(word) != word

"""Text to tokens with their places, and how far its capitals can be trusted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["word", "number", "possessive", "mark", "stop"]
Casing = Literal["cased", "caseless"]

_TOKEN = re.compile(
    r"(?P<number>\d{1,2}:\d\d(?!\d)|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?P<suffix>st|nd|rd|th)?(?![^\W\d_]{3})"
    r"|(?P<possessive>['’]s\b)"
    r"|(?P<word>[^\W\d_]+(?:['’](?:t|re|ve|ll|d|m|clock)\b)?)"
    r"|(?P<stop>[.!?]+|\n\s*\n|[;:]|\n)"
    r"|(?P<mark>[^\s\w]|_|\w)",
    re.IGNORECASE,
)
_ABBREVIATED = frozenset({"mr", "mrs", "ms", "dr", "st", "prof", "capt", "gen", "col", "rev", "sr", "jr", "no", "vs"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """One word, number or mark.

    Attributes:
        text: as written.
        lower: in lower case, with a straight apostrophe.
        start: of the text, in characters.
        end: one past its last character.
        kind: `stop` ends a sentence or clause for good, `mark` is any other punctuation.
        first: it is the first word of a sentence.
        ordinal: a number written with st, nd, rd or th.
    """

    text: str
    lower: str
    start: int
    end: int
    kind: Kind
    first: bool = False
    ordinal: bool = False


def tokenize(text: str) -> list[Token]:
    """Tokens of a text, in order; every character outside white space belongs to one."""
    tokens: list[Token] = []
    first = True
    for match in _TOKEN.finditer(text):
        kind: Kind = match.lastgroup if match.lastgroup != "suffix" else "number"  # type: ignore[assignment]  # names above
        written = match.group()
        lower = written.lower().replace("’", "'")
        if kind == "number":
            lower = match["number"].replace(",", "")
        if (
            kind == "stop"
            and written == "."
            and tokens
            and (tokens[-1].lower in _ABBREVIATED or (len(tokens[-1].text) == 1 and tokens[-1].text.isupper()))
            and tokens[-1].end == match.start()
        ):
            kind = "mark"
        tokens.append(
            Token(
                text=written,
                lower=lower,
                start=match.start(),
                end=match.end(),
                kind=kind,
                first=first and kind in ("word", "number"),
                ordinal=bool(match["suffix"]),
            )
        )
        if kind == "stop" and written not in (";", ":"):
            first = True
        elif kind in ("word", "number"):
            first = False
    return tokens


def casing(tokens: list[Token]) -> Casing:
    """Whether capitals tell names: not in ALL CAPS, all lower case, or Title Case."""
    words = [t for t in tokens if t.kind == "word" and t.lower != "i"]
    if not words:
        return "caseless"
    capital = sum(1 for t in words if t.text[0].isupper())
    if capital == 0 or (capital > 0.75 * len(words) and len(words) > 3):
        return "caseless"
    if len(words) <= 3 and all(t.text.isupper() for t in words):
        return "caseless"
    return "cased"

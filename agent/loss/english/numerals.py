"""Numbers in digits and words: `twenty one`, `two hundred and five`, `1,250.5`, `nineteen eighty four`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from hopline.agent.loss.english.tables import ordered
from hopline.agent.loss.english.tokens import Token

_ONES = {w: i for i, w in enumerate(ordered("numerals", "ones"))}
_TENS = {w: 10 * i for i, w in enumerate(ordered("numerals", "tens"), 2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
ORDINALS = {w: i for i, w in enumerate(ordered("numerals", "ordinals"))} | {"thirtieth": 30}


MOST_DIGITS = 40
"""Longer runs of digits are no numbers that anybody says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Numeral:
    """A number in the text.

    Attributes:
        value: plain decimal digits, `1250.5`.
        start: index of its first token.
        end: index after its last token.
        words: it is written in words.
        ordinal: `3rd`, `third`.
        year: it is spoken as a year, `nineteen eighty four`.
    """

    value: str
    start: int
    end: int
    words: bool
    ordinal: bool = False
    year: bool = False


def numerals(tokens: Sequence[Token]) -> list[Numeral]:
    """Every number of the text, longest first at each place, not overlapping."""
    found: list[Numeral] = []
    i = 0
    while i < len(tokens):
        numeral = _digits(tokens, i) if tokens[i].kind == "number" else _in_words(tokens, i)
        if numeral is None:
            i += 1
        else:
            found.append(numeral)
            i = numeral.end
    return found


def plain(value: Decimal | int) -> str:
    """Digits without exponent or trailing zeros."""
    text = f"{Decimal(value):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _digits(tokens: Sequence[Token], i: int) -> Numeral | None:
    token = tokens[i]
    if ":" in token.lower or len(token.lower) > MOST_DIGITS:
        return None
    value, end = Decimal(token.lower), i + 1
    while end < len(tokens) and tokens[end].lower in ("thousand", "million", "billion", "trillion", "hundred"):
        value *= _SCALES[tokens[end].lower]
        end += 1
    if end < len(tokens) and tokens[end].lower == "dozen":
        value *= 12
        end += 1
    return Numeral(value=plain(value), start=i, end=end, words=False, ordinal=token.ordinal)


def _word(tokens: Sequence[Token], i: int) -> str:
    return tokens[i].lower if i < len(tokens) and tokens[i].kind == "word" else ""


def _skip_hyphen(tokens: Sequence[Token], i: int) -> int:
    if i + 1 < len(tokens) and tokens[i].text in "-‐‑–" and tokens[i].start == tokens[i - 1].end == tokens[i].end - 1:
        return i + 1
    return i


def _below_hundred(tokens: Sequence[Token], i: int) -> tuple[int, int] | None:
    word = _word(tokens, i)
    if word in _TENS:
        j = _skip_hyphen(tokens, i + 1)
        unit = _ONES.get(_word(tokens, j), 0)
        if 1 <= unit <= 9:
            return _TENS[word] + unit, j + 1
        return _TENS[word], i + 1
    if word in _ONES:
        return _ONES[word], i + 1
    return None


def _in_words(tokens: Sequence[Token], i: int) -> Numeral | None:
    start = i
    word = _word(tokens, i)
    if word in ("a", "an") and _word(tokens, i + 1) in {"hundred", "thousand", "million", "billion", "dozen"}:
        first: tuple[int, int] | None = (1, i + 1)
    elif word == "dozen":
        return Numeral(value="12", start=i, end=i + 1, words=True)
    else:
        first = _below_hundred(tokens, i)
    if first is None:
        return None
    value, i = first
    if 10 <= value <= 20 and _word(tokens, i) not in _SCALES:
        second = _below_hundred(tokens, _skip_hyphen(tokens, i))
        oh = _word(tokens, i) in ("oh", "o") and 1 <= _ONES.get(_word(tokens, i + 1), 0) <= 9
        if oh:
            return Numeral(
                value=str(value * 100 + _ONES[_word(tokens, i + 1)]), start=start, end=i + 2, words=True, year=True
            )
        if second and second[0] >= 10:
            return Numeral(value=str(value * 100 + second[0]), start=start, end=second[1], words=True, year=True)
    total, group = 0, value
    while True:
        word = _word(tokens, i)
        if word == "hundred":
            group *= 100
            i += 1
        elif word in _SCALES:
            total += group * _SCALES[word]
            group = 0
            i += 1
        elif word == "dozen":
            return Numeral(value=str((total + group) * 12), start=start, end=i + 1, words=True)
        else:
            j = i + 1 if word == "and" and (group >= 100 or (total and not group)) else i
            rest = _below_hundred(tokens, j)
            may_add = rest is not None and ((group and group % 100 == 0) or (not group and total))
            if not may_add or rest is None:
                break
            group += rest[0]
            i = rest[1]
    amount = Decimal(total + group)
    if _word(tokens, i) == "point" and _ONES.get(_word(tokens, i + 1), 99) <= 9:
        i += 1
        digits = ""
        while _ONES.get(_word(tokens, i), 99) <= 9:
            digits += str(_ONES[_word(tokens, i)])
            i += 1
        amount += Decimal(f"0.{digits}")
    j = _skip_hyphen(tokens, i)
    if _word(tokens, j) in ORDINALS and 1 <= ORDINALS[_word(tokens, j)] <= 9 and amount % 10 == 0 and amount >= 20:
        return Numeral(
            value=plain(amount + ORDINALS[_word(tokens, j)]), start=start, end=j + 1, words=True, ordinal=True
        )
    return Numeral(value=plain(amount), start=start, end=i, words=True)

"""Quantities (a number and its unit), dates and times of day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hopline.agent.loss.english.numerals import ORDINALS, Numeral
from hopline.agent.loss.english.tables import inverted, ordered, words
from hopline.agent.loss.english.tokens import Token

UNITS = inverted("units")
_CURRENCY = {"$": "dollar", "€": "euro", "£": "pound"}
_MONTH_NAMES = ordered("numerals", "months")
_MONTHS = {short: k for k, name in enumerate(_MONTH_NAMES, 1) for short in (name, name[:3])} | {"sept": 9}
_DAYS = {d: d for d in ("today", "tomorrow", "yesterday", "tonight", "christmas", "easter")}
_BEFORE_UNIT = ("square", "cubic", "more", "full", "long", "whole", "good", "business", "working", "solid")
_BEFORE_YEAR = ("in", "since", "year", "until", "before", "after", "by", "from", "of")
_HOURS = {"noon": "12:00", "midday": "12:00", "midnight": "0:00"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A quantity or a date.

    Attributes:
        type: `quantity` or `date`.
        slot: the unit, or `time`, `weekday`, `calendar`, `year`, `day`.
        value: the number for a quantity (`2.5`), else the date in a form of its own.
        start: index of its first token.
        end: index after its last token.
    """

    type: str
    slot: str
    value: str
    start: int
    end: int


def measures(tokens: Sequence[Token], numbers: Sequence[Numeral], *, cased: bool) -> list[Measure]:
    """Quantities and dates, left to right, not overlapping."""
    at = {n.start: n for n in numbers}
    found: list[Measure] = []
    i = 0
    while i < len(tokens):
        measure = _date(tokens, at, i, cased=cased) or _quantity(tokens, at, i)
        if measure is None:
            i += 1
        else:
            found.append(measure)
            i = measure.end
    return found


def _word(tokens: Sequence[Token], i: int) -> str:
    return tokens[i].lower if 0 <= i < len(tokens) and tokens[i].kind == "word" else ""


def _text(tokens: Sequence[Token], i: int) -> str:
    return tokens[i].text if 0 <= i < len(tokens) else ""


def _quantity(tokens: Sequence[Token], at: dict[int, Numeral], i: int) -> Measure | None:
    sign = _text(tokens, i)
    if sign in _CURRENCY and i + 1 in at:
        number = at[i + 1]
        return Measure(type="quantity", slot=_CURRENCY[sign], value=number.value, start=i, end=number.end)
    if i not in at:
        return _half(tokens, i)
    number = at[i]
    if number.ordinal or number.year:
        return None
    j, value = number.end, number.value
    if _word(tokens, j) == "and" and _word(tokens, j + 1) in ("a", "one") and _word(tokens, j + 2) == "half":
        j, value = j + 3, _plus_half(value)
    if _text(tokens, j) in "-‐‑" and _text(tokens, j):
        j += 1
    if _text(tokens, j) == "%":
        return Measure(type="quantity", slot="%", value=value, start=i, end=j + 1)
    if _word(tokens, j) == "per" and _word(tokens, j + 1) == "cent":
        return Measure(type="quantity", slot="%", value=value, start=i, end=j + 2)
    if _text(tokens, j) == "°":
        j += 1
        end = j + (_word(tokens, j) in ("c", "f"))
        return Measure(type="quantity", slot="degree", value=value, start=i, end=end)
    if (
        _word(tokens, j) in ("square", "cubic", "more", "full", "long", "whole", "good")
        and _word(tokens, j + 1) in UNITS
    ):
        prefix = f"{_word(tokens, j)} " if _word(tokens, j) in ("square", "cubic") else ""
        return Measure(type="quantity", slot=prefix + UNITS[_word(tokens, j + 1)], value=value, start=i, end=j + 2)
    word = _word(tokens, j)
    if word in UNITS:
        if len(word) == 1 and number.words:
            return None
        slot, end = UNITS[word], j + 1
        if slot == "degree" and _word(tokens, end) in ("celsius", "fahrenheit", "centigrade", "c", "f"):
            end += 1
        if _word(tokens, end) in ("per", "an", "a") and _word(tokens, end + 1) in ("hour", "second", "minute", "day"):
            slot, end = f"{slot}/{_word(tokens, end + 1)}", end + 2
        return Measure(type="quantity", slot=slot, value=value, start=i, end=end)
    return None


def _half(tokens: Sequence[Token], i: int) -> Measure | None:
    if _word(tokens, i) == "half" and _word(tokens, i + 1) in ("a", "an") and _word(tokens, i + 2) in UNITS:
        return Measure(type="quantity", slot=UNITS[_word(tokens, i + 2)], value="0.5", start=i, end=i + 3)
    return None


def _plus_half(value: str) -> str:
    return f"{value}.5" if "." not in value else value


def _date(tokens: Sequence[Token], at: dict[int, Numeral], i: int, *, cased: bool) -> Measure | None:
    return _clock(tokens, at, i) or _calendar(tokens, at, i, cased=cased) or _day(tokens, at, i)


def _hour(tokens: Sequence[Token], at: dict[int, Numeral], i: int) -> tuple[int, int] | None:
    if i in at and at[i].value.isdigit() and 0 <= int(at[i].value) <= 24 and not at[i].ordinal:
        return int(at[i].value), at[i].end
    return None


def _half_of_day(tokens: Sequence[Token], i: int) -> tuple[str, int]:
    """`am` or `pm` written at i in one of its ways, and the index after it."""
    for half in ("am", "pm"):
        if _word(tokens, i) == half:
            return half, i + 1
        if _word(tokens, i) == half[0]:
            j = i + 1 + (_text(tokens, i + 1) == ".")
            if _word(tokens, j) == "m":
                return half, j + 1 + (_text(tokens, j + 1) == "." and j + 2 < len(tokens) and not tokens[j + 2].first)
    if _word(tokens, i) == "in" and _word(tokens, i + 1) == "the":
        if _word(tokens, i + 2) == "morning":
            return "am", i + 3
        if _word(tokens, i + 2) in ("afternoon", "evening"):
            return "pm", i + 3
    if _word(tokens, i) == "at" and _word(tokens, i + 1) == "night":
        return "pm", i + 2
    return "", i


def _time(hour: int, minute: int, half: str) -> str:
    if half == "pm" and hour < 12:
        hour += 12
    if half == "am" and hour == 12:
        hour = 0
    return f"{hour}:{minute:02d}"


def _clock(tokens: Sequence[Token], at: dict[int, Numeral], i: int) -> Measure | None:
    def made(value: str, end: int) -> Measure:
        return Measure(type="date", slot="time", value=value, start=i, end=end)

    token = tokens[i]
    if token.kind == "number" and ":" in token.lower:
        hour, minute = (int(p) for p in token.lower.split(":"))
        half, end = _half_of_day(tokens, i + 1)
        return made(_time(hour, minute, half), end)
    if _word(tokens, i) in ("half", "quarter") or (i in at and at[i].value.isdigit()):
        j = at[i].end if i in at else i + 1
        minutes = {"half": 30, "quarter": 15}.get(_word(tokens, i)) or int(at[i].value)
        side = _word(tokens, j)
        hour_at = _hour(tokens, at, j + 1) if side in ("past", "to") and minutes in (5, 10, 15, 20, 25, 30) else None
        if hour_at and not (side == "to" and minutes == 30) and (i not in at or minutes != 30):
            half, end = _half_of_day(tokens, hour_at[1])
            hour = hour_at[0] if side == "past" else (hour_at[0] - 1) % 24
            if _word(tokens, end) == "o'clock":
                end += 1
            # "from five to ten" is a range, not a time.
            if side == "past" or i not in at or _word(tokens, i - 1) != "from":
                return made(_time(hour, minutes if side == "past" else 60 - minutes, half), end)
    found = _hour(tokens, at, i)
    if found is None:
        return None
    hour, j = found
    if _word(tokens, j) == "o'clock" or (_word(tokens, j) == "o" and _word(tokens, j + 1) == "clock"):
        half, end = _half_of_day(tokens, j + (1 if _word(tokens, j) == "o'clock" else 2))
        return made(_time(hour, 0, half), end)
    minute = 0
    if j in at and at[j].value.isdigit() and 10 <= int(at[j].value) < 60 and hour <= 12:
        half, end = _half_of_day(tokens, at[j].end)
        if half:
            return made(_time(hour, int(at[j].value), half), end)
    half, end = _half_of_day(tokens, j)
    if half and (_word(tokens, j) not in ("in", "at") or _word(tokens, i - 1) == "at"):
        return made(_time(hour, minute, half), end)
    return None


def _day_number(tokens: Sequence[Token], at: dict[int, Numeral], i: int) -> tuple[int, int] | None:
    if i in at and at[i].value.isdigit() and 1 <= int(at[i].value) <= 31:
        return int(at[i].value), at[i].end
    word = _word(tokens, i)
    if word in ORDINALS and word != "second":
        return ORDINALS[word], i + 1
    return None


def _year(tokens: Sequence[Token], at: dict[int, Numeral], i: int) -> tuple[str, int] | None:
    if _text(tokens, i) == ",":
        i += 1
    if i in at and at[i].value.isdigit() and 1000 <= int(at[i].value) <= 2100 and not at[i].ordinal:
        return at[i].value, at[i].end
    return None


def _calendar(tokens: Sequence[Token], at: dict[int, Numeral], i: int, *, cased: bool) -> Measure | None:
    day = _day_number(tokens, at, i)
    j = day[1] if day else i
    if day and _word(tokens, j) == "of":
        j += 1
    month = _MONTHS.get(_word(tokens, j))
    if month is None:
        return None
    name = _word(tokens, j)
    end = j + 1 + (_text(tokens, j + 1) == "." and len(name) <= 4 and name != "may" and name != "june")
    if day is None:
        k = end + (_word(tokens, end) == "the")
        after = _day_number(tokens, at, k)
        if after and _year(tokens, at, end) is None:
            day, end = after, after[1]
    year = _year(tokens, at, end)
    if year:
        end = year[1]
    if name in words("numerals", "ambiguous_months") and not day and not year:
        capital = cased and tokens[j].text[0].isupper() and not tokens[j].first
        led = _word(tokens, j - 1) in ("in", "last", "next", "since", "until", "of", "by", "early", "late", "this")
        small = cased and tokens[j].text[0].islower()
        if not capital and (not led or small):
            return None
    value = " ".join(
        part for part in (str(day[0]) if day else "", _MONTH_NAMES[month - 1], year[0] if year else "") if part
    )
    return Measure(type="date", slot="calendar", value=value, start=i, end=end)


def _day(tokens: Sequence[Token], at: dict[int, Numeral], i: int) -> Measure | None:
    word = _word(tokens, i)
    if word.rstrip("s") in words("numerals", "weekdays"):
        return Measure(type="date", slot="weekday", value=word.rstrip("s"), start=i, end=i + 1)
    if word in _DAYS:
        return Measure(type="date", slot="day", value=word, start=i, end=i + 1)
    if word in _HOURS:
        return Measure(type="date", slot="time", value=_HOURS[word], start=i, end=i + 1)
    if i in at and not at[i].ordinal and at[i].value.isdigit():
        number = at[i]
        is_year = 1000 <= int(number.value) <= 2100 and (number.year or not number.words)
        led = _word(tokens, i - 1) in _BEFORE_YEAR and _word(tokens, number.end) not in UNITS
        if is_year and (number.year or led):
            return Measure(type="date", slot="year", value=number.value, start=i, end=number.end)
    return None

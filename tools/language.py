"""Which language a text seems to be in, by its script and its smallest words.

Enough to say "this is not English", or not the language of another voice, which is what a voice needs to know; not
a language identifier.
"""

from __future__ import annotations

import re
import unicodedata

# The most frequent words of each language that no other language of the table uses.
_SMALL_WORDS = {
    "English": "the and of to is was that it for with are on you this be have not but he she they his her at from we",
    "German": "der die das und ist nicht ich sie mit auf ein eine dem den von zu für wir auch sich wird sind bei über",
    "French": "le les et est une des dans que qui pour pas sur avec je vous nous du au il elle ce sont mais plus",
    "Spanish": "el los las y es una por con para que en del se no lo su como pero más está muy al",
    "Italian": "il gli che di non per una sono con della è anche più questo nel ma ho hai dal alla",
    "Dutch": "het een van en niet ik je dat met voor zijn op te aan ook maar wij naar heeft",
    "Portuguese": "os as não uma com para mais por são dos das ele ela mas foi ao seu sua muito",
}
NAMES = {
    "en": "English",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "nl": "Dutch",
    "pt": "Portuguese",
}
"""The languages that `seems` knows, by ISO 639-1 code."""

# Of the languages that are not written in Latin letters alone; names as Unicode's names of letters begin.
_SCRIPTS = {
    "ar": ("ARABIC",),
    "bg": ("CYRILLIC",),
    "el": ("GREEK",),
    "fa": ("ARABIC",),
    "he": ("HEBREW",),
    "hi": ("DEVANAGARI",),
    "ja": ("CJK", "HIRAGANA", "KATAKANA"),
    "ka": ("GEORGIAN",),
    "kk": ("CYRILLIC",),
    "ko": ("HANGUL", "CJK"),
    "ml": ("MALAYALAM",),
    "ne": ("DEVANAGARI",),
    "ru": ("CYRILLIC",),
    "sr": ("CYRILLIC", "LATIN"),
    "te": ("TELUGU",),
    "uk": ("CYRILLIC",),
    "ur": ("ARABIC",),
    "zh": ("CJK", "BOPOMOFO"),
}
_SETS = {language: frozenset(words.split()) for language, words in _SMALL_WORDS.items()}
_WORD = re.compile(r"[^\W\d_]+")
_MIN_SMALL_WORDS = 3


def script_of(text: str) -> str:
    """The script of most letters: `LATIN`, `CYRILLIC`, `CJK`, …; empty without letters."""
    counts: dict[str, int] = {}
    for character in text:
        if character.isalpha():
            script = unicodedata.name(character, "UNKNOWN").split(" ")[0].split("-")[0]
            counts[script] = counts.get(script, 0) + 1
    return max(counts, key=lambda script: counts[script], default="")


def scripts_of(language: str) -> tuple[str, ...]:
    """The scripts that a language (ISO 639-1) is written in, as `script_of` names them."""
    return _SCRIPTS.get(language, ("LATIN",))


def seems(text: str) -> str:
    """The language a Latin text seems to be in; empty when there is too little to tell.

    At least three small words must speak for it, and half as many again as for any other.
    """
    words = [word.lower() for word in _WORD.findall(text)]
    counts = {language: sum(word in small for word in words) for language, small in _SETS.items()}
    best, second = sorted(counts.values(), reverse=True)[:2]
    if best < _MIN_SMALL_WORDS or best < 1.5 * second:
        return ""
    return max(counts, key=lambda language: counts[language])

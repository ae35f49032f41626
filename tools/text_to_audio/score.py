"""The words of a sound, read into a score: which sounds, how, in which order.

A grammar of plain English, not a model. Every word is used, is one that carries no sound ("the",
"please"), or is counted as unused; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

A4_HZ = 440.0
"""Concert pitch, ISO 16."""

SOUNDS: dict[str, tuple[str, ...]] = {
    "beat": ("drum beat", "drumbeat", "beat", "rhythm", "drum", "drum kit", "percussion", "groove", "drumming"),
    "kick": ("kick", "kick drum", "bass drum", "thump"),
    "snare": ("snare", "snare drum"),
    "hat": ("hat", "hi hat", "hihat", "cymbal"),
    "clap": ("clap", "hand clap", "clapping"),
    "click": ("click", "metronome", "clicking"),
    "tick": ("tick", "clock", "ticking", "ticking clock", "tick tock", "clock ticking"),
    "knock": ("knock", "knocking", "knock on wood"),
    "footstep": ("footstep", "step", "walking"),
    "heartbeat": ("heartbeat", "heart beat", "heart", "pulse"),
    "beep": ("beep", "bleep", "blip", "beeping", "ping"),
    "ring": ("ring", "phone", "telephone", "ringing", "ringing phone", "ringing telephone", "ringtone"),
    "alarm": ("alarm", "alarm clock", "buzzer"),
    "siren": ("siren", "police siren", "ambulance"),
    "bell": ("bell", "chime", "gong", "church bell", "doorbell"),
    "chirp": ("bird", "birdsong", "chirp", "chirping", "bird song", "tweet", "cricket"),
    "tone": ("tone", "note", "sine", "sine wave", "drone", "whistle", "whistling", "organ", "sound wave"),
    "buzz": ("buzz", "buzzing", "hum", "humming", "square wave", "sawtooth", "bee", "engine", "motor"),
    "chord": ("chord",),
    "scale": ("scale",),
    "arpeggio": ("arpeggio",),
    "melody": ("melody", "tune"),
    "rain": ("rain", "raining", "rainfall", "drizzle", "shower"),
    "wind": ("wind", "windy", "breeze", "gale"),
    "waves": ("sea", "ocean", "waves", "sea waves", "ocean waves", "surf"),
    "thunder": ("thunder", "thunderclap", "rumble"),
    "fire": ("fire", "campfire", "crackling", "crackling fire", "crackle"),
    "white noise": ("white noise", "noise", "static", "hiss"),
    "pink noise": ("pink noise", "waterfall"),
    "brown noise": ("brown noise", "red noise"),
}
"""Sounds that can be made, and what people call them; a plural is understood."""

_MUSIC = re.compile(r"\b(?:music|songs?)\b", re.IGNORECASE)
"""Where no sound is named, a melody is what can be made of it."""

STRUCK = frozenset("kick snare hat clap click tick knock footstep heartbeat beep ring alarm bell chirp thunder".split())
"""Sounds with a beginning and an end, which can be repeated."""

STEADY = frozenset("tick click footstep heartbeat alarm ring chirp".split())
"""Struck sounds that go on until told otherwise: nobody means one tick by `a ticking clock`."""

_WAYS: dict[str, frozenset[str]] = {
    **{sound: frozenset(("bpm", "pace", "length")) for sound in STRUCK},
    **{
        sound: frozenset(("bpm", "pace", "length", "octave"))
        for sound in ("snare", "hat", "knock", "footstep", "chirp")
    },
    **{sound: frozenset(("bpm", "pace", "length", "octave", "hz", "glide")) for sound in ("beep", "alarm", "bell")},
    **{sound: frozenset(("octave", "hz", "glide")) for sound in ("tone", "buzz", "chord")},
    **{sound: frozenset(("octave", "hz", "glide", "bpm")) for sound in ("scale", "arpeggio", "melody")},
    **{sound: frozenset(("pace",)) for sound in ("siren", "wind", "waves")},
    "kick": frozenset(("bpm", "pace", "length", "octave", "hz")),
    "beat": frozenset(("bpm", "pace", "octave", "metre")),
}
"""What of a Layer changes how a sound sounds, beside `level` and `times`, which always do."""

_PITCH = {"low": -1, "deep": -1, "bass": -1, "high": 1, "shrill": 1, "treble": 1, "bright": 1}
_GLIDE = {"rising": 1, "ascending": 1, "upward": 1, "falling": -1, "descending": -1, "downward": -1}
_LEVEL = {"loud": 1.0, "heavy": 1.0, "strong": 1.0, "quiet": 0.25, "soft": 0.25, "gentle": 0.25, "light": 0.25,
          "faint": 0.15, "distant": 0.15}  # fmt: skip
_PACE = {"slow": 0.5, "slowly": 0.5, "fast": 2.0, "quick": 2.0, "quickly": 2.0, "rapid": 2.0}
_LENGTH = {"short": 0.5, "brief": 0.5, "long": 2.0, "sustained": 2.0}
_METRE = {"waltz": 3}
_NUMBERS = {
    word: number
    for number, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())
}
_TIMES = {"once": 1, "twice": 2, "thrice": 3}
_CHORDS = {
    "major": (0, 4, 7), "minor": (0, 3, 7), "diminished": (0, 3, 6), "augmented": (0, 4, 8),
    "seventh": (0, 4, 7, 10), "7th": (0, 4, 7, 10),
}  # fmt: skip
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11, 12), "minor": (0, 2, 3, 5, 7, 8, 10, 12)}
_SEMITONES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}

_SILENT = frozenset(
    "a an the of at in on for to by like some sound sounds effect noises make play generate create compose produce "
    "please me i want hear recording audio music musical song per minute piece it its is are with and plus over "
    "then followed after that while that's going goes very bit little really".split()
)
_THEN = re.compile(r"\b(?:and then|then|followed by|after that|afterwards)\b|[;.!?\n]+(?=\s|$)", re.IGNORECASE)
_AND = re.compile(r"\b(?:and|with|over|plus|while)\b|,", re.IGNORECASE)
_WITHOUT = re.compile(r"\b(?:without|no|not|but no|but not)\b\s+(?:any\s+)?([^,;.!?\n]*)", re.IGNORECASE)
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+(?:['’][^\W\d_]+)*[#♯♭]?\d?", re.UNICODE)
_NOTE = re.compile(r"([A-Ga-g])(#|♯|♭|b|sharp|flat)?(\d)?")
_NAMES = sorted(
    ((tuple(name.split()), sound) for sound, names in SOUNDS.items() for name in names), key=lambda n: -len(n[0])
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One sound and how it is played.

    Attributes:
        sound: a key of `SOUNDS`.
        octave: steps up or down from the sound's own pitch, -2 to 2.
        hz: pitches in hertz where words name them; empty for the sound's own.
        glide: 1 rising, -1 falling, 0 level.
        level: 0 to 1.
        pace: 1 is normal; multiplies the tempo of what repeats.
        bpm: beats a minute; None for the sound's own.
        times: how often a struck sound is played; None for what the sound is wont to.
        length: 1 is normal; multiplies the length of one struck sound.
        metre: beats in a bar, 3 or 4.
    """

    sound: str
    octave: int = 0
    hz: tuple[float, ...] = ()
    glide: int = 0
    level: float = 0.6
    pace: float = 1.0
    bpm: float | None = None
    times: int | None = None
    length: float = 1.0
    metre: int = 4

    def to_json(self) -> dict[str, Any]:
        """Plain JSON of what differs from the sound's own way, and the sound."""
        plain = Layer(sound=self.sound)
        shown: dict[str, Any] = {"sound": self.sound}
        for name in ("octave", "glide", "level", "pace", "bpm", "times", "length", "metre"):
            if getattr(self, name) != getattr(plain, name):
                shown[name] = getattr(self, name)
        if self.hz:
            shown["hz"] = [round(hz, 2) for hz in self.hz]
        return shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """What will sound.

    Attributes:
        parts: one after the other; the layers of a part sound together.
        unused: words that nothing was done with, in order.
        left_out: sounds the text says it does not want.
        duration_s: length named in the words; None when none is.
    """

    parts: tuple[tuple[Layer, ...], ...]
    unused: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    duration_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {"parts": [[layer.to_json() for layer in part] for part in self.parts], "left_out": list(self.left_out)}


def parse(text: str) -> Score:
    """The score of a text; without any part when no word of it names a sound."""
    left_out: list[str] = []
    unused: list[str] = []

    def omit(found: re.Match[str]) -> str:
        """Take `without drums` out, unless there is no sound in it that we could leave out."""
        tokens = _tokens(found[1])
        sounds = [sound for i in range(len(tokens)) if (sound := _sound_at(tokens, i)[0])]
        left_out.extend(sounds)
        return "" if sounds else found[0]

    text = _WITHOUT.sub(omit, text)
    duration, text = _duration(text)
    parts: list[tuple[Layer, ...]] = []
    for clause in _THEN.split(text):
        layers = _layers(clause, unused)
        if layers:
            parts.append(tuple(layers))
    if not parts and not left_out and _MUSIC.search(text):
        parts.append(tuple(_layers("a melody", unused)))
    return Score(
        parts=tuple(parts),
        unused=tuple(dict.fromkeys(unused)),
        left_out=tuple(dict.fromkeys(left_out)),
        duration_s=duration,
    )


def note_hz(letter: str, accidental: str = "", octave: int = 4) -> float:
    """Hertz of a note in equal temperament, A4 = 440 Hz.

    Args:
        letter: `A` to `G`.
        accidental: `#` or `b`, or a sign or word for it.
        octave: scientific; middle C is C4.
    """
    shift = {"#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}.get(accidental, 0)
    semitones = _SEMITONES[letter.lower()] + shift - 9 + 12 * (octave - 4)
    return float(A4_HZ * 2 ** (semitones / 12))


def _duration(text: str) -> tuple[float | None, str]:
    found = re.search(
        rf"\b(?:for |lasting )?(\d+(?:\.\d+)?|{'|'.join(_NUMBERS)})[- ](seconds?|secs?|s|minutes?|mins?)\b(?: long)?",
        text,
        re.IGNORECASE,
    )
    if not found or "per" in text[max(0, found.start() - 5) : found.start()]:
        return None, text
    number = float(_NUMBERS.get(found[1].lower(), 0) or found[1]) if found[1].lower() != "zero" else 0.0
    seconds = number * (60 if found[2].lower().startswith("min") else 1)
    return (seconds or None), f"{text[: found.start()]} {text[found.end() :]}"


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.replace("-", " "))


def _sound_at(tokens: list[str], at: int) -> tuple[str, int]:
    """The sound whose name starts at a token, and how many tokens the name takes; ("", 0) for none."""
    for name, sound in _NAMES:
        words = [token.lower() for token in tokens[at : at + len(name)]]
        if len(words) == len(name) and (
            words == list(name) or (words[:-1] == list(name[:-1]) and words[-1] in (f"{name[-1]}s", f"{name[-1]}es"))
        ):
            return sound, len(name)
    return "", 0


def _layers(clause: str, unused: list[str]) -> list[Layer]:
    """Layers of one clause; a piece without a sound lends what it says to the next one, or the last."""
    layers: list[Layer] = []
    waiting: dict[str, _Said] = {}
    for piece in _AND.split(clause):
        sounds, said = _piece(_tokens(piece), unused)
        waiting.update(said)
        if sounds:
            layers.extend(_layer(sound, waiting, unused) for sound in sounds)
            waiting = {}
    if waiting and layers:
        last = layers.pop()
        layers.append(replace(last, **_usable(last.sound, waiting, unused)))
    else:
        unused.extend(word for _, words in waiting.values() for word in words)
    return layers


_Said = tuple[Any, tuple[str, ...]]
"""A value of a field of Layer, and the words that said it."""


def _layer(sound: str, said: Mapping[str, _Said], unused: list[str]) -> Layer:
    return replace(Layer(sound=sound), **_usable(sound, said, unused))


def _usable(sound: str, said: Mapping[str, _Said], unused: list[str]) -> dict[str, Any]:
    """What was said that this sound can follow; the words of the rest are counted as unused."""
    ways = _WAYS.get(sound, frozenset()) | {"level", "times"}
    usable = {}
    for name, (value, words) in said.items():
        if name in ways and not (sound == "beat" and name == "octave" and value > 0):
            usable[name] = value
        else:
            unused.extend(words)
    return usable


def _piece(tokens: list[str], unused: list[str]) -> tuple[list[str], dict[str, _Said]]:
    """Sounds of a piece, and what it says of them by field of Layer."""
    sounds: list[str] = []
    said: dict[str, _Said] = {}
    notes: list[tuple[str, str, int]] = []
    note_words: list[str] = []
    quality = ""
    plural = False
    at = 0
    while at < len(tokens):
        sound, taken = _sound_at(tokens, at)
        low = tokens[at].lower()
        if sound:
            plural = plural or tokens[at + taken - 1].lower().endswith("s")
            sounds += [sound] if sound not in sounds else []
        elif found := _quantity(tokens, at):
            name, value, taken = found
            words = tuple(tokens[at : at + taken])
            if value is None:
                unused.append(" ".join(words))
            elif name == "hz" and "hz" in said:
                said["hz"] = ((*said["hz"][0], *value), (*said["hz"][1], *words))
            else:
                said[name] = (value, words)
        elif low in _CHORDS and (note_words or {"chord", "scale", "arpeggio"} & {t.lower() for t in tokens[at:]}):
            quality, taken = low, 1
            note_words.append(tokens[at])
        elif note := _note(tokens, at):
            notes.append(note[0])
            taken = note[1]
            note_words += tokens[at : at + taken]
        else:
            found = _manner(tokens, at)
            taken = 1
            if found:
                name, value, taken = found
                said[name] = (value, tuple(tokens[at : at + taken]))
                if name == "metre" and "beat" not in sounds:
                    sounds.append("beat")
            elif low not in _SILENT:
                unused.append(tokens[at])
        at += taken
    own = said.get("hz", ((), ()))
    if notes or {"chord", "scale", "arpeggio", "melody"} & set(sounds):
        sounds, pitches = _pitches(sounds, notes or [("c", "", 4)], quality)
        if notes or not own[0]:
            said["hz"] = ((*own[0], *pitches), (*own[1], *note_words))
    elif own[0] and not sounds:
        sounds = ["tone"]
    if plural and "times" not in said and any(sound in STRUCK for sound in sounds):
        said["times"] = (0, ())
    return sounds, said


def _quantity(tokens: list[str], at: int) -> tuple[str, Any, int] | None:
    """A field of Layer, its value and how many tokens say it; value None when out of range."""
    number = _number(tokens[at].lower())
    if number is None:
        return None
    following = tokens[at + 1].lower() if at + 1 < len(tokens) else ""
    if following in ("bpm", "beats"):
        return "bpm", number if 20 <= number <= 400 else None, 2
    if following in ("hz", "hertz", "khz"):
        hz = number * (1000 if following == "khz" else 1)
        return "hz", (hz,) if 20 <= hz <= 10_000 else None, 2
    times = int(number) if 1 <= number <= 200 else None
    if following in ("times", "time"):
        return "times", times, 2
    ahead = next((i for i in range(at + 1, min(at + 4, len(tokens))) if _sound_at(tokens, i)[0]), None)
    return ("times", times, 1) if ahead else None


def _manner(tokens: list[str], at: int) -> tuple[str, Any, int] | None:
    """A field of Layer, its value and how many tokens say it, from a word such as `low` or `fast`."""
    low = tokens[at].lower()
    following = tokens[at + 1].lower() if at + 1 < len(tokens) else ""
    very = at > 0 and tokens[at - 1].lower() in ("very", "really")
    if low in _TIMES:
        return "times", _TIMES[low], 1
    if low in _PITCH:
        return "octave", _PITCH[low] * (2 if very else 1), 2 if following in ("pitched", "pitch") else 1
    if low in _GLIDE:
        return "glide", _GLIDE[low], 1
    if low in _LEVEL:
        return "level", _LEVEL[low] / (2 if very and _LEVEL[low] < 0.5 else 1), 1
    if low in _PACE:
        return "pace", _PACE[low] ** (1.5 if very else 1), 1
    if low in _LENGTH:
        return "length", _LENGTH[low], 1
    if low in _METRE:
        return "metre", _METRE[low], 1
    return None


def _pitches(sounds: list[str], notes: list[tuple[str, str, int]], quality: str) -> tuple[list[str], tuple[float, ...]]:
    """The sounds that a key or a row of notes asks for, and their pitches in hertz."""
    root = note_hz(*notes[0])
    if "scale" in sounds:
        return sounds, tuple(root * 2 ** (s / 12) for s in _SCALES.get(quality, _SCALES["major"]))
    if len(notes) == 1 and (quality or {"chord", "arpeggio", "melody"} & set(sounds)):
        return sounds or ["chord"], tuple(root * 2 ** (s / 12) for s in _CHORDS.get(quality, _CHORDS["major"]))
    return sounds or (["melody"] if len(notes) > 1 else ["tone"]), tuple(note_hz(*note) for note in notes)


def _number(word: str) -> float | None:
    if word in _NUMBERS:
        return float(_NUMBERS[word])
    return float(word) if re.fullmatch(r"\d+(\.\d+)?", word) else None


def _note(tokens: list[str], at: int) -> tuple[tuple[str, str, int], int] | None:
    """A note at a token and how many tokens name it. A small `a` is the article."""
    token = tokens[at]
    found = _NOTE.fullmatch(token)
    if not found or (token[0].islower() and not found[3]):
        return None
    following = tokens[at + 1].lower() if at + 1 < len(tokens) else ""
    accidental, used = found[2] or "", 1
    if not accidental and following in ("sharp", "flat"):
        accidental, used = following, 2
    elif token == "A" and at == 0 and not _musical(following):
        return None  # "A dog barks": an article that opens a sentence
    return (found[1].lower(), accidental, int(found[3] or 4)), used


def _musical(word: str) -> bool:
    return word in (*_CHORDS, "chord", "scale", "note", "arpeggio", "major", "minor") or bool(
        word and _NOTE.fullmatch(word)
    )


def known_sounds() -> Iterator[str]:
    """A name of each sound, for messages."""
    yield from (names[0] for names in SOUNDS.values())

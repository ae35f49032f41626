"""Probe messages of known entropy: uniform independent slots, said as sentences and read back from text."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hopline.agent.loss.english.numerals import numerals
from hopline.agent.loss.english.tokens import tokenize

SPEECH_SEED = 48_218
"""Seed of the messages of the speech loop, set before its first run."""
PICTURE_SEED = 48_191
"""Seed of the messages of the picture loop, set before its first run."""

_NUMBERS = {
    1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 9: "nine", 11: "eleven",
    12: "twelve", 24: "twenty four", 37: "thirty seven", 42: "forty two", 56: "fifty six", 61: "sixty one",
    79: "seventy nine", 83: "eighty three",
}  # fmt: skip
# Spellings that sound like a value; numbers only right before a colour or a thing.
_SOUNDS_LIKE_NUMBER = {"won": "1", "to": "2", "too": "2", "for": "4", "fore": "4", "sicks": "6", "a": "1", "an": "1"}
_SOUNDS_LIKE = {
    "read": "red", "reddish": "red", "blew": "blue", "greene": "green", "yello": "yellow", "violet": "purple",
    "ana": "anna", "samual": "samuel", "margret": "margaret", "julya": "julia", "benjamen": "benjamin",
    "viktoria": "victoria", "write": "right", "wright": "right", "bote": "boat", "boats": "boat", "autos": "car",
    "automobile": "car", "automobiles": "car", "kitty": "cat", "kitten": "cat", "kittens": "cat", "puppy": "dog",
    "puppies": "dog", "home": "house", "homes": "house",
}  # fmt: skip
_RELATIONS = {
    "left": ("to the left of", "on the left of", "left of", "left to", "left side of"),
    "right": ("to the right of", "on the right of", "right of", "right to", "right side of"),
    "behind": ("behind", "in back of"),
    "front": ("in front of", "in the front of"),
    "above": ("above", "over", "on top of"),
    "below": ("below", "beneath", "underneath", "under"),
}
_SAID = {"left": "left of", "right": "right of", "behind": "behind", "front": "in front of"}
_INVERSE = {"left": "right", "right": "left", "above": "below", "below": "above", "behind": "front", "front": "behind"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One place of a message.

    Attributes:
        name: `colour`.
        values: what it can hold, all equally likely, at least 2.
    """

    name: str
    values: tuple[str, ...]

    @property
    def bits(self) -> float:
        """Its entropy, log2 K."""
        return math.log2(len(self.values))


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One probe: its sentences and the value of every slot."""

    text: str
    values: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Grammar:
    """Messages of independent uniform slots.

    Attributes:
        name: `speech` or `picture`.
        seed: of the published messages.
        slots: in the order in which they are said.
    """

    name: str
    seed: int
    slots: tuple[Slot, ...]

    @property
    def bits(self) -> float:
        """Entropy of a message, the sum of log2 K."""
        return sum(slot.bits for slot in self.slots)

    def messages(self, n: int, seed: int | None = None) -> tuple[Message, ...]:
        """The first `n` messages of a seed; a longer list begins with the shorter one.

        Args:
            n: how many, at least 0.
            seed: the grammar's own if None.
        """
        draw = random.Random(self.seed if seed is None else seed)
        drawn = [{slot.name: slot.values[draw.randrange(len(slot.values))] for slot in self.slots} for _ in range(n)]
        return tuple(Message(text=self.say(values), values=values) for values in drawn)

    def say(self, values: Mapping[str, str]) -> str:
        """The sentences of slot values, numbers in words."""
        if self.name == "speech":
            first = _group(values["count"], values["colour"], values["object"])
            amount = _NUMBERS[int(values["amount"])]
            return (
                f"{first} are {_SAID[values['relation']]} the {values['place']}. "
                f"{values['name'].title()} paid {amount} dollars on {values['day'].title()}."
            )
        first = _group(values["count"], values["colour"], values["object"])
        second = _group(values["count 2"], values["colour 2"], values["object 2"])
        verb = "is" if values["count"] == "1" else "are"
        relation = _SAID.get(values["relation"], values["relation"])
        return f"{first} {verb} {relation} {second.lower()}."

    def kept_bits(self, sent: Mapping[str, str], read: Mapping[str, str | None]) -> float:
        """Bits of one message that a reading still tells: log2 K of each slot that is right.

        One message bounds no share, so this is its part of the entropy, in [0, `bits`], and no estimate of a
        channel; that is `measure_slots` over many messages.

        Args:
            sent: slot values of the message.
            read: as `read` gives them.
        """
        return sum(slot.bits for slot in self.slots if read.get(slot.name) == sent[slot.name])

    def read(self, text: str) -> dict[str, str | None]:
        """What a text says of each slot, whatever made it: a transcript, a caption, the message itself.

        Digits and words, plurals, and spellings that sound alike are one value. Two different values for
        one slot are "not there".

        Args:
            text: any text; never raises.

        Returns:
            Slot name to value, None for "not there".
        """
        words = _words(text)
        found: dict[str, str | None] = {slot.name: None for slot in self.slots}
        allowed = {slot.name: frozenset(slot.values) for slot in self.slots}
        places: dict[str, int] = {}
        for suffix in ("", " 2"):
            if f"object{suffix}" in allowed:
                places |= self._read_group(words, suffix, allowed, found)
        _read_relation(words, allowed, found, places)
        for name in ("place", "name", "day"):
            if name in allowed:
                found[name] = _only(word for word in words if word in allowed[name])
        if "amount" in allowed:
            found["amount"] = _only(
                w for i, w in enumerate(words) if w in allowed["amount"] and _is_money(words, i)
            )  # fmt: skip
        return found

    def _read_group(
        self, words: Sequence[str], suffix: str, allowed: Mapping[str, frozenset[str]], found: dict[str, str | None]
    ) -> dict[str, int]:
        """Fills count, colour and object of one group; the place of its thing, if there is one."""
        count, colour, thing = f"count{suffix}", f"colour{suffix}", f"object{suffix}"
        things = [i for i, word in enumerate(words) if word in allowed[thing]]
        found[thing] = _only(words[i] for i in things)
        if len(self._groups()) == 1 and not things:
            # Without its thing the only group is still told by its colour and its number.
            found[colour] = _only(word for word in words if word in allowed[colour])
            plain = [w for i, w in enumerate(words) if w in allowed[count] and not _is_money(words, i)]
            before = [_number(words, i) for i, w in enumerate(words[1:]) if w in allowed[colour]]
            found[count] = _only(plain or [number for number in before if number in allowed[count]])
            return {}
        if found[thing] is None:
            return {}
        colours, counts = [], []
        for at in things:
            i = at - 1
            while i >= 0 and i >= at - 3 and words[i] in _BETWEEN:
                i -= 1
            if i >= 0 and words[i] in allowed[colour]:
                colours.append(words[i])
                i -= 1
            elif i >= 0 and words[i] in _COLOURS:
                i -= 1
            while i >= 0 and i >= at - 4 and words[i] in _BETWEEN:
                i -= 1
            number = _number(words, i) if i >= 0 else ""
            if number in allowed[count]:
                counts.append(number)
        found[colour], found[count] = _only(colours), _only(counts)
        return {thing: things[0]}

    def _groups(self) -> tuple[str, ...]:
        return tuple(slot.name for slot in self.slots if slot.name.startswith("object"))


def _group(count: str, colour: str, noun: str) -> str:
    return f"{_NUMBERS[int(count)].capitalize()} {colour} {noun if count == '1' else _plural(noun)}"


def _plural(noun: str) -> str:
    return noun + "es" if noun.endswith(("s", "sh", "ch", "x")) else noun + "s"


def _only(values: Iterable[str]) -> str | None:
    """The value if all are the same one."""
    different = set(values)
    return different.pop() if len(different) == 1 else None


def _words(text: str) -> list[str]:
    """Lower-case words in the singular and numbers in digits; spellings that sound alike made one."""
    text = re.sub(r"\$\s*([\d,.]*\d)", r"\1 dollars", text)
    text = re.sub(r"(?<=\w)-(?=\w)", " ", text)
    tokens = tokenize(text)
    numbers = {n.start: n for n in numerals(tokens) if not n.ordinal}
    words: list[str] = []
    i = 0
    while i < len(tokens):
        if i in numbers:
            words.append(numbers[i].value)
            i = numbers[i].end
            continue
        if tokens[i].kind == "word":
            words.append(_word(tokens[i].lower))
        i += 1
    return words


def _word(word: str) -> str:
    if word in _SOUNDS_LIKE:
        return _SOUNDS_LIKE[word]
    for ending in ("es", "s"):
        stem = word.removesuffix(ending)
        if stem != word and (stem in _KNOWN or _SOUNDS_LIKE.get(stem) in _KNOWN):
            return _SOUNDS_LIKE.get(stem, stem)
    return word


def _number(words: Sequence[str], i: int) -> str:
    """The number at a place right before a colour or a thing."""
    return _SOUNDS_LIKE_NUMBER.get(words[i], words[i])


def _is_money(words: Sequence[str], i: int) -> bool:
    """The number at `i` is what was paid."""
    after = words[i + 1] if i + 1 < len(words) else ""
    before = words[i - 1] if i else ""
    return after in ("dollar", "dollars", "bucks") or before in ("paid", "pays", "pay", "payed")


def _read_relation(
    words: Sequence[str],
    allowed: Mapping[str, frozenset[str]],
    found: dict[str, str | None],
    places: Mapping[str, int],
) -> None:
    """Fills the relation; said the other way round ("B is right of A") it is turned."""
    padded = f" {' '.join(words)} "
    said = [
        (match.start(), name)
        for name, phrases in _RELATIONS.items()
        if name in allowed["relation"]
        for match in re.finditer("|".join(f" {phrase}(?= )" for phrase in phrases), padded)
    ]
    relation = _only(name for _, name in said)
    if relation and "object 2" in allowed:
        if len(places) < 2:
            relation = None
        elif places["object"] > places["object 2"]:
            relation = _INVERSE[relation]
    found["relation"] = relation


_COLOURS = frozenset("red orange yellow green blue purple pink brown black white grey gray".split())
_BETWEEN = frozenset("big large small little tiny bright dark light of and toy colored coloured".split())

SPEECH = Grammar(
    name="speech",
    seed=SPEECH_SEED,
    slots=(
        Slot(name="count", values=("2", "3", "4", "5", "6", "7", "9", "12")),
        Slot(name="colour", values=("red", "blue", "green", "yellow", "orange", "purple", "white", "black")),
        Slot(
            name="object",
            values=("boat", "horse", "bottle", "candle", "elephant", "ladder", "umbrella", "guitar"),
        ),
        Slot(name="relation", values=("left", "right", "behind", "front")),
        Slot(name="place", values=("church", "station", "market", "hospital")),
        Slot(
            name="name",
            values=("anna", "oliver", "margaret", "peter", "victoria", "samuel", "benjamin", "julia"),
        ),
        Slot(name="amount", values=("11", "24", "37", "42", "56", "61", "79", "83")),
        Slot(name="day", values=("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")),
    ),
)
"""21.8 bits: "Seven green boats are left of the church. Anna paid forty two dollars on Friday." """

_PICTURE_COLOURS = ("red", "yellow", "green", "blue", "purple", "pink", "brown", "black")
PICTURE = Grammar(
    name="picture",
    seed=PICTURE_SEED,
    slots=(
        Slot(name="count", values=("1", "2", "3", "4", "5", "6")),
        Slot(name="colour", values=_PICTURE_COLOURS),
        Slot(name="object", values=("car", "cat", "dog", "boat", "guitar", "umbrella", "airplane", "elephant")),
        Slot(name="relation", values=("left", "right", "above", "below")),
        Slot(name="count 2", values=("1", "2", "3", "4", "5", "6")),
        Slot(name="colour 2", values=_PICTURE_COLOURS),
        Slot(name="object 2", values=("house", "tree", "flower", "chair", "bicycle", "apple", "star", "clock")),
    ),
)
"""19.2 bits: "Three red cars are left of two blue houses." The nouns of the two groups never meet."""


def probe_in(text: str) -> tuple[Grammar, Message] | None:
    """The probe message that a text is, word for word, and its grammar; None for any other text."""
    for grammar in (SPEECH, PICTURE):
        values = {name: value for name, value in grammar.read(text).items() if value is not None}
        if len(values) == len(grammar.slots) and grammar.say(values) == text.strip():
            return grammar, Message(text=text, values=values)
    return None


_KNOWN = frozenset(value for grammar in (SPEECH, PICTURE) for slot in grammar.slots for value in slot.values)

__all__ = ["PICTURE", "PICTURE_SEED", "SPEECH", "SPEECH_SEED", "Grammar", "Message", "Slot", "probe_in"]

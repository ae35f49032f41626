"""From text to facts: the extractor's interface, and the one for English."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from hopline.agent.loss.english.measures import measures
from hopline.agent.loss.english.names import names
from hopline.agent.loss.english.negation import negations
from hopline.agent.loss.english.numerals import numerals
from hopline.agent.loss.english.phrases import Thing, things
from hopline.agent.loss.english.relations import INVERSE, SYMMETRIC, relations
from hopline.agent.loss.english.tags import COLOURS, Tag, tag
from hopline.agent.loss.english.tokens import casing, tokenize
from hopline.agent.loss.english.words import canonical, function_class, verb_base
from hopline.agent.loss.facts import Fact, FactType

NEIGHBOURS = 3
"""Content words to each side that make a fact's context."""


class Extractor(ABC):
    """Reads facts out of text; an entry point of group `hopline.readers` names a subclass.

    Class attributes:
        name: short name, for signatures.
        language: ISO 639-1 code of the texts it reads.
        version: changed by hand whenever its facts may change.
    """

    name: ClassVar[str]
    language: ClassVar[str]
    version: ClassVar[str]

    @abstractmethod
    def facts(self, text: str) -> tuple[Fact, ...]:
        """The facts of a text in its order; empty for a text that says none. Never raises on text."""

    @property
    def signature(self) -> str:
        """`english/1 (en)`."""
        return f"{self.name}/{self.version} ({self.language})"


class English(Extractor):
    """Rules and a lexicon, no model: about a millisecond a sentence."""

    name = "english"
    language = "en"
    version = "1"

    def facts(self, text: str) -> tuple[Fact, ...]:
        """The facts of an English text, cased or not, punctuated or not."""
        return _facts(text)


@lru_cache(maxsize=512)
def _facts(text: str) -> tuple[Fact, ...]:
    return _Reading(text).facts()


class _Reading:
    """One text on its way to facts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        cased = casing(self.tokens) == "cased"
        self.numerals = numerals(self.tokens)
        self.measures = measures(self.tokens, self.numerals, cased=cased)
        held = {i for m in self.measures for i in range(m.start, m.end)}
        numbered = {i for n in self.numerals for i in range(n.start, n.end)}
        self.names = names(self.tokens, held | numbered)
        fixed: dict[int, Tag] = {}
        for n in self.numerals:
            fixed.update(dict.fromkeys(range(n.start, n.end), "#"))
        for name in self.names:
            fixed.update(dict.fromkeys(range(name.start, name.end), "NP"))
        fixed.update(dict.fromkeys(held, "."))
        self.tags = tag(self.tokens, fixed)
        free = [n for n in self.numerals if n.start not in held]
        self.things = things(self.tokens, self.tags, free)
        self.negations = negations(self.tokens, self.tags)
        self.content = [
            (i, verb_base(canonical(t.lower)) if t.kind == "word" else t.lower)
            for i, t in enumerate(self.tokens)
            if t.kind in ("word", "number") and not (t.kind == "word" and function_class(t.lower) in _NO_CONTENT)
        ]
        self.content_at = [i for i, _ in self.content]
        self.made: list[Fact] = []
        self.ids: Counter[str] = Counter()

    def facts(self) -> tuple[Fact, ...]:
        denied = {n.scope for n in self.negations if self.tags[n.scope] == "N" and n.scope >= 0}
        kept = [t for t in self.things if t.head not in denied]
        owners = self._objects(kept)
        self._relations(kept, owners)
        self._loose_colours(kept)
        self._measures_and_numbers(kept)
        for name in self.names:
            self._add("name", "name", name.value, name.start, name.end)
        for n in self.negations:
            self._add("negation", "negation", n.value, n.start, n.end)
        return tuple(sorted(self.made, key=lambda f: (f.span or (0, 0), f.id)))

    def _objects(self, kept: Sequence[Thing]) -> list[Fact]:
        """An object fact for each thing; one said again is the same fact, with what is new of it."""
        owners: list[Fact] = []
        by_thing: dict[int, Fact] = {}
        for thing in kept:
            first = self.things[thing.same_as] if thing.same_as is not None else None
            owner = by_thing.get(id(first)) if first is not None else None
            if first is None or owner is None:
                owner = self._object(thing)
            else:
                said = {colour for colour, _ in first.colours}
                for colour, at in thing.colours:
                    if colour not in said:
                        self._colour(owner, colour, at)
            by_thing[id(thing)] = owner
            owners.append(owner)
        return owners

    def _object(self, thing: Thing) -> Fact:
        owner = self._add(
            "object", thing.noun, thing.noun, thing.head, thing.head + 1,
            text=thing.noun.replace("_", " "), implied=thing.implied or "",
        )  # fmt: skip
        if thing.count is not None:
            at = thing.count_at
            self._add("count", owner.id, thing.count, at, thing.head + 1, owners=(owner,), at=(at, at + 1))
        for colour, at in thing.colours:
            self._colour(owner, colour, at)
        return owner

    def _colour(self, owner: Fact, colour: str, at: int) -> None:
        self._add("colour", owner.id, colour, at, at + 1, owners=(owner,), text=f"{colour} {owner.text}")

    def _relations(self, kept: Sequence[Thing], owners: Sequence[Fact]) -> None:
        for r in relations(self.tokens, self.tags, kept):
            ends = [owners[r.subject], owners[r.object]]
            if r.second is not None:
                ends.append(owners[r.second])
            word = r.relation
            if word in INVERSE:
                word, ends = INVERSE[word], ends[::-1]
            if ends[0].id == ends[1].id:
                continue
            if word in SYMMETRIC:
                ends = sorted(ends, key=lambda f: f.id)
            self._add(
                "relation", "~".join(f.id for f in ends), word, r.start, r.end, owners=tuple(ends),
                text=f"{ends[0].text} {word} {' and '.join(f.text for f in ends[1:])}",
            )  # fmt: skip

    def _loose_colours(self, kept: Sequence[Thing]) -> None:
        bound = {at for thing in self.things for _, at in thing.colours}
        denied = {n.scope for n in self.negations}
        for i, t in enumerate(self.tags):
            if t == "C" and i not in bound and i not in denied:
                self._add("colour", "colour", COLOURS[self.tokens[i].lower], i, i + 1)

    def _measures_and_numbers(self, kept: Sequence[Thing]) -> None:
        held: set[int] = set()
        for m in self.measures:
            held.update(range(m.start, m.end))
            kind: FactType = "quantity" if m.type == "quantity" else "date"
            self._add(kind, m.slot, m.value, m.start, m.end)
        counted = {t.count_at for t in self.things}
        for n in self.numerals:
            if n.start in held or n.start in counted or n.ordinal:
                continue
            if n.value in ("0", "1") and n.words:
                continue  # "one" is a pronoun more often than a number
            self._add("number", "number", n.value, n.start, n.end)

    def _add(
        self, kind: FactType, slot: str, value: str, start: int, end: int, *, owners: tuple[Fact, ...] = (),
        text: str = "", implied: str = "", at: tuple[int, int] | None = None,
    ) -> Fact:  # fmt: skip
        place = slot.removeprefix("object:").replace("~object:", "~")
        name = f"{kind}:{place}" if place != kind else f"{kind}:{value}"
        self.ids[name] += 1
        span = (self.tokens[start].start, self.tokens[end - 1].end)
        around = at or (start, end)
        fact = Fact(
            id=name if self.ids[name] == 1 else f"{name}#{self.ids[name]}",
            type=kind,
            slot=slot,
            value=value,
            text=text or self.text[span[0] : span[1]],
            depends_on=tuple(o.id for o in owners),
            span=span,
            context=self._around(*around),
            implied=implied,
        )
        self.made.append(fact)
        return fact

    def _around(self, start: int, end: int) -> frozenset[str]:
        first = bisect_left(self.content_at, start)
        last = bisect_left(self.content_at, end)
        near = self.content[max(0, first - NEIGHBOURS) : first] + self.content[last : last + NEIGHBOURS]
        return frozenset(word for _, word in near)


_NO_CONTENT = frozenset({"determiner", "pronoun", "auxiliary", "conjunction"})


def declared_facts(declared: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Facts a tool says it made: a scene of objects with counts, colours and relations.

    Args:
        declared: `{"objects": [{"noun", "count", "colour"}], "relations": [{"subject", "relation",
            "object"}]}` with objects by position; unknown keys are left out.
    """
    made: list[Fact] = []
    owners: list[Fact | None] = []
    seen: Counter[str] = Counter()
    for entry in declared.get("objects") or ():
        noun = canonical(str(entry.get("noun") or "").strip().lower()) if isinstance(entry, Mapping) else ""
        if not noun:
            owners.append(None)
            continue
        seen[noun] += 1
        name = noun if seen[noun] == 1 else f"{noun}#{seen[noun]}"
        count = entry.get("count")
        counted = str(count) if isinstance(count, int) and count > 1 else ""
        owner = Fact(
            id=f"object:{name}",
            type="object",
            slot=noun,
            value=noun,
            text=noun.replace("_", " "),
            implied="" if counted else "1",
        )
        owners.append(owner)
        made.append(owner)
        if counted:
            made.append(
                Fact(
                    id=f"count:{name}", type="count", slot=owner.id, value=counted, text=f"{counted} {owner.text}",
                    depends_on=(owner.id,),
                )
            )  # fmt: skip
        colour = str(entry.get("colour") or "").lower()
        if colour in COLOURS:
            made.append(
                Fact(
                    id=f"colour:{name}", type="colour", slot=owner.id, value=COLOURS[colour],
                    text=f"{COLOURS[colour]} {owner.text}", depends_on=(owner.id,),
                )
            )  # fmt: skip
    for entry in declared.get("relations") or ():
        relation = _declared_relation(entry, owners)
        if relation is not None:
            made.append(relation)
    return tuple(made)


def _declared_relation(entry: object, owners: Sequence[Fact | None]) -> Fact | None:
    if isinstance(entry, Mapping):
        parts: list[Any] = [entry.get("subject"), entry.get("relation"), entry.get("object")]
    elif isinstance(entry, Sequence) and not isinstance(entry, str) and len(entry) == 3:
        parts = list(entry)
        if isinstance(parts[1], int) and isinstance(parts[2], str):
            parts = [parts[0], parts[2], parts[1]]
    else:
        return None
    ends = [_end(parts[0], owners), _end(parts[2], owners)]
    word = str(parts[1] or "").replace("_", " ").lower()
    word = {"left": "left of", "right": "right of", "over": "above", "under": "below", "beside": "next to"}.get(
        word, word
    )
    if None in ends or not word:
        return None
    both = [end for end in ends if end is not None]
    if word in INVERSE:
        word, both = INVERSE[word], both[::-1]
    if word in SYMMETRIC:
        both.sort(key=lambda f: f.id)
    slot = "~".join(f.id for f in both)
    return Fact(
        id=f"relation:{slot.replace('object:', '')}", type="relation", slot=slot, value=word,
        text=f"{both[0].text} {word} {both[1].text}", depends_on=tuple(f.id for f in both),
    )  # fmt: skip


def _end(part: object, owners: Sequence[Fact | None]) -> Fact | None:
    """An end of a declared relation: an index into the objects, or a noun."""
    if isinstance(part, int):
        return owners[part] if 0 <= part < len(owners) else None
    noun = canonical(str(part or "").strip().lower())
    return next((o for o in owners if o is not None and o.value == noun), None)

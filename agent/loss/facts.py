"""Facts of a text, and what became of them: kept, altered, missing, void, invented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import permutations
from typing import Literal, get_args

FactType = Literal["object", "count", "colour", "relation", "number", "name", "quantity", "date", "negation"]
FACT_TYPES: tuple[FactType, ...] = get_args(FactType)
Status = Literal["kept", "altered", "missing", "void"]

SAME_NAME = 0.6
"""Share of letters (difflib ratio) from which two different names count as one name misspelled."""
SAME_PLACE = 0.34
"""Share of neighbouring words from which two different values count as said of the same thing."""
SYMMETRIC = frozenset({"next to"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One thing a text says.

    Attributes:
        id: stable within its text: type and slot, `colour:car`, numbered when said twice.
        type: one of `FACT_TYPES`.
        slot: what the value is of: the object's id for count and colour, both objects for a
            relation, the unit of a quantity, the kind of date; else the type.
        value: canonical: singular noun, decimal digits, lower-case name.
        text: as it was written, for people.
        depends_on: ids of the objects without which it says nothing.
        span: characters of the text it was read from; None for a declared fact.
        context: content words around it, by which an altered value is recognised.
        implied: how many the grammar implies for an object said without a number; "" if open.
    """

    id: str
    type: FactType
    slot: str
    value: str
    text: str
    depends_on: tuple[str, ...] = ()
    span: tuple[int, int] | None = None
    context: frozenset[str] = frozenset()
    implied: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """What became of one fact of the source.

    Attributes:
        fact: of the source.
        status: kept, altered (same slot, other value), missing, void (its object is gone).
        found: the fact of the output that it was matched with, if any.
    """

    fact: Fact
    status: Status
    found: Fact | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """Every fact of the source with its fate, and what the output says beside them."""

    fates: tuple[Fate, ...]
    invented: tuple[Fact, ...]

    def count(self, status: Status) -> int:
        """How many facts have that status."""
        return sum(1 for fate in self.fates if fate.status == status)

    def by_id(self) -> Mapping[str, Fate]:
        """Fates by the id of the source's fact."""
        return {fate.fact.id: fate for fate in self.fates}


@dataclass(kw_only=True, slots=True)
class _Matching:
    """Pairs found so far: source id → output fact, and the ids of output facts in use."""

    pairs: dict[str, Fact] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def join(self, source: Fact, output: Fact) -> None:
        self.pairs[source.id] = output
        self.used.add(output.id)


def align(source: Sequence[Fact], output: Sequence[Fact]) -> Alignment:
    """What became of each fact of the source in an output.

    The order of either list does not matter. Objects are matched first, equal ones before
    swapped ones; what is said of an object is then compared with what is said of its partner.

    Args:
        source: facts of one text, ids unique.
        output: facts of another text, ids unique.
    """
    source_facts, output_facts = sorted(source, key=_key), sorted(output, key=_key)
    match = _Matching()
    _objects(source_facts, output_facts, match)
    objects = {f.id: match.pairs[f.id].id for f in source_facts if f.type == "object" and f.id in match.pairs}
    by_id = {f.id: f for f in output_facts}
    fates: dict[str, Fate] = {}
    for fact in source_facts:
        if fact.type == "object":
            found = match.pairs.get(fact.id)
            fates[fact.id] = Fate(fact=fact, status=_compared(fact, found), found=found)
    for kind in ("count", "colour"):
        _attributes(kind, source_facts, output_facts, objects, by_id, match, fates)
    _relations(source_facts, output_facts, objects, match, fates)
    for kind in ("name", "number", "quantity", "date", "negation"):
        _free(kind, source_facts, output_facts, match, fates)
    invented = tuple(
        f for f in output_facts if f.id not in match.used and not _implied_already(f, source_facts, objects)
    )
    return Alignment(fates=tuple(fates[f.id] for f in source if f.id in fates), invented=invented)


def _key(fact: Fact) -> tuple[tuple[int, int], str]:
    return fact.span or (1 << 30, 1 << 30), fact.id


def _compared(fact: Fact, found: Fact | None) -> Status:
    if found is None:
        return "missing"
    return "kept" if found.value == fact.value else "altered"


def _overlap(a: frozenset[str], b: frozenset[str]) -> float:
    both = 0 if a.isdisjoint(b) else len(a & b)
    return both / (len(a) + len(b) - both) if both else 0.0


def _objects(source: Sequence[Fact], output: Sequence[Fact], match: _Matching) -> None:
    mine = [f for f in source if f.type == "object"]
    theirs = [f for f in output if f.type == "object"]
    said, said_there = _said_of(source), _said_of(output)

    def likeness(a: Fact, b: Fact) -> float:
        return len(said[a.id] & said_there[b.id]) + _overlap(a.context, b.context)

    equal = [(likeness(a, b), a, b) for a in mine for b in theirs if a.value == b.value]
    _greedy(equal, match)
    partner = {a: b.id for a, b in match.pairs.items()}
    ties, ties_there = _ties(source, partner), _ties(output, {i: i for i in partner.values()})
    left = [a for a in mine if a.id not in match.pairs]
    right = [b for b in theirs if b.id not in match.used]
    swapped = []
    for a in left:
        for b in right:
            tie = ties.get(a.id, _NONE) & ties_there.get(b.id, _NONE)
            alike = len(said[a.id] & said_there[b.id])
            around = _overlap(a.context, b.context)
            if around >= SAME_PLACE or (alike and (tie or alike > 1 or around > 0.1)) or (tie and around > 0.1):
                swapped.append((2 * len(tie) + alike + 2 * around, a, b))
    _greedy(swapped, match)


def _greedy(candidates: list[tuple[float, Fact, Fact]], match: _Matching) -> None:
    """Join the likeliest pair first; ties go by order of the texts."""
    for _, a, b in sorted(candidates, key=lambda c: (-round(c[0], 6), _key(c[1]), _key(c[2]))):
        if a.id not in match.pairs and b.id not in match.used:
            match.join(a, b)


def _said_of(facts: Sequence[Fact]) -> dict[str, set[str]]:
    """For each object, its counts and colours as `type=value`."""
    said: dict[str, set[str]] = {
        f.id: ({f"count={f.implied}"} if f.implied else set()) for f in facts if f.type == "object"
    }
    for fact in facts:
        if fact.type in ("count", "colour") and fact.slot in said:
            said[fact.slot].add(f"{fact.type}={fact.value}")
    return said


_Ties = frozenset[tuple[str, str, bool]] | set[tuple[str, str, bool]]
_NONE: _Ties = frozenset()


def _ties(facts: Sequence[Fact], partner: Mapping[str, str]) -> Mapping[str, _Ties]:
    """For each object, its relations to objects already matched, in the output's ids."""
    found: dict[str, set[tuple[str, str, bool]]] = {}
    for fact in facts:
        if fact.type == "relation":
            for one, other in permutations(dict.fromkeys(fact.depends_on), 2):
                if other in partner:
                    first = fact.depends_on[0] == one or fact.value in SYMMETRIC
                    found.setdefault(one, set()).add((fact.value, partner[other], first))
    return found


def _attributes(
    kind: str, source: Sequence[Fact], output: Sequence[Fact], objects: Mapping[str, str], by_id: Mapping[str, Fact],
    match: _Matching, fates: dict[str, Fate],
) -> None:  # fmt: skip
    """Counts and colours, within the pair of objects they are said of."""
    mine = [f for f in source if f.type == kind]
    bound = [f for f in mine if f.depends_on]
    for exact in (True, False):
        for fact in bound:
            if fact.id in fates:
                continue
            owner = objects.get(fact.depends_on[0])
            if owner is None:
                fates[fact.id] = Fate(fact=fact, status="void")
                continue
            there = [f for f in output if f.type == kind and f.slot == owner and f.id not in match.used]
            same = [f for f in there if f.value == fact.value]
            if same:
                match.join(fact, same[0])
                fates[fact.id] = Fate(fact=fact, status="kept", found=same[0])
            elif not exact and there:
                match.join(fact, there[0])
                fates[fact.id] = Fate(fact=fact, status="altered", found=there[0])
            elif not exact:
                implied = by_id[owner].implied if kind == "count" else ""
                status: Status = "missing" if not implied else "kept" if implied == fact.value else "altered"
                stand_in = _implied_count(by_id[owner]) if implied else None
                fates[fact.id] = Fate(fact=fact, status=status, found=stand_in)
    _free(kind, [f for f in mine if not f.depends_on], [f for f in output if not f.depends_on], match, fates)


def _implied_count(owner: Fact) -> Fact:
    return Fact(id=f"count:{owner.slot}", type="count", slot=owner.id, value=owner.implied, text=owner.implied)


def _implied_already(fact: Fact, source: Sequence[Fact], objects: Mapping[str, str]) -> bool:
    """An explicit count that the source's grammar implied is not invented."""
    if fact.type != "count":
        return False
    back = {theirs: mine for mine, theirs in objects.items()}
    owner = next((f for f in source if f.id == back.get(fact.slot)), None)
    return owner is not None and owner.implied == fact.value


def _relations(
    source: Sequence[Fact], output: Sequence[Fact], objects: Mapping[str, str], match: _Matching, fates: dict[str, Fate]
) -> None:
    theirs = [f for f in output if f.type == "relation"]
    for exact in (True, False):
        for fact in (f for f in source if f.type == "relation" and f.id not in fates):
            ends = tuple(objects.get(o, "") for o in fact.depends_on)
            if "" in ends:
                fates[fact.id] = Fate(fact=fact, status="void")
                continue
            there = [f for f in theirs if f.id not in match.used and set(f.depends_on) == set(ends)]
            same = [f for f in there if f.value == fact.value and _same_ends(f, ends)]
            if same:
                match.join(fact, same[0])
                fates[fact.id] = Fate(fact=fact, status="kept", found=same[0])
            elif not exact:
                if there:
                    match.join(fact, there[0])
                fates[fact.id] = Fate(
                    fact=fact, status="altered" if there else "missing", found=there[0] if there else None
                )


def _same_ends(fact: Fact, ends: tuple[str, ...]) -> bool:
    if fact.value in SYMMETRIC:
        return set(fact.depends_on) == set(ends)
    if fact.value == "between":
        return fact.depends_on[0] == ends[0] and set(fact.depends_on) == set(ends)
    return fact.depends_on == ends


def _free(kind: str, source: Sequence[Fact], output: Sequence[Fact], match: _Matching, fates: dict[str, Fate]) -> None:
    """Facts that hang on no object: equal values first, then the likeliest change of value."""
    mine = [f for f in source if f.type == kind and f.id not in fates]
    theirs = [f for f in output if f.type == kind and f.id not in match.used]
    by_value: dict[str, list[Fact]] = {}
    for b in theirs:
        for key in _keys(b):
            by_value.setdefault(key, []).append(b)
    alike = {(a.id, b.id): (a, b) for a in mine for key in _keys(a) for b in by_value.get(key, ())}
    equal = [(1 + _overlap(a.context, b.context), a, b) for a, b in alike.values() if _same_value(a, b)]
    _greedy(equal, match)
    changed = [
        (likeness, a, b)
        for a in mine
        if a.id not in match.pairs
        for b in theirs
        if b.id not in match.used and (likeness := _changed(a, b)) > 0
    ]
    _greedy(changed, match)
    for fact in mine:
        found = match.pairs.get(fact.id)
        status: Status = "missing" if found is None else "kept" if _same_value(fact, found) else "altered"
        fates[fact.id] = Fate(fact=fact, status=status, found=found)


def _keys(fact: Fact) -> tuple[str, ...]:
    """Of which two facts of one value share one: a name is the same in one word or several, or as a last name alone."""
    words = fact.value.split() if fact.type == "name" else []
    return tuple(dict.fromkeys(("".join(words), words[-1]))) if words else (fact.value,)


def _same_value(a: Fact, b: Fact) -> bool:
    if a.type == "name":
        mine, theirs = a.value.split(), b.value.split()
        return mine == theirs or "".join(mine) == "".join(theirs) or mine[-1:] == theirs or mine == theirs[-1:]
    if a.type in ("quantity", "date"):
        return a.slot == b.slot and a.value == b.value
    return a.value == b.value


@lru_cache(maxsize=1 << 16)
def _letters_shared(one: str, other: str) -> float:
    """difflib's ratio of two names, 0 below `SAME_NAME`."""
    # Letters in any order are no fewer than those in order, and soon counted.
    if 2 * len(_letters(one) & _letters(other)) < SAME_NAME * (len(one) + len(other)):
        return 0.0
    ratio = SequenceMatcher(None, one, other, autojunk=False).ratio()
    return ratio if ratio >= SAME_NAME else 0.0


@lru_cache(maxsize=1 << 12)
def _letters(word: str) -> frozenset[tuple[str, int]]:
    """Each letter with its number among its equals."""
    return frozenset((letter, word[:at].count(letter)) for at, letter in enumerate(word))


def _changed(a: Fact, b: Fact) -> float:
    """How likely b is a with another value; 0 for no."""
    around = _overlap(a.context, b.context)
    if a.type == "name":
        if letters := _letters_shared(a.value, b.value):
            return letters + around
        return around if around >= SAME_PLACE else 0.0
    if a.type == "negation":
        return around if around >= 2 * SAME_PLACE else 0.0
    if a.type == "quantity" and a.slot == b.slot:
        return 1 + around
    if a.type == "date" and a.slot == b.slot:
        return 1 + around
    return around if around >= SAME_PLACE else 0.0

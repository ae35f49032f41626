"""Texts with planted edits: every fact of a text is known, one is deleted, swapped or added, and what should come of
it is known too.

The proof that an extractor owes, ours or a plug-in's. A text is a list of statements; a statement is
written by a template of `planted.toml`. The templates were written after the extractor and are not
used to build it.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

APART = "and somewhere else"
"""Written where a relation was deleted."""


@cache
def _lists() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("planted.toml").read_text("utf-8"))


def _list(name: str) -> list[str]:
    found = _lists()[name]
    return found.split() if isinstance(found, str) else list(found)


def _relations() -> dict[str, str]:
    return dict(_lists()["relations"])


@dataclass(frozen=True, kw_only=True)
class Group:
    """A noun phrase: how many of what, in which colour."""

    noun: str
    count: int = 1
    colour: str = ""

    def words(self) -> str:
        """`three red apples`, `an apple`."""
        described = " ".join(
            part for part in (self.colour, _plural(self.noun) if self.count != 1 else self.noun) if part
        )
        if self.count == 0:
            return described
        if self.count == 1:
            return f"{'an' if described[0] in 'aeiou' else 'a'} {described}"
        return f"{_list('number_words')[self.count]} {described}"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One sentence and what it says.

    Attributes:
        kind: `scene`, `name`, `number`, `quantity`, `date`, `negation` or `plain`.
        template: index into the templates of its kind.
        groups: of a scene, one or two.
        relation: of a scene with two groups.
        value: of any other kind.
    """

    kind: str
    template: int
    groups: tuple[Group, ...] = ()
    relation: str = ""
    value: str = ""

    def text(self) -> str:
        """The sentence."""
        if self.kind == "scene":
            parts = [g.words() for g in self.groups]
            if len(parts) == 1:
                written = _list("single")[self.template].format(a=parts[0], A=parts[0])
            else:
                written = _list("scenes")[self.template].format(
                    a=parts[0], A=parts[0], b=parts[1], rel=_relations().get(self.relation, APART)
                )
        else:
            sentences = _list("plain" if self.kind == "plain" else f"{self.kind}_sentences")
            written = sentences[self.template].format(v=self.value)
        return written[0].upper() + written[1:]


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A text, its edited copy, and what should have become of which facts.

    Attributes:
        edit: `delete`, `swap` or `add`.
        type: of the fact that was edited.
        source: the text.
        output: the edited text.
        expected: (type, what) to its status, for every fact of the source; `what` is the value, for a
            count or colour with its noun, for a relation with both.
        added: (type, value) of the fact that was added, if any.
    """

    edit: str
    type: str
    source: str
    output: str
    expected: dict[tuple[str, str], str] = field(default_factory=dict)
    added: tuple[str, str] | None = None


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def planted(texts_each: int, seed: int) -> Iterator[Planted]:
    """Texts of every type and edit, `texts_each` of each."""
    rng = random.Random(seed)
    for kind in ("object", "count", "colour", "relation", "name", "number", "quantity", "date", "negation"):
        for edit in ("delete", "swap", "add"):
            for _ in range(texts_each):
                yield _one(kind, edit, rng)


def _statements(rng: random.Random, kind: str, edit: str) -> list[Statement]:
    nouns = rng.sample(_list("nouns"), 4)
    first = Group(noun=nouns[0], count=rng.randint(2, 9), colour=rng.choice(_list("colours")))
    second = Group(noun=nouns[1], count=rng.choice((1, 1, 3, 5)), colour=rng.choice([*_list("colours")[:5], ""]))
    if edit == "add":
        first = replace(
            first, count=0 if kind == "count" else first.count, colour="" if kind == "colour" else first.colour
        )
    groups = (first,) if edit == "add" and kind in ("object", "relation") else (first, second)
    relation = rng.choice(list(_relations())) if len(groups) == 2 else ""
    made = [Statement(kind="scene", template=rng.randrange(len(_list("scenes"))), groups=groups, relation=relation)]
    others = ["name", "number", "quantity", "date", "negation"]
    chosen = rng.sample([o for o in others if o != kind], 2) + ([kind] if kind in others and edit != "add" else [])
    rng.shuffle(chosen)
    made.extend(Statement(kind=o, template=rng.randrange(4), value=_value(o, rng)) for o in chosen)
    return [_fitting(s, rng) for s in made]


def _fitting(statement: Statement, rng: random.Random) -> Statement:
    """A negation's template takes a noun or a verb."""
    if statement.kind != "negation":
        return statement
    pool = _list("verbs") if statement.template in (1, 2) else _list("nouns")
    return replace(statement, value=rng.choice(pool))


def _value(kind: str, rng: random.Random) -> str:
    if kind == "name":
        return rng.choice(_list("names"))
    if kind == "number":
        return str(rng.randint(13, 9000))
    if kind == "quantity":
        return f"{rng.randint(2, 95)} {rng.choice(_list('units'))}"
    if kind == "date":
        return rng.choice((rng.choice(_list("weekdays")), f"{rng.choice(_list('months'))} {rng.randint(1, 28)}"))
    return rng.choice(_list("nouns"))


def _facts(statements: list[Statement]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for s in statements:
        for g in s.groups:
            found["object", g.noun] = "kept"
            if g.count > 1:
                found["count", f"{g.count}@{g.noun}"] = "kept"
            if g.colour:
                found["colour", f"{g.colour}@{g.noun}"] = "kept"
        if s.relation:
            found["relation", f"{s.relation}@{s.groups[0].noun},{s.groups[1].noun}"] = "kept"
        if s.kind in ("name", "number", "quantity", "date", "negation"):
            found[s.kind, s.value] = "kept"
    return found


def _one(kind: str, edit: str, rng: random.Random) -> Planted:
    statements = _statements(rng, kind, edit)
    expected = _facts(statements)
    changed = list(statements)
    added: tuple[str, str] | None = None
    scene = statements[0]
    if kind in ("object", "count", "colour", "relation"):
        changed[0], marks, added = _edit_scene(scene, kind, edit, rng)
        expected.update(marks)
    else:
        k = next((i for i, s in enumerate(statements) if s.kind == kind), -1)
        if edit == "delete":
            changed[k] = Statement(kind="plain", template=rng.randrange(len(_list("plain"))))
            expected[kind, statements[k].value] = "missing"
        elif edit == "swap":
            value = _other(statements[k], rng)
            changed[k] = replace(statements[k], value=value)
            expected[kind, statements[k].value] = "altered"
        else:
            extra = _fitting(Statement(kind=kind, template=rng.randrange(4), value=_value(kind, rng)), rng)
            changed.insert(rng.randrange(1, len(changed) + 1), extra)
            added = (kind, extra.value)
    return Planted(
        edit=edit,
        type=kind,
        source=" ".join(s.text() for s in statements),
        output=" ".join(s.text() for s in changed),
        expected=expected,
        added=added,
    )


def _other(statement: Statement, rng: random.Random) -> str:
    """Another value of the same sort: the number of a quantity, a day for a day, a noun for a noun."""
    value = statement.value
    if statement.kind == "quantity":
        number, unit = value.split()
        return f"{int(number) + rng.randint(1, 30)} {unit}"
    if statement.kind == "date":
        pool = (
            _list("weekdays") if value in _list("weekdays") else [f"{m} {rng.randint(1, 28)}" for m in _list("months")]
        )
    elif statement.kind == "negation":
        pool = _list("verbs") if statement.template in (1, 2) else _list("nouns")
    elif statement.kind == "name":
        pool = _list("names")
    else:
        return str(int(value) + rng.randint(1, 500))
    return rng.choice([p for p in pool if p != value])


def _edit_scene(
    scene: Statement, kind: str, edit: str, rng: random.Random
) -> tuple[Statement, dict[tuple[str, str], str], tuple[str, str] | None]:
    first, *rest = scene.groups
    free = [n for n in _list("nouns") if n not in {g.noun for g in scene.groups}]
    named = f"{scene.relation}@{first.noun},{rest[0].noun}" if rest else ""
    if kind == "object" and edit == "delete":
        gone, kept = (first, rest[0]) if rng.random() < 0.5 else (rest[0], first)
        marks = {("object", gone.noun): "missing", ("relation", named): "void"}
        marks |= {("count", f"{gone.count}@{gone.noun}"): "void"} if gone.count > 1 else {}
        marks |= {("colour", f"{gone.colour}@{gone.noun}"): "void"} if gone.colour else {}
        return replace(scene, groups=(kept,), relation=""), marks, None
    if kind == "object" and edit == "swap":
        swapped = replace(first, noun=rng.choice(free))
        return replace(scene, groups=(swapped, *rest)), {("object", first.noun): "altered"}, None
    if kind in ("object", "relation") and edit == "add":
        extra = Group(noun=rng.choice(free))
        relation = rng.choice(list(_relations()))
        new = ("object", extra.noun) if kind == "object" else ("relation", f"{relation}@{first.noun},{extra.noun}")
        return replace(scene, groups=(first, extra), relation=relation), {}, new
    if kind in ("count", "colour"):
        return _edit_group(scene, kind, edit, rng)
    status = "altered" if edit == "swap" else "missing"
    others = [r for r in _relations() if r != scene.relation]
    relation = rng.choice(others) if edit == "swap" else "apart"
    return replace(scene, relation=relation), {("relation", named): status}, None


def _edit_group(
    scene: Statement, kind: str, edit: str, rng: random.Random
) -> tuple[Statement, dict[tuple[str, str], str], tuple[str, str] | None]:
    """Another count or colour for the first group, or one where it had none, or none."""
    first, *rest = scene.groups
    if kind == "count":
        before = str(first.count)
        count = rng.choice([c for c in range(2, 10) if c != first.count]) if edit != "delete" else 0
        changed, after = replace(first, count=count), str(count)
    else:
        before = first.colour
        after = rng.choice([c for c in _list("colours") if c != first.colour]) if edit != "delete" else ""
        changed = replace(first, colour=after)
    edited = replace(scene, groups=(changed, *rest))
    if edit == "add":
        return edited, {}, (kind, f"{after}@{first.noun}")
    return edited, {(kind, f"{before}@{first.noun}"): "altered" if edit == "swap" else "missing"}, None

"""What can be called: a Tool is a declaration, and planning needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hopline.tools.errors import BadPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """One named, typed input or output.

    Attributes:
        name: how a plan refers to it (`question`).
        type: a modality; an open string, an unknown one joins only to itself.
        many: takes or gives an ordered list (`text*`) in one call.
    """

    name: str
    type: str
    many: bool = False

    def __str__(self) -> str:
        star = "*" if self.many else ""
        return f"{self.type}{star}" if self.name == self.type else f"{self.name}: {self.type}{star}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """The declaration of a tool.

    Attributes:
        name: standard task name, `speech_to_text`.
        description: one or two plain sentences; the planner reads it.
        examples: how people ask for it in plain words, a clause each (`type up the interview`); the planner
            reads them too. A tool without any is planned from its description and types.
        inputs: what another hop can supply. All are required.
        outputs: what it gives; may be empty for a tool that only acts.
        parameters: JSON schema (`{"language": {"type": "string", "default": "en"}}`) of the
            literal settings, by name.
        required: parameters without a default that a plan has to give.
        side_effects: it changes something outside the run; never cached nor silently repeated.
        network: it cannot work without a network.
        planned: planners choose it; without that only where a profile names a backend for it.
        licence: SPDX name or short note of what the declaration promises, where it matters.
    """

    name: str
    description: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    examples: tuple[str, ...] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    side_effects: bool = False
    network: bool = False
    planned: bool = True
    licence: str = ""

    def input(self, name: str) -> Port:
        """The input of that name.

        Raises:
            KeyError: there is none.
        """
        return next(p for p in self.inputs if p.name == name) if name in self.input_names else _no(name)

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.inputs)

    @property
    def signature(self) -> str:
        """`image, question: text → text`, for people."""
        return f"{', '.join(map(str, self.inputs)) or '–'} → {', '.join(map(str, self.outputs)) or '–'}"

    def with_defaults(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters after defaults, in the order of the schema.

        Raises:
            BadPlan: a parameter is unknown or missing, has the wrong type or is out of its range.
        """
        unknown = sorted(set(parameters) - set(self.parameters))
        if unknown:
            known = ", ".join(self.parameters) or "none"
            raise BadPlan(f"{self.name} has no parameter {unknown[0]!r}; it has: {known}.")
        full: dict[str, Any] = {}
        for name, schema in self.parameters.items():
            if name in parameters:
                problem = _schema_problem(parameters[name], schema)
                if problem:
                    raise BadPlan(f"{self.name}: parameter {name} {problem}.")
                full[name] = parameters[name]
            elif "default" in schema:
                full[name] = schema["default"]
            elif name in self.required:
                raise BadPlan(f"{self.name} needs its parameter {name!r}.")
        return full


def _no(name: str) -> Port:
    raise KeyError(name)


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
    "null": (type(None),),
}


def _schema_problem(value: object, schema: Mapping[str, Any]) -> str:
    """Why `value` does not fit the JSON schema; empty when it does.

    The keywords that parameters use: type, enum, minimum, maximum.
    """
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else list(names)
    if names:
        fits = any(isinstance(value, _TYPES[n]) and (n == "boolean" or not isinstance(value, bool)) for n in names)
        if not fits:
            return f"should be {' or '.join(names)}, got {value!r}"
    if value is None:
        return ""
    if "enum" in schema and value not in schema["enum"]:
        return f"should be one of {', '.join(map(str, schema['enum']))}, got {value!r}"
    if isinstance(value, int | float):
        if "minimum" in schema and value < schema["minimum"]:
            return f"should be at least {schema['minimum']}, got {value!r}"
        if "maximum" in schema and value > schema["maximum"]:
            return f"should be at most {schema['maximum']}, got {value!r}"
    return ""


def ports(specification: str) -> tuple[Port, ...]:
    """Ports from `"image, question: text, text*"`; a bare type is named by itself.

    A second port of the same name gets a number: `image, image` gives `image` and `image2`.
    """
    parts = [part.strip() for part in specification.split(",") if part.strip()]
    pairs = [tuple(s.strip() for s in part.split(":")) if ":" in part else ("", part) for part in parts]
    return _numbered([(name, kind.rstrip("*"), kind.endswith("*")) for name, kind in pairs])


def _numbered(rows: Sequence[tuple[str, str, bool]]) -> tuple[Port, ...]:
    taken: list[str] = []
    result = []
    for name, kind, many in rows:
        base = name or kind
        count = sum(1 for t in taken if t == base)
        taken.append(base)
        result.append(Port(name=base if count == 0 else f"{base}{count + 1}", type=kind, many=many))
    return tuple(result)


def tool_from_json(entry: Mapping[str, Any]) -> Tool:
    """A Tool from one entry of a tool list (design: `plan --tools FILE.json`).

    A port is a bare type (`"image"`) or an object `{name, type, many}`.

    Raises:
        BadPlan: the entry has no name, or a port has no type.
    """
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str) or not entry["name"]:
        raise BadPlan(f"a tool needs a name, got {entry!r}.")
    rows: dict[str, tuple[Port, ...]] = {}
    for side in ("inputs", "outputs"):
        triples = []
        for port in entry.get(side, []):
            if isinstance(port, str):
                triples.append(("", port.rstrip("*"), port.endswith("*")))
            elif isinstance(port, Mapping) and isinstance(port.get("type"), str):
                triples.append((str(port.get("name", "")), port["type"], bool(port.get("many", False))))
            else:
                raise BadPlan(f"tool {entry['name']!r}: a port is a type or an object with one, got {port!r}.")
        rows[side] = _numbered(triples)
    return Tool(
        name=entry["name"],
        description=str(entry.get("description", "")),
        inputs=rows["inputs"],
        outputs=rows["outputs"],
        examples=tuple(map(str, entry.get("examples", ()))),
        parameters=dict(entry.get("parameters", {})),
        side_effects=bool(entry.get("side_effects", False)),
        network=bool(entry.get("network", False)),
    )

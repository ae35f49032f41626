"""Whether a value follows a JSON schema: the keywords that structured output uses.

Understood: `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `items`, `minItems`,
`maxItems`, `minimum`, `maximum`, `minLength`, `maxLength`, `pattern`, `anyOf`, `oneOf`, `allOf`, and `$ref` within the
schema. Others say nothing here, as they say nothing to a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_MOST_DEPTH = 64


def problems(value: object, schema: Mapping[str, Any]) -> list[str]:
    """What is wrong, a sentence each for the model that is to repair it; nothing for a value that follows."""
    return list(_look(value, schema, "the answer", schema, 0))


def _look(value: object, schema: Any, where: str, root: Mapping[str, Any], depth: int) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        if schema is False:
            yield f"{where} should not be there."
        return
    if depth > _MOST_DEPTH:
        yield f"{where} is nested too deeply."
        return
    if "$ref" in schema:
        yield from _look(value, _resolved(str(schema["$ref"]), root), where, root, depth + 1)
        return
    wrong = _type_problem(value, schema)
    if wrong:
        yield f"{where} {wrong}."
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} should be one of {', '.join(map(repr, schema['enum']))}, got {value!r}."
    if "const" in schema and value != schema["const"]:
        yield f"{where} should be {schema['const']!r}, got {value!r}."
    yield from _look_at_choices(value, schema, where, root, depth)
    if isinstance(value, str):
        yield from _look_at_text(value, schema, where)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            yield f"{where} should be at least {schema['minimum']}, got {value!r}."
        if value > schema.get("maximum", value):
            yield f"{where} should be at most {schema['maximum']}, got {value!r}."
    elif isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{where} has {len(value)} items."
        for number, item in enumerate(value):
            yield from _look(item, schema.get("items", True), f"{where}[{number}]", root, depth + 1)
    elif isinstance(value, dict):
        yield from _look_at_object(value, schema, where, root, depth)


def _type_problem(value: object, schema: Mapping[str, Any]) -> str:
    named = schema.get("type", [])
    names = [named] if isinstance(named, str) else list(named)
    if not names or any(_is(value, name) for name in names):
        return ""
    return f"should be {' or '.join(names)}, got {value!r}"


def _is(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES.get(name, (object,)))


def _look_at_choices(
    value: object, schema: Mapping[str, Any], where: str, root: Mapping[str, Any], depth: int
) -> Iterator[str]:
    for part in schema.get("allOf", ()):
        yield from _look(value, part, where, root, depth + 1)
    for keyword in ("anyOf", "oneOf"):
        if keyword not in schema:
            continue
        found = [list(_look(value, choice, where, root, depth + 1)) for choice in schema[keyword]]
        fitting = sum(not wrong for wrong in found)
        if not fitting:
            yield min(found, key=len)[0] if found else f"{where} fits no choice."
        elif keyword == "oneOf" and fitting > 1:
            yield f"{where} fits {fitting} choices, and should fit one."


def _look_at_text(value: str, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{where} has {len(value)} characters."
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{where} should match {schema['pattern']}, got {value!r}."


def _look_at_object(
    value: dict[str, Any], schema: Mapping[str, Any], where: str, root: Mapping[str, Any], depth: int
) -> Iterator[str]:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where} lacks {name!r}."
    others = schema.get("additionalProperties", True)
    for name, inner in value.items():
        if name in known:
            yield from _look(inner, known[name], f"{where}.{name}", root, depth + 1)
        elif others is False:
            yield f"{where} has {name!r}, which is not asked for."
        else:
            yield from _look(inner, others, f"{where}.{name}", root, depth + 1)


def _resolved(reference: str, root: Mapping[str, Any]) -> Any:
    """The part of a schema that `#/$defs/name` names; one that is not there allows nothing."""
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
        found = found.get(part.replace("~1", "/").replace("~0", "~"), False) if isinstance(found, Mapping) else False
    return found

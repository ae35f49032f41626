"""A server's tool as a declaration of ours: which arguments are inputs, which are parameters.

The profile's word counts first, then the schema; a description is words about a tool and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from hopline.tools.artifact import AUDIO, IMAGE, TEXT, VIDEO
from hopline.tools.errors import BadPlan
from hopline.tools.mcp.settings import ArgumentSettings, ServerSettings, ToolSettings
from hopline.tools.mcp.untrusted import one_line
from hopline.tools.spec import Port, Tool, ports
from mcp import types

_URL = "url"
"""The type of addresses: a planner takes only those that the person wrote."""

_MOST_CHOICES = 50
_MOST_DEFAULT_CHARACTERS = 200
_SCALARS = ("string", "integer", "number", "boolean")


def tool_name(server: str, listed: str) -> str:
    """`weather` and `get-forecast` → `weather_get_forecast`; no server can take the name of another tool."""
    return f"{server}_{re.sub(r'[^A-Za-z0-9]+', '_', listed).strip('_')[:64]}"


def declaration(server: str, settings: ServerSettings, listed: types.Tool) -> tuple[Tool, dict[str, ArgumentSettings]]:
    """A tool as planners see it, and how its inputs are written into JSON.

    Args:
        server: the profile's word for it.
        settings: of the server.
        listed: as the server describes it.

    Raises:
        BadPlan: the profile names an argument that the tool does not have.
    """
    told = settings.tools.get(listed.name, ToolSettings())
    properties = {key: part for key, part in _mapping(listed.inputSchema, "properties").items() if _plain(key)}
    required = [key for key in _list(listed.inputSchema, "required") if key in properties]
    where = f"the tool {listed.name!r} of the MCP server {server!r}"
    for key in [*(told.inputs or {}), *told.defaults]:
        if key not in properties:
            raise BadPlan(f"{where} has no argument {key!r}; it has: {', '.join(properties) or 'none'}.")
    inputs = dict(told.inputs) if told.inputs is not None else {}
    if told.inputs is None:
        for key in required:
            if key not in told.defaults and (found := _as_input(properties[key])):
                inputs[key] = found
    parameters = {key: _parameter(part) for key, part in properties.items() if key not in inputs}
    for key, value in told.defaults.items():
        parameters[key]["default"] = value
    tool = Tool(
        name=tool_name(server, listed.name),
        description=told.description or one_line(listed.description or ""),
        inputs=tuple(
            Port(name=key, type=one.type.rstrip("*"), many=one.type.endswith("*")) for key, one in inputs.items()
        ),
        outputs=ports(told.outputs),
        parameters=parameters,
        required=tuple(key for key in required if key in parameters and "default" not in parameters[key]),
        side_effects=told.side_effects,
        network=settings.remote,
    )
    return tool, inputs


def _as_input(schema: Any) -> ArgumentSettings | None:
    """What a required argument can be fed with, if its schema says so."""
    schema = _simple(schema)
    kind = schema.get("type")
    if kind == "array":
        inner = _as_input(schema.get("items"))
        return inner.model_copy(update={"type": f"{inner.type}*"}) if inner and "*" not in inner.type else None
    if kind != "string" or "enum" in schema or "const" in schema:
        return None
    media = str(schema.get("contentMediaType", "")).partition("/")[0]
    if media in (IMAGE, AUDIO, VIDEO):
        return ArgumentSettings(type=media)
    if schema.get("contentEncoding"):
        return None
    return ArgumentSettings(type=_URL if schema.get("format") in ("uri", "url", "iri") else TEXT)


def _parameter(schema: Any) -> dict[str, Any]:
    """What is left of a schema: types, choices, bounds and defaults; no words, no patterns, no references."""
    schema = _simple(schema)
    found: dict[str, Any] = {}
    types_ = [kind for kind in _as_list(schema.get("type")) if kind in (*_SCALARS, "array", "object", "null")]
    if types_:
        found["type"] = types_[0] if len(types_) == 1 else types_
    choices = schema.get("enum")
    if isinstance(choices, list) and len(choices) <= _MOST_CHOICES and all(map(_short, choices)):
        found["enum"] = choices
    for bound in ("minimum", "maximum"):
        if isinstance(schema.get(bound), int | float) and not isinstance(schema[bound], bool):
            found[bound] = schema[bound]
    if "default" in schema and _short(schema["default"]):
        found["default"] = schema["default"]
    return found


def _simple(schema: Any) -> Mapping[str, Any]:
    """A schema that is one type or null, as that type or null."""
    if not isinstance(schema, Mapping):
        return {}
    options = schema.get("anyOf")
    if isinstance(options, list) and 0 < len(options) <= 3 and all(isinstance(one, Mapping) for one in options):
        real = [one for one in options if one.get("type") != "null"]
        if len(real) == 1:
            nullable = len(real) < len(options)
            kinds = _as_list(real[0].get("type")) + (["null"] if nullable else [])
            return {**real[0], **{key: schema[key] for key in ("default",) if key in schema}, "type": kinds}
    return schema


def _short(value: Any) -> bool:
    """A value that is no place to hide words in."""
    written = json.dumps(value, ensure_ascii=False, default=str)
    return len(written) <= _MOST_DEFAULT_CHARACTERS and "\\" not in written and one_line(written) == written


def _plain(key: Any) -> bool:
    """A name that can stand in a plan and in a prompt."""
    return isinstance(key, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", key) is not None


def _mapping(value: Any, key: str) -> Mapping[str, Any]:
    inner = value.get(key) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _list(value: Any, key: str) -> list[Any]:
    inner = value.get(key) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, list) else []


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]

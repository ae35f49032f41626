"""What the model of the hop-by-hop agent is shown of the tools: names, descriptions, a handle for each input."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hopline.agent.acting.reader import MOST_CHOICES
from hopline.agent.running.readiness import for_planning
from hopline.agent.running.runner import Runner
from hopline.tools.artifact import TEXT
from hopline.tools.errors import HoplineError
from hopline.tools.spec import Port, Tool
from langchain_core.tools import StructuredTool

DECIDE = "decide"

_DECIDE_WORDS = (
    "Has a text read by somebody who can do nothing else, and says which of the choices fits it; "
    "'unclear' where none does."
)
_DECIDE_ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "description": "handle of a text"},
        "question": {"type": "string", "description": "what to find out about it"},
        "choices": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 2,
            "maxItems": MOST_CHOICES,
            "description": "the possible answers, a word or a few each",
        },
    },
    "required": ["text", "question", "choices"],
    "additionalProperties": False,
}


def offered(runner: Runner) -> dict[str, Tool]:
    """The tools that a model may call by itself: those with a backend here and no effect outside the run."""
    found = {}
    for tool in for_planning(runner.registry, runner.profile):
        if tool.side_effects or tool.name == DECIDE or not tool.planned:
            continue
        try:
            runner.profile.choose(runner.registry, tool.name)
        except HoplineError:
            continue
        found[tool.name] = tool
    return found


def declared(tools: Iterable[Tool]) -> list[StructuredTool]:
    """Tools as LangChain shows them to a model, and the decision; calls are made by the middleware."""
    rows = [(tool.name, tool.description, _arguments(tool)) for tool in tools]
    return [
        StructuredTool(name=name, description=description, args_schema=arguments, func=_never)
        for name, description, arguments in [*rows, (DECIDE, _DECIDE_WORDS, _DECIDE_ARGUMENTS)]
    ]


def _never(**_: Any) -> None:
    raise AssertionError("calls go through the gate")


def _arguments(tool: Tool) -> dict[str, Any]:
    properties: dict[str, Any] = {port.name: _input(port) for port in tool.inputs}
    properties |= {name: dict(schema) for name, schema in tool.parameters.items() if name not in properties}
    return {
        "type": "object",
        "properties": properties,
        "required": [*tool.input_names, *tool.required],
        "additionalProperties": False,
    }


def _input(port: Port) -> dict[str, Any]:
    words = "handle of a text, or words of the request" if port.type == TEXT else f"handle, type {port.type}"
    one = {"type": "string", "description": words}
    return {"type": "array", "items": one, "minItems": 1, "description": f"{words}; one or more"} if port.many else one

"""A chain written by hand, `text_to_speech | speech_to_text:faster-whisper(language=en)`, as a plan."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from hopline.agent.planning.plan import FromAttachment, FromStep, FromText, Plan, Source, Step
from hopline.tools.artifact import TEXT
from hopline.tools.errors import BadPlan
from hopline.tools.registry import Registry
from hopline.tools.spec import Tool

_LINK = re.compile(r"(?P<tool>[^:()\s]+)(?P<backend>:[^()\s]+)?\s*(?:\((?P<parameters>[^()]*)\))?")


def chain_plan(chain: str, registry: Registry, attachments: Mapping[str, str], text: str) -> Plan:
    """The plan of a chain.

    Args:
        chain: links `tool[:backend[:model]][(name=value, …)]` joined by `|`; values are JSON or
            plain words.
        registry: what can be called.
        attachments: type by handle; the first that fits feeds the first link.
        text: the request; feeds text inputs that nothing else feeds (a question, or the start).

    Raises:
        BadPlan: a link does not read, or its input does not fit what comes before it.
        NotFound: a tool is unknown.
    """
    steps: list[Step] = []
    previous: tuple[str, Tool] | None = None
    for number, written in enumerate(chain.split("|"), start=1):
        match = _LINK.fullmatch(written.strip())
        if match is None:
            raise BadPlan(f"the chain's link {written.strip()!r} does not read; write tool[:backend][(name=value)].")
        tool = registry.tool(match["tool"])
        step = Step(
            id=f"step{number}",
            tool=tool.name,
            backend=f"{tool.name}{match['backend']}" if match["backend"] else None,
            inputs=_inputs(tool, previous, attachments, text),
            parameters=_parameters(match["parameters"] or ""),
        )
        steps.append(step)
        previous = (step.id, tool)
    return Plan(planner="chain", steps=tuple(steps), why={"chain": chain})


def _inputs(
    tool: Tool, previous: tuple[str, Tool] | None, attachments: Mapping[str, str], text: str
) -> dict[str, tuple[Source, ...]]:
    inputs: dict[str, tuple[Source, ...]] = {}
    fed = False
    for port in tool.inputs:
        if previous and not fed and any(out.type == port.type for out in previous[1].outputs):
            inputs[port.name] = (FromStep(step=previous[0]),)
            fed = True
            continue
        fitting = [handle for handle, kind in attachments.items() if kind == port.type]
        if fitting and (previous is None or port.type != TEXT):
            inputs[port.name] = (FromAttachment(attachment=fitting[0]),)
        elif port.type == TEXT and text:
            inputs[port.name] = (FromText(text=text),)
        else:
            before = f"after {previous[1].name} ({previous[1].signature})" if previous else "at the start"
            raise BadPlan(f"the chain cannot feed {tool.name} its {port.type} {before}.")
    if previous and not fed:
        raise BadPlan(f"{previous[1].name} ({previous[1].signature}) does not feed {tool.name} ({tool.signature}).")
    return inputs


def _parameters(written: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in written.split(","))):
        name, equals, value = (s.strip() for s in part.partition("="))
        if not equals or not name or not value:
            raise BadPlan(f"the chain's parameter {part!r} does not read; write name=value.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found

"""What a call of the hop-by-hop agent may name: tools that were offered, handles that exist, words of the request.

Whatever the model was told by anybody else, nothing passes here that names a path, an address or a setting
that the person did not write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hopline.agent.planning.check import check
from hopline.agent.planning.clauses import URL
from hopline.agent.planning.evidence import addresses, unfounded_setting
from hopline.agent.planning.plan import FromAttachment, FromStep, FromText, Plan, Source, Step
from hopline.tools.artifact import TEXT
from hopline.tools.errors import InputRefused
from hopline.tools.registry import Registry
from hopline.tools.spec import Port, Tool

_HANDLE = re.compile(r"(?P<name>run\d+\.[\w-]+|step\d+|[a-z]+\d+)(?:\[(?P<item>\d+)\])?")


class Gate:
    """Turns calls into checked steps, or refuses them.

    Args:
        request: what the person typed, earlier requests of the conversation before it.
        registry: what can be called.
        offered: names of tools that may be called here.
        given: type by handle, of attachments and of earlier runs.
    """

    def __init__(self, request: str, registry: Registry, offered: Sequence[str], given: Mapping[str, str]) -> None:
        self.request = request
        self.registry = registry
        self.offered = tuple(offered)
        self.given = dict(given)
        self.addresses = addresses(request)

    def step(self, name: str, arguments: Mapping[str, Any], taken: Sequence[Step]) -> Step:
        """The step that a call stands for.

        Args:
            name: of the tool.
            arguments: as the model wrote them: a value for each input, and parameters.
            taken: steps so far.

        Raises:
            InputRefused: for the model, what is wrong and what there is.
        """
        if name not in self.offered:
            raise InputRefused(f"there is no tool {name!r} here; there are: {', '.join(self.offered)}.")
        tool = self.registry.tool(name)
        unknown = sorted(set(arguments) - set(tool.input_names) - set(tool.parameters))
        if unknown:
            known = ", ".join([*tool.input_names, *tool.parameters])
            raise InputRefused(f"{name} takes no {unknown[0]!r}; it takes: {known}.")
        step = Step(
            id=f"step{len(taken) + 1}",
            tool=name,
            inputs={
                port.name: tuple(self._sources(port, arguments[port.name], taken))
                for port in tool.inputs
                if port.name in arguments
            },
            parameters={key: self._setting(tool, key, arguments[key]) for key in tool.parameters if key in arguments},
        )
        for problem in check(Plan(planner="agent", steps=(*taken, step)), self.registry, self.given):
            if problem.severity == "error":
                raise InputRefused(problem.message)
        return step

    def source(self, handle: str, taken: Sequence[Step]) -> Source | None:
        """What a handle stands for; None where the words are none.

        Raises:
            InputRefused: it is one, of something that is not there.
        """
        found = _HANDLE.fullmatch(handle.strip())
        if found is None:
            return None
        name, item = found["name"], found["item"]
        if found[0] in self.given:
            return FromAttachment(attachment=found[0])
        if any(step.id == name for step in taken):
            return FromStep(step=name, item=None if item is None else int(item))
        types = "|".join(dict.fromkeys(["text", "image", "audio", "video", *self.given.values()]))
        if re.fullmatch(rf"(step|{types})\d+|run\d+\..*", name):
            raise InputRefused(f"there is no {handle!r}; there are: {self._handles(taken)}.")
        return None

    def _sources(self, port: Port, value: object, taken: Sequence[Step]) -> Iterator[Source]:
        values = value if isinstance(value, list | tuple) else [value]
        for one in values:
            if not isinstance(one, str) or not one.strip():
                raise InputRefused(f"its input {port.name!r} takes a handle, got {one!r}.")
            source = self.source(one, taken)
            if source is not None:
                yield source
            elif port.type == URL:
                if one.strip() not in self.addresses:
                    raise InputRefused(f"its input {port.name!r} takes an address that the person wrote.")
                yield FromText(text=one.strip())
            elif port.type == TEXT:
                yield FromText(text=one)
            else:
                raise InputRefused(
                    f"its input {port.name!r} takes the handle of {port.type}, not {one!r}; "
                    f"there are: {self._handles(taken)}."
                )

    def _setting(self, tool: Tool, name: str, value: object) -> object:
        """A parameter; its words have to be the person's, the tool's own choices, or the default."""
        if words := unfounded_setting(tool, name, value, self.request):
            raise InputRefused(f"its parameter {name!r} takes words of the request; {words!r} is not there.")
        return value

    def _handles(self, taken: Sequence[Step]) -> str:
        return ", ".join([*self.given, *(step.id for step in taken)]) or "none"

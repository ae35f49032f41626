"""The check of a plan: every problem with its severity and step. No plan with an error runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hopline.agent.planning.clauses import URL, is_address
from hopline.agent.planning.plan import FromAttachment, FromStep, FromText, Plan, Problem, Source, Step, in_order
from hopline.tools.artifact import TEXT
from hopline.tools.errors import BadPlan
from hopline.tools.home import limits, setting
from hopline.tools.registry import Registry
from hopline.tools.spec import Port, Tool

MANY = None
"""Width of a list whose length is known only when it has been made."""


def check(plan: Plan, registry: Registry, attachments: Mapping[str, str]) -> tuple[Problem, ...]:
    """Everything wrong with a plan.

    Args:
        plan: any.
        registry: what can be called.
        attachments: type by handle, those of earlier runs (`run3.step2`) included.

    Returns:
        Errors (unknown names, types that do not fit, missing inputs, wrong parameters, steps that
        wait for each other, lists of different lengths, too many steps) and warnings (an
        attachment of this request that no step reads).
    """
    return tuple(_Check(plan, registry, attachments).problems())


class _Check:
    def __init__(self, plan: Plan, registry: Registry, attachments: Mapping[str, str]) -> None:
        self.plan = plan
        self.registry = registry
        self.attachments = attachments
        self.steps = {step.id: step for step in plan.steps}
        self.widths: dict[str, int | None] = {}

    def problems(self) -> Iterator[Problem]:
        if len(self.plan.steps) > limits().max_steps:
            yield self._error(
                f"the plan has {len(self.plan.steps)} steps; the limit is {limits().max_steps} "
                f"({setting('max_steps')})."
            )
        try:
            ordered = in_order(self.plan.steps)
        except BadPlan as error:
            yield self._error(str(error))
            return
        for step in ordered:
            yield from self._step(step)
        yield from self._unused()

    def _step(self, step: Step) -> Iterator[Problem]:
        self.widths[step.id] = 1
        if step.tool not in self.registry:
            names = ", ".join(tool.name for tool in self.registry)
            yield self._error(f"there is no tool {step.tool!r}; there are: {names or 'none'}.", step)
            return
        tool = self.registry.tool(step.tool)
        if step.backend is not None and step.backend.partition(":")[0] != step.tool:
            yield self._error(f"{step.backend!r} is not a backend of {step.tool}.", step)
        try:
            tool.with_defaults(step.parameters)
        except BadPlan as error:
            yield self._error(str(error), step)
        for name in step.inputs:
            if name not in tool.input_names:
                yield self._error(
                    f"{tool.name} has no input {name!r}; it has: {', '.join(tool.input_names) or 'none'}.", step
                )
        mapped: dict[str, int | None] = {}
        for port in tool.inputs:
            sources = step.inputs.get(port.name, ())
            if not sources:
                yield self._error(f"{tool.name} needs its input {port.name!r} ({port.type}).", step)
            width: int | None = 0
            for source in sources:
                problem, one = self._source(source, port)
                if problem:
                    yield self._error(problem, step)
                width = None if width is None or one is None else width + one
            if not port.many and width != 1:
                mapped[port.name] = width
        yield from self._mapping(step, tool, mapped)

    def _mapping(self, step: Step, tool: Tool, mapped: Mapping[str, int | None]) -> Iterator[Problem]:
        known = {name: width for name, width in mapped.items() if width}
        if len(set(known.values())) > 1:
            lengths = ", ".join(f"{name} has {width}" for name, width in known.items())
            yield self._error(f"its mapped inputs are not equally long: {lengths}.", step)
        width = next(iter(known.values()), MANY if mapped else 1)
        if width is not None and width > limits().max_mapped_width:
            limit = f"{limits().max_mapped_width} ({setting('max_mapped_width')})"
            yield self._error(f"it would be mapped over {width} items; the limit is {limit}.", step)
        self.widths[step.id] = MANY if any(port.many for port in tool.outputs) else width

    def _source(self, source: Source, port: Port) -> tuple[str, int | None]:
        """What is wrong with a source, and how many artifacts it gives (None: known later)."""
        match source:
            case FromText(text=text):
                fits = port.type == TEXT or (port.type == URL and is_address(text))
                return ("" if fits else f"its input {port.name!r} takes {port.type}, not text."), 1
            case FromAttachment():
                kind = self.attachments.get(source.attachment)
                if kind is None:
                    have = ", ".join(self.attachments) or "none"
                    return f"there is no attachment {source.attachment!r}; there are: {have}.", 1
                wrong = f"its input {port.name!r} takes {port.type}, but {source.attachment} is {kind}."
                return ("" if kind == port.type else wrong), 1
            case FromStep():
                return self._from_step(source, port)

    def _from_step(self, source: FromStep, port: Port) -> tuple[str, int | None]:
        if source.step not in self.steps:
            return f"there is no step {source.step!r}.", 1
        maker = self.steps[source.step].tool
        if maker not in self.registry:
            return "", 1
        outputs = [p for p in self.registry.tool(maker).outputs if source.output in (None, p.name)]
        if not any(p.type == port.type for p in outputs):
            gives = ", ".join(p.type for p in outputs) or "nothing"
            return f"its input {port.name!r} takes {port.type}, but {source.step} ({maker}) gives {gives}.", 1
        width = self.widths.get(source.step, 1)
        if source.item is None:
            return "", width
        if width is not None and source.item >= width:
            return f"{source.step} gives {width}, so there is no item {source.item}.", 1
        return "", 1

    def _unused(self) -> Iterator[Problem]:
        read = {
            source.attachment
            for step in self.plan.steps
            for sources in step.inputs.values()
            for source in sources
            if isinstance(source, FromAttachment)
        }
        for handle in self.attachments:
            if handle not in read and "." not in handle and self.plan.steps:
                yield Problem(severity="warning", message=f"no step reads {handle}.")

    def _error(self, message: str, step: Step | None = None) -> Problem:
        return Problem(severity="error", message=message, step=step.id if step else None)


def attachment_types(kinds: Sequence[str]) -> dict[str, str]:
    """Handles for attachments of these types, in order: `audio1`, `image1`, `image2`."""
    counts: dict[str, int] = {}
    handles = {}
    for kind in kinds:
        counts[kind] = counts.get(kind, 0) + 1
        handles[f"{kind}{counts[kind]}"] = kind
    return handles

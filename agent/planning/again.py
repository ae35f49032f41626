"""Steps of earlier runs as steps of a later one: other sources, other settings, one of many."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hopline.agent.planning.history import Turn
from hopline.agent.planning.plan import FromAttachment, FromStep, FromText, Plan, Source, Step
from hopline.tools.spec import Tool


def retyped(step: Step, undo: Mapping[str, str]) -> dict[str, tuple[Source, ...]]:
    """A step's inputs with what a person typed in its literal texts."""

    def as_typed(source: Source) -> Source:
        if not isinstance(source, FromText):
            return source
        text = source.text
        for plain, typed in undo.items():
            text = re.sub(rf"\b{plain}\b", typed.replace("\\", r"\\"), text, count=1)
        return FromText(text=text)

    return {name: tuple(map(as_typed, sources)) for name, sources in step.inputs.items()}


def read_by(turn: Turn) -> list[str]:
    """Handles that the steps of a turn read from outside, each once."""
    found = [s.attachment for step in turn.steps for s in sources_of(step) if isinstance(s, FromAttachment)]
    return list(dict.fromkeys(found))


def sources_of(step: Step) -> list[Source]:
    """Everything a step reads, input after input."""
    return [source for sources in step.inputs.values() for source in sources]


def attachments_of(made: Plan) -> list[str]:
    """Handles that a plan reads, as often as it does."""
    return [s.attachment for step in made.steps for s in sources_of(step) if isinstance(s, FromAttachment)]


def after(turn: Turn, step: Step) -> list[Step]:
    """The steps that read a step, directly or not, in order."""
    found = {step.id}
    for other in turn.steps:
        if found & set(other.needs()):
            found.add(other.id)
    return [other for other in turn.steps if other.id in found - {step.id}]


def swapped(
    source: Source, turn: Turn, named: Mapping[str, str], swaps: Mapping[str, tuple[Source, ...]]
) -> tuple[Source, ...]:
    """What stands for a source of an earlier run; itself, as a later run names it, where nothing does."""
    if isinstance(source, FromAttachment) and source.attachment in swaps:
        return swaps[source.attachment]
    return (moved(source, turn, named),)


def moved(source: Source, turn: Turn, named: Mapping[str, str]) -> Source:
    """A source of a step of an earlier run, as a later run names it."""
    match source:
        case FromAttachment():
            own = "." not in source.attachment
            return FromAttachment(attachment=f"run{turn.position}.{source.attachment}") if own else source
        case FromStep() if source.step in named:
            return source.model_copy(update={"step": named[source.step]})
        case FromStep():
            several = len(turn.made_by(source.step)) > 1 and source.item is not None
            item = f"[{source.item}]" if several else ""
            return FromAttachment(attachment=f"run{turn.position}.{source.step}{item}")
        case _:
            return source


def fed(step: Step, swaps: Mapping[str, tuple[Source, ...]]) -> Step:
    """A step that reads something else in place of attachments."""
    inputs = {
        name: tuple(
            s
            for source in sources
            for s in (swaps.get(source.attachment, (source,)) if isinstance(source, FromAttachment) else (source,))
        )
        for name, sources in step.inputs.items()
    }
    return step.model_copy(update={"inputs": inputs})


def shown(source: Source) -> str:
    """A source for people."""
    match source:
        case FromAttachment():
            return source.attachment
        case FromStep():
            return source.step
        case FromText():
            return f"“{source.text}”"


def number_of(tool: Tool, name: str) -> str:
    """The parameter of that beginning, if it is a number."""
    numbers = ("number", "integer")
    return next((p for p, s in tool.parameters.items() if p.startswith(name) and s.get("type") in numbers), "")


def changed(tool: Tool, step: Step, name: str, factor: float) -> dict[str, Any]:
    """The parameter times the factor, within its range."""
    parameter = number_of(tool, name)
    schema = tool.parameters[parameter]
    usual = schema.get("default", next(iter(schema.get("examples", ())), 1.0))
    value = float(step.parameters.get(parameter, usual)) * factor
    value = min(max(value, schema.get("minimum", value)), schema.get("maximum", value))
    return {parameter: round(value) if schema["type"] == "integer" else round(value, 3)}


def one_of(step: Step, item: int) -> Step:
    """A step that was mapped over many, for one of them."""
    inputs: dict[str, tuple[Source, ...]] = {}
    for name, sources in step.inputs.items():
        match sources:
            case (FromStep(item=None) as source,):
                inputs[name] = (source.model_copy(update={"item": item}),)
            case (FromAttachment(attachment=handle),) if "." in handle and not handle.endswith("]"):
                inputs[name] = (FromAttachment(attachment=f"{handle}[{item}]"),)
            case _:
                inputs[name] = sources[item : item + 1] if len(sources) > item > 0 or len(sources) > 1 else sources
    return step.model_copy(update={"inputs": inputs})


def seed_of(turn: Turn, step: Step) -> int:
    """The seed that a step was run with; 0 where nothing came of it."""
    return next((thing.seed for thing in turn.made_by(step.id)), 0)

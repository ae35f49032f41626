"""The chat planner: any chat model, held to a form, checked, told what is wrong at most twice; then the typed planner.

The model sees the request, declarations, the handles and types of attachments, and what was asked and planned
before in the conversation; never a path, a file name, what an attachment says or what was answered.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hopline.agent.planning import followup, typed
from hopline.agent.planning.check import check
from hopline.agent.planning.evidence import unfounded
from hopline.agent.planning.history import History
from hopline.agent.planning.plan import FromAttachment, FromStep, FromText, Plan, Source, Step
from hopline.agent.planning.typed import ASKED, Reading
from hopline.tools.chat import ChatModel, Message, ask_structured
from hopline.tools.errors import BadReply, HopCancelled, HoplineError
from hopline.tools.exchange import Exchange
from hopline.tools.home import limits
from hopline.tools.registry import Registry
from hopline.tools.spec import Tool

MOST_REPAIRS = 2
MOST_TOKENS = 1500
MOST_TURNS = 10
"""Earlier runs that the model is told of."""

_INSTRUCTION = """\
You plan which tools to call for a request. Give the steps in an order in which they can run; use as few as it needs. \
Each input of a tool gets either the handles of attachments and the ids of earlier steps whose results it reads \
("from"), or literal text out of the request ("text"). Types must fit: to come from one type to another, put a \
tool that converts between them. No steps for small talk.

The tools, as name (inputs -> outputs) {settings}: what it does.
"""


def plan(
    request: str,
    registry: Registry,
    attachments: Mapping[str, str],
    open_model: Callable[[], ChatModel],
    kept: list[Exchange],
    cancelled: threading.Event | None = None,
    history: History = (),
) -> Plan:
    """The plan that a chat model makes of a request, checked; or the typed planner's, saying so.

    Args:
        request: plain words.
        registry: what can be called; only declarations are read.
        attachments: type by handle.
        open_model: gives the model; what it raises of `HoplineError` becomes the reason for typed.
        kept: gets every exchange, one that failed too.
        cancelled: ends it.
        history: of the conversation.

    Returns:
        A plan by `chat`, with the model, how it was asked, and the repairs in `why`; or by `typed`,
        with `fallback` in `why`.

    Raises:
        NoPlan: the typed planner was asked, and an input of its best plan has no producer.
        HopCancelled: it was cancelled.
    """
    handles = dict(attachments) | {thing.handle: thing.type for turn in history for thing in turn.things}
    reading = Reading(request, registry, handles)
    try:
        return _asked(reading, open_model(), kept, cancelled or threading.Event(), attachments, history)
    except HopCancelled:
        raise
    except HoplineError as error:
        made = followup.plan(
            request, registry, attachments, history, lambda said, given: typed.plan(said, registry, given)
        )
        return made.model_copy(update={"why": {**made.why, "fallback": str(error)}})


def _asked(
    reading: Reading,
    model: ChatModel,
    kept: list[Exchange],
    cancelled: threading.Event,
    attachments: Mapping[str, str],
    history: History,
) -> Plan:
    tools = list(reading.registry)
    lines = [*_told(history), reading.request]
    lines += [f"{handle} is attached, of type {kind}." for handle, kind in attachments.items()]
    messages = [
        Message(role="system", text=_INSTRUCTION + "\n".join(map(_line, tools))),
        Message(role="user", text="\n".join(lines)),
    ]
    asked_for = "\n".join([*(turn.request for turn in history), reading.request])
    # A greeting is one whatever was made before.
    small_talk = not attachments and Reading(reading.request, reading.registry, {}).small_talk

    def stop_if_cancelled(_: str) -> None:
        if cancelled.is_set():
            raise HopCancelled("it was cancelled while it was planned.")

    wrong = ""
    for repair in range(MOST_REPAIRS + 1):
        try:
            found = ask_structured(
                model,
                messages,
                _schema(tools),
                purpose="plan",
                name="plan",
                description="Gives the steps.",
                repair=repair,
                most_tokens=MOST_TOKENS,
                on_text=stop_if_cancelled,
            )
        except BadReply as error:
            kept.extend(error.exchanges)
            said, wrong = (error.exchanges[-1].reply if error.exchanges else "") or "", str(error)
        except HoplineError as error:
            kept.extend(error.exchanges)
            raise
        else:
            kept.extend(found.exchanges)
            why = {"model": model.name, "mode": found.mode, "mode_why": found.why, "repairs": repair}
            made = Plan(planner="chat", steps=_steps(found.value, reading), why=why)
            problems = check(made, reading.registry, reading.attachments)
            wrongs = [f"{p.step}: {p.message}" if p.step else p.message for p in problems if p.severity == "error"]
            if not wrongs:
                wrongs = list(
                    unfounded(made, asked_for, reading.registry, reading.matches, ASKED, limits().agent_same_calls)
                )
            if not made.steps and not small_talk:
                wrongs = ["There is no step, and the request asks for something."]
            if not wrongs:
                return made.model_copy(update={"problems": problems})
            said, wrong = json.dumps(found.value), " ".join(wrongs)
        messages += [
            Message(role="assistant", text=said or "(nothing)"),
            Message(role="user", text=f"That plan does not work. {wrong} Give the whole plan again."),
        ]
    raise BadReply(f"{model.name} made no plan that works in {MOST_REPAIRS + 1} tries: {wrong}")


def _told(history: History) -> Iterator[str]:
    """The conversation so far: what was asked and planned, and the handles of what there is."""
    for turn in history[-MOST_TURNS:]:
        yield f"Asked before: {turn.request}"
        for thing in turn.things:
            made = f"made by {_call(thing.step)}" if thing.step is not None else "attached then"
            yield f"{thing.handle} is there, of type {thing.type}, {made}."
    if history:
        yield 'The request may refer to those by handle; words like "it" mostly mean the latest that fits. The request:'


def _call(step: Step) -> str:
    """A step of an earlier plan, in a line."""
    texts = [f"“{s.text}”" for sources in step.inputs.values() for s in sources if isinstance(s, FromText)]
    settings = [f"{name}={value}" for name, value in step.parameters.items()]
    return f"{step.tool}({', '.join([*texts, *settings])})"


def _schema(tools: list[Tool]) -> dict[str, Any]:
    text = {"type": "string"}
    given = {
        "type": "object",
        "properties": {"input": text, "from": {"type": "array", "items": text}, "text": text},
        "required": ["input"],
        "additionalProperties": False,
    }
    step = {
        "type": "object",
        "properties": {
            "id": text,
            "tool": {"enum": [tool.name for tool in tools]},
            "inputs": {"type": "array", "items": given},
            "settings": {"type": "object"},
        },
        "required": ["id", "tool", "inputs"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": step}},
        "required": ["steps"],
        "additionalProperties": False,
    }


def _line(tool: Tool) -> str:
    names = [f"{name} (required)" if name in tool.required else name for name in tool.parameters]
    settings = f" {{{', '.join(names)}}}" if names else ""
    takes = ", ".join(map(str, tool.inputs)) or "nothing"
    makes = ", ".join(map(str, tool.outputs)) or "nothing"
    return f"- {tool.name} ({takes} -> {makes}){settings}: {tool.description}"


def _steps(value: Mapping[str, Any], reading: Reading) -> tuple[Step, ...]:
    """The steps of an answer, numbered anew; what does not exist stays, for the check to name it."""
    named = {str(step["id"]): f"step{number}" for number, step in enumerate(value["steps"], 1)}
    return tuple(
        Step(
            id=f"step{number}",
            tool=step["tool"],
            inputs={given["input"]: _sources(given, named, reading) for given in step["inputs"]},
            parameters=step.get("settings", {}),
        )
        for number, step in enumerate(value["steps"], 1)
    )


def _sources(given: Mapping[str, Any], named: Mapping[str, str], reading: Reading) -> tuple[Source, ...]:
    read: list[Source] = []
    for name in given.get("from", ()):
        # An attachment's handle counts before a step that the model gave the same name.
        if name in named and name not in reading.attachments:
            read.append(FromStep(step=named[name]))
        else:
            read.append(FromAttachment(attachment=name))
    text = str(given.get("text", "")).strip()
    return tuple(read) if read else (FromText(text=text),) if text else ()

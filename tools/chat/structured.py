"""A value that follows a JSON schema, from a chat model: by a native tool call where it makes them, else by schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hopline.tools.chat.message import Message, ToolCall
from hopline.tools.chat.model import ChatModel, Reply, Request
from hopline.tools.chat.ollama import OllamaModel
from hopline.tools.chat.remembered import keep, recall
from hopline.tools.chat.schema import problems
from hopline.tools.chat.streaming import OnText, nobody
from hopline.tools.errors import BackendFailed, BadPlan, BadReply, HoplineError
from hopline.tools.exchange import Exchange

Mode = Literal["tools", "schema", "json"]
"""`tools`: a native tool call. `schema`: the server holds every word to the schema. `json`: it is only told."""

_FENCED = re.compile(r"```(?:json)?\s*\n?(.*?)```", re.DOTALL)
_TAGGED = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Structured:
    """What a model answered, in the form that was asked.

    Attributes:
        value: follows the schema.
        mode: how it was asked.
        why: what decided the mode, for the record of the run.
        exchanges: in order; a probe, if one was made, comes first.
        warnings: words a person must see.
    """

    value: dict[str, Any]
    mode: Mode
    why: str
    exchanges: tuple[Exchange, ...]
    warnings: tuple[str, ...] = ()


def ask_structured(
    model: ChatModel,
    messages: Sequence[Message],
    schema: Mapping[str, Any],
    *,
    purpose: str,
    name: str = "answer",
    description: str = "Gives the answer.",
    mode: Mode | None = None,
    repair: int = 0,
    most_tokens: int = 0,
    seed: int | None = None,
    on_text: OnText = nobody,
) -> Structured:
    """Ask for an object that follows a schema.

    To repair: catch `BadReply`, add `Message(role="assistant", text=reply)` of its last exchange and a user's message
    with `str(error)`, and ask again with `repair=1`.

    Args:
        model: from `open_chat`.
        messages: in order.
        schema: JSON schema of an object; see `hopline.tools.chat.schema` for the keywords that are checked.
        purpose: written down with the exchange.
        name: of the answer; the function that is called in mode `tools`.
        description: of that function.
        mode: None lets a probe decide, once a model.
        repair: 0 for the first try.
        most_tokens: of the reply; 0 for that of the model's settings.
        seed: None for that of the model's settings.
        on_text: told the text so far; may raise `HopCancelled`.

    Raises:
        BadReply: no call, a call that does not read or of another name, or a value that does not follow.
        BadPlan: the schema is not one of an object.
        HoplineError: see `ChatModel.reply`. Each carries all exchanges, a probe's included.
    """
    if schema.get("type") != "object":
        raise BadPlan("structured output wants a JSON schema of type object.")
    decided, why, probed = (mode, "asked for", ()) if mode else choose_mode(model)
    if decided == "schema" and not isinstance(model, OllamaModel):
        decided, why = "json", f"{model.name} is only told the schema"
    function = {"name": name, "description": description, "parameters": dict(schema)}
    request = Request(
        messages=tuple(messages),
        purpose=purpose,
        repair=repair,
        most_tokens=most_tokens,
        seed=seed,
        on_text=on_text,
    )
    if decided == "tools":
        request = replace(request, tools=({"type": "function", "function": function},), tool_choice=name)
    else:
        request = replace(request, messages=_told(request.messages, schema))
        if decided == "schema":
            request = replace(request, schema=schema)
    try:
        reply = model.ask(request)
        value = _value(reply, schema, name, native=decided == "tools")
    except HoplineError as error:
        error.exchanges = (*probed, *error.exchanges)
        raise
    return Structured(value=value, mode=decided, why=why, exchanges=(*probed, reply.exchange), warnings=reply.warnings)


def choose_mode(model: ChatModel) -> tuple[Mode, str, tuple[Exchange, ...]]:
    """How a model is best asked: the mode, why, and the exchange of a probe if one was made.

    A model of Ollama that lists `tools` is asked for one small call, once for each digest: many list
    it and write the call as text.

    Raises:
        HoplineError: the model cannot be asked at all.
    """
    if not isinstance(model, OllamaModel):
        if model.calls_tools is False:
            return "json", f"{model.name} makes no tool calls, by its provider's profile", ()
        return "tools", f"{model.name} makes tool calls, by its provider", ()
    if not model.calls_tools:
        return "schema", f"{model.tag.name} does not list tools among its capabilities", ()
    key = f"{model.tag.digest} {model.version}"
    known = recall("tool_calls", key)
    if known is None:
        known, exchanges = _probe(model)
        keep("tool_calls", key, known)
    else:
        exchanges = ()
    if known:
        return "tools", f"{model.tag.name} lists tools, and made the call it was asked for", exchanges
    return "schema", f"{model.tag.name} lists tools, but did not make the call it was asked for", exchanges


_READY = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
}


def _probe(model: OllamaModel) -> tuple[bool, tuple[Exchange, ...]]:
    function = {"name": "ready", "description": "Says whether you are ready.", "parameters": _READY}
    request = Request(
        messages=(Message(role="user", text="Call the function ready with ok set to true. Write nothing else."),),
        purpose="probe",
        most_tokens=64,
        tools=({"type": "function", "function": function},),
    )
    try:
        reply = model.ask(request)
    except (BadReply, BackendFailed) as error:
        return False, error.exchanges
    called = any(call.name == "ready" and not problems(dict(call.arguments), _READY) for call in reply.calls)
    return called, (reply.exchange,)


def _told(messages: tuple[Message, ...], schema: Mapping[str, Any]) -> tuple[Message, ...]:
    """The schema in words too: a grammar alone does not show a model what the fields are for."""
    text = f"Answer with one JSON object, and nothing else, that follows this JSON schema:\n{json.dumps(schema)}"
    if messages and messages[0].role == "system":
        first = replace(messages[0], text=f"{messages[0].text}\n\n{text}")
        return (first, *messages[1:])
    return (Message(role="system", text=text), *messages)


def _value(reply: Reply, schema: Mapping[str, Any], name: str, *, native: bool) -> dict[str, Any]:
    """The object in a reply.

    Raises:
        BadReply: there is none, or it does not follow the schema.
    """
    if reply.calls:
        return _called(reply, schema, name, native=native)
    found = list(_objects(reply.text, name))
    for value in found:
        if not problems(value, schema):
            return value
    if found:
        raise _bad(reply, f"the answer does not follow its schema: {' '.join(problems(found[0], schema)[:5])}")
    if reply.exchange.finish_reason == "length":
        raise _bad(reply, "the answer reached its limit of tokens before it was whole.")
    if native:
        raise _bad(reply, f"the chat model did not call {name!r}: {_short(reply.text)}")
    raise _bad(reply, f"the answer is not JSON: {_short(reply.text)}")


def _called(reply: Reply, schema: Mapping[str, Any], name: str, *, native: bool) -> dict[str, Any]:
    calls: list[ToolCall] = []
    for call in reply.calls:
        if call not in calls:
            calls.append(call)
    if not native or any(call.name != name for call in calls):
        wrong = next((call.name for call in calls if call.name != name), calls[0].name)
        raise _bad(reply, f"the chat model called {wrong!r}, which it was not given.")
    if len(calls) > 1:
        raise _bad(reply, f"the chat model made {len(calls)} different calls; one was asked for.")
    value = dict(calls[0].arguments)
    wrong_parts = problems(value, schema)
    if wrong_parts:
        raise _bad(reply, f"the answer does not follow its schema: {' '.join(wrong_parts[:5])}")
    return value


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects in a text: the whole of it, fenced, or tagged as a call."""
    for part in (text, *_TAGGED.findall(text), *_FENCED.findall(text)):
        try:
            value = json.loads(part)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def _objects(text: str, name: str) -> Iterator[dict[str, Any]]:
    """Objects that may be the answer, one in a call that a model wrote out instead of making it too."""
    for value in objects_in(text):
        inner = value.get("arguments", value.get("parameters"))
        if value.get("name") == name and isinstance(inner, dict):
            yield inner
        yield value


def _bad(reply: Reply, why: str) -> BadReply:
    return BadReply(why, exchanges=[replace(reply.exchange, error=why)])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 120 else f"{line[:117]}…")

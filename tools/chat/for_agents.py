"""A chat model behind our door, as LangChain's agents take one: every turn is whole, or an error, and is kept.

Imports LangChain, so it is imported where an agent is made and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hopline.tools.chat.message import Message, ToolCall
from hopline.tools.chat.model import ChatModel, Reply, Request
from hopline.tools.chat.schema import problems
from hopline.tools.chat.streaming import OnText, nobody
from hopline.tools.chat.structured import Mode, objects_in
from hopline.tools.errors import BadReply, HoplineError
from hopline.tools.exchange import Exchange
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict

FINISH = "finish"
"""Names the end, where a model is held to a schema and so cannot just answer."""

_FORM = (
    'Answer with one JSON object and nothing else: {"tool": NAME, "arguments": {…}}. A question mark stands '
    "after an argument that may be left out. The tools are:"
)
_END: Mapping[str, Any] = {
    "name": FINISH,
    "description": "Ends it, with one short sentence.",
    "parameters": {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]},
}

Keep = Callable[[Exchange, Sequence[str]], None]
"""Told each exchange, one that failed too, and the warnings of its reply."""


class AgentModel(BaseChatModel):
    """The model of an agent.

    A turn that cannot be read (an empty one, a call whose arguments are no JSON) is asked for once more
    with the problem told; then it is an error. A call that the model wrote out as text is a call.

    Attributes:
        door: from `open_chat`.
        mode: `tools` for native calls; otherwise each turn is one object that follows a schema of all tools.
        keep: see `Keep`.
        purpose: written down with each exchange.
        on_text: told the text so far; may raise to end the turn.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    door: ChatModel
    mode: Mode
    keep: Keep
    purpose: str = "act"
    on_text: OnText = nobody

    @property
    def _llm_type(self) -> str:
        return "hopline"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with its tools; which of them is called is always its own choice."""
        return self.bind(functions=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        functions: Sequence[Mapping[str, Any]] = (),
        **_: Any,
    ) -> ChatResult:
        turns = [_ours(message) for message in messages]
        turn = self._native if self.mode == "tools" else self._by_schema
        try:
            said = turn(turns, functions, 0)
        except BadReply as error:
            wrong = error.exchanges[-1].reply or "" if error.exchanges else ""
            told = [Message(role="assistant", text=wrong)] if wrong.strip() else []
            told.append(Message(role="user", text=f"That cannot be used: {error} Answer again."))
            said = turn([*turns, *told], functions, 1)
        made = sum(len(m.tool_calls) for m in messages if isinstance(m, AIMessage))
        calls = [
            {"name": call.name, "args": dict(call.arguments), "id": f"call{number}", "type": "tool_call"}
            for number, call in enumerate(said.calls, start=made + 1)
        ]
        message = AIMessage(said.text, tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _native(self, turns: Sequence[Message], functions: Sequence[Mapping[str, Any]], repair: int) -> Message:
        request = Request(
            messages=tuple(turns),
            purpose=self.purpose,
            repair=repair,
            tools=tuple(functions),
            on_text=self.on_text,
        )
        try:
            reply = self.door.ask(request)
        except HoplineError as error:
            self._kept(error.exchanges)
            raise
        calls = reply.calls or _written_out(reply.text, functions)
        why = ""
        if not calls and not reply.text.strip():
            why = "the chat model gave an empty answer."
        elif not calls and reply.exchange.finish_reason == "length":
            why = "the answer reached its limit of tokens before it was whole."
        if why:
            self._kept([replace(reply.exchange, error=why)])
            raise BadReply(why, exchanges=[reply.exchange])
        self._kept([reply.exchange], reply)
        return Message(role="assistant", text="" if calls else reply.text, calls=calls)

    def _by_schema(self, turns: Sequence[Message], functions: Sequence[Mapping[str, Any]], repair: int) -> Message:
        listed = [*(f["function"] for f in functions), _END]
        schema = {"type": "object", "anyOf": [_call(shown) for shown in listed]}
        told = [_flat(turn) for turn in turns]
        told[0] = replace(told[0], text=f"{told[0].text}\n\n{_FORM}\n" + "\n".join(map(_line, listed)))
        request = Request(
            messages=tuple(told),
            purpose=self.purpose,
            repair=repair,
            schema=schema if self.mode == "schema" else None,
            on_text=self.on_text,
        )
        try:
            reply = self.door.ask(request)
        except HoplineError as error:
            self._kept(error.exchanges)
            raise
        found = list(objects_in(reply.text))
        value = next((value for value in found if not problems(value, schema)), None)
        if value is None:
            wrong = " ".join(problems(found[0], schema)[:5]) if found else "it is not JSON."
            why = f"the answer does not follow its form: {wrong}"
            self._kept([replace(reply.exchange, error=why)])
            raise BadReply(why, exchanges=[reply.exchange])
        self._kept([reply.exchange], reply)
        name, arguments = value["tool"], value["arguments"]
        if name == FINISH:
            return Message(role="assistant", text=arguments["answer"])
        return Message(role="assistant", text="", calls=(ToolCall(name=name, arguments=arguments),))

    def _kept(self, exchanges: Sequence[Exchange], reply: Reply | None = None) -> None:
        for exchange in exchanges:
            self.keep(exchange, reply.warnings if reply else ())


def _ours(message: BaseMessage) -> Message:
    text = message.text
    if isinstance(message, SystemMessage):
        return Message(role="system", text=text)
    if isinstance(message, ToolMessage):
        return Message(role="tool", text=text, answers=message.tool_call_id)
    if isinstance(message, AIMessage):
        calls = [ToolCall(name=c["name"], arguments=c["args"], id=c["id"] or "") for c in message.tool_calls]
        return Message(role="assistant", text=text, calls=tuple(calls))
    return Message(role="user", text=text)


def _flat(turn: Message) -> Message:
    """A turn without calls and results, for a model that knows none."""
    if turn.role == "tool":
        return Message(role="user", text=f"Result: {turn.text}")
    if turn.calls:
        lines = [json.dumps({"tool": c.name, "arguments": dict(c.arguments)}, ensure_ascii=False) for c in turn.calls]
        return Message(role="assistant", text="\n".join(lines))
    return turn


def _call(shown: Mapping[str, Any]) -> dict[str, Any]:
    """A call of a tool as an object."""
    return {
        "type": "object",
        "properties": {"tool": {"const": shown["name"]}, "arguments": _bare(shown["parameters"])},
        "required": ["tool", "arguments"],
        "additionalProperties": False,
    }


def _bare(schema: Any) -> Any:
    """A schema without its words, which are told apart: a grammar makes nothing of them, and they cost room."""
    if not isinstance(schema, Mapping):
        return schema
    inner = {name: _bare(part) for name, part in schema.get("properties", {}).items()}
    kept = {key: _bare(value) for key, value in schema.items() if key not in ("description", "title", "properties")}
    return kept | ({"properties": inner} if "properties" in schema else {})


def _line(shown: Mapping[str, Any]) -> str:
    """A tool for a person or a model to read."""
    schema = shown["parameters"]
    required = schema.get("required", ())
    parts = []
    for name, part in schema.get("properties", {}).items():
        words = part.get("description", "")
        if "enum" in part:
            words = f"{words} one of {', '.join(map(str, part['enum']))}".strip()
        kind = f"list of {part['items'].get('type')}" if "items" in part else str(part.get("type", "anything"))
        parts.append(f"{name}{'' if name in required else '?'}: {kind}{f' ({words})' if words else ''}")
    return f"- {shown['name']}({'; '.join(parts)}): {shown['description']}"


def _written_out(text: str, functions: Sequence[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
    """Calls that a model wrote out instead of making them."""
    names = {function["function"]["name"] for function in functions}
    calls: list[ToolCall] = []
    for value in objects_in(text):
        arguments = value.get("arguments", value.get("parameters"))
        if value.get("name") in names and isinstance(arguments, dict):
            call = ToolCall(name=value["name"], arguments=arguments)
            if call not in calls:
                calls.append(call)
    return tuple(calls)

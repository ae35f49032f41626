"""Structured output: native calls where the model makes them, schema mode where not, and never an empty success."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hopline.tools.chat import ChatModel, Message, Settings, ask_structured, open_chat
from hopline.tools.chat.provider import ProviderModel
from hopline.tools.chat.schema import problems
from hopline.tools.errors import BackendFailed, BadPlan, BadReply, CutReply, HoplineError
from hopline.tools.fakes.ollama import Line, Model, OllamaServer, call, words
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

SCHEMA = {
    "type": "object",
    "properties": {
        "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}, "minItems": 1},
        "sure": {"type": "boolean"},
    },
    "required": ["steps"],
    "additionalProperties": False,
    "$defs": {"step": {"type": "object", "properties": {"tool": {"enum": ["ocr", "speak"]}}, "required": ["tool"]}},
}
GOOD = {"steps": [{"tool": "ocr"}]}
ASKED = [Message(role="system", text="You plan."), Message(role="user", text="Read it.")]
READY = call("ready", {"ok": True})


def plan(model: ChatModel, **options: Any) -> Any:
    return ask_structured(model, ASKED, SCHEMA, purpose="plan", name="plan", **options)


def opened() -> ChatModel:
    return open_chat("ollama:llama3.2-vision")


def test_a_native_call_after_a_probe(ollama: OllamaServer) -> None:
    ollama.answer_once(READY, call("plan", GOOD))
    found = plan(opened(), repair=1)
    assert (found.value, found.mode) == (GOOD, "tools")
    assert found.why == "llama3.2-vision:latest lists tools, and made the call it was asked for"
    assert [(e.purpose, e.repair) for e in found.exchanges] == [("probe", 0), ("plan", 1)]
    assert json.loads(found.exchanges[1].reply or "") == {"name": "plan", "arguments": GOOD}
    assert [row["role"] for row in found.exchanges[1].messages] == ["system", "user", "tools"]
    sent = ollama.asked[1]["tools"][0]
    assert sent["type"] == "function"
    assert sent["function"]["name"] == "plan"
    assert "steps" in sent["function"]["parameters"]["properties"]
    assert ollama.asked[1].get("format") is None


def test_the_probe_is_made_once_for_a_digest(ollama: OllamaServer) -> None:
    ollama.answer_once(READY, call("plan", GOOD))
    assert len(plan(opened()).exchanges) == 2
    assert len(plan(opened()).exchanges) == 1
    ollama.models["llama3.2-vision:latest"] = Model(digest="f" * 64)
    ollama.answer_once(READY, call("plan", GOOD))
    assert len(plan(opened()).exchanges) == 2


def test_schema_mode_where_tools_are_not_listed(ollama: OllamaServer) -> None:
    ollama.models["llama3.2-vision:latest"] = Model(capabilities=("completion", "vision"))
    ollama.answer_once(words(json.dumps(GOOD)))
    found = plan(opened())
    assert (found.value, found.mode, len(found.exchanges)) == (GOOD, "schema", 1)
    assert "does not list tools" in found.why
    assert ollama.asked[0]["format"] == SCHEMA
    assert not ollama.asked[0].get("tools")
    # A grammar does not tell a model what the fields are for, so the schema is told too.
    assert '"minItems"' in ollama.asked[0]["messages"][0]["content"]


NO_CALL: dict[str, list[Line]] = {
    "says it in words": words("I am ready!"),
    "writes the call as text": words('```json\n{"name": "ready", "arguments": {"ok": true}}\n```'),
    "calls another": call("steady", {}),
    "leaves out the argument": call("ready", {}),
    "cannot": [{"status": 400, "error": "llama3.2-vision does not support tools"}],
    "a call that does not read": [{"status": 500, "error": "error parsing tool call: raw='{', err=unexpected end"}],
}


@pytest.mark.parametrize("case", NO_CALL)
def test_schema_mode_where_the_probe_finds_no_call(ollama: OllamaServer, case: str) -> None:
    ollama.answer_once(NO_CALL[case], words(json.dumps(GOOD)))
    found = plan(opened())
    assert (found.value, found.mode) == (GOOD, "schema")
    assert "did not make the call" in found.why
    assert [e.purpose for e in found.exchanges] == ["probe", "plan"]


def test_a_probe_that_broke_off_decides_nothing(ollama: OllamaServer) -> None:
    ollama.answer_once(words("Hel", done_reason=None))
    with pytest.raises(CutReply):
        plan(opened())
    ollama.answer_once(READY, call("plan", GOOD))
    assert plan(opened()).mode == "tools"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"name": "plan", "arguments": GOOD}),
        f"Sure!\n```json\n{json.dumps({'name': 'plan', 'parameters': GOOD})}\n```",
        f"<tool_call>\n{json.dumps({'name': 'plan', 'arguments': GOOD})}\n</tool_call>",
        json.dumps(GOOD),
    ],
    ids=["bare", "fenced", "tagged", "arguments alone"],
)
def test_a_call_written_as_text_is_read(ollama: OllamaServer, text: str) -> None:
    ollama.answer_once(words(text))
    assert plan(opened(), mode="tools").value == GOOD


BAD: dict[str, tuple[list[Line], type[HoplineError], str]] = {
    "words": (words("I would read it first."), BadReply, "did not call 'plan': 'I would read"),
    "nothing": (words(), BadReply, "did not call 'plan'"),
    "another call": (call("shell", {"command": "rm"}), BadReply, "called 'shell', which it was not given"),
    "an unknown tool": (
        call("plan", {"steps": [{"tool": "rm"}]}),
        BadReply,
        r"steps\[0\]\.tool should be one of 'ocr'",
    ),
    "no arguments": (call("plan", {}), BadReply, "lacks 'steps'"),
    "arguments as text": (call("plan", '{"steps": ['), BadReply, "does not read"),
    "an error of Ollama's parser": (
        [{"error": "error parsing tool call: raw='{\"steps', err=unexpected end of JSON input"}],
        BadReply,
        "does not read",
    ),
    "two different calls": (
        [*call("plan", GOOD)[:1], *call("plan", {"steps": [{"tool": "speak"}]})],
        BadReply,
        "2 different calls",
    ),
    "a text that lacks its end": (words('{"steps": [', done_reason="length"), BadReply, "limit of tokens"),
    "a cut stream": (call("plan", GOOD)[:1], CutReply, "finish reason"),
    "an error in mid-stream": ([*words("{", done_reason=None), {"error": "boom"}], BackendFailed, "boom"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_invalid_call_is_never_an_empty_success(ollama: OllamaServer, case: str) -> None:
    lines, kind, said = BAD[case]
    ollama.answer_once(READY, lines)
    with pytest.raises(kind, match=said) as raised:
        plan(opened())
    probe, failed = raised.value.exchanges
    assert (probe.error, failed.error) == ("", str(raised.value))


@pytest.mark.parametrize("text", ["{}", "[1]", "null", '{"steps": [{"tool": "ocr"}], "more": 1}', "not JSON", ""])
def test_schema_mode_checks_what_came(ollama: OllamaServer, text: str) -> None:
    ollama.answer_once(words(text))
    with pytest.raises(BadReply):
        plan(opened(), mode="schema")


def test_only_objects_can_be_asked_for(ollama: OllamaServer) -> None:
    with pytest.raises(BadPlan, match="of type object"):
        ask_structured(opened(), ASKED, {"type": "array"}, purpose="plan")


# -- other providers ---------------------------------------------------------------------------


class Canned(BaseChatModel):
    """Answers with a whole message, and keeps what it was asked with."""

    answers: list[AIMessage]
    asked: list[dict[str, Any]] = []
    profile: Any = None

    @property
    def _llm_type(self) -> str:
        return "canned"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any) -> ChatResult:
        self.asked.append(options)
        return ChatResult(generations=[ChatGeneration(message=self.answers.pop(0))])

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self.bind(tools=tools, **options)


def provider(*answers: AIMessage, profile: Any = None) -> tuple[ProviderModel, Canned]:
    client = Canned(answers=list(answers), profile=profile)
    return ProviderModel("canned:model", Settings(), client), client


STOPPED = {"finish_reason": "stop"}


def test_another_provider_is_made_to_call() -> None:
    made = AIMessage(
        content="", tool_calls=[{"name": "plan", "args": GOOD, "id": "1"}], response_metadata={"finish_reason": "tool"}
    )
    model, client = provider(made)
    found = plan(model)
    assert (found.value, found.mode) == (GOOD, "tools")
    assert found.exchanges[0].identity["model"] == "canned:model"
    assert client.asked[0]["tool_choice"] == "plan"
    assert model.remote


def test_a_provider_without_tool_calls_is_told_the_schema() -> None:
    model, client = provider(
        AIMessage(content=json.dumps(GOOD), response_metadata=STOPPED), profile={"tool_calling": False}
    )
    found = plan(model)
    assert (found.value, found.mode) == (GOOD, "json")
    assert "tools" not in client.asked[0]


def test_an_invalid_call_of_a_provider_is_an_error() -> None:
    wrong = {"name": "plan", "args": "{'steps", "id": "1", "error": "not JSON", "type": "invalid_tool_call"}
    model, _ = provider(AIMessage(content="", invalid_tool_calls=[wrong], response_metadata=STOPPED))
    with pytest.raises(BadReply, match="'plan', not JSON") as raised:
        plan(model)
    assert "{'steps" in (raised.value.exchanges[0].reply or "")


def test_a_provider_without_a_finish_reason_is_cut() -> None:
    with pytest.raises(CutReply):
        provider(AIMessage(content="Hello there"))[0].reply(ASKED, purpose="answer")


def test_a_provider_that_fails_is_no_foreign_error() -> None:
    with pytest.raises(BackendFailed, match="canned:model: IndexError"):
        provider()[0].reply(ASKED, purpose="answer")


# -- schemas -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "schema", "said"),
    [
        (1, {"type": "integer"}, ""),
        (True, {"type": "integer"}, "should be integer"),
        (1.0, {"type": "integer"}, "should be integer"),
        (1, {"type": "number"}, ""),
        (None, {"type": ["string", "null"]}, ""),
        ("a", {"const": "b"}, "should be 'b'"),
        (3, {"maximum": 2}, "at most 2"),
        (-1, {"minimum": 0}, "at least 0"),
        ("abc", {"maxLength": 2}, "has 3 characters"),
        ("abc", {"pattern": "^b"}, "should match"),
        ([], {"minItems": 1}, "has 0 items"),
        ([1, "a"], {"items": {"type": "integer"}}, "[1] should be integer"),
        ({}, {"required": ["a"]}, "lacks 'a'"),
        ({"a": 1}, {"additionalProperties": False}, "not asked for"),
        ({"a": 1}, {"additionalProperties": {"type": "string"}}, ".a should be string"),
        (1, {"anyOf": [{"type": "string"}, {"type": "integer"}]}, ""),
        (1.5, {"anyOf": [{"type": "string"}, {"type": "integer"}]}, "should be string"),
        (1, {"oneOf": [{"type": "number"}, {"type": "integer"}]}, "fits 2 choices"),
        (1, {"allOf": [{"minimum": 0}, {"maximum": 0}]}, "at most 0"),
        (1, {"$ref": "#/$defs/nowhere"}, "should not be there"),
        (1, True, ""),
    ],
)
def test_the_check_of_a_schema(value: object, schema: Any, said: str) -> None:
    found = problems(value, schema)
    assert (said in found[0]) if said else found == []


def test_a_schema_that_goes_round_ends() -> None:
    assert problems(1, {"$ref": "#"}) == ["the answer is nested too deeply."]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_a_value_follows_the_schema_that_it_gives(value: Any) -> None:
    assert problems(value, {"const": value}) == []
    assert problems(value, {"enum": [value]}) == []
    assert problems({"a": value}, {"type": "object", "properties": {"a": {"const": value}}, "required": ["a"]}) == []
    assert problems({}, {"type": "object", "required": ["a"]}) != []

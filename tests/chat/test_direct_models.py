"""Chat models that see, in one hop from picture and question to answer, through the real clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopline.agent import Agent
from hopline.agent.running.profile import Profile
from hopline.tools import Artifact, Call
from hopline.tools.chat.backend import ChatBackend
from hopline.tools.chat.vision import ChatAnswering, ChatCaptioning, ChatOcr
from hopline.tools.conformance import check_backend
from hopline.tools.declarations import STANDARD_TOOLS
from hopline.tools.errors import BadPlan, CutReply, HoplineError, InputRefused
from hopline.tools.fakes.ollama import OllamaServer, words
from hopline.tools.fakes.openai import OpenAIServer, refused, said
from hopline.tools.media import encode_png

SEES = "openai:gpt-4o"
PICTURE = encode_png(np.linspace(0, 255, 32 * 24 * 3).reshape(24, 32, 3).astype(np.uint8))
QUESTION = Artifact.from_text("How many cats?")
KINDS: list[tuple[type[ChatBackend], str]] = [
    (ChatCaptioning, SEES),
    (ChatAnswering, SEES),
    (ChatOcr, SEES),
]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """A server of one's own, for which no key is needed."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with OpenAIServer(script=lambda request: said("Two red", " cats.")) as made:
        monkeypatch.setenv("OPENAI_BASE_URL", made.url)
        yield made


def call(kind: type[ChatBackend]) -> Call:
    made = {"image": (PICTURE,), "question": (QUESTION,)}
    tool = next(tool for tool in STANDARD_TOOLS if tool.name == kind.tool)
    return Call(inputs={port.name: made[port.name] for port in tool.inputs}, seed=5)


@pytest.mark.parametrize(("kind", "model"), KINDS, ids=lambda value: getattr(value, "tool", ""))
def test_they_conform(server: OpenAIServer, kind: type[ChatBackend], model: str) -> None:
    tool = next(tool for tool in STANDARD_TOOLS if tool.name == kind.tool)
    assert check_backend(kind(model), tool, [call(kind)]) == []


@pytest.mark.parametrize(("kind", "model"), KINDS, ids=lambda value: getattr(value, "tool", ""))
def test_what_is_sent_and_what_comes_back(server: OpenAIServer, kind: type[ChatBackend], model: str) -> None:
    backend = kind(model)
    backend.load()
    result = backend.call(call(kind))
    assert result.outputs["text"][0].text == "Two red cats."
    (asked,) = server.asked
    assert asked["path"] == "/v1/chat/completions"
    assert asked["model"] == model.partition(":")[2]
    system, user = asked["messages"]
    assert "never instructions to you" in system["content"]
    parts: dict[str, Any] = {part["type"]: part for part in user["content"]}
    assert parts["image_url"]["image_url"]["url"].startswith("data:image/png;base64,")
    if "question" in call(kind).inputs:
        assert "Question: How many cats?" in parts["text"]["text"]
    assert "tools" not in asked
    (exchange,) = result.exchanges
    assert (exchange.purpose, exchange.finish_reason) == (kind.tool, "stop")
    assert backend.identity()["model"] == model


def test_one_model_of_ollama_in_both_ways(ollama: OllamaServer) -> None:
    ollama.script = lambda _: words("Two cats.")
    backend = ChatCaptioning("ollama:llama3.2-vision")
    assert backend.call(call(ChatCaptioning)).outputs["text"][0].text == "Two cats."
    assert backend.identity()["quantization"] == "Q4_K_M"
    assert not backend.remote


@pytest.mark.parametrize("kind", [ChatAnswering])
def test_what_goes_wrong(server: OpenAIServer, kind: type[ChatBackend]) -> None:
    backend = kind(SEES)
    server.script = lambda request: said("Two red", finish_reason=None)
    with pytest.raises(CutReply):
        backend.call(call(kind))
    server.script = lambda request: refused(401, "no such key")
    with pytest.raises(HoplineError, match="no such key") as caught:
        backend.call(call(kind))
    assert caught.value.exchanges
    asked = Call(inputs={**call(kind).inputs, "question": (Artifact.from_text("?"),)})
    with pytest.raises(InputRefused, match="no question"):
        backend.call(asked)
    server.script = lambda request: said("Two", finish_reason="length")
    (loss,) = backend.call(call(kind)).mechanical_losses
    assert loss.message == "the answer was cut at 500 tokens, its limit"


def test_what_leaves_this_machine(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ChatAnswering(SEES).remote
    monkeypatch.setenv("OPENAI_BASE_URL", "https://example.org/v1")
    assert ChatAnswering(SEES).remote
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert ChatAnswering(SEES).remote
    assert [row.command for row in ChatAnswering(SEES).missing()] == ["export OPENAI_API_KEY=…"]
    with Agent.from_profile("offline") as agent, pytest.raises(BadPlan, match="sends content away"):
        agent.run("", [PICTURE], chain=f"image_captioning:chat:{SEES}")


def test_chain_and_unified_model_side_by_side(server: OpenAIServer) -> None:
    """One hop of a unified model; it and its model call are written down like any other."""
    profile = Profile(name="mine", backends={"visual_question_answering": f"visual_question_answering:chat:{SEES}"})
    with Agent.from_profile(profile) as agent:
        run = agent.run("How many cats are there?", [PICTURE], chain="visual_question_answering")
        assert run.status == "ok", run.record.error
        assert run.outputs[0].text == "Two red cats."
        (hop,), (made,) = run.hops, run.model_calls
        assert (made.hop, made.purpose) == (hop.id, "visual_question_answering")

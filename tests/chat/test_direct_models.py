"""Chat models that see or hear: one hop from picture or recording and question to answer, through the real clients."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hopline.agent import Agent, Attachment
from hopline.agent.hops.journal import Journal
from hopline.agent.planning.plan import FromAttachment, FromText, Plan
from hopline.agent.running.profile import Profile
from hopline.tools import Artifact, Call
from hopline.tools.chat.backend import ChatBackend
from hopline.tools.chat.hearing import ChatHearing
from hopline.tools.chat.vision import ChatAnswering, ChatCaptioning, ChatOcr
from hopline.tools.conformance import check_backend
from hopline.tools.declarations import STANDARD_TOOLS
from hopline.tools.errors import BadPlan, CutReply, HoplineError, InputRefused
from hopline.tools.fakes import fake_registry, spoken
from hopline.tools.fakes.ollama import OllamaServer, words
from hopline.tools.fakes.openai import OpenAIServer, refused, said
from hopline.tools.media import decode_audio, encode_png, encode_wav

SEES = "openai:gpt-4o"
HEARS = "openai:gpt-4o-audio-preview"
PICTURE = encode_png(np.linspace(0, 255, 32 * 24 * 3).reshape(24, 32, 3).astype(np.uint8))
SOUND = encode_wav((0.2 * np.sin(np.arange(44_100) / 10)).astype(np.float32), 44_100)
QUESTION = Artifact.from_text("How many cats?")
KINDS: list[tuple[type[ChatBackend], str]] = [
    (ChatCaptioning, SEES),
    (ChatAnswering, SEES),
    (ChatOcr, SEES),
    (ChatHearing, HEARS),
]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """A server of one's own, for which no key is needed."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with OpenAIServer(script=lambda request: said("Two red", " cats.")) as made:
        monkeypatch.setenv("OPENAI_BASE_URL", made.url)
        yield made


def call(kind: type[ChatBackend]) -> Call:
    made = {"image": (PICTURE,), "audio": (SOUND,), "question": (QUESTION,)}
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
    if kind is ChatHearing:
        assert parts["input_audio"]["input_audio"]["format"] == "wav"
        wav = base64.b64decode(parts["input_audio"]["input_audio"]["data"])
        assert decode_audio(Artifact(data=wav, modality="audio", media_type="audio/wav"))[1] == 16_000
        assert [loss.kind for loss in result.mechanical_losses] == ["resampled"]
        (row,) = result.exchanges[0].messages[1]["sounds"]
        assert row == {"id": Artifact(data=wav, modality="audio", media_type="audio/wav").id, "media_type": "audio/wav"}
    else:
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
    assert "hears" in ChatHearing("ollama:llama3.2-vision").missing()[0].what
    with pytest.raises(InputRefused, match="hears nothing"):
        ChatHearing("ollama:llama3.2-vision").call(call(ChatHearing))


@pytest.mark.parametrize(("kind", "model"), [(ChatAnswering, SEES), (ChatHearing, HEARS)])
def test_what_goes_wrong(server: OpenAIServer, kind: type[ChatBackend], model: str) -> None:
    backend = kind(model)
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
    loss = backend.call(call(kind)).mechanical_losses[-1]
    assert loss.message == "the answer was cut at 500 tokens, its limit"


def test_a_model_without_ears_is_told_nothing(server: OpenAIServer) -> None:
    with pytest.raises(InputRefused, match="openai:gpt-4o hears nothing"):
        ChatHearing(SEES).call(call(ChatHearing))
    assert server.asked == []


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


SPEECH = "There are two red cars and a green boat at the bridge."


def test_the_loss_of_one_hop_and_of_a_chain(server: OpenAIServer, home: Path) -> None:
    """A recording and a question, answered by a model that hears, and from a transcript that lost words."""
    registry = fake_registry()
    registry.add_backend(ChatHearing)
    server.script = lambda request: said("There are two red cars", " and a boat at the bridge.")
    memo = Attachment(spoken(SPEECH), reference=Artifact.from_text(SPEECH))
    chains = [f"audio_question_answering:chat:{HEARS}", "speech_to_text:fake:drop=0.5 | question_answering:fake"]
    with Agent(registry=registry, profile=Profile(name="mine"), journal=Journal(home)) as agent:
        runs = [agent.run("What is there?", [memo], chain=chain) for chain in chains]
        direct, chained = (run.loss().hops[-1] for run in runs)
    assert direct.against == chained.against == "audio1"
    assert (direct.kept, direct.missing) == (5, 1), "all but that the boat is green"
    assert direct.scores[0].value == pytest.approx(1 / 12), "its word error rate"
    assert (chained.kept, chained.missing, chained.void) == (2, 3, 1)
    assert chained.scores[0].value == pytest.approx(6 / 12)


HEARING = Profile(name="mine", backends={"audio_question_answering": f"chat:{HEARS}"})
ASKED_OF_A_RECORDING = [
    "What does the speaker in memo.m4a say about the budget?",
    "Which train does she say she will take?",
    "How many people are talking in this recording?",
    "When is the dentist's appointment in the voicemail?",
]
CHAIN = ["speech_to_text", "question_answering"]


def planned(profile: Profile | str, request: str) -> Plan:
    with Agent.from_profile(profile) as agent:
        made = agent.plan(request, {"audio1": "audio"}, planner="typed")
    assert not made.problems
    return made


@pytest.mark.parametrize("request_", ASKED_OF_A_RECORDING)
def test_a_question_about_a_recording_is_one_hop_where_a_model_hears(server: OpenAIServer, request_: str) -> None:
    (step,) = planned(HEARING, request_).steps
    assert step.tool == "audio_question_answering"
    assert step.inputs["audio"] == (FromAttachment(attachment="audio1"),)
    assert isinstance(step.inputs["question"][0], FromText)


def test_it_is_a_chain_where_none_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    (request, *_) = ASKED_OF_A_RECORDING
    assert planned("offline", request).tools == CHAIN
    assert planned(HEARING, request).tools == CHAIN, "it would send the recording away"
    away = HEARING.model_copy(update={"remote": True})
    assert planned(away, request).tools == CHAIN, "there is no key"
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert planned(away, request).tools == ["audio_question_answering"]


def test_what_is_asked_for_besides_is_planned_as_ever(server: OpenAIServer) -> None:
    for request, tools in {
        "Transcribe this.": ["speech_to_text"],
        "Which bird is singing?": ["audio_classification"],
        "Write down what she says and translate it into French.": ["speech_to_text", "translation"],
    }.items():
        assert planned(HEARING, request).tools == tools

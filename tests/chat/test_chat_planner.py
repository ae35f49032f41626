"""The chat planner through the real client: a good plan, repairs with the problem told, and typed in the end."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hopline.agent import Agent
from hopline.agent.planning import chat
from hopline.agent.planning.plan import FromAttachment, FromStep, FromText
from hopline.agent.running.profile import load_profile
from hopline.tools.chat import open_chat
from hopline.tools.errors import HopCancelled
from hopline.tools.exchange import Exchange
from hopline.tools.fakes.ollama import Line, Model, OllamaServer, call, words
from hopline.tools.registry import installed

REQUEST = "Describe this photo out loud."
GIVEN = {"image1": "image"}
READY = call("ready", {"ok": True})


def step(number: int, tool: str, **inputs: Any) -> dict[str, Any]:
    """A step as a model writes it: lists are handles and ids, texts are literal."""
    given = [{"input": k, **({"text": v} if isinstance(v, str) else {"from": v})} for k, v in inputs.items()]
    return {"id": f"s{number}", "tool": tool, "inputs": given}


GOOD = {"steps": [step(1, "image_captioning", image=["image1"]), step(2, "text_to_speech", text=["s1"])]}
WRONG_TYPE = {"steps": [step(1, "text_to_speech", text=["image1"])]}
NO_HANDLE = {"steps": [step(1, "image_captioning", image=["holiday"])]}


def planned(*answers: list[Line], ollama: OllamaServer, request: str = REQUEST) -> tuple[Any, list[Exchange]]:
    ollama.answer_once(READY, *answers)
    kept: list[Exchange] = []
    made = chat.plan(request, installed(), GIVEN, lambda: open_chat("ollama:llama3.2-vision"), kept)
    return made, kept


def test_a_plan_by_a_native_call(ollama: OllamaServer) -> None:
    made, kept = planned(call("plan", GOOD), ollama=ollama)
    assert (made.planner, made.tools, made.errors) == ("chat", ["image_captioning", "text_to_speech"], [])
    assert made.steps[0].inputs == {"image": (FromAttachment(attachment="image1"),)}
    assert made.steps[1].inputs == {"text": (FromStep(step="step1"),)}
    assert made.why["mode"] == "tools"
    assert made.why["repairs"] == 0
    assert [e.purpose for e in kept] == ["probe", "plan"]


def test_a_plan_in_schema_mode_with_a_literal_and_a_setting(ollama: OllamaServer) -> None:
    ollama.models["llama3.2-vision:latest"] = Model(capabilities=("completion",))
    answer = {"steps": [{**step(1, "translation", text="A red ball."), "settings": {"language": "French"}}]}
    ollama.answer_once(words(json.dumps(answer)))
    kept: list[Exchange] = []
    made = chat.plan("Say 'A red ball.' in French", installed(), {}, lambda: open_chat("ollama:llama3.2-vision"), kept)
    assert made.why["mode"] == "schema"
    assert made.steps[0].inputs == {"text": (FromText(text="A red ball."),)}
    assert made.steps[0].parameters == {"language": "French"}


def test_the_model_sees_declarations_handles_and_types_alone(ollama: OllamaServer) -> None:
    planned(call("plan", GOOD), ollama=ollama)
    system, user = (message["content"] for message in ollama.asked[1]["messages"])
    assert user == f"{REQUEST}\nimage1 is attached, of type image."
    assert "- visual_question_answering (image, question: text -> text)" in system
    assert all((f"- {tool.name} (" in system) == tool.planned for tool in installed())


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (call("plan", WRONG_TYPE), "takes text, but image1 is image"),
        (call("plan", NO_HANDLE), "there is no attachment 'holiday'"),
        (call("plan", {"steps": []}), "There is no step"),
        (call("plan", {"steps": [{"id": "s1", "tool": "photoshop", "inputs": []}]}), "photoshop"),
        (words("I would look at it first."), "did not call 'plan'"),
    ],
)
def test_a_plan_that_does_not_work_is_repaired(ollama: OllamaServer, bad: list[Line], told: str) -> None:
    made, kept = planned(bad, call("plan", GOOD), ollama=ollama)
    assert (made.planner, made.why["repairs"]) == ("chat", 1)
    assert told in ollama.asked[2]["messages"][-1]["content"]
    assert [e.repair for e in kept] == [0, 0, 1]


def test_after_two_repairs_the_typed_planner_decides_and_says_so(ollama: OllamaServer) -> None:
    made, kept = planned(*[call("plan", WRONG_TYPE)] * 3, ollama=ollama)
    assert (made.planner, made.tools) == ("typed", ["image_captioning", "text_to_speech"])
    assert "made no plan that works in 3 tries" in made.why["fallback"]
    assert [e.purpose for e in kept] == ["probe", "plan", "plan", "plan"]


def test_small_talk_may_have_no_steps(ollama: OllamaServer) -> None:
    ollama.answer_once(READY, call("plan", {"steps": []}))
    made = chat.plan("Hello, how are you?", installed(), {}, lambda: open_chat("ollama:llama3.2-vision"), [])
    assert (made.planner, made.steps) == ("chat", ())


def test_a_cancelled_plan_ends(ollama: OllamaServer) -> None:
    ollama.answer_once(READY, words("a", "b", "c"))
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(HopCancelled):
        chat.plan(REQUEST, installed(), GIVEN, lambda: open_chat("ollama:llama3.2-vision"), [], cancelled)


def test_with_ollama_down_or_a_model_missing_the_run_goes_on_typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ollama: OllamaServer
) -> None:
    monkeypatch.setenv("HOPLINE_HOME", str(tmp_path))
    monkeypatch.setenv("HOPLINE_PLANNER", "")
    with Agent.from_profile(load_profile("local")) as agent:
        made = agent.plan(REQUEST, GIVEN)
        assert (made.planner, made.tools) == ("typed", ["image_captioning", "text_to_speech"])
        assert "ollama pull qwen2.5" in made.why["fallback"]
        assert "4.7 GB" in made.why["fallback"]
        (told,) = made.problems
        assert (told.severity, told.message) == (
            "warning",
            f"the typed planner decided, for the language model could not: {made.why['fallback']}",
        )
        monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
        assert "ollama serve" in agent.plan(REQUEST, GIVEN).why["fallback"]


def test_every_exchange_of_a_planned_run_is_in_the_journal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ollama: OllamaServer
) -> None:
    monkeypatch.setenv("HOPLINE_HOME", str(tmp_path))
    profile = load_profile("offline").model_copy(update={"chat": "ollama:llama3.2-vision"})
    ollama.answer_once(
        READY, call("plan", WRONG_TYPE), call("plan", {"steps": [step(1, "text_to_image", text="a cat")]})
    )
    with Agent.from_profile(profile) as agent:
        run = agent.run("Draw a cat", planner="chat")
        assert run.status == "ok"
        assert run.record.plan is not None
        assert run.record.plan["planner"] == "chat"
        calls = agent.journal.model_calls(run.id)
    assert [(c.purpose, c.repair) for c in calls] == [("probe", 0), ("plan", 0), ("plan", 1)]

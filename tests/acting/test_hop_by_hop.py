"""The hop-by-hop agent: the real `ChatOllama` against a server that speaks Ollama's API, and the real runner."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hopline.agent import Agent, Run
from hopline.agent.running.profile import Profile
from hopline.tools.errors import BadPlan, UserError
from hopline.tools.fakes import drawn, spoken
from hopline.tools.fakes.ollama import Line, Model, OllamaServer, call, words
from hopline.tools.home import limits

IF_WORDS = "If the sign says that it is open, read it to me; otherwise draw a closed door."

Turn = tuple[str, Mapping[str, Any]] | str


def asked_to_pick(request: Mapping[str, Any]) -> bool:
    """The exchange is one with the reader."""
    return "<text>" in request["messages"][-1]["content"]


def by_schema(turns: Sequence[Turn], pick: str = "unclear") -> Callable[[Mapping[str, Any]], Sequence[Line]]:
    """Answers of a model that is held to a schema: its turns in order, and what it picks when it reads."""
    left = list(turns)

    def script(request: Mapping[str, Any]) -> Sequence[Line]:
        if asked_to_pick(request):
            return words(json.dumps({"choice": pick}))
        turn = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(turn, str):
            return words(json.dumps({"tool": "finish", "arguments": {"answer": turn}}))
        return words(json.dumps({"tool": turn[0], "arguments": turn[1]}))

    return script


def native(turns: Sequence[Turn], pick: str = "unclear") -> Callable[[Mapping[str, Any]], Sequence[Line]]:
    """The same by native calls; the probe is answered too."""
    left = list(turns)

    def script(request: Mapping[str, Any]) -> Sequence[Line]:
        names = [tool["function"]["name"] for tool in request["tools"]]
        if names == ["ready"]:
            return call("ready", {"ok": True})
        if names == ["pick"]:
            return call("pick", {"choice": pick})
        turn = left.pop(0) if len(left) > 1 else left[0]
        return words(turn) if isinstance(turn, str) else call(*turn)

    return script


OCR: Turn = ("image_ocr", {"image": "image1"})
ASK: Turn = ("decide", {"text": "step1", "question": "Is it open?", "choices": ["open", "closed"]})
SAY: Turn = ("text_to_speech", {"text": "step1"})
DRAW: Turn = ("text_to_image", {"text": "a closed door"})


def told(ollama: OllamaServer) -> list[str]:
    """The last message of each exchange."""
    return [request["messages"][-1]["content"] for request in ollama.asked]


@pytest.mark.parametrize("mode", ["schema", "tools"])
@pytest.mark.parametrize(
    ("pick", "then", "tools"), [("open", SAY, "text_to_speech"), ("closed", DRAW, "text_to_image")]
)
def test_the_next_step_depends_on_a_result(
    acting: Agent, ollama: OllamaServer, mode: str, pick: str, then: Turn, tools: str
) -> None:
    turns = [OCR, ASK, then, "Done."]
    ollama.script = by_schema(turns, pick)
    if mode == "tools":
        ollama.models["small:latest"] = Model(capabilities=("completion", "tools"))
        ollama.script = native(turns, pick)
    run = acting.run(IF_WORDS, [drawn("We are open.")], planner="agent")
    assert run.status == "ok", run.record.error
    assert [hop.tool for hop in run.hops] == ["image_ocr", tools]
    assert run.plan is not None
    assert run.plan.planner == "agent"
    assert run.plan.tools == ["image_ocr", tools]
    assert run.plan.why["mode"] == mode
    assert run.plan.why["decisions"] == [
        {"question": "Is it open?", "choices": ["open", "closed"], "choice": pick, "step": "step1"}
    ]
    # What was only read to decide is no output.
    assert [output.modality for output in run.outputs] == ["audio" if pick == "open" else "image"]
    assert run.answer.startswith("Made one ")
    purposes = [model_call.purpose for model_call in run.model_calls]
    assert purposes == ["probe"] * (mode == "tools") + ["act", "act", "judge", "act", "act"]
    assert all(c.finish_reason == "stop" and c.hop is None and c.error is None for c in run.model_calls)
    assert len(run.model_calls) == len(ollama.asked)


def test_the_model_sees_handles_and_the_reader_has_no_tools(acting: Agent, ollama: OllamaServer) -> None:
    ollama.script = by_schema([OCR, ASK, SAY, "Done."], "open")
    acting.run(IF_WORDS, [drawn("We are open.")], planner="agent")
    for request in ollama.asked:
        whole = json.dumps(request)
        assert ("We are open." in whole) == asked_to_pick(request)
        if asked_to_pick(request):
            assert "text_to_speech" not in whole
    assert told(ollama)[0] == f"image1 is there, of type image.\nRequest: {IF_WORDS}"
    assert 'Result: {"handle": "step1", "type": "text", "words": 3}' in told(ollama)[1]
    assert 'Result: {"choice": "open"}' in told(ollama)[3]


def test_a_native_history_has_calls_and_results(acting: Agent, ollama: OllamaServer) -> None:
    ollama.models["small:latest"] = Model(capabilities=("completion", "tools"))
    ollama.script = native([OCR, "Done."])
    run = acting.run("What does it say?", [drawn("OPEN")], planner="agent")
    assert run.outputs[0].text == "OPEN"
    last = ollama.asked[-1]["messages"]
    assert [message["role"] for message in last] == ["system", "user", "assistant", "tool"]
    assert last[2]["tool_calls"][0]["function"] == {"name": "image_ocr", "arguments": {"image": "image1"}}
    assert json.loads(last[3]["content"]) == {"handle": "step1", "type": "text", "words": 1}
    offered = [tool["function"]["name"] for tool in ollama.asked[-1]["tools"]]
    assert "decide" in offered
    assert "append" not in offered, "a tool with side effects is not for a model to call by itself"


def test_lists_items_and_settings(acting: Agent, ollama: OllamaServer) -> None:
    ollama.script = by_schema(
        [
            ("split", {"text": "one\ntwo\nthree"}),
            ("no_op", {"text": "step1"}),
            ("no_op", {"text": "step1[2]"}),
            ("translation", {"text": ["step2[0]", "step3"], "language": "French"}),
            "Done.",
        ]
    )
    run = acting.run("Split it and put the first and the last into French.", planner="agent")
    assert run.status == "ok", run.record.error
    assert sorted((hop.step, hop.item) for hop in run.hops) == [  # items run side by side
        ("step1", 0), ("step2", 0), ("step2", 1), ("step2", 2), ("step3", 0), ("step4", 0)
    ]  # fmt: skip
    assert run.hops[-1].parameters["language"] == "French"
    assert run.outputs[-1].text == "one\nthree"
    assert '"items": 3' in told(ollama)[1]


REFUSED: list[tuple[str, Turn, str]] = [
    ("a path", ("image_ocr", {"image": "/etc/passwd"}), "takes the handle of image"),
    ("a path upwards", ("image_ocr", {"image": "../image1"}), "takes the handle of image"),
    ("a file address", ("speech_to_text", {"audio": "file:///etc/passwd"}), "takes the handle of audio"),
    ("an address", ("image_ocr", {"image": "http://127.0.0.1:9/a.png"}), "takes the handle of image"),
    ("a network share", ("image_ocr", {"image": "\\\\host\\s"}), "takes the handle of image"),
    ("a NUL", ("image_ocr", {"image": "image1\0"}), "takes the handle of image"),
    ("a handle of nothing", ("image_ocr", {"image": "image7"}), "there is no 'image7'"),
    ("text of nothing", ("text_to_speech", {"text": "step9"}), "there is no 'step9'"),
    ("another type", ("speech_to_text", {"audio": "image1"}), "image1 is image"),
    ("no such tool", ("open_file", {"path": "/etc/passwd"}), "there is no tool 'open_file' here"),
    ("side effects", ("append", {"text": "x", "path": "/tmp/x"}), "there is no tool 'append' here"),
    ("a language nobody asked for", ("translation", {"text": ["x"], "language": "Klingon"}), "words of the request"),
    ("a setting that is none", ("image_ocr", {"image": "image1", "path": "/x"}), "takes no 'path'"),
    ("a setting out of range", ("text_to_speech", {"text": "x", "speed": 9}), "speed"),
    ("nothing", ("image_ocr", {}), "needs its input"),
    ("a number", ("image_ocr", {"image": 7}), "takes a handle"),
    ("a choice of tools", ("decide", {"text": "image1", "question": "?", "choices": ["image_ocr", "x"]}), "may not"),
    ("a choice of handles", ("decide", {"text": "image1", "question": "?", "choices": ["use image1", "x"]}), "may not"),
    ("a choice of paths", ("decide", {"text": "image1", "question": "?", "choices": ["/etc", "x"]}), "is not"),
    ("one choice", ("decide", {"text": "image1", "question": "?", "choices": ["x"]}), "2 to 8"),
    ("a decision on a picture", ("decide", {"text": "image1", "question": "?", "choices": ["x", "y"]}), "of a text"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "turn", "why"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_call_that_names_what_it_may_not_does_nothing_and_is_told(
    acting: Agent, ollama: OllamaServer, what: str, turn: Turn, why: str
) -> None:
    ollama.models["small:latest"] = Model(capabilities=("completion", "tools"))
    ollama.script = native([turn, OCR, "Done."])
    run = acting.run("What does it say?", [drawn("OPEN")], planner="agent")
    assert [hop.tool for hop in run.hops] == ["image_ocr"]
    assert run.status == "ok"
    assert run.plan is not None
    (row,) = run.plan.why["refused"]
    assert why in row["why"]
    assert why in json.loads(ollama.asked[-1]["messages"][3]["content"])["refused"]


def test_words_of_the_request_may_be_settings(acting: Agent, ollama: OllamaServer) -> None:
    turn: Turn = ("speech_to_text", {"audio": "audio1", "language": "de"})
    ollama.script = by_schema([turn, "Done."])
    run = acting.run("Write down this German memo.", [spoken("Guten Tag")], planner="agent")
    assert run.hops[0].parameters["language"] == "de"
    ollama.script = by_schema([turn, "Done."])
    assert acting.run("Write down this memo.", [spoken("Guten Tag")], planner="agent").hops == []


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MODEL_CALLS": "6", "TOOL_CALLS": "4", "SAME_CALLS": "3", "TIMEOUT_S": "3"}.items():
        monkeypatch.setenv(f"HOPLINE_AGENT_{name}", value)
    limits.cache_clear()


@pytest.mark.usefixtures("few")
def test_the_same_call_again_and_again_ends_it(acting: Agent, ollama: OllamaServer) -> None:
    ollama.script = by_schema([OCR])
    run = acting.run("What does it say?", [drawn("OPEN")], planner="agent")
    assert reason(run) == ("partial", "loop")
    assert len(run.hops) == 3
    assert [output.text for output in run.outputs] == ["OPEN"]
    assert "HOPLINE_AGENT_SAME_CALLS" in run.answer


@pytest.mark.usefixtures("few")
def test_too_many_calls_end_it(acting: Agent, ollama: OllamaServer) -> None:
    turns = iter(range(100))
    ollama.script = lambda request: words(
        json.dumps({"tool": "no_op", "arguments": {"text": f"text number {next(turns)}"}})
    )
    run = acting.run("Go on for ever.", planner="agent")
    assert reason(run) == ("partial", "limit")
    assert len(run.hops) == 4
    assert "HOPLINE_AGENT_TOOL_CALLS" in str(run.record.error)


@pytest.mark.usefixtures("few")
def test_too_many_turns_end_it(acting: Agent, ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_AGENT_MODEL_CALLS", "2")
    limits.cache_clear()
    ollama.script = by_schema([("decide", {"text": "a", "question": "?", "choices": ["x", "y"]})])
    run = acting.run("Go on for ever.", planner="agent")
    assert reason(run) == ("failed", "limit")
    assert len(ollama.asked) == 2
    assert "HOPLINE_AGENT_MODEL_CALLS" in run.answer


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("hanging", ["the model", "a tool"])
def test_its_time_is_up(acting: Agent, ollama: OllamaServer, hanging: str) -> None:
    ollama.script = by_schema([("sleep", {"text": "x", "seconds": 60})])
    if hanging == "the model":
        ollama.script = lambda request: [60.0]
    began = time.monotonic()
    run = acting.run("Take your time.", planner="agent")
    assert time.monotonic() - began < 6
    assert reason(run) == ("failed", "timeout")
    assert "HOPLINE_AGENT_TIMEOUT_S" in str(run.record.error)


def test_somebody_stops_it(acting: Agent, ollama: OllamaServer) -> None:
    ollama.script = by_schema([("sleep", {"text": "x", "seconds": 60})])
    started = acting.start("Take your time.", planner="agent")
    deadline = time.monotonic() + 20
    while not started.run.hops and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    began = time.monotonic()
    started.run.cancel()
    assert reason(started.wait(10)) == ("cancelled", "cancelled")
    assert time.monotonic() - began < 2.5
    assert threading.active_count() < 20


def test_a_hop_that_failed_is_got_around(acting: Agent, ollama: OllamaServer) -> None:
    ollama.script = by_schema([("fail", {"text": "x", "how": "bug"}), OCR, "Done."])
    run = acting.run("What does it say?", [drawn("OPEN")], planner="agent")
    assert run.status == "ok"
    assert [hop.status for hop in run.hops] == ["failed", "ok"]
    assert 'Result: {"failed": "backend_failed"}' in told(ollama)[1]
    ollama.script = by_schema([OCR, ("fail", {"text": "step1"}), "It did not work."])
    run = acting.run("What does it say?", [drawn("OPEN")], planner="agent")
    assert reason(run) == ("failed", "input_refused")


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (words("Hel", done_reason=None), ("failed", "cut_reply")),
        (words(""), ("failed", "bad_reply")),
        (words("not json"), ("failed", "bad_reply")),
        ([{"status": 500, "error": "error parsing tool call: raw='{', err=unexpected end"}], ("failed", "bad_reply")),
        ([{"status": 500, "error": "out of memory"}], ("failed", "backend_failed")),
    ],
    ids=["cut", "empty", "another form", "a call that does not read", "an error"],
)
def test_a_model_that_gives_no_turn_is_an_error(
    acting: Agent, ollama: OllamaServer, lines: Sequence[Line], kept: tuple[str, str]
) -> None:
    ollama.script = lambda request: lines
    run = acting.run("Describe it.", [drawn("a cat")], planner="agent")
    assert reason(run) == kept
    assert run.model_calls[-1].error is not None
    assert [c.repair for c in run.model_calls] == ([0, 1] if kept[1] == "bad_reply" else [0])
    assert len(run.model_calls) == len(ollama.asked)


def test_a_turn_that_cannot_be_read_is_asked_for_once_more(acting: Agent, ollama: OllamaServer) -> None:
    ollama.models["small:latest"] = Model(capabilities=("completion", "tools"))
    replies = [call("ready", {"ok": True}), words(""), call(*OCR), words("Done.")]
    ollama.answer_once(*replies)
    run = acting.run("What does it say?", [drawn("OPEN")], planner="agent")
    assert run.status == "ok"
    assert [(c.repair, c.error is None) for c in run.model_calls] == [(0, True), (0, False), (1, True), (0, True)]
    assert "That cannot be used" in told(ollama)[2]


@pytest.mark.parametrize("fence", ["{}", "```json\n{}\n```", "<tool_call>{}</tool_call>"])
def test_a_call_written_out_as_text_is_a_call(acting: Agent, ollama: OllamaServer, fence: str) -> None:
    ollama.models["small:latest"] = Model(capabilities=("completion", "tools"))
    written = fence.replace("{}", json.dumps({"name": "image_ocr", "arguments": {"image": "image1"}}))
    ollama.answer_once(call("ready", {"ok": True}), words(written), words("Done."))
    run = acting.run("What does it say?", [drawn("OPEN")], planner="agent")
    assert [hop.tool for hop in run.hops] == ["image_ocr"]


def test_a_picker_that_picks_something_else_decides_nothing(acting: Agent, ollama: OllamaServer) -> None:
    ollama.script = by_schema([OCR, ASK, "I could not tell."], "image_ocr")
    run = acting.run(IF_WORDS, [drawn("OPEN")], planner="agent")
    assert run.plan is not None
    assert "decisions" not in run.plan.why
    assert 'Result: {"failed": "bad_reply"}' in told(ollama)[3]


def test_words_without_a_step(acting: Agent, ollama: OllamaServer) -> None:
    ollama.script = by_schema(["Hello. I made step4 for you. What shall I do?"])
    run = acting.run("Hi there", planner="agent")
    assert run.status == "ok"
    assert run.answer == "Hello. What shall I do?"


def test_earlier_runs_of_the_conversation(acting: Agent, ollama: OllamaServer) -> None:
    first = acting.run("two red cars", chain="text_to_image")
    ollama.script = by_schema([("image_captioning", {"image": "run1.step1"}), "Done."])
    second = acting.run("Describe it.", planner="agent", conversation=first.record.conversation)
    assert second.outputs[0].text == "two red cars"
    assert "Asked before: two red cars" in told(ollama)[0]
    assert "run1.step1 is there, of type image." in told(ollama)[0]


def test_its_plan_runs_again_and_it_cannot_be_resumed(acting: Agent, ollama: OllamaServer) -> None:
    ollama.script = by_schema([OCR, ("text_to_speech", {"text": "step1"}), ("fail", {"text": "x"}), "No."])
    run = acting.run("Read it to me.", [drawn("OPEN")], planner="agent")
    assert run.status == "partial"
    with pytest.raises(UserError, match="hop by hop"):
        acting.resume(run.id)
    again = acting.replay(run.id, {"step1": "image_ocr:fake:drop=1"})
    assert sorted(hop.tool for hop in again.hops) == ["fail", "image_ocr", "text_to_speech"]
    with pytest.raises(UserError, match="no plan to show"):
        acting.plan("Read it to me.", planner="agent")


def test_without_a_model_it_says_what_brings_one(acting: Agent, ollama: OllamaServer) -> None:
    acting.profile = acting.runner.profile = Profile(name="bare")
    run = acting.run("Read it to me.", [drawn("OPEN")], planner="agent")
    assert reason(run) == ("failed", "missing_model")
    assert "chat =" in str(run.record.error)
    acting.profile = acting.runner.profile = Profile(name="other", chat="ollama:gone")
    run = acting.run("Read it to me.", [drawn("OPEN")], planner="agent")
    assert reason(run) == ("failed", "missing_model")
    assert "ollama pull gone" in str(run.record.error)
    acting.profile = acting.runner.profile = Profile(name="away", chat="ollama:big:120b-cloud")
    ollama.models["big:120b-cloud"] = Model(remote_host="https://ollama.com")
    with pytest.raises(BadPlan, match="elsewhere"):
        acting.run("Read it to me.", [drawn("OPEN")], planner="agent")


def reason(run: Run) -> tuple[str, str]:
    error = run.record.error
    return run.status, error.reason if error else ""

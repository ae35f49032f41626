"""The assisted planner: what the model is shown, what its word can change, and what it cannot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hopline.agent import Agent
from hopline.agent.planning import assisted, typed
from hopline.agent.planning.choosing import LISTED, MOST_LISTED, shortlist
from hopline.agent.planning.matching import Match, shared_encoder
from hopline.agent.planning.plan import handles
from hopline.agent.planning.vectors import Vectors
from hopline.agent.planning.worked import SHOWN, nearest, worked
from hopline.tools.errors import BackendFailed
from hopline.tools.exchange import Exchange
from hopline.tools.registry import Registry, installed
from hopline.tools.spec import Tool, ports

REQUEST = "Describe this photo out loud."
GIVEN = {"image1": "image"}


class Model:
    """Names the tools it is told to, or fails; keeps what it was asked."""

    def __init__(self, *names: str, reply: str | None = None, error: str = "") -> None:
        self.reply = json.dumps({"tools": names}) if reply is None else reply
        self.error = error
        self.asked: list[Sequence[Mapping[str, str]]] = []
        self.schemas: list[Mapping[str, Any]] = []

    def __call__(self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], most_tokens: int) -> Exchange:
        self.asked.append(messages)
        self.schemas.append(schema)
        if self.error:
            raise BackendFailed(self.error)
        return Exchange(purpose="plan", reply=self.reply, finish_reason="stop")


def test_the_short_list_takes_the_best_of_each_clause_in_turn() -> None:
    scores = {"a": (0.9, 0.1), "b": (0.8, 0.7), "c": (0.7, 0.2)}
    matches = sorted(
        (
            Match(tool=tool, clause=clause, start=0, words="", score=score)
            for tool, row in scores.items()
            for clause, score in enumerate(row)
        ),
        key=lambda m: -m.score,
    )
    assert shortlist(matches) == ["a", "b", "c"]
    assert shortlist(matches, 2) == ["a", "b"]
    assert shortlist([]) == []


@pytest.mark.models
def test_the_model_sees_request_declarations_and_types_and_chooses_from_the_list() -> None:
    model = Model("image_captioning", "text_to_speech")
    plan = assisted.plan(REQUEST, installed(), GIVEN, model)
    assert plan.planner == "assisted"
    assert plan.tools == ["image_captioning", "text_to_speech"]
    assert plan.why["judged"] == plan.tools
    (messages,) = model.asked
    assert messages[-1]["content"] == f"{REQUEST}\nimage1 is attached, of type image."
    every = [tool.name for tool in installed() if tool.planned]
    assert messages[0]["content"].count("\n- ") == len(every)
    assert model.schemas[0]["properties"]["tools"]["items"]["enum"] == every


@pytest.mark.models
def test_the_model_is_shown_the_nearest_worked_requests_over_these_tools_and_never_the_request_itself() -> None:
    model = Model("speech_to_text")
    known = worked()[0]
    assisted.plan(known.request, installed(), handles(known.attachments), model)
    shown = [message["content"] for message in model.asked[0][1:]]
    assert len(shown) == 2 * SHOWN + 1
    assert not any(known.request in text for text in shown[:-1])
    assert all(set(json.loads(reply)["tools"]) <= {tool.name for tool in installed()} for reply in shown[1::2])
    others = Registry(tools=[tool for tool in installed() if tool.name != "speech_to_text"])
    few = Registry(tools=[Tool(name="shout", description="Shouts.", inputs=ports("text"), outputs=ports("text"))])
    vectors = Vectors(shared_encoder())  # type: ignore[arg-type]  # the weights are here
    assert all(
        "speech_to_text" not in one.tools
        for one in nearest("Listen to it.", ["audio"], {t.name for t in others}, vectors)
    )
    assert nearest("Shout it.", [], {t.name for t in few}, vectors) == []
    by_ear = ("audio_question_answering",)
    everything = {tool.name for tool in installed()}
    for names, there in ((everything, True), (everything - set(by_ear), False)):
        heard = nearest("What time did the caller say she'd arrive?", ["audio"], names, vectors)
        assert (by_ear in {one.tools for one in heard}) == there
    every = {name for one in worked() for tools in one.accept for name in tools}
    assert every == {tool.name for tool in installed()}


@pytest.mark.models
def test_of_a_very_long_list_the_likely_tools_are_shown() -> None:
    many = [
        Tool(name=f"paint_{n}", description=f"Paints in style {n}.", inputs=ports("text"), outputs=ports("image"))
        for n in range(MOST_LISTED)
    ]
    model = Model("image_captioning")
    registry = Registry(tools=[*installed(), *many])
    assert assisted.plan(REQUEST, registry, GIVEN, model).why["judged"] == ["image_captioning"]
    allowed = model.schemas[0]["properties"]["tools"]["items"]["enum"]
    assert len(allowed) == LISTED
    assert {"image_captioning", "text_to_speech"} <= set(allowed)


@pytest.mark.models
def test_its_word_decides_what_the_encoder_leaves_open() -> None:
    request = "Check this photo."
    asked = assisted.plan(request, installed(), GIVEN, Model("visual_question_answering"))
    seen = assisted.plan(request, installed(), GIVEN, Model("image_captioning"))
    assert asked.tools == ["visual_question_answering"]
    assert seen.tools == ["image_captioning"]
    assert not asked.errors
    assert not seen.errors


@pytest.mark.models
@pytest.mark.parametrize(
    "model",
    [
        Model(error="its process was ended."),
        Model(reply='{"tools": ["image_capt'),
        Model(reply="[]"),
        Model(reply=""),
        Model(*[tool.name for tool in installed()][:8]),
    ],
    ids=["failed", "cut", "another form", "empty", "one tool after the other"],
)
def test_without_an_answer_the_typed_plan_stands_and_says_so(model: Model) -> None:
    plan = assisted.plan(REQUEST, installed(), GIVEN, model)
    assert plan.planner == "typed"
    assert plan.steps == typed.plan(REQUEST, installed(), GIVEN).steps
    assert plan.why["fallback"]


@pytest.mark.models
def test_a_name_that_was_not_listed_adds_nothing() -> None:
    plan = assisted.plan(REQUEST, installed(), GIVEN, Model("format_disk", "image_captioning", "text_to_speech"))
    assert plan.tools == ["image_captioning", "text_to_speech"]


@pytest.mark.models
def test_small_talk_is_not_put_to_it() -> None:
    model = Model()
    assert assisted.plan("hello there", installed(), {}, model).steps == ()
    assert model.asked == []


@pytest.mark.slow
@pytest.mark.models
def test_the_real_model_through_an_agent_and_its_exchange_in_the_journal(shared: Path) -> None:
    with Agent.from_profile("offline") as agent:
        run = agent.run("Draw a yellow boat on a lake.", planner="assisted")
        assert run.status == "ok"
        assert [hop.tool for hop in run.hops] == ["text_to_image"]
        assert run.record.plan is not None
        assert run.record.plan["planner"] == "assisted"
        calls = run.model_calls
        assert [(call.purpose, call.hop, call.finish_reason) for call in calls] == [("plan", None, "stop")]
        for call in calls:
            assert call.input_tokens
            assert call.output_tokens
            assert call.reply is not None
            assert "text_to_image" in agent.journal.read(call.reply).text

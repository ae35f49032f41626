"""Requests that refer to what was made before: dialogues over fakes, through the Agent and its journal.

`dialogues.jsonl`: `dev` was developed on. `blind` was written before any of the code and first ran when `dev` was
right (16 of 20 follow-ups), `fresh` after `blind` was right (15 of 17); what they showed was mended since.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hopline.agent import Agent, Run
from hopline.agent.acting.conversation import Conversation
from hopline.agent.hops.journal import Journal
from hopline.agent.planning import assisted, followup
from hopline.agent.planning.plan import FromAttachment, FromStep, FromText, Step
from hopline.agent.running.profile import Profile
from hopline.tools.artifact import Artifact
from hopline.tools.declarations import STANDARD_TOOLS
from hopline.tools.exchange import Exchange
from hopline.tools.fakes import LOSSY, drawn, filmed, spoken
from hopline.tools.fakes.ollama import OllamaServer, words
from hopline.tools.registry import Registry

DIALOGUES = [json.loads(line) for line in (Path(__file__).parent / "dialogues.jsonl").read_text("utf-8").splitlines()]
MISSED: set[str] = set()
"""What does not work yet, said here: it fails if it begins to."""

pytestmark = pytest.mark.models


@pytest.fixture
def agent(home: Path) -> Iterator[Agent]:
    registry = Registry(STANDARD_TOOLS, LOSSY)
    with Agent(registry=registry, profile=Profile(name="fakes", chat="ollama:small"), journal=Journal()) as made:
        yield made


def given(kinds: Sequence[str], numbers: Iterator[int]) -> list[Artifact]:
    """Attachments of these types, each with words of its own."""
    carriers: dict[str, Callable[[str], Artifact]] = {
        "image": drawn,
        "audio": spoken,
        "text": Artifact.from_text,
        "video": lambda words: filmed([words] * 4),
    }
    return [carriers[kind](f"{next(numbers)} red cars") for kind in kinds]


def shown(step: Step) -> str:
    """`translation(run1.step1; language=French)`, or `text_to_image(“a cat”)`."""
    parts = []
    for source in (source for sources in step.inputs.values() for source in sources):
        match source:
            case FromAttachment():
                parts.append(source.attachment)
            case FromStep():
                parts.append(source.step)
            case FromText():
                parts.append(f"“{source.text}”")
    settings = "".join(f"; {name}={value}" for name, value in step.parameters.items())
    return f"{step.tool}({', '.join(parts)}{settings})"


def steps(run: Run) -> list[str]:
    return [shown(step) for step in run.plan.steps] if run.plan else [str(run.record.error)]


def missed(agent: Agent, dialogue: Mapping[str, Any]) -> list[str]:
    """The follow-ups of a dialogue that were not planned as accepted."""
    numbers, conversation, wrong = count(1), "", []
    for turn in dialogue["turns"]:
        run = agent.run(turn["request"], given(turn["attachments"], numbers), conversation=conversation)
        conversation = run.record.conversation
        assert run.status == "ok" or not run.hops, (turn["request"], run.record.error)
        if turn["accept"] is not None and steps(run) not in turn["accept"]:
            wrong.append(f"{turn['request']} {steps(run)}")
    return wrong


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=[dialogue["id"] for dialogue in DIALOGUES])
def test_dialogues(agent: Agent, dialogue: Mapping[str, Any]) -> None:
    wrong = missed(agent, dialogue)
    assert bool(wrong) == (dialogue["id"] in MISSED), wrong


def test_there_are_enough_of_them() -> None:
    follow_ups = [turn for dialogue in DIALOGUES for turn in dialogue["turns"] if turn["accept"] is not None]
    blind = [d for d in DIALOGUES if not d["id"].startswith("dev")]
    assert len(DIALOGUES) >= 25
    assert len(blind) * 2 >= len(DIALOGUES)
    assert len(follow_ups) >= 50


def test_the_plan_says_what_the_words_mean(agent: Agent) -> None:
    first = agent.run("Describe this photo.", [drawn("two red cars")])
    talk = first.record.conversation
    again = agent.run("Read that to me", conversation=talk)
    assert again.plan is not None
    assert again.plan.why["refers_to"] == {"that": ["run1.step1"]}
    louder = agent.run("Again, but faster", conversation=talk)
    assert louder.plan is not None
    assert louder.plan.why["again"] == ["run2.step1"]
    assert louder.plan.why["changed"] == {"speed": 1.25}
    other = agent.run("And this one?", [drawn("a cat")], conversation=talk)
    assert other.plan is not None
    assert other.plan.why["again"] == ["run1.step1"]
    assert other.plan.why["instead"] == {"image1": ["image1"]}
    assert other.outputs[0].text == "a cat"


def test_what_is_done_again_gets_a_seed_of_its_own_and_what_is_changed_keeps_its(agent: Agent) -> None:
    first = agent.run("Draw a cat three times.")
    talk = first.record.conversation
    assert [hop.seed for hop in first.hops] == [0, 1, 2]
    bigger = agent.run("Make the second one bigger", conversation=talk)
    assert [hop.seed for hop in bigger.hops] == [1]
    assert [hop.parameters["size"] for hop in bigger.hops] == [1024]
    again = agent.run("Draw it again", conversation=talk)
    assert [hop.seed for hop in again.hops] == [3]
    replayed = agent.replay(again.id, {"step1": "text_to_image:fake:drop=1"})
    assert replayed.hops[0].seed == 3


def test_one_of_many_is_mapped_and_done_again_alone(agent: Agent) -> None:
    first = agent.run("Describe these two photos.", [drawn("a cat"), drawn("two dogs")])
    talk = first.record.conversation
    earlier = Conversation(agent.journal, talk)
    assert {"run1.step1", "run1.step1[0]", "run1.step1[1]"} <= set(earlier.types())
    read = agent.run("Read the second one aloud.", conversation=talk)
    assert agent.journal.read(read.hops[0].inputs["text"][0]).text == "two dogs"
    both = agent.run("Translate both descriptions into French.", conversation=talk)
    assert [agent.journal.read(ref).text for ref in both.hops[0].inputs["text"]] == ["a cat", "two dogs"]


def test_what_failed_can_be_asked_for_otherwise(agent: Agent) -> None:
    agent.profile = agent.runner.profile = Profile(name="broken", backends={"translation": "translation:gone"})
    first = agent.run('Translate "The cat sleeps" into French.')
    assert (first.status, first.record.answer) == ("failed", str(first.record.error and first.record.error.message))
    assert "translation:gone" in first.answer
    talk = first.record.conversation
    cut = {"steps": [{"id": "step1", "tool": "translation", "inputs": {"text": [{"text": "a cat"}]}}]}
    cut["steps"][0]["parameters"] = {"language": "French"}
    agent.profile = agent.runner.profile = Profile(name="fakes")
    stopped = threading.Event()
    stopped.set()
    second = agent.run("Translate a cat", plan=cut, conversation=talk, cancelled=stopped)
    assert second.status == "cancelled"
    assert steps(agent.run("now in German", conversation=talk)) == ["translation(“a cat”; language=German)"]


def test_when_nothing_fits_the_answer_names_the_missing_conversion(agent: Agent) -> None:
    run = agent.run("Transcribe the recording.", conversation=agent.run("Draw a cat.").record.conversation)
    assert run.record.error is None or run.record.error.reason == "no_plan"
    lonely = agent.run("How many dogs are in the picture?")
    assert lonely.record.error is not None
    assert lonely.record.error.reason == "no_plan"
    assert "needs image, and nothing here makes image (text_to_image makes it from text, video_to" in lonely.answer
    assert "Attach it, or add a tool that does" in lonely.answer


def test_a_request_of_its_own_in_a_conversation_is_planned_as_ever(agent: Agent) -> None:
    talk = agent.run("Describe this photo.", [drawn("a cat")]).record.conversation
    for request in ("Draw a dog, describe it, and draw it again from the description.", "Read this aloud: hello"):
        alone, within = agent.plan(request), agent.plan(request, conversation=talk)
        assert alone.steps == within.steps


def test_nothing_of_what_was_made_is_read_for_planning(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    talk = agent.run("Describe this photo.", [drawn("a cat")]).record.conversation

    def no_reading(*_: object) -> Artifact:
        raise AssertionError("planning read an artifact")

    monkeypatch.setattr(agent.journal, "read", no_reading)
    assert agent.plan("Now in French", conversation=talk).tools == ["translation"]


def test_the_assisted_planner_asks_about_what_is_meant(agent: Agent) -> None:
    talk = agent.run("Describe this photo.", [drawn("a cat")]).record.conversation
    history = Conversation(agent.journal, talk).history()
    asked: list[str] = []

    def ask(messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], most_tokens: int) -> Exchange:
        asked.append(messages[-1]["content"])
        named = {"tools": ["translation"], "steps": [{"do": "x", "tool": "translation"}]}
        (key,) = schema["properties"]
        return Exchange(purpose="plan", reply=json.dumps({key: named[key]}), finish_reason="stop")

    request = "Translate the description into French."
    made = followup.plan(
        request, agent.registry, {}, history, lambda said, handles: assisted.plan(said, agent.registry, handles, ask)
    )
    assert (made.planner, [shown(step) for step in made.steps]) == (
        "assisted",
        ["translation(run1.step1; language=French)"],
    )
    assert made.why["refers_to"] == {"the description": ["run1.step1"]}
    assert all("run1.step1 is attached, of type text." in question for question in asked)


def test_the_chat_planner_is_told_handles_and_requests_and_no_contents(agent: Agent, ollama: OllamaServer) -> None:
    talk = agent.run("Describe this photo.", [drawn("a secret cat")]).record.conversation
    answer = {"steps": [{"id": "s1", "tool": "text_to_speech", "inputs": [{"input": "text", "from": ["run1.step1"]}]}]}
    ollama.answer_once(words(json.dumps(answer)))
    run = agent.run("Read that to me", planner="chat", conversation=talk)
    assert (run.status, steps(run)) == ("ok", ["text_to_speech(run1.step1)"])
    assert run.plan is not None
    assert run.plan.planner == "chat"
    told = json.dumps(ollama.asked[-1]["messages"], ensure_ascii=False)
    assert "Asked before: Describe this photo." in told
    assert "run1.step1 is there, of type text, made by image_captioning()." in told
    assert "secret" not in told


def test_where_the_chat_model_cannot_be_had_a_follow_up_is_planned_typed(agent: Agent, ollama: OllamaServer) -> None:
    talk = agent.run("Describe this photo.", [drawn("a cat")]).record.conversation
    ollama.models.clear()
    run = agent.run("Now in French", planner="chat", conversation=talk)
    assert steps(run) == ["translation(run1.step1; language=French)"]
    assert run.plan is not None
    assert "ollama pull small" in run.plan.why["fallback"]

"""The typed planner: laws that hold for every request and tool list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hopline.agent.planning import typed
from hopline.agent.planning.check import check
from hopline.agent.planning.clauses import is_address, parse
from hopline.agent.planning.matching import LONGEST_WINDOW, _windows
from hopline.agent.planning.plan import FromAttachment, FromStep, FromText, Plan, Step, handles
from hopline.agent.planning.ranking import LONGEST_READ
from hopline.tools.errors import NoPlan
from hopline.tools.registry import Registry, installed
from hopline.tools.spec import Tool, ports
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
ASK = ("Describe this photo out loud.", {"image1": "image"})


@pytest.mark.models
@settings(max_examples=30, deadline=None)
@given(st.text(max_size=80))
def test_any_request_gives_a_plan_that_checks_or_says_what_is_missing(request_text: str) -> None:
    registry = installed()
    try:
        plan = typed.plan(request_text, registry, {"audio1": "audio"})
    except NoPlan:
        return
    assert not plan.errors
    assert not [p for p in check(plan, registry, {"audio1": "audio"}) if p.severity == "error"]


@pytest.mark.models
def test_the_same_request_gives_the_same_plan() -> None:
    assert typed.plan(ASK[0], installed(), ASK[1]) == typed.plan(ASK[0], installed(), ASK[1])


def _planned(request: str, *kinds: str, registry: Registry | None = None) -> Plan:
    made = typed.plan(request, registry or installed(), handles(kinds))
    assert not made.errors
    return made


@pytest.mark.models
def test_quoted_text_goes_where_it_is_asked_for_and_a_language_is_a_parameter() -> None:
    translated, spoken = _planned("Translate 'where is the station' into Spanish and say it.").steps
    assert translated.inputs["text"] == (FromText(text="where is the station"),)
    assert translated.parameters == {"language": "Spanish"}
    assert spoken.inputs["text"] == (FromStep(step=translated.id),)


@pytest.mark.models
def test_a_count_makes_as_many_steps_and_is_not_drawn() -> None:
    drawn = _planned("Draw a red house three times.")
    assert [(step.tool, step.inputs["text"]) for step in drawn.steps] == [
        ("text_to_image", (FromText(text="a red house"),))
    ] * 3


@pytest.mark.models
@pytest.mark.parametrize(
    ("request_text", "kind", "tools"),
    [
        ("Describe both photos and tell me what they have in common.", "image", ["image_captioning"]),
        ("Transcribe both memos and tell me what they have in common.", "audio", ["speech_to_text"]),
    ],
)
def test_a_join_reads_what_was_made_of_every_attachment(request_text: str, kind: str, tools: list[str]) -> None:
    made = _planned(request_text, kind, kind)
    assert made.tools == [*tools, "question_answering"]
    each, join = made.steps
    assert each.inputs[kind] == (FromAttachment(attachment=f"{kind}1"), FromAttachment(attachment=f"{kind}2"))
    assert join.inputs["text"] == (FromStep(step=each.id),)
    assert join.inputs["question"] == (FromText(text="tell me what they have in common"),)


@pytest.mark.models
def test_a_question_is_the_one_that_was_typed_or_spoken() -> None:
    (typed_one,) = _planned("What colour is the car in the picture?", "image").steps
    assert typed_one.inputs["question"] == (FromText(text="What colour is the car in the picture?"),)
    heard, answered = _planned("Answer the spoken question about the picture.", "image", "audio").steps
    assert answered.inputs["question"] == (FromStep(step=heard.id),)


@pytest.mark.models
@pytest.mark.parametrize(
    ("request_text", "kind", "tools"),
    [
        ("Draw whatever is being described in story.m4a.", "audio", ["speech_to_text", "text_to_image"]),
        ("What time does the caller say the delivery will come?", "audio", ["speech_to_text", "question_answering"]),
        ("Describe this photo aloud.", "image", ["image_captioning", "text_to_speech"]),
    ],
)
def test_words_that_tell_what_somebody_does_ask_for_nothing_more(
    request_text: str, kind: str, tools: list[str]
) -> None:
    assert _planned(request_text, kind).tools == tools


@pytest.mark.models
@pytest.mark.parametrize(
    ("request_text", "prompt"),
    [
        ("Make some relaxing music.", "some relaxing music"),
        ("I'd like a voice message saying good night", "good night"),
        ("Create a drawing of a blue cat", "a blue cat"),
    ],
)
def test_a_prompt_is_what_is_to_be_made_and_no_more(request_text: str, prompt: str) -> None:
    (step,) = _planned(request_text).steps
    assert step.inputs["text"] == (FromText(text=prompt),)


@pytest.mark.models
def test_what_was_made_before_is_read_and_what_is_new_is_not() -> None:
    told = _planned("Describe the photo and draw a red balloon.", "image").steps[1]
    assert told.inputs["text"] == (FromText(text="a red balloon"),)
    referred = _planned("Transcribe the memo and draw the text.", "audio").steps[1]
    assert referred.inputs["text"] == (FromStep(step="step1"),)


@pytest.mark.models
@pytest.mark.parametrize(
    ("request_text", "kinds", "message"),
    [
        ("Transcribe this.", (), "speech_to_text needs audio, and nothing here makes audio"),
        ("Describe this photo.", (), "image_captioning needs image, and nothing here makes image"),
        ("Turn this recording into a video.", ("audio",), "nothing here makes video"),
        ("Translate this map into French.", ("map",), "nothing here takes map"),
    ],
)
def test_without_a_plan_the_missing_conversion_is_named(
    request_text: str, kinds: tuple[str, ...], message: str
) -> None:
    with pytest.raises(NoPlan, match=message) as refused:
        _planned(request_text, *kinds)
    assert "hopline tools" in refused.value.hint


@pytest.mark.models
def test_examples_of_a_tool_are_words_that_ask_for_it() -> None:
    plain = Tool(name="t1", description="Works on text.", inputs=ports("text"), outputs=ports("score"))
    other = Tool(name="t2", description="Counts words.", inputs=ports("text"), outputs=ports("score"))
    taught = Tool(
        name="t1",
        description="Works on text.",
        inputs=ports("text"),
        outputs=ports("score"),
        examples=("rhyme with it", "make a rhyme"),
    )
    asked = "Make a rhyme on 'blue moon'."

    def score(*tools: Tool) -> float:
        matches = typed.Reading(asked, Registry(tools=tools), {}).matches
        return max(m.score for m in matches if m.tool == "t1")

    assert score(taught, other) > score(plain, other) + 1


@pytest.mark.models
@pytest.mark.parametrize(
    ("path", "every", "least"),
    [("agent/planning/requests.jsonl", 4, 0.85), ("tests/planning/requests-held-out.jsonl", 1, 0.8)],
    ids=["developed on", "held out"],
)
def test_requests_in_plain_words_are_planned_as_people_mean_them(path: str, every: int, least: float) -> None:
    cases = [json.loads(line) for line in (ROOT / path).read_text("utf-8").splitlines()[::every]]
    met = []
    for case in cases:
        try:
            made = typed.plan(case["request"], installed(), handles(case["attachments"]))
        except NoPlan:
            met.append(False)
            continue
        called = [t for step in made.steps for t in [step.tool] * _width(step, made)]
        met.append(called in case["accept"])
    assert sum(met) / len(met) >= least


def _width(step: Step, plan: Plan) -> int:
    """How often a step runs: once an item of what it maps over."""
    counts = [
        sum(_width(plan.step(s.step), plan) if isinstance(s, FromStep) else 1 for s in sources)
        for name, sources in step.inputs.items()
        if not installed().tool(step.tool).input(name).many
    ]
    return max(counts, default=1)


@pytest.mark.models
def test_a_tool_that_has_nothing_to_do_with_it_changes_no_plan() -> None:
    before = typed.plan(ASK[0], installed(), ASK[1])
    unrelated = Tool(name="tax_form", description="Files a tax return.", inputs=ports("ledger"), outputs=ports("form"))
    registry = Registry(tools=[*installed(), unrelated])
    assert typed.plan(ASK[0], registry, ASK[1]).steps == before.steps


def test_a_file_name_after_a_colon_is_a_file_and_not_a_text() -> None:
    parsed = parse("Classify my photo: 'example.jpg'")
    assert [(literal.type, literal.text) for literal in parsed.literals] == [("image", "example.jpg")]


def test_a_quoted_address_is_an_address() -> None:
    parsed = parse("Download the sound from this URL: 'https://example.com/a.wav'")
    assert [(literal.type, literal.text) for literal in parsed.literals] == [("url", "https://example.com/a.wav")]


@pytest.mark.parametrize(("text", "errors"), [("https://example.com/a", 0), ("hello", 1)])
def test_an_input_of_type_url_takes_an_address_and_no_other_text(text: str, errors: int) -> None:
    fetch = Tool(name="fetch", description="Downloads a page.", inputs=ports("url"), outputs=ports("text"))
    plan = Plan(steps=(Step(id="step1", tool="fetch", inputs={"url": (FromText(text=text),)}),))
    assert len(check(plan, Registry(tools=[fetch]), {})) == errors
    assert is_address(text) == (errors == 0)


@pytest.mark.models
@pytest.mark.parametrize(
    "things",
    ["two red cars next to a green tree", "three cats and a dog", "a cat, a dog and two birds"],
)
def test_a_list_of_things_is_one_thing_to_draw(things: str) -> None:
    (step,) = typed.plan(f"Draw {things}.", installed(), {}).steps
    assert step.tool == "text_to_image"
    assert step.inputs["text"] == (FromText(text=things),)


@pytest.mark.models
def test_one_more_thing_to_do_is_a_clause_of_its_own() -> None:
    made = typed.plan("I want a transcript of this recording and a translation.", installed(), {"audio1": "audio"})
    assert made.tools == ["speech_to_text", "translation"]


@pytest.mark.models
def test_each_clause_means_its_own_of_several_attachments() -> None:
    read, described = _planned("Read the sign in the first photo and describe the second one.", "image", "image").steps
    assert (read.tool, described.tool) == ("image_ocr", "image_captioning")
    assert read.inputs["image"] == (FromAttachment(attachment="image1"),)
    assert described.inputs["image"] == (FromAttachment(attachment="image2"),)
    captioned, copied = _planned(
        "Caption the sunset picture and copy the words off the postcard.", "image", "image"
    ).steps
    assert captioned.inputs["image"] == (FromAttachment(attachment="image1"),)
    assert copied.inputs["image"] == (FromAttachment(attachment="image2"),)


@pytest.mark.models
def test_the_language_something_is_in_is_not_the_one_it_is_translated_into() -> None:
    read, translated = _planned("The menu in this photo is in Greek. I'd like it in Danish.", "image").steps
    assert (read.tool, translated.tool) == ("image_ocr", "translation")
    assert translated.parameters == {"language": "Danish"}
    (_, english) = _planned("My neighbour's note is all in Polish, what does it say?", "image").steps
    assert english.parameters == {"language": "English"}


@pytest.mark.models
def test_the_same_again_is_done_to_something_new_alone() -> None:
    drawn = _planned("Draw a cat, describe the drawing, and draw that description.")
    assert drawn.tools == ["text_to_image", "image_captioning", "text_to_image"]
    shortened = _planned("Shorten the attached chapter and read the short version to me.", "text")
    assert shortened.tools == ["summarization", "text_to_speech"]


@pytest.mark.models
@pytest.mark.parametrize("request_text", ["Sorry, I was away for a minute. I'm back now.", "Ha ha, you're funny."])
def test_asides_ask_for_nothing(request_text: str) -> None:
    assert _planned(request_text).tools == []


@pytest.mark.models
def test_of_a_whole_book_in_one_clause_only_the_beginning_is_searched_for_words_that_ask() -> None:
    book = "the house beside the river walks over green hills " * 500
    made = _planned(f"Summarise this and read it to me {book}", "text")
    assert made.tools == ["summarization", "text_to_speech"]
    (clause,) = parse(book).clauses
    assert len(clause.words) == 4500
    assert len(_windows(clause)) <= LONGEST_WINDOW * LONGEST_READ

"""Answers from what a description says, and "I cannot tell" for all else."""

from __future__ import annotations

import pytest
from hopline.agent import Agent
from hopline.tools.visual_question_answering.offline import Seen, answer
from hypothesis import given
from hypothesis import strategies as st

DRAWING = Seen(
    caption="The picture shows two red cars, a green tree and a dog. The cars are next to the tree. "
    "The dog is to the right of the tree.",
    objects=[
        {"noun": "car", "count": 2, "colour": "red"},
        {"noun": "tree", "count": 1, "colour": "green"},
        {"noun": "dog", "count": 1, "colour": ""},
    ],
)
PHOTO = Seen(
    caption="This photo probably shows a cat.", labels=[("tabby cat", 0.8), ("dog", 0.02)], colours=["grey", "brown"]
)


@pytest.mark.parametrize(
    ("question", "wanted", "why"),
    [
        ("What colour is the car?", "Red.", "objects"),
        ("What color are the automobiles?", "Red.", "objects"),
        ("What colour is the dog?", "I cannot tell", "unknown"),
        ("How many cars are there?", "Two cars.", "objects"),
        ("How many trees can you see?", "One tree.", "objects"),
        ("How many boats are there?", "No boats.", "objects"),
        ("How many things are in the picture?", "Four.", "objects"),
        ("Is there a dog in the picture?", "Yes.", "objects"),
        ("Are there any cats?", "No", "objects"),
        ("Where is the dog?", "The dog is to the right of the tree.", "caption"),
        ("What is next to the tree?", "The cars are next to the tree.", "caption"),
        ("What is in this picture?", "two red cars", "caption"),
    ],
)
def test_a_drawing(question: str, wanted: str, why: str) -> None:
    found, taken_from = answer(question, DRAWING)
    assert wanted in found
    assert taken_from == why


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("Is there a cat in the photo?", "Yes, probably."),
        ("Is there a dog?", "I cannot tell"),
        ("What colour is the cat?", "grey and brown"),
        ("What colour is the sofa?", "I cannot tell"),
        ("How many cats are there?", "I cannot tell"),
        ("Where is the cat?", "I cannot tell"),
        ("What is in this photo?", "probably shows a cat"),
    ],
)
def test_a_photo(question: str, wanted: str) -> None:
    assert wanted in answer(question, PHOTO)[0]


def test_text_in_the_picture() -> None:
    assert answer("What does the sign say?", Seen(caption="x", text="OPEN"))[0] == "OPEN"
    assert "No text" in answer("What does the sign say?", Seen(caption="x", text=""))[0]


@given(st.text(max_size=80))
def test_any_question_gets_an_answer(question: str) -> None:
    for seen in (DRAWING, PHOTO):
        assert answer(question, seen)[0]


@pytest.mark.models
def test_for_real_with_child_hops(home: object) -> None:
    with Agent.from_profile("offline") as agent:
        drawn = agent.run("two red cars next to a green tree", chain="text_to_image").record.outputs[0]
        picture = agent.journal.read(drawn)
        run = agent.run("What colour are the cars?", [picture], chain="visual_question_answering")
        assert run.outputs[0].text == "Red."
        assert [hop.tool for hop in run.hops] == ["visual_question_answering", "image_captioning"]
        assert run.hops[1].parent == run.hops[0].id


@pytest.mark.models
def test_the_photos_are_named_or_said_to_be_unsure(shared: object) -> None:
    from pathlib import Path

    wanted = {"photo-a.jpg": "cat", "photo-b.jpg": "zebra", "photo-c.jpg": "zebra", "photo-f.jpg": "zebra"}
    with Agent.from_profile("offline") as agent:
        for path in sorted(Path(str(shared)).glob("media/photo-*.jpg")):
            run = agent.run("What is in this photo?", [path], chain="visual_question_answering")
            text = run.outputs[0].text
            assert wanted.get(path.name, "") in text
            assert path.name in wanted or "not sure" in text or "probably" in text

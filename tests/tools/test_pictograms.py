"""The pictogram pair: what a prompt asks to be drawn, the drawing, and the drawing read back."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from hopline.tools import Artifact, Call, Result
from hopline.tools.errors import InputRefused
from hopline.tools.image_captioning.bank import box, foreground, render
from hopline.tools.image_captioning.scene_reading import GroupRead, SceneRead, caption, first_guess, read
from hopline.tools.media import decode_image
from hopline.tools.openmoji import COLOURS, CREDIT, noun_of, nouns, plural
from hopline.tools.text_to_image.layout import place
from hopline.tools.text_to_image.pictograms import MAX_PROMPT_CHARACTERS, Pictograms, draw
from hopline.tools.text_to_image.scene import MAX_COUNT, MAX_GROUPS, Group, Relation, Scene, parse
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

pytestmark = pytest.mark.models


def drawn(prompt: str) -> Result:
    return Pictograms().call(Call(inputs={"text": (Artifact.from_text(prompt),)}))


def kinds(result: Result) -> dict[str, str]:
    return {loss.kind: loss.message for loss in result.mechanical_losses}


@pytest.mark.parametrize(
    ("prompt", "groups", "relations", "backdrop"),
    [
        ("A red car.", ["1 red car"], [], ""),
        ("Two red cars next to a green tree.", ["2 red car", "1 green tree"], [(0, "next to", 1)], ""),
        ("A cat on top of a chair", ["1 cat", "1 chair"], [(0, "on", 1)], ""),
        ("Draw a dog to the left of three houses at night.", ["1 dog", "3 house"], [(0, "left of", 1)], "night"),
        ("A house with a tree on the left.", ["1 house", "1 tree"], [(1, "left of", 0)], ""),
        ("A boat on the sea", ["1 boat"], [], "sea"),
        ("a dozen apples", ["12 apple"], [], ""),
        ("A big dog and a tiny cat", ["1 large dog", "1 small cat"], [], ""),
        ("A dog. The dog is brown.", ["1 dog"], [], ""),
        ("7 stars above a house", ["7 star", "1 house"], [(0, "above", 1)], ""),
    ],
)
def test_prompts_are_understood(
    prompt: str, groups: list[str], relations: list[tuple[int, str, int]], backdrop: str
) -> None:
    scene = parse(prompt)
    written = [" ".join(str(p) for p in (g.count, g.size, g.colour, g.noun) if p) for g in scene.groups]
    assert written == groups
    assert [(r.subject, r.relation, r.object) for r in scene.relations] == relations
    assert scene.backdrop == backdrop


@given(st.text(max_size=400))
def test_any_text_is_parsed_within_the_limits(text: str) -> None:
    scene = parse(text)
    assert len(scene.groups) <= MAX_GROUPS
    assert all(1 <= group.count <= MAX_COUNT for group in scene.groups)
    assert all(max(r.subject, r.object) < len(scene.groups) for r in scene.relations)


groups = st.builds(
    Group,
    noun=st.sampled_from(sorted(nouns())),
    count=st.integers(1, MAX_COUNT),
    colour=st.sampled_from(["", *COLOURS]),
    size=st.sampled_from(["", "small", "large"]),
)


@given(st.lists(groups, min_size=1, max_size=MAX_GROUPS, unique_by=lambda g: g.noun), st.data())
def test_every_thing_stands_on_the_canvas_and_on_no_other(chosen: list[Group], data: st.DataObject) -> None:
    relations: tuple[Relation, ...] = ()
    if len(chosen) > 1:
        relation = data.draw(st.sampled_from(["left of", "right of", "above", "below", "next to", "on"]))
        relations = (Relation(subject=0, relation=relation, object=1),)
    places = place(Scene(groups=tuple(chosen), relations=relations))
    assert sorted(one.group for one in places) == [i for i, g in enumerate(chosen) for _ in range(g.count)]
    for one in places:
        assert min(one.x, one.y) >= 0
        assert max(one.x, one.y) + one.side <= 1 + 1e-6
    for i, a in enumerate(places):
        for b in places[i + 1 :]:
            apart = max(abs(a.x + a.side / 2 - b.x - b.side / 2), abs(a.y + a.side / 2 - b.y - b.side / 2))
            assert apart >= (a.side + b.side) / 2 - 1e-6


def test_every_noun_is_found_by_its_name_and_plural() -> None:
    assert [noun for noun in nouns() if noun_of(noun) != noun] == []
    assert [noun for noun in nouns() if noun_of(plural(noun)) != noun] == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_a_simple_scene_is_read_back(seed: int) -> None:
    rng = random.Random(seed)
    wanted = Group(noun=rng.choice(["car", "cat", "house", "tree", "guitar", "clock"]), count=rng.randint(1, 6))
    pixels, _ = decode_image(
        Artifact(data=draw(Scene(groups=(wanted,)), 512), modality="image", media_type="image/png")
    )
    seen = read(pixels)
    assert [(g.noun, g.count) for g in seen.groups] == [(wanted.noun, wanted.count)]


@pytest.mark.parametrize(
    "words",
    [
        "two red cars next to a green tree",
        "a blue boat above three yellow stars",
        "four apples to the left of a chair",
        "a dog, a cat, a house, a tree, a star and a car",
    ],
)
def test_a_drawing_is_described_and_drawn_again_the_same(words: str) -> None:
    scene = parse(words)
    pixels, _ = decode_image(drawn(words).outputs["image"][0])
    again = parse(caption(read(pixels)))
    assert {(g.noun, g.count, g.colour) for g in again.groups} == {(g.noun, g.count, g.colour) for g in scene.groups}


@pytest.mark.slow
def test_things_in_other_colours_without_outlines_are_named() -> None:
    rng = random.Random(7)
    seen = sorted(set(COLOURS) - {"white"})  # white without outlines is nothing on white
    named = [noun for noun in rng.sample(sorted(nouns()), 40) if _guessed_flat(noun, rng.choice(seen)) == noun]
    assert len(named) >= 30


def _guessed_flat(noun: str, colour: str) -> str:
    """The first guess at a pictogram tinted, squeezed, and without its outlines."""
    pixels = np.asarray(Image.fromarray(render(noun, colour, 200, outlines="none")).resize((160, 200)))
    mask = foreground(pixels, np.full((200, 3), 255.0, np.float32))
    top, left, bottom, right = box(mask)
    return first_guess(pixels[top:bottom, left:right], mask[top:bottom, left:right])


def test_many_groups_tell_how_neighbours_stand() -> None:
    pixels, _ = decode_image(drawn("a dog, a cat, a house, a tree, a star and a car").outputs["image"][0])
    seen = read(pixels)
    assert len(seen.groups) == 6
    assert {other for _, _, other in seen.relations} == {1, 2, 3, 4, 5}
    assert caption(seen).count(".") == 1 + len(seen.relations) < 1 + 15


def test_the_relation_that_was_asked_is_told_among_many() -> None:
    prompt = "Two red cars next to a tree. A boat is above the cars. A dog is left of a house."
    told = read(decode_image(drawn(prompt).outputs["image"][0])[0])
    names = [group.noun for group in told.groups]
    pairs = {(names[a], relation, names[b]) for a, relation, b in told.relations}
    assert ("boat", "above", "car") in pairs or ("car", "below", "boat") in pairs
    assert ("dog", "left of", "house") in pairs or ("house", "right of", "dog") in pairs


def test_the_same_prompt_gives_the_same_bytes() -> None:
    first, second = drawn("Two red cars at night."), drawn("Two red cars at night.")
    assert first.outputs["image"][0].id == second.outputs["image"][0].id


def test_a_drawing_credits_the_pictograms() -> None:
    picture = Image.open(io.BytesIO(drawn("A car.").outputs["image"][0].data))
    assert isinstance(picture, Image.Image)
    assert picture.info["Copyright"] == CREDIT
    assert "OpenMoji" in CREDIT
    assert "CC BY-SA 4.0" in CREDIT


def test_the_scene_is_declared() -> None:
    declared = drawn('Two red cars left of a tree on a street, saying "Stop".').details["declared"]
    assert declared == {
        "objects": [
            {"noun": "car", "count": 2, "colour": "red", "size": "", "card": False},
            {"noun": "tree", "count": 1, "colour": "", "size": "", "card": False},
        ],
        "relations": [{"subject": "car", "relation": "left of", "object": "tree"}],
        "backdrop": "street",
        "text": "Stop",
    }


def test_what_is_not_drawn_is_told() -> None:
    told = kinds(drawn("A car and a solemn bureaucracy"))
    assert told["not_drawn"] == "not drawn: solemn, bureaucracy"
    assert "substituted" not in told


def test_words_without_pictogram_become_cards() -> None:
    result = drawn("Epistemology")
    assert kinds(result)["substituted"] == "no pictogram, drawn as a labelled card: epistemology"
    pixels, _ = decode_image(result.outputs["image"][0])
    assert [g.noun for g in read(pixels).groups] == ["card"]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("Forty cars and 40 dogs", "28 of 40 dogs"),
        ("a cat, a dog, a car, a tree, a house, a star, a boat", "too much for one picture: boat"),
        ("a cat " + "and so on " * 300, f"only the first {MAX_PROMPT_CHARACTERS} characters were read"),
    ],
)
def test_what_is_too_much_is_cut_and_told(prompt: str, message: str) -> None:
    assert message in kinds(drawn(prompt))["truncated"]


@pytest.mark.parametrize("prompt", ["", "  ", "?!", "—"])
def test_nothing_to_draw_is_refused(prompt: str) -> None:
    with pytest.raises(InputRefused, match="no word"):
        drawn(prompt)


def _seen(noun: str, count: int = 1, **more: str) -> GroupRead:
    return GroupRead(
        noun=noun, count=count, colour=more.get("colour", ""), size=more.get("size", ""), likeness=0.95,
        left=0, top=0, right=1, bottom=1, side=0.2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        (SceneRead(groups=(), relations=(), backdrop=""), "A picture in which nothing is recognised."),
        (SceneRead(groups=(), relations=(), backdrop="night"), "An empty picture at night."),
        (SceneRead(groups=(_seen("apple"),), relations=(), backdrop=""), "The picture shows an apple."),
        (
            SceneRead(
                groups=(_seen("car", 2, colour="red"), _seen("tree", size="large")),
                relations=((0, "left of", 1),),
                backdrop="street",
            ),
            "The picture shows two red cars and a large tree on a street. The cars are to the left of the tree.",
        ),
        (SceneRead(groups=(_seen("star", 30),), relations=(), backdrop=""), "The picture shows 30 stars."),
    ],
)
def test_captions(scene: SceneRead, words: str) -> None:
    assert caption(scene) == words

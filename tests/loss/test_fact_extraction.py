"""Facts of English texts: hand-made tables, and what must hold for any text."""

from __future__ import annotations

import pytest
from hopline.agent.loss.extraction import English, declared_facts
from hopline.agent.loss.facts import FACT_TYPES, Fact
from hypothesis import given, settings
from hypothesis import strategies as st


def said(text: str, *types: str) -> set[str]:
    """Facts of a text as `type:value`, counts and colours with their thing."""
    return {written(f) for f in English().facts(text) if not types or f.type in types}


def written(fact: Fact) -> str:
    if fact.type in ("count", "colour") and fact.depends_on:
        return f"{fact.type}:{fact.value}@{fact.slot.removeprefix('object:')}"
    if fact.type == "relation":
        ends = ",".join(d.removeprefix("object:") for d in fact.depends_on)
        return f"relation:{fact.value}@{ends}"
    return f"{fact.type}:{fact.value}" + (f" {fact.slot}" if fact.type == "quantity" else "")


CAR_AND_TREE = {
    "object:car", "count:2@car", "colour:red@car", "object:tree", "colour:green@tree", "relation:next to@car,tree",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "There are two red cars next to a green tree.",
        "there are two red cars next to a green tree",
        "TWO RED CARS NEXT TO A GREEN TREE",
        "The picture shows two red cars and a green tree. The cars are next to the tree.",
        "Two red automobiles beside a green tree",
        "2 red cars, near a green tree.",
    ],
)
def test_a_scene_is_one_scene_however_it_is_written(text: str) -> None:
    assert said(text) == CAR_AND_TREE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a black and white cat", {"colour:black@cat", "colour:white@cat"}),
        ("The house on the hill is white.", {"colour:white@house"}),
        ("The boy has a dark blue hat", {"colour:blue@hat"}),
        ("Leaves turn brown in the fall", {"colour:brown@leaf"}),
        ("an orange on the table", set()),
        ("an orange ball", {"colour:orange@ball"}),
        ("the car is not red", set()),
        ("a gray mouse", {"colour:grey@mouse"}),
    ],
)
def test_colours_belong_to_their_things(text: str, expected: set[str]) -> None:
    assert said(text, "colour") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a pair of shoes", {"count:2@shoe"}),
        ("twenty-one sheep and a dozen eggs", {"count:21@sheep", "count:12@egg"}),
        ("seven old wooden boats", {"count:7@boat"}),
        ("a dog", set()),
        ("one dog", {"count:1@dog"}),
        ("three people and 4 children", {"count:3@person", "count:4@child"}),
    ],
)
def test_counts(text: str, expected: set[str]) -> None:
    assert said(text, "count") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the code is 4711", {"number:4711"}),
        ("the answer is forty two", {"number:42"}),
        ("two hundred and five was the number", {"number:205"}),
        ("the score was one million two hundred thousand", {"number:1200000"}),
        ("it is 1,250.50 in all", {"number:1250.5"}),
        ("the value is three point one four", {"number:3.14"}),
        ("no number at all", set()),
    ],
)
def test_numbers(text: str, expected: set[str]) -> None:
    assert said(text, "number") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("it is 5 km away", {"quantity:5 km"}),
        ("we walked five kilometers", {"quantity:5 km"}),
        ("a rise of 20%", {"quantity:20 %"}),
        ("a rise of twenty percent", {"quantity:20 %"}),
        ("it costs $15", {"quantity:15 dollar"}),
        ("it costs fifteen dollars", {"quantity:15 dollar"}),
        ("at 60 miles an hour", {"quantity:60 mile/hour"}),
        ("two and a half hours", {"quantity:2.5 hour"}),
        ("half a pound of butter", {"quantity:0.5 pound"}),
    ],
)
def test_quantities(text: str, expected: set[str]) -> None:
    assert said(text, "quantity") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on March 3rd, 1984", {"date:3 march 1984"}),
        ("on the third of march nineteen eighty four", {"date:3 march 1984"}),
        ("in 1987", {"date:1987"}),
        ("at half past three", {"date:3:30"}),
        ("at 3:30 pm", {"date:15:30"}),
        ("at three o'clock in the afternoon", {"date:15:00"}),
        ("a quarter to nine", {"date:8:45"}),
        ("see you on Monday", {"date:monday"}),
        ("you may march on", set()),
        ("it may rain", set()),
    ],
)
def test_dates_and_times(text: str, expected: set[str]) -> None:
    assert said(text, "date") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mainhall liked Alexander because he was an engineer.", {"name:mainhall", "name:alexander"}),
        ("MAINHALL LIKED ALEXANDER BECAUSE HE WAS AN ENGINEER", {"name:mainhall", "name:alexander"}),
        ("mainhall liked alexander because he was an engineer", {"name:mainhall", "name:alexander"}),
        ("Yesterday Doctor Anna Smith flew to New York.", {"name:anna smith", "name:new york"}),
        ("The American car stopped.", set()),
        ("I think I can.", set()),
        ("We met at the Bank of England.", {"name:bank of england"}),
        ("A man named Zorba danced.", {"name:zorba"}),
    ],
)
def test_names(text: str, expected: set[str]) -> None:
    assert said(text, "name") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("there is no dog", {"negation:dog"}),
        ("she did not sleep", {"negation:sleep"}),
        ("they never arrived", {"negation:arrive"}),
        ("a room without windows", {"negation:window"}),
        ("it isn't red", {"negation:red"}),
        ("not only a dog", set()),
    ],
)
def test_negations(text: str, expected: set[str]) -> None:
    assert said(text, "negation") == expected


def test_what_is_denied_is_not_there() -> None:
    assert "object:dog" not in said("There is no dog in the garden.")
    assert "object:garden" in said("There is no dog in the garden.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat on a mat", {"relation:on@cat,mat"}),
        ("a car to the right of a tree", {"relation:left of@tree,car"}),
        ("a dog below a table", {"relation:above@table,dog"}),
        ("Next to the tree there is a bench.", {"relation:next to@bench,tree"}),
        ("a bird between a house and a tree", {"relation:between@bird,house,tree"}),
        ("a boy with a dog", set()),
    ],
)
def test_relations_say_the_same_both_ways_round(text: str, expected: set[str]) -> None:
    assert said(text, "relation") == expected


def test_a_thing_mentioned_again_is_one_thing() -> None:
    facts = English().facts("A red car stands here. The car is fast. A car waits.")
    assert [f.id for f in facts if f.type == "object"] == ["object:car", "object:car#2"]


@pytest.mark.parametrize("text", ["", "   ", "...", "\n\n", "!?", "–", "\x00", "’s", "- - -", "1" * 5000])
def test_texts_without_words_have_no_objects(text: str) -> None:
    assert said(text, "object") == set()


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_without_an_error(text: str) -> None:
    facts = English().facts(text)
    ids = [f.id for f in facts]
    assert len(set(ids)) == len(ids)
    for fact in facts:
        assert fact.type in FACT_TYPES
        assert fact.value
        assert fact.span is not None
        assert 0 <= fact.span[0] < fact.span[1] <= len(text)
        assert set(fact.depends_on) <= set(ids)


WORDS = st.sampled_from(
    "the a two red blue car cars dog of on not no next to left five km $ % 3 12:30 march may monday anna is and ' - , "
    "half past quarter hundred thousand point o'clock 's without between named mr".split()
)


@given(st.lists(WORDS, max_size=25))
@settings(max_examples=300, deadline=None)
def test_words_in_any_order_are_read_without_an_error(words: list[str]) -> None:
    text = " ".join(words)
    assert English().facts(text) == English().facts(text)


def test_a_declared_scene_says_what_its_description_says() -> None:
    scene = {
        "objects": [
            {"noun": "car", "count": 2, "colour": "red", "size": "", "card": False},
            {"noun": "tree", "count": 1, "colour": "green", "size": "small", "card": False},
        ],
        "relations": [{"subject": "car", "relation": "next to", "object": "tree"}],
        "text": "",
    }
    assert {written(f) for f in declared_facts(scene)} == CAR_AND_TREE


@pytest.mark.parametrize(
    "scene",
    [
        {},
        {"objects": None, "relations": None},
        {
            "objects": [{}, "x", {"noun": ""}],
            "relations": [None, {"subject": 9, "relation": "on", "object": 0}, [0, 1]],
        },
        {"objects": [{"noun": "car", "count": "many", "colour": 7}], "relations": [{"subject": "car"}]},
    ],
)
def test_a_malformed_scene_gives_what_can_be_read_of_it(scene: dict[str, object]) -> None:
    assert {f.type for f in declared_facts(scene)} <= {"object"}

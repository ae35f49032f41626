"""What became of facts: hand-made tables, and the laws of an alignment."""

from __future__ import annotations

import random

import pytest
from hopline.agent.loss.extraction import English
from hopline.agent.loss.facts import Alignment, align
from hypothesis import given, settings
from hypothesis import strategies as st

SOURCE = (
    "Two red cars stand next to a green tree. Anna paid 20 dollars on Monday. The code is 4711. There is no dog there."
)


def became(source: str, output: str) -> dict[str, str]:
    """Status by fact id."""
    return {f.fact.id: f.status for f in aligned(source, output).fates}


def aligned(source: str, output: str) -> Alignment:
    return align(English().facts(source), English().facts(output))


def test_a_text_keeps_all_its_facts() -> None:
    alignment = aligned(SOURCE, SOURCE)
    assert alignment.count("kept") == len(alignment.fates) == len(English().facts(SOURCE)) == 11
    assert alignment.invented == ()


def test_an_empty_output_loses_all() -> None:
    fates = became(SOURCE, "")
    assert fates == {
        "object:car": "missing",
        "count:car": "void",
        "colour:car": "void",
        "object:tree": "missing",
        "colour:tree": "void",
        "relation:car~tree": "void",
        "name:anna": "missing",
        "quantity:dollar": "missing",
        "date:weekday": "missing",
        "number:4711": "missing",
        "negation:dog": "missing",
    }


def test_everything_is_invented_where_the_source_is_empty() -> None:
    alignment = aligned("", SOURCE)
    assert alignment.fates == ()
    assert len(alignment.invented) == 11


@pytest.mark.parametrize(
    ("output", "changed"),
    [
        ("Three red cars stand next to a green tree.", {"count:car": "altered"}),
        ("A red car stands next to a green tree.", {"count:car": "altered"}),
        ("Red cars stand next to a green tree.", {"count:car": "missing"}),
        ("Two blue cars stand next to a green tree.", {"colour:car": "altered"}),
        ("Two cars stand next to a green tree.", {"colour:car": "missing"}),
        ("Two red trucks stand next to a green tree.", {"object:car": "altered"}),
        ("Two red cars stand behind a green tree.", {"relation:car~tree": "altered"}),
        ("Two red cars. A green tree.", {"relation:car~tree": "missing"}),
        (
            "A green tree.",
            {"object:car": "missing", "count:car": "void", "colour:car": "void", "relation:car~tree": "void"},
        ),
    ],
)
def test_one_change_to_a_scene(output: str, changed: dict[str, str]) -> None:
    source = "Two red cars stand next to a green tree."
    expected = {f.id: "kept" for f in English().facts(source)} | changed
    assert became(source, output) == expected


@pytest.mark.parametrize(
    ("source", "output", "changed"),
    [
        ("We met Alexander there.", "We met Alexandra there.", {"name:alexander": "altered"}),
        ("We met Alexander there.", "We met a man there.", {"name:alexander": "missing"}),
        ("We met Anna Smith there.", "We met Smith there.", {"name:anna smith": "kept"}),
        ("It weighs 5 kilograms.", "It weighs 6 kilograms.", {"quantity:kg": "altered"}),
        ("It weighs 5 kilograms.", "It weighs five kg.", {"quantity:kg": "kept"}),
        ("The code is 4711.", "The code is 4712.", {"number:4711": "altered"}),
        ("Come on Monday.", "Come on Tuesday.", {"date:weekday": "altered"}),
        ("There is no dog.", "There is a dog.", {"negation:dog": "missing"}),
        ("She did not sleep at all.", "She did not swim at all.", {"negation:sleep": "altered"}),
    ],
)
def test_one_change_to_a_sentence(source: str, output: str, changed: dict[str, str]) -> None:
    fates = became(source, output)
    assert {fact: fates[fact] for fact in changed} == changed


def test_the_altered_value_is_named_and_not_invented() -> None:
    alignment = aligned("Two red cars.", "Three red cars.")
    fate = alignment.by_id()["count:car"]
    assert fate.found is not None
    assert fate.found.value == "3"
    assert alignment.invented == ()


def test_two_groups_of_one_noun_are_told_apart_by_what_is_said_of_them() -> None:
    fates = became("a red car and a blue car", "a blue car and a red car")
    assert set(fates.values()) == {"kept"}
    fates = became("a red car and a blue car", "a blue car")
    assert fates == {"object:car": "missing", "colour:car": "void", "object:car#2": "kept", "colour:car#2": "kept"}


def test_a_relation_said_the_other_way_round_is_kept() -> None:
    assert became("a car left of a tree", "a tree right of a car")["relation:car~tree"] == "kept"
    assert became("a car left of a tree", "a car right of a tree")["relation:car~tree"] == "altered"
    assert became("a car next to a tree", "a tree beside a car")["relation:car~tree"] == "kept"


def test_a_count_that_grammar_implies_is_not_invented() -> None:
    assert aligned("a car", "one car").invented == ()
    assert [f.type for f in aligned("a car", "two cars").invented] == ["count"]


TEXTS = st.sampled_from(
    [
        SOURCE,
        "a red car and a blue car left of two trees",
        "three dogs on a mat and a cat next to the dogs",
        "Paris and London are 300 km apart, said Anna on Friday",
        "no cat, no dog, 12 and 13 and 14",
        "",
    ]
)


@given(TEXTS, TEXTS, st.integers(0, 1000))
@settings(deadline=None)
def test_the_order_of_the_lists_does_not_matter(source: str, output: str, seed: int) -> None:
    rng = random.Random(seed)
    mine, theirs = list(English().facts(source)), list(English().facts(output))
    straight = align(mine, theirs)
    rng.shuffle(mine)
    rng.shuffle(theirs)
    shuffled = align(mine, theirs)
    assert {i: f.status for i, f in straight.by_id().items()} == {i: f.status for i, f in shuffled.by_id().items()}
    assert set(straight.invented) == set(shuffled.invented)


@given(st.text(max_size=120), st.text(max_size=120))
@settings(deadline=None)
def test_every_fact_has_one_fate_and_no_output_fact_two_uses(source: str, output: str) -> None:
    mine, theirs = English().facts(source), English().facts(output)
    alignment = align(mine, theirs)
    assert [f.fact for f in alignment.fates] == list(mine)
    used = [f.found.id for f in alignment.fates if f.found is not None and f.found in theirs]
    assert len(used) == len(set(used))
    assert not {f.id for f in alignment.invented} & set(used)


@given(st.text(max_size=200))
@settings(deadline=None)
def test_any_text_keeps_all_its_own_facts(text: str) -> None:
    alignment = align(English().facts(text), English().facts(text))
    assert {f.status for f in alignment.fates} <= {"kept"}
    assert alignment.invented == ()

"""Requests in pieces: languages that are wanted or only named, what stands behind a colon, literals."""

from __future__ import annotations

import pytest
from hopline.agent.planning.clauses import LANGUAGES, parse, wanted_language
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("words", "language"),
    [
        ("put it into dutch", "Dutch"),
        ("how do you say it in japanese", "Japanese"),
        ("can i have it in english", "English"),
        ("translate the french letter into german", "German"),
        ("a short english summary of the attached norwegian article", "English"),
        ("what does it say in english", "English"),
        ("read me the english", "English"),
        ("i only speak english", "English"),
        ("it's all in greek", ""),
        ("its in korean", ""),
        ("i can't read polish", ""),
        ("nobody in the office knows any portuguese", ""),
        ("the menu in this photo is in italian", ""),
        ("the man in this clip speaks dutch", ""),
        ("my neighbour wrote to me in polish", ""),
        ("listen to this french voicemail", ""),
        ("translate it from russian", ""),
        ("describe the picture", ""),
    ],
)
def test_a_language_is_wanted_or_only_what_something_is_in(words: str, language: str) -> None:
    assert wanted_language(words.split()) == language


@pytest.mark.parametrize(
    ("request_", "languages"),
    [
        ("menus in Japanese. English?", ["", "English"]),
        ("The titles appear on screen in Danish; I need them in English.", ["", "English"]),
        ("Describe it in French, then say it in German.", ["French", "German"]),
        ("A summary in French and one in German, please.", ["French", "German", ""]),
        ("The letter in French and in German.", ["French", "German"]),
    ],
)
def test_the_language_of_a_thing_gives_way_to_the_one_it_is_wanted_in(request_: str, languages: list[str]) -> None:
    found = parse(request_, telling=("describ", "summar"), given=True).clauses
    assert [clause.language for clause in found] == languages


@given(st.sampled_from(sorted(LANGUAGES)), st.sampled_from(["put it into {}", "say that in {}", "translate it to {}"]))
def test_every_language_can_be_wanted(language: str, words: str) -> None:
    assert wanted_language(words.format(language).split()) == LANGUAGES[language]


def test_behind_a_colon_is_something_written_where_there_is_nothing_else_to_work_on() -> None:
    said = parse("Read this aloud: good evening and thank you")
    assert [literal.text for literal in said.literals] == ["good evening and thank you"]
    assert [clause.written for clause in said.clauses] == [False, True]
    for request, given_ in (
        ("Two things from this clip: describe a frame of it, and write down the words.", True),
        ("From 'a whale reads': draw it, describe the drawing.", False),
    ):
        parsed = parse(request, given=given_)
        assert len(parsed.clauses) == 3
        assert not any(clause.written for clause in parsed.clauses[1:])


@given(st.text(max_size=60), st.booleans())
def test_any_text_is_in_pieces_and_its_literals_stand_in_it(request_text: str, given_: bool) -> None:
    parsed = parse(request_text, given=given_)
    assert all(clause.words for clause in parsed.clauses)
    assert all(literal.text in request_text for literal in parsed.literals)
    assert all(0 <= literal.clause < len(parsed.clauses) for literal in parsed.literals)

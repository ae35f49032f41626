"""WER, MER, CER, chrF and cosine: values worked out by hand, empty texts, missing libraries."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest
from hopline.agent.loss.score import Score, Unscored
from hopline.agent.loss.text import ChrF, Cosine, Encoder, answers, cer, cosine, mer, normalise, wer
from hopline.tools.errors import MissingModel
from hypothesis import given
from hypothesis import strategies as st


def value(scored: Score | Unscored) -> float:
    assert isinstance(scored, Score)
    return scored.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. Smith paid TWENTY-ONE dollars!", "mister smith paid 21 dollars"),
        ("It’s a well-known fact.", "it's a well known fact"),
        ("1,200 people", "1200 people"),
        ("one two  three", "one 2 3"),
        ("", ""),
        ("?!", ""),
    ],
)
def test_the_normaliser(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("reference", "output", "word_error", "match_error"),
    [
        ("the cat sat down", "the cat sat down", 0.0, 0.0),
        ("the cat sat down", "The CAT, sat down.", 0.0, 0.0),
        ("the cat sat down", "the dog sat", 0.5, 0.5),
        # One hit and four insertions: 4 errors to 1 word, and to 5 aligned words.
        ("cat", "the cat sat on mats", 4.0, 0.8),
        ("twenty one cars", "21 cars", 0.0, 0.0),
    ],
)
def test_word_errors(reference: str, output: str, word_error: float, match_error: float) -> None:
    assert value(wer()(reference, output)) == pytest.approx(word_error)
    assert value(mer()(reference, output)) == pytest.approx(match_error)


def test_empty_references() -> None:
    assert value(wer()("", "")) == value(mer()("", "")) == value(cer()("", "")) == 0.0
    assert value(mer()("...", "a word")) == 1.0
    for metric in (wer(), cer()):
        scored = metric("...", "a word")
        assert isinstance(scored, Unscored)
        assert scored.reason == "the reference has no words"
    assert isinstance(ChrF()(" ", "a word"), Unscored)


def test_character_errors() -> None:
    assert value(cer()("abcd", "abxd")) == pytest.approx(0.25)


def test_chrf_is_100_for_the_same_and_falls_with_change() -> None:
    assert value(ChrF()("two red cars", "Two  red cars")) == pytest.approx(100)
    assert value(ChrF()("two red cars", "a blue tree")) < 30


@given(st.text(max_size=60), st.text(max_size=60))
def test_match_error_stays_within_one(reference: str, output: str) -> None:
    assert 0 <= value(mer()(reference, output)) <= 1


def test_signatures_name_what_made_the_number() -> None:
    scored = wer()("a", "a")
    assert str(scored.signature).startswith("wer|normaliser:hopline-1|jiwer ")


@pytest.mark.parametrize(("library", "metric"), [("jiwer", wer()), ("jiwer", cer()), ("sacrebleu", ChrF())])
def test_a_missing_library_is_a_reason(library: str, metric: ChrF, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == library] or [library]:
        monkeypatch.setitem(sys.modules, name, None)
    scored = metric("a word", "a word")
    assert isinstance(scored, Unscored)
    assert scored.reason == f"{library} is not installed; install hopline[loss]"


class Letters:
    """How often a and b occur: an encoder that can be worked out by hand."""

    id = "letters"

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        return [[t.count("a"), t.count("b")] for t in texts]


class Gone:
    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        raise MissingModel("the weights are not here.", hint="hopline models pull offline")


def test_cosine() -> None:
    assert value(cosine(Letters())("aa", "a")) == pytest.approx(1)
    assert value(cosine(Letters())("a", "b")) == pytest.approx(0)
    assert value(cosine(Letters())("ab", "a")) == pytest.approx(0.5**0.5)


@pytest.mark.parametrize(
    ("encoder", "reference", "reason"),
    [
        (None, "a", "the sentence encoder is not here (hopline models pull offline)"),
        (Letters(), " ", "a text is empty"),
        (Letters(), "x", "a vector is zero"),
        (Gone(), "a", "the weights are not here. hopline models pull offline"),
    ],
)
def test_no_cosine_and_why(encoder: Encoder | None, reference: str, reason: str) -> None:
    scored = Cosine(encoder)(reference, "a")
    assert isinstance(scored, Unscored)
    assert scored.reason == reason


@pytest.mark.parametrize(
    ("answer", "output", "right"),
    [
        ("two", "2", True),
        ("two", "There are two dogs.", True),
        ("one", "1", True),
        ("one", "One.", True),
        ("one", "A dog.", False),
        ("boat", "Four boats, I think.", True),
        ("red boat", "The boat is red.", True),
        ("red boat", "The boat is blue.", False),
        ("boat", "", False),
        ("", "anything", False),
    ],
)
def test_an_answer_is_right_if_its_words_are_said(answer: str, output: str, right: bool) -> None:
    assert answers(answer, output) is right

"""What examples teach: tools told apart by them, asides, and what is kept between processes."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hopline.agent.planning.matching import shared_encoder
from hopline.agent.planning.taught import FEWEST, Taught, asides
from hopline.agent.planning.vectors import Vectors
from hopline.tools.declarations import STANDARD_TOOLS
from hopline.tools.encoder import Encoder
from hopline.tools.registry import installed
from hopline.tools.spec import Tool, ports

RHYME = "rhyme with it|make a rhyme|find words that rhyme|a rhyming couplet|what rhymes with moon|turn it into verse|"
COUNT = "count the words|how many words|the number of words|word count|how long is it in words|tally the words|"


def _tool(name: str, examples: str) -> Tool:
    declared = tuple(filter(None, examples.split("|")))
    return Tool(name=name, description="Works.", inputs=ports("text"), outputs=ports("text"), examples=declared)


@pytest.fixture
def vectors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Vectors:
    """Of the real encoder, with what is kept in an empty folder."""
    encoder = shared_encoder()
    assert encoder is not None
    monkeypatch.setattr(Encoder, "kept_as", lambda _, name: tmp_path / f"{name}.npz")
    return Vectors(encoder)


def _best(taught: Taught, texts: Sequence[str]) -> list[str]:
    return [[*taught.tools, ""][column] for column in taught.log_odds(texts).argmax(axis=1)]


@pytest.mark.models
def test_a_clause_goes_to_the_tool_whose_examples_are_like_it_or_to_none(vectors: Vectors) -> None:
    rhyme, count = _tool("rhyme", RHYME + "poems of it|in rhyme"), _tool("count", COUNT + "words in it|count them")
    taught = Taught([rhyme, count, _tool("few", "do it")], vectors)
    assert taught.tools == ("rhyme", "count")
    asked = ["give me a rhyme for blue", "please count every word", "thank you, that was lovely"]
    assert _best(taught, asked) == ["rhyme", "count", ""]
    odds = taught.log_odds(asked)
    assert odds.shape == (3, 3)
    assert np.isfinite(odds).all()


@pytest.mark.models
def test_what_was_fitted_is_read_back_and_other_examples_are_fitted_anew(vectors: Vectors, tmp_path: Path) -> None:
    tools = [_tool("rhyme", RHYME + "poems of it|in rhyme"), _tool("count", COUNT + "words in it|count them")]
    first = Taught(tools, vectors).log_odds(["count the letters"])
    (kept,) = tmp_path.iterdir()
    written = kept.stat().st_mtime_ns
    assert np.array_equal(Taught(tools, vectors).log_odds(["count the letters"]), first)
    assert kept.stat().st_mtime_ns == written
    more = [tools[0], _tool("count", COUNT + "words in it|count the letters")]
    assert Taught(more, vectors).log_odds(["count the letters"])[0, 1] > first[0, 1]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.models
def test_without_examples_nothing_is_taught(vectors: Vectors) -> None:
    assert Taught([_tool("one", "do it"), _tool("two", "")], vectors).tools == ()


@pytest.mark.models
def test_the_standard_examples_left_out_in_turn_are_told_apart() -> None:
    encoder = shared_encoder()
    assert encoder is not None
    vectors = Vectors(encoder)
    kept = [t.examples[::5] for t in STANDARD_TOOLS]
    rest = [_tool(t.name, "|".join(e for i, e in enumerate(t.examples) if i % 5)) for t in STANDARD_TOOLS]
    taught = Taught(rest, vectors)
    right = [name == tool.name for tool, texts in zip(rest, kept, strict=True) for name in _best(taught, texts)]
    assert sum(right) / len(right) > 0.8


def test_examples_stand_for_one_tool_each_and_in_lower_case() -> None:
    declared = tomllib.loads(files("hopline.tools").joinpath("examples.toml").read_text("utf-8"))
    assert set(declared) == {tool.name for tool in STANDARD_TOOLS}
    every = [example for examples in declared.values() for example in examples]
    assert len(set(every)) == len(every)
    assert all(example == example.strip().lower() for example in every)
    assert not set(every) & set(asides())
    assert all(len(tool.examples) >= FEWEST for tool in installed())

"""Plain JSON as HTML: every value is there, and what is left out is counted."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hopline.agent.views.values import value_fragment
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def words(html: str) -> list[str]:
    return re.sub(r"<[^>]*>", " ", html).split()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, ["none"]),
        (True, ["yes"]),
        (0.25, ["0.25"]),
        ({}, ["none"]),
        ([], ["none"]),
        ({"a": {"b": 1}}, ["a", "b", "1"]),
        (["x", 2, False], ["x,", "2,", "no"]),
        ([["two", 0.1], ["red", 0.4]], ["two", "0.1", "red", "0.4"]),
        ([{"word": "two", "start_s": 0.1}, {"word": "red", "start_s": 0.4}], "word start_s two 0.1 red 0.4".split()),
        ([{"a": 1}, {"b": 1}], ["a", "1", "b", "1"]),
    ],
)
def test_values_as_words(value: Any, said: list[str]) -> None:
    assert words(value_fragment(value)) == said


def test_alike_rows_are_a_table_and_many_are_folded() -> None:
    assert value_fragment([[1, 2], [3, 4]]).count("<tr>") == 2
    many = value_fragment([[n, n] for n in range(300)])
    assert many.startswith("<details><summary>300 rows</summary>")
    assert "… 100 more" in many
    assert many.count("<tr>") == 200


def test_what_is_too_deep_or_too_long_is_counted() -> None:
    value: Any = {"end": 1}
    for _ in range(9):
        value = {"in": value}
    assert "… 1 entries" in value_fragment(value)
    assert "… 50 more" in value_fragment([{"n": [n, {}]} for n in range(250)])


@given(JSON)
def test_any_json_has_a_picture_with_balanced_elements(value: Any) -> None:
    html = value_fragment(value)
    opened = re.findall(r"<([a-z]+)[ >]", html)
    assert sorted(opened) == sorted(re.findall(r"</([a-z]+)>", html))

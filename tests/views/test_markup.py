"""The builder: every string is text, and nothing invisible gets through."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hopline.agent.views.markup import Html, escape, join, shortened, tag, visible
from hypothesis import given
from hypothesis import strategies as st


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.words += data


def read(markup: str) -> Reader:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


@given(st.text())
def test_any_text_stays_text(text: str) -> None:
    found = read(tag("p", text, title=text))
    assert found.tags == [("p", [("title", visible(text))])]
    assert found.words == visible(text)


@given(st.text())
def test_visible_text_can_be_written_as_utf8_and_shown_twice_is_the_same(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert visible(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("abc\u202edef", "abc⟨U+202E⟩def"),
        ("a\u2066b\u2069", "a⟨U+2066⟩b⟨U+2069⟩"),
        ("nul\x00esc\x1b[31m", "nul⟨U+0000⟩esc⟨U+001B⟩[31m"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("tag\U000e0041", "tag⟨U+E0041⟩"),
        ("half\ud800", "half⟨U+D800⟩"),
        ("line\r\nline\ttab", "line\nline\ttab"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("café naïve", "café naïve"),
    ],
)
def test_what_hides_or_reorders_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_markup_is_kept_only_where_it_was_built_here() -> None:
    assert tag("p", tag("b", "1 < 2"), "<b>") == "<p><b>1 &lt; 2</b>&lt;b&gt;</p>"
    assert join(["a", None, 2, 0.5, [Html("<hr>")]]) == "a20.5<hr>"
    assert escape("\"'&") == "&quot;&#x27;&amp;"


def test_markup_given_as_an_attribute_is_text_again() -> None:
    assert read(tag("p", title=Html('"><script>'))).tags == [("p", [("title", '"><script>')])]


def test_attributes_by_name_true_and_absent() -> None:
    assert tag("audio", controls=True, src="x", id=None, hidden=False) == '<audio controls src="x"></audio>'
    assert tag("p", class_="a", aria_label="b") == '<p class="a" aria-label="b"></p>'


@pytest.mark.parametrize("name", ["p onclick=alert(1)", "", "a>b", "1p"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        tag(name)
    with pytest.raises(ValueError, match="not a name"):
        tag("p", **{name: "x"})


@pytest.mark.parametrize(
    ("text", "room", "short"),
    [("four", 4, "four"), ("fiver", 4, "fiv…"), ("漢字漢字", 4, "漢…"), ("a\n b", 9, "a b"), ("", 3, "")],
)
def test_shortened_counts_what_is_seen(text: str, room: int, short: str) -> None:
    assert shortened(text, room) == short

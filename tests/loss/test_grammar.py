"""Probe messages: known entropy, said and read back."""

from __future__ import annotations

import pytest
from hopline.agent.loss.grammar import PICTURE, SPEECH, Grammar, probe_in
from hypothesis import given
from hypothesis import strategies as st

GRAMMARS = st.sampled_from((SPEECH, PICTURE))


def test_entropy() -> None:
    # Five slots of 8, two of 4, one of 7; and 6, 8, 8, 4, 6, 8, 8.
    assert SPEECH.bits == pytest.approx(5 * 3 + 2 * 2 + 2.807, abs=1e-3)
    assert PICTURE.bits == pytest.approx(2 * 2.585 + 4 * 3 + 2, abs=1e-3)


@given(grammar=GRAMMARS, seed=st.integers(0, 10_000))
def test_every_message_is_read_back(grammar: Grammar, seed: int) -> None:
    for message in grammar.messages(5, seed=seed):
        assert grammar.read(message.text) == message.values


def test_a_longer_list_begins_with_the_shorter() -> None:
    assert SPEECH.messages(48)[:10] == SPEECH.messages(10)
    assert SPEECH.messages(10) != SPEECH.messages(10, seed=1)


@given(grammar=GRAMMARS, text=st.text(max_size=200))
def test_any_text_is_read(grammar: Grammar, text: str) -> None:
    found = grammar.read(text)
    assert set(found) == {slot.name for slot in grammar.slots}
    for slot in grammar.slots:
        assert found[slot.name] is None or found[slot.name] in slot.values


@pytest.mark.parametrize(
    ("text", "slot", "value"),
    [
        ("7 green boats are left of the church. Anna paid $42 on Friday.", "amount", "42"),
        ("7 green boats are left of the church. Anna paid $42 on Friday.", "count", "7"),
        ("Seven green boats are left of the church. Ana paid 42 dollars.", "name", "anna"),
        ("Seven greene boats are on the left of the church.", "relation", "left"),
        ("Seven boats are left of the church.", "colour", None),
        ("Anna or Peter paid 42 dollars.", "name", None),
        ("The boats saw the boats.", "object", "boat"),
        ("To red horses are right of the station.", "count", "2"),
    ],
)
def test_transcripts(text: str, slot: str, value: str | None) -> None:
    assert SPEECH.read(text)[slot] == value


def test_relation_said_the_other_way_round() -> None:
    found = PICTURE.read("Two blue houses are to the right of three red cars.")
    assert (found["object"], found["relation"], found["object 2"]) == ("car", "left", "house")


@pytest.mark.parametrize("grammar", [SPEECH, PICTURE], ids=lambda g: g.name)
@given(seed=st.integers(0, 2**31 - 1))
def test_a_probe_is_known_again_and_nothing_else_is(grammar: Grammar, seed: int) -> None:
    (message,) = grammar.messages(1, seed=seed)
    found = probe_in(f"{message.text}\n")
    assert found is not None
    assert (found[0], found[1].values) == (grammar, message.values)
    assert grammar.kept_bits(message.values, message.values) == pytest.approx(grammar.bits)
    assert probe_in(message.text.lower()) is None
    assert probe_in(f"{message.text} And more.") is None

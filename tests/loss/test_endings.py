"""Fixed points and two-cycles: found where they are, not where they are not."""

from __future__ import annotations

import pytest
from hopline.agent.loss.endings import Ending, Endings, ending, measure_endings
from hopline.agent.loss.score import Unscored
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ("abcd", None),
        ("abcc", Ending(kind="fixed point", generation=2)),
        ("aaaa", Ending(kind="fixed point", generation=0)),
        ("abccd", None),  # it stayed for a while only
        ("abcbc", Ending(kind="two-cycle", generation=1)),
        ("xabab", Ending(kind="two-cycle", generation=1)),
        ("abcb", Ending(kind="two-cycle", generation=1)),
        ("abb", Ending(kind="fixed point", generation=1)),
        ("ab", None),
        ("a", None),
    ],
)
def test_hand_made_loops(states: str, found: Ending | None) -> None:
    assert ending(list(states)) == found


def test_white_space_is_not_a_change() -> None:
    assert ending(["x", "two  cats", "two cats\n"]) == Ending(kind="fixed point", generation=1)


@given(st.lists(st.integers(0, 4), min_size=5, max_size=5), st.integers(0, 4), st.integers(8, 12))
def test_every_deterministic_loop_is_told_as_what_it_is(step: list[int], state: int, length: int) -> None:
    """A map of five states settles within five steps, or runs in a circle longer than two."""
    states = [state]
    for _ in range(length):
        states.append(step[states[-1]])
    found = ending([str(s) for s in states])
    period = next(p for p in range(1, 6) if states[-1] == states[-1 - p])
    if period > 2:
        assert found is None
    else:
        assert found is not None
        assert found.kind == ("fixed point", "two-cycle")[period - 1]
        first = next(g for g in range(length) if states[g] == states[g + period])
        assert found.generation == first


def test_shares_are_of_sources() -> None:
    loops: dict[str, list[list[str]]] = {
        f"s{i:02}": [list("abbb")] if i < 15 else [list("abab"), list("abcd")] for i in range(20)
    }
    found = measure_endings(loops)
    assert isinstance(found, Endings)
    assert found.shares["fixed point"].value == pytest.approx(0.75)
    assert found.shares["two-cycle"].value == pytest.approx(0.125)  # half of a quarter of the sources
    assert found.shares["fixed point"].n == 20
    assert [e.value for e in found.reached] == pytest.approx([0.125, 0.875, 0.875, 0.875])
    assert (found.median, found.distinct, found.trajectories) == (1.0, 2, 25)


def test_none_and_all_have_exact_ends() -> None:
    found = measure_endings({str(i): [list("abcd")] for i in range(30)})
    assert isinstance(found, Endings)
    none = found.shares["fixed point"]
    assert (none.value, none.lo) == (0.0, 0.0)
    assert none.hi == pytest.approx(1 - 0.025 ** (1 / 30))
    assert found.median is None


def test_short_loops_cannot_tell() -> None:
    assert isinstance(measure_endings({"a": [["x", "y"]]}), Unscored)
    assert isinstance(measure_endings({}), Unscored)

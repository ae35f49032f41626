"""Chance and floor: shuffled pairings, guessing, and what reads as loss where nothing was lost."""

from __future__ import annotations

import numpy as np
import pytest
from hopline.agent.loss.chance import above_floor, derangements, guess_corrected, measure_retention
from hopline.agent.loss.compare import Comparison, Figures
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.score import Unscored
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(2, 30), st.integers(0, 5), st.integers(0, 1000))
def test_no_source_meets_its_own_output(n: int, times: int, seed: int) -> None:
    found = derangements(n, times, seed)
    assert found.shape == (times, n)
    assert (np.sort(found, axis=1) == np.arange(n)).all()
    assert (found != np.arange(n)).all()


def test_all_pairings_are_equally_likely() -> None:
    found = derangements(4, 3600, seed=1)  # of 9
    counted = np.unique(found, axis=0, return_counts=True)[1]
    assert len(counted) == 9
    assert counted.min() > 330
    assert counted.max() < 470
    with pytest.raises(ValueError, match="at least 2"):
        derangements(1, 1)


def test_guessing_by_hand() -> None:
    assert guess_corrected(0.625, 0.25) == pytest.approx(0.5)
    assert guess_corrected(1.0, 0.9) == pytest.approx(1.0)
    assert guess_corrected(0.2, 0.2) == 0.0
    assert guess_corrected(0.0, 0.5) == -1.0


def test_retention_by_hand() -> None:
    kept, facts, guessed = [3.0, 1.0] * 15, [4.0, 2.0] * 15, [1.0, 0.5] * 15
    found = measure_retention(kept, facts, guessed)
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx((4 / 6 - 1.5 / 6) / (1 - 1.5 / 6))
    assert found.lo is not None
    assert found.hi is not None
    assert found.lo < found.value < found.hi
    assert (found.n, found.chance, found.ceiling) == (30, 0.0, 1.0)


def test_a_source_without_facts_counts_for_nothing() -> None:
    found = measure_retention([2, 0, 1], [2, 0, 2], [0, 0, 0])
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(0.75)
    assert found.n == 2
    assert found.lo is None
    assert isinstance(measure_retention([0, 0], [0, 0], [0, 0]), Unscored)
    assert isinstance(measure_retention([], [], []), Unscored)


def test_where_everything_is_guessed_nothing_is_measured() -> None:
    found = measure_retention([2.0] * 30, [2.0] * 30, [2.0] * 30)
    assert isinstance(found, Unscored)
    assert "every guess is right" in found.reason


def test_all_kept_is_one_with_an_interval() -> None:
    found = measure_retention([3] * 40, [3] * 40, [1] * 40)
    assert isinstance(found, Estimate)
    assert (found.value, found.hi) == (1.0, 1.0)
    assert found.lo == pytest.approx((0.025 ** (1 / 40) - 1 / 3) / (2 / 3))


@given(st.integers(0, 50))
def test_shuffled_outputs_read_about_zero(seed: int) -> None:
    """Four values for each fact, all guessed: a quarter is right, and none arrived."""
    draw = np.random.default_rng(seed)
    values, outputs = draw.integers(4, size=(200, 5)), draw.integers(4, size=(200, 5))
    own, *others = (
        (values == outputs[order]).sum(axis=1) for order in [np.arange(200), *derangements(200, 20, seed=seed)]
    )
    found = measure_retention(own, [5] * 200, np.mean(others, axis=0), resamples=200, seed=seed)
    assert isinstance(found, Estimate)
    assert abs(found.value) < 0.09
    assert own.mean() / 5 > 0.18


@pytest.mark.parametrize("kept", [[3.0], [-1.0], [float("nan")]])
def test_more_kept_than_there_is_is_refused(kept: list[float]) -> None:
    with pytest.raises(ValueError, match="between 0 and the facts"):
        measure_retention(kept, [2.0], [0.0])
    with pytest.raises(ValueError, match="one each"):
        measure_retention([1.0, 1.0], [2.0], [0.0])


def test_a_loss_stands_above_its_floor() -> None:
    loss: Figures = {k: 0.30 + (0.02 if k % 2 else -0.02) for k in range(30)} | {99: 0.9, 98: None}
    floors = {k: [0.05, 0.15] for k in range(30)} | {98: [0.1], 97: []}
    found = above_floor(loss, floors, metric="fact loss")
    assert isinstance(found, Comparison)
    assert found.difference.value == pytest.approx(0.2)
    assert found.difference.n == 30
    assert found.unpaired == 3
    assert found.difference.lo is not None
    assert found.difference.lo > 0.19
    assert found.p < 0.001

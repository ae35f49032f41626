"""SDR: the curve of the study, fitted to means over sources."""

from __future__ import annotations

import numpy as np
import pytest
from hopline.agent.loss.drift import DriftRate, drift_rate, mean_cumulative_drift
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.score import Unscored

HOPS = tuple(range(2, 21, 2))


def test_a_curve_is_found_again() -> None:
    similarities = np.tile(0.6 * np.exp(-0.25 * np.array(HOPS)) + 0.3, (40, 1))
    found = drift_rate(similarities, HOPS)
    assert isinstance(found, DriftRate)
    assert (found.a, found.b.value, found.c) == pytest.approx((0.6, 0.25, 0.3), abs=1e-6)
    assert found.b.lo == pytest.approx(0.25, abs=1e-6)
    assert found.b.n == 40


def test_the_interval_holds_the_rate_and_narrows_with_sources() -> None:
    rng = np.random.default_rng(3)
    curve = 0.6 * np.exp(-0.25 * np.array(HOPS)) + 0.3
    few = drift_rate(curve + rng.normal(scale=0.05, size=(30, len(HOPS))), HOPS)
    many = drift_rate(curve + rng.normal(scale=0.05, size=(480, len(HOPS))), HOPS)
    assert isinstance(few, DriftRate)
    assert isinstance(many, DriftRate)
    widths = []
    for rate in (few.b, many.b):
        assert rate.lo is not None
        assert rate.hi is not None
        assert rate.lo < 0.25 < rate.hi
        widths.append(rate.hi - rate.lo)
    assert widths[1] < widths[0] / 2  # a quarter, up to chance


def test_few_sources_have_no_interval() -> None:
    found = drift_rate(np.tile(np.exp(-0.1 * np.array(HOPS)), (5, 1)), HOPS)
    assert isinstance(found, DriftRate)
    assert found.b.lo is None


@pytest.mark.parametrize(
    "similarities",
    [
        np.full((30, 10), 0.9),  # a chain that changes nothing has no rate
        np.zeros((0, 10)),
        np.random.default_rng(0).random((30, 3)),  # any curve goes through three points
    ],
)
def test_no_rate_without_decay_sources_or_generations(similarities: np.ndarray) -> None:
    assert isinstance(drift_rate(similarities, HOPS[: similarities.shape[1]]), Unscored)


def test_another_number_of_hops_is_an_error() -> None:
    with pytest.raises(ValueError, match="3 generations"):
        drift_rate(np.zeros((30, 4)), (1, 2, 3))


def test_mcd_is_the_mean_over_generations_of_means_over_sources() -> None:
    table = np.array([[0.9, 0.5], [0.7, np.nan], [0.8, 0.1]])
    found = mean_cumulative_drift(table, settings={"encoder": "x"})
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx((0.8 + 0.3) / 2)  # a source that failed does not weigh the others down
    assert str(found.signature) == "mcd|encoder:x|generations:2|1"
    assert (found.lo, found.n) == (None, 3)
    assert isinstance(mean_cumulative_drift(np.full((3, 2), np.nan)), Unscored)
    assert isinstance(mean_cumulative_drift(np.zeros((0, 2))), Unscored)


def test_mcd_covers_the_mean() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(100):
        table = 0.6 + rng.normal(scale=0.1, size=(40, 1)) + rng.normal(scale=0.1, size=(40, 6))
        found = mean_cumulative_drift(np.where(rng.random(table.shape) < 0.05, np.nan, table), resamples=400)
        assert isinstance(found, Estimate)
        covered += found.lo <= 0.6 <= found.hi  # type: ignore[operator]  # 40 sources have an interval
    assert covered >= 88

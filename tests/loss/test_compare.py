"""Paired comparison of two chains: hand-computed tables and laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hopline.agent.loss.compare import (
    Comparison,
    Figures,
    Generation,
    compare,
    compare_all,
    generation_needed,
    holm,
    power_of,
    sign_flip,
    sources_needed,
)
from hopline.agent.loss.score import Unscored
from hypothesis import given
from hypothesis import strategies as st

differences = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=1, max_size=9)


def scored(one: Figures, other: Figures) -> Comparison:
    found = compare(one, other, metric="retention", resamples=200)
    assert isinstance(found, Comparison)
    return found


@pytest.mark.parametrize(
    ("values", "p"),
    [
        ([1.0], 1.0),
        ([1.0, 1.0, 1.0], 2 / 8),
        ([1.0, 2.0, 3.0], 2 / 8),
        ([3.0, -1.0, 1.0], 6 / 8),  # ±3, ±3, ±5, ±1
        ([0.0, 0.0], 1.0),
        ([0.1, 0.2, 0.3, -0.6], 1.0),  # sums to 0 but for rounding
        ([0.5] * 6, 2 / 64),
    ],
)
def test_every_sign_by_hand(values: list[float], p: float) -> None:
    found, exact = sign_flip(values)
    assert found == pytest.approx(p)
    assert exact


def test_sampled_signs_agree_with_all_of_them() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, size=12)
    exact, is_exact = sign_flip(values)
    assert is_exact
    sampled, is_exact = sign_flip([*values, 0.0])  # a source without difference changes nothing
    assert not is_exact
    assert sampled == pytest.approx(exact, abs=0.02)
    assert sign_flip([1.0] * 40) == (1 / 10_000, False)  # never 0


@given(differences)
def test_p_is_the_same_from_both_sides(values: list[float]) -> None:
    p, _ = sign_flip(values)
    assert 0 < p <= 1
    assert sign_flip([-x for x in values])[0] == pytest.approx(p)
    assert sign_flip([10 * x for x in values])[0] == pytest.approx(p)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(a <= b <= min(1.0, len(p) * a) + 1e-12 for a, b in zip(p, adjusted, strict=True))
    assert [adjusted[i] for i in sorted(range(len(p)), key=lambda i: p[i])] == sorted(adjusted)


def test_a_comparison_is_paired_by_source() -> None:
    one: Figures = {f"s{k}": k / 40 for k in range(40)}
    other: Figures = {f"s{k}": k / 40 - (0.15 if k % 2 else 0.05) for k in reversed(range(40))}
    found = scored(one, other)
    assert found.difference.value == pytest.approx(-0.1)
    assert found.sd == pytest.approx(0.05 * math.sqrt(40 / 39))
    assert found.p == pytest.approx(1e-4)
    assert not found.exact
    assert found.difference.lo is not None
    assert found.difference.hi is not None
    assert -0.12 < found.difference.lo < -0.1 < found.difference.hi < -0.08
    back = scored(other, one)
    assert back.difference.value == pytest.approx(0.1)
    assert back.p == found.p


def test_a_missing_figure_is_not_zero() -> None:
    one: dict[str, float | None] = {"a": 1.0, "b": 0.5, "c": None, "d": 0.3}
    other: dict[str, float | None] = {"a": 0.5, "b": 0.0, "c": 0.9, "e": 0.3}
    found = scored(one, other)
    assert found.difference.value == pytest.approx(-0.5)
    assert found.difference.n == 2
    assert found.unpaired == 3
    assert any("3 sources" in warning for warning in found.difference.warnings)
    assert found.difference.lo is None
    assert isinstance(compare({"a": 1.0}, {"b": 1.0}, metric="retention"), Unscored)
    with pytest.raises(ValueError, match="finite"):
        compare({"a": math.nan}, {"a": 1.0}, metric="retention")


def test_metrics_compared_together_are_corrected_together() -> None:
    sources = range(8)
    zero: Figures = dict.fromkeys(sources, 0.0)
    found = compare_all(
        {
            "clear": (zero, dict.fromkeys(sources, 1.0)),
            "none": (zero, {k: (-1.0) ** k for k in sources}),
            "unscored": (zero, dict.fromkeys(sources)),
        }
    )
    clear, none = found["clear"], found["none"]
    assert isinstance(clear, Comparison)
    assert isinstance(none, Comparison)
    assert [clear.p, clear.adjusted] == pytest.approx([2 / 256, 4 / 256])
    assert (none.p, none.adjusted) == (1.0, 1.0)
    assert isinstance(found["unscored"], Unscored)
    assert list(found) == ["clear", "none", "unscored"]


def test_power_by_published_figures() -> None:
    # Cohen 1988 / G*Power: one-sample or paired t, effect 0.5, alpha .05, two-sided
    assert power_of(34, 0.5, 1.0) == pytest.approx(0.8078, abs=5e-4)
    assert power_of(44, 0.5, 1.0) == pytest.approx(0.9000, abs=5e-3)
    assert power_of(50, 0.0, 1.0) == pytest.approx(0.05)
    assert power_of(20, 1.0, 1e-9) == 1.0


def test_ten_points_need_about_120_sources() -> None:
    needed = sources_needed(0.10, 0.33)
    assert isinstance(needed, int)
    assert 115 <= needed <= 120
    assert sources_needed(-0.10, 0.33) == needed
    assert power_of(needed, 0.10, 0.33) >= 0.9 > power_of(needed - 1, 0.10, 0.33)
    assert sources_needed(0.5, 0.1) == 20  # what an interval needs
    assert sources_needed(0.5, 0.0) == 20
    assert isinstance(sources_needed(0.0, 0.3), Unscored)
    assert isinstance(sources_needed(1e-5, 1.0), Unscored)
    with pytest.raises(ValueError, match="power 1"):
        sources_needed(0.1, 0.3, power=1.0)


@given(st.floats(0.02, 0.5), st.floats(0.05, 1), st.floats(1.05, 2))
def test_less_difference_needs_more_sources(difference: float, sd: float, factor: float) -> None:
    needed, more = sources_needed(difference, sd), sources_needed(difference / factor, sd)
    assert isinstance(needed, int)
    assert isinstance(more, int)
    assert 20 <= needed <= more


def test_the_generation_that_shows_a_difference_soonest() -> None:
    one, other = [0.9, 0.8, 0.3], [0.85, 0.65, 0.28]
    found = generation_needed(one, other, [0.3, 0.3, 0.3])
    assert isinstance(found, Generation)
    assert found.generation == 2
    assert found.difference == pytest.approx(-0.15)
    assert found.sources == sources_needed(0.15, 0.3)
    assert isinstance(generation_needed([0.5], [0.5], [0.1]), Unscored)

"""Raters whose truth is planted: kappa as computed by hand, and corrected shares that cover it."""

from __future__ import annotations

import numpy as np
import pytest
from hopline.agent.loss.agreement import NO_VARIETY, Agreement, corrected_share, measure_agreement
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.score import Unscored
from hypothesis import given
from hypothesis import strategies as st

ANSWERS = st.lists(st.sampled_from(["kept", "altered", "missing"]), min_size=1, max_size=40)


def agreement(one: list[str], other: list[str]) -> Agreement:
    found = measure_agreement(one, other, [str(i) for i in range(len(one))], resamples=100)
    assert isinstance(found, Agreement)
    return found


def test_a_table_computed_by_hand() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: raw .70, chance .5 · .6 + .5 · .4 = .50, kappa .40.
    one = ["yes"] * 25 + ["no"] * 25
    other = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    found = agreement(one, other)
    assert found.raw.value == pytest.approx(0.70)
    assert isinstance(found.kappa, Estimate)
    assert found.kappa.value == pytest.approx(0.40)
    assert found.kappa.lo is not None
    assert found.kappa.lo < 0.40 < found.kappa.hi  # type: ignore[operator]  # both ends or none
    assert found.cells == found.raw.n == 50


@given(ANSWERS)
def test_who_agrees_with_himself_agrees_wholly(answers: list[str]) -> None:
    found = agreement(answers, answers)
    assert found.raw.value == 1.0
    if len(set(answers)) > 1:
        assert isinstance(found.kappa, Estimate)
        assert found.kappa.value == pytest.approx(1.0)
    else:
        assert found.kappa == Unscored(reason=NO_VARIETY)


@given(st.data(), ANSWERS)
def test_neither_order_matters(data: st.DataObject, one: list[str]) -> None:
    other = data.draw(st.lists(st.sampled_from(["kept", "missing"]), min_size=len(one), max_size=len(one)))
    here, there = agreement(one, other), agreement(other, one)
    assert here.raw.value == there.raw.value
    assert getattr(here.kappa, "value", None) == pytest.approx(getattr(there.kappa, "value", None))


def test_guessing_has_kappa_nothing() -> None:
    rng = np.random.default_rng(4)
    one, other = (list(rng.choice(["kept", "missing"], size=4000, p=[0.8, 0.2])) for _ in range(2))
    found = agreement(one, other)
    assert found.raw.value > 0.6
    assert isinstance(found.kappa, Estimate)
    assert abs(found.kappa.value) < 0.05


def planted(
    seed: int, *, misses: float, imagines: float, rated: int = 150
) -> tuple[dict[str, tuple[float, float]], list[tuple[str, bool, bool]], float]:
    """60 sources of 8 facts, of which some keep more than others, read by a machine that errs; a random sample rated.

    Returns:
        Machine's counts, the rated cells, and the machine's share.
    """
    rng = np.random.default_rng(seed)
    truth = rng.random((60, 8)) < rng.beta(3, 2, size=(60, 1))  # .6 on average
    machine = np.where(truth, rng.random((60, 8)) >= misses, rng.random((60, 8)) < imagines)
    cells = rng.choice(480, size=rated, replace=False)
    told = [(str(c // 8), bool(machine[c // 8, c % 8]), bool(truth[c // 8, c % 8])) for c in cells]
    return {str(i): (float(row.sum()), 8.0) for i, row in enumerate(machine)}, told, float(machine.mean())


@pytest.mark.parametrize(("misses", "imagines"), [(0.25, 0.05), (0.0, 0.0), (0.5, 0.5), (0.05, 0.4)])
def test_the_corrected_share_covers_the_truth_however_the_machine_errs(misses: float, imagines: float) -> None:
    covered, values, machines = [], [], []
    for seed in range(150):
        machine, told, counted = planted(seed, misses=misses, imagines=imagines)
        found = corrected_share(machine, told, metric="facts kept", resamples=300)
        assert isinstance(found, Estimate)
        covered.append(found.lo <= 0.6 <= found.hi)  # type: ignore[operator]  # over 20 sources
        values.append(found.value)
        machines.append(counted)
    assert np.mean(covered) >= 0.88  # .95 less four standard errors of 150 draws
    assert np.mean(values) == pytest.approx(0.6, abs=0.015)
    if misses or imagines == 0.4:
        expected = 0.6 * (1 - misses) + 0.4 * imagines
        assert np.mean(machines) == pytest.approx(expected, abs=0.015)  # which is what is corrected


def test_a_good_machine_narrows_the_interval_and_a_useless_one_does_not_widen_it() -> None:
    widths = {}
    for misses, imagines in ((0.02, 0.02), (0.5, 0.5)):
        both = []
        for seed in range(20):
            machine, told, _ = planted(seed, misses=misses, imagines=imagines)
            tuned = corrected_share(machine, told, metric="x", resamples=300)
            alone = corrected_share(machine, [(s, False, y) for s, _, y in told], metric="x", resamples=300)
            assert isinstance(tuned, Estimate)
            assert isinstance(alone, Estimate)
            both.append((tuned.hi - tuned.lo) / (alone.hi - alone.lo))  # type: ignore[operator]
        widths[misses] = np.mean(both)
    assert widths[0.02] < 0.85
    assert widths[0.5] == pytest.approx(1.0, abs=0.03)


def test_all_rated_is_what_people_say() -> None:
    machine, told, _ = planted(1, misses=0.3, imagines=0.1, rated=480)
    found = corrected_share(machine, told, metric="x")
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(np.mean([y for _, _, y in told]))


def test_what_cannot_be_asked() -> None:
    assert isinstance(measure_agreement([], [], []), Unscored)
    assert isinstance(corrected_share({"a": (1, 2)}, [], metric="x"), Unscored)
    with pytest.raises(ValueError, match="b was rated"):
        corrected_share({"a": (1, 2)}, [("b", True, True)], metric="x")
    with pytest.raises(ValueError, match="1 and 0 answers"):
        measure_agreement(["x"], [], ["s"])

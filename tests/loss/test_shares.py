"""Shares of the variance between chains: laws on tables whose truth is planted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hopline.agent.loss.score import Unscored
from hopline.agent.loss.shares import Shares, variance_shares

DRAWER = np.array([0.15, -0.05, -0.10])
READER = np.array([0.20, -0.20])
BOTH = np.array([[0.04, -0.04], [-0.02, 0.02], [-0.02, 0.02]])


def planted(
    n: int, seed: int, *, drawer: Any = DRAWER, reader: Any = READER, both: Any = BOTH, noise: float = 0.3
) -> Any:
    """Sources differ, each reacts to drawers and readers in its own way, and every figure has noise."""
    rng = np.random.default_rng(seed)
    a, b = len(drawer), len(reader)
    return (
        drawer[None, :, None]
        + reader[None, None, :]
        + both[None]
        + rng.normal(0, 0.2, (n, 1, 1))
        + rng.normal(0, noise / 2, (n, a, 1))
        + rng.normal(0, noise / 2, (n, 1, b))
        + rng.normal(0, noise, (n, a, b))
    )


def shares(table: Any) -> Shares:
    found = variance_shares(table, ("drawer", "reader"), metric="facts kept", resamples=400)
    assert isinstance(found, Shares)
    return found


def test_without_noise_the_shares_are_those_planted() -> None:
    found = shares(planted(20, 1, noise=0.0))
    squares = [(DRAWER**2).mean(), (READER**2).mean(), (BOTH**2).mean()]
    values = [found.terms[term].value for term in (("drawer",), ("reader",), ("drawer", "reader"))]
    assert values == pytest.approx(np.array(squares) / sum(squares), abs=1e-9)
    assert found.spread.value == pytest.approx(sum(squares) ** 0.5)
    assert [e.value for e in found.effects["reader"]] == pytest.approx(READER)
    assert found.lead["drawer", "reader"].value == pytest.approx(values[0] - values[1])


def test_intervals_cover_what_was_planted() -> None:
    squares = np.array([(DRAWER**2).mean(), (READER**2).mean(), (BOTH**2).mean()])
    truth = squares / squares.sum()
    covered, values = [], []
    for seed in range(60):
        found = shares(planted(60, seed))
        told = [found.terms[term] for term in (("drawer",), ("reader",), ("drawer", "reader"))]
        lead = found.lead["drawer", "reader"]
        wanted = [*truth, truth[0] - truth[1]]
        covered.append([e.lo <= t <= e.hi for e, t in zip([*told, lead], wanted, strict=True)])
        values.append([e.value for e in told])
    assert (np.mean(covered, axis=0) >= 0.85).all()  # .95 less three standard errors of 60 draws
    assert np.mean(values, axis=0) == pytest.approx(truth, abs=0.02)  # squared means alone would read too high


def test_laws() -> None:
    table = planted(40, 3)
    found = shares(table)
    assert sum(e.value for e in found.terms.values()) == pytest.approx(1.0)
    other = shares(5 * table + np.random.default_rng(0).normal(size=(40, 1, 1)))  # scale, and easier sources
    assert [e.value for e in other.terms.values()] == pytest.approx([e.value for e in found.terms.values()])
    swapped = variance_shares(table.transpose(0, 2, 1), ("reader", "drawer"), metric="facts kept", resamples=400)
    assert isinstance(swapped, Shares)
    assert swapped.terms["reader",].value == pytest.approx(found.terms["reader",].value)
    assert swapped.lead["reader", "drawer"].value == pytest.approx(-found.lead["drawer", "reader"].value)


def test_chains_that_do_not_differ_have_no_shares() -> None:
    told = [
        variance_shares(
            planted(40, seed, drawer=0 * DRAWER, reader=0 * READER, both=0 * BOTH),
            ("a", "b"),
            metric="x",
            resamples=400,
        )
        for seed in range(40)
    ]
    assert sum(isinstance(t, Shares) for t in told) <= 4  # 5% by construction, and three standard errors


def test_one_factor_and_three() -> None:
    one = variance_shares(planted(30, 5)[:, :, 0], ("drawer",), metric="x", resamples=200)
    assert isinstance(one, Shares)
    assert one.terms["drawer",].value == 1.0
    table = planted(30, 6)[..., None] + np.array([0.3, -0.3])
    three = variance_shares(table, ("drawer", "reader", "snr"), metric="x", resamples=200)
    assert isinstance(three, Shares)
    assert len(three.terms) == 7
    assert max(three.terms, key=lambda t: three.terms[t].value) == ("snr",)


def test_what_cannot_be_asked() -> None:
    assert isinstance(variance_shares(planted(19, 0), ("a", "b"), metric="x"), Unscored)
    with pytest.raises(ValueError, match="factors a"):
        variance_shares(planted(20, 0), ("a",), metric="x")
    with pytest.raises(ValueError, match="2 levels"):
        variance_shares(planted(20, 0)[:, :1], ("a", "b"), metric="x")

"""First losses and log-retention shares: by hand, and that they add up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hopline.agent.loss.blame import NOTHING_LEFT, NOTHING_LOST, Blame, first_absence, measure_blame, repair_gain
from hopline.agent.loss.compare import Comparison
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.readings import ReadHop
from hopline.agent.loss.score import Unscored
from hopline.agent.loss.survival import measure_survival
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray


def hops(n: int, modality: str = "text") -> list[ReadHop]:
    return [ReadHop(tool=f"tool{k}", backend=f"backend{k}", modality=modality, reader="reader") for k in range(n)]


def histories(table: dict[str, int]) -> NDArray[np.bool_]:
    return np.array([[c == "1" for c in history] for history, n in table.items() for _ in range(n)])


def blamed(table: dict[str, int], chain: list[ReadHop]) -> Blame:
    seen = histories(table)
    return measure_blame(measure_survival(seen, np.arange(len(seen)), chain, resamples=200))


def value(found: Estimate | Unscored) -> float:
    assert isinstance(found, Estimate)
    return found.value


def test_shares_by_hand() -> None:
    # 100 → 80 → 40 → 30, and nothing missed
    found = blamed({"1000": 20, "1100": 40, "1110": 10, "1111": 30}, hops(3))
    assert [value(leg.lost) for leg in found.legs] == pytest.approx([20, 40, 10], abs=0.2)
    nats = [math.log(100 / 80), math.log(80 / 40), math.log(40 / 30)]
    assert [value(leg.nats) for leg in found.legs] == pytest.approx(nats, abs=5e-3)
    assert [value(leg.part) for leg in found.legs] == pytest.approx([x / sum(nats) for x in nats], abs=5e-3)
    assert value(found.lost) == pytest.approx(70, abs=0.2)
    assert value(found.nats) == pytest.approx(-math.log(0.3), abs=5e-3)
    first = found.legs[0].lost
    assert isinstance(first, Estimate)
    assert first.lo is not None
    assert first.hi is not None
    assert 8 < first.lo < 20 < first.hi < 32
    assert not any(leg.with_reader for leg in found.legs)


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.tuples(*[st.booleans()] * 4).map(lambda h: "1" + "".join("01"[x] for x in h)),
        st.integers(1, 20),
        min_size=3,
    )
)
def test_both_add_up(table: dict[str, int]) -> None:
    found = blamed({**table, "11111": 25, "11000": 5}, hops(4))
    assert sum(value(leg.lost) for leg in found.legs) == pytest.approx(value(found.lost))
    assert sum(value(leg.nats) for leg in found.legs) == pytest.approx(value(found.nats), abs=1e-9)
    if value(found.lost):
        assert sum(value(leg.part) for leg in found.legs) == pytest.approx(1.0)


def test_a_product_says_that_it_holds_the_readers_misses() -> None:
    chain = [*hops(2), *hops(1, modality="audio")]
    found = blamed({"1111": 60, "1110": 20, "1100": 10, "1000": 10}, chain)
    assert [leg.with_reader for leg in found.legs] == [False, False, True]
    assert value(found.legs[2].nats) == pytest.approx(math.log(80 / 60), abs=5e-3)
    assert value(found.nats) == pytest.approx(-math.log(0.6), abs=5e-3)


def test_a_hop_after_which_nothing_is_left_has_no_logarithm() -> None:
    found = blamed({"1000": 50, "1100": 50, "1110": 100}, hops(3))
    assert [value(leg.lost) for leg in found.legs[:2]] == pytest.approx([50, 50], abs=0.3)
    assert isinstance(found.legs[1].nats, Estimate)
    assert isinstance(found.legs[2].nats, Unscored)
    assert found.legs[2].nats.reason == NOTHING_LEFT
    assert isinstance(found.nats, Unscored)
    assert value(found.lost) == pytest.approx(200)


def test_without_loss_nobody_has_a_share() -> None:
    found = blamed({"1111": 40}, hops(3))
    parts = [leg.part for leg in found.legs]
    assert [p.reason for p in parts if isinstance(p, Unscored)] == [NOTHING_LOST] * 3
    lost = found.legs[0].lost
    assert isinstance(lost, Estimate)
    assert lost.value == 0
    assert lost.hi == pytest.approx(40 * (1 - 0.025 ** (1 / 40)))


def test_what_is_unread_is_not_blamed() -> None:
    unread = ReadHop(tool="tool", backend="backend", modality="image", reader=None)
    found = blamed({"1110": 40, "1100": 10, "1000": 10}, [*hops(2), unread])
    assert isinstance(found.legs[2].lost, Unscored)
    assert value(found.lost) == pytest.approx(20, abs=0.3)
    nothing = blamed({"10": 40}, [unread])
    assert isinstance(nothing.lost, Unscored)


def test_first_absence_by_hand() -> None:
    seen = histories({"1111": 5, "1011": 2, "1000": 1, "1110": 2})
    assert first_absence(seen).tolist() == pytest.approx([0.3, 0.0, 2 / 7])
    read = np.ones_like(seen)
    read[5:7, 1] = False  # nobody looked there
    assert first_absence(seen, read).tolist() == pytest.approx([0.1, 0.0, 2 / 9])
    assert np.isnan(first_absence(histories({"100": 3}))[1])


def test_the_gain_of_a_planted_repair() -> None:
    """Two hops that each keep 70% of 5 facts; an oracle in the place of the first brings the end from .49 to .70."""
    draw = np.random.default_rng(3)
    second = draw.random((400, 5)) < 0.7
    first = draw.random((400, 5)) < 0.7
    before = dict(enumerate((first & second).mean(axis=1)))
    after = dict(enumerate(second.mean(axis=1)))
    gain = repair_gain(before, after)
    assert isinstance(gain, Comparison)
    assert gain.difference.lo is not None
    assert gain.difference.hi is not None
    assert gain.difference.lo < 0.21 < gain.difference.hi
    assert gain.p < 0.001
    assert "of:retention, one hop replaced" in str(gain.difference.signature)
    nothing = repair_gain(before, before)
    assert isinstance(nothing, Comparison)
    assert (nothing.difference.value, nothing.p) == (0.0, 1.0)

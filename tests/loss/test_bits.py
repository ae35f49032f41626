"""Slot bits and identification bits: hand-computed tables and laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hopline.agent.loss.bits import binary_entropy, measure_identification, measure_slots, slot_bits
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.grammar import SPEECH, Slot
from hopline.agent.loss.processing import check_processing
from hopline.agent.loss.score import Signature
from hypothesis import given
from hypothesis import strategies as st

shares = st.floats(0, 1)
DIE = Slot(name="die", values=("1", "2", "3", "4", "5", "6", "7", "8"))


@pytest.mark.parametrize(
    ("k", "missing", "wrong", "bits"),
    [
        (8, 0.0, 0.0, 3.0),
        (8, 0.3, 0.0, 2.1),
        (8, 0.0, 0.3, 1.2765),
        (8, 1.0, 0.0, 0.0),
        (8, 0.0, 7 / 8, 0.0),
        (2, 0.0, 0.5, 0.0),
        (2, 0.0, 0.11, 0.5001),
        (4, 0.5, 0.25, 0.3962),
    ],
)
def test_slot_formula(k: int, missing: float, wrong: float, bits: float) -> None:
    assert slot_bits(k=k, missing=missing, wrong=wrong) == pytest.approx(bits, abs=1e-3)


@given(k=st.integers(2, 50), missing=shares, wrong=shares)
def test_slot_bits_lie_between_none_and_all(k: int, missing: float, wrong: float) -> None:
    bits = slot_bits(k=k, missing=missing, wrong=wrong)
    assert 0.0 <= bits <= math.log2(k) + 1e-12
    assert bits <= slot_bits(k=k, missing=missing, wrong=0.0) + 1e-12


@given(k=st.integers(2, 50), share=st.floats(0.01, 1))
def test_a_wrong_value_costs_more_than_a_gap(k: int, share: float) -> None:
    assert slot_bits(k=k, missing=0.0, wrong=share) <= slot_bits(k=k, missing=share, wrong=0.0) + 1e-12


def test_binary_entropy() -> None:
    assert [binary_entropy(p) for p in (0.0, 0.5, 1.0)] == [0.0, 1.0, 0.0]
    assert binary_entropy(0.11) == pytest.approx(0.49992, abs=1e-5)


def test_all_read_right_is_the_ceiling_with_an_honest_lower_end() -> None:
    sent = [{"die": str(1 + i % 8)} for i in range(40)]
    found = measure_slots([DIE], sent, sent)
    assert found.total.value == 3.0
    assert found.total.ceiling == 3.0
    assert found.total.at_ceiling
    # Clopper-Pearson: none in 40 leaves up to 8.81% (1 - 0.025 ** (1 / 40)) missing or wrong; wrong costs more.
    assert found.total.lo == pytest.approx(slot_bits(k=8, missing=0.0, wrong=0.0881), abs=2e-3)
    assert found.total.hi == 3.0


def test_shares_are_counted_as_missing_and_wrong() -> None:
    sent = [{"die": "1"} for _ in range(100)]
    values = [None] * 20 + ["2"] * 8 + ["1"] * 72
    read: list[dict[str, str | None]] = [{"die": value} for value in values]
    found = measure_slots([DIE], sent, read)
    excess = 1 / (2 * 100 * math.log(2))
    assert found.by_slot["die"].value == pytest.approx(slot_bits(k=8, missing=0.2, wrong=0.1) - excess)
    assert found.total.value == found.by_slot["die"].value
    lo, hi = found.total.lo, found.total.hi
    assert lo is not None
    assert hi is not None
    assert lo < found.total.value < hi


def test_nothing_read_is_nothing() -> None:
    sent = [{"die": "1"}] * 30
    found = measure_slots([DIE], sent, [{"die": None}] * 30).total
    assert (found.value, found.lo) == (0.0, 0.0)


def test_few_messages_have_no_interval() -> None:
    found = measure_slots([DIE], [{"die": "1"}] * 19, [{"die": "1"}] * 19).total
    assert found.lo is None
    assert "20 are needed" in found.warnings[0]


def test_repeats_of_a_source_count_once() -> None:
    sent = [dict(m.values) for m in SPEECH.messages(40)]
    read = [SPEECH.read(m.text.replace("red", "").replace("Anna", "Peter")) for m in SPEECH.messages(40)]
    once = measure_slots(SPEECH.slots, sent, read).total
    twice = measure_slots(SPEECH.slots, sent * 2, read * 2, sources=[str(i) for i in range(40)] * 2).total
    assert twice.value == pytest.approx(once.value)
    assert twice.n == 40
    assert twice.lo == pytest.approx(once.lo, abs=0.3)


def test_unpaired_messages_are_refused() -> None:
    with pytest.raises(ValueError, match="one reading for each message"):
        measure_slots([DIE], [{"die": "1"}], [])


@given(st.permutations(range(30)))
def test_order_of_sources_does_not_matter(order: list[int]) -> None:
    sent = [dict(m.values) for m in SPEECH.messages(30)]
    read = [SPEECH.read(m.text.replace("red", "").replace("Anna", "Peter")) for m in SPEECH.messages(30)]
    first = measure_slots(SPEECH.slots, sent, read).total.value
    again = measure_slots(SPEECH.slots, [sent[i] for i in order], [read[i] for i in order]).total.value
    assert again == pytest.approx(first)


def test_identity_is_exactly_the_ceiling() -> None:
    found = measure_identification(np.eye(256))
    assert found.bits.value == 8.0
    assert found.bits.at_ceiling
    assert str(found.bits).startswith("≥ 8.00")
    assert found.fano == 8.0


def test_monotone_scores_and_units_change_nothing() -> None:
    draw = np.random.default_rng(3)
    scores = np.eye(64) + draw.normal(scale=0.4, size=(64, 64))
    bits = measure_identification(scores).bits.value
    assert measure_identification(100 * scores - 7).bits.value == pytest.approx(bits, abs=0.02)
    assert 0.5 < bits < 6.0


def test_bits_respect_fano_on_a_symmetric_channel() -> None:
    draw = np.random.default_rng(4)
    scores = np.zeros((128, 128))
    out = np.where(draw.random(128) < 0.25, draw.integers(128, size=128), np.arange(128))
    scores[np.arange(128), out] = 1.0
    found = measure_identification(scores)
    assert found.fano == pytest.approx(slot_bits(k=128, missing=0, wrong=1 - found.accuracy.value))
    assert found.bits.value == pytest.approx(found.fano, abs=0.2)


def test_ties_count_their_share() -> None:
    found = measure_identification(np.zeros((50, 50)))
    assert found.accuracy.value == pytest.approx(1 / 50)
    assert abs(found.bits.value) < 1e-9


@pytest.mark.parametrize("scores", [np.ones((4, 3)), np.ones((1, 1)), np.full((3, 3), np.nan)])
def test_scores_that_mean_nothing_are_refused(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="give"):
        measure_identification(scores)


def _bits(value: float, half: float) -> Estimate:
    return Estimate(
        value=value, lo=value - half, hi=value + half, n=50, method="given",
        signature=Signature(metric="slot_bits", version="1"),
    )  # fmt: skip


def test_rise_is_told_and_corrected() -> None:
    found = check_processing([_bits(9, 0.5), _bits(5, 0.5), _bits(5.4, 0.5), _bits(8, 0.5)])
    assert list(found.corrected) == [9, 8, 8, 8]
    assert [(r.earlier, r.later) for r in found.rises] == [(1, 3), (2, 3)]
    assert [r.bits for r in found.rises] == pytest.approx([3, 2.6])
    assert str(found.rises[0]).startswith("node 3 keeps 3.00 bits more than node 1: the reader")


@given(st.lists(st.floats(0, 20), min_size=1, max_size=8))
def test_corrected_bits_never_rise(values: list[float]) -> None:
    found = check_processing([_bits(v, 0.2) for v in values])
    assert list(found.corrected) == sorted(found.corrected, reverse=True)
    assert all(c >= v for c, v in zip(found.corrected, values, strict=True))
    falls = sorted(values, reverse=True)
    assert check_processing([_bits(v, 0.2) for v in falls]).rises == ()


def test_a_twin_that_looks_the_same_costs_one_bit() -> None:
    own = np.eye(64)
    found = measure_identification(np.hstack([own, own]))
    assert found.bits.ceiling == 7
    assert found.bits.value == pytest.approx(6, abs=0.02)
    assert found.accuracy.value == 0.5
    apart = measure_identification(np.hstack([own, own / 2]))
    assert apart.bits.value == apart.bits.ceiling == 7

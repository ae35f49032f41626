"""Survival by hop and recall by reader: closed forms, enumeration and laws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.kaplan_meier import kaplan_meier, last_sightings
from hopline.agent.loss.readings import NEVER_CHECKED, NOT_READ, READER_IS_NEXT_HOP, SAW_NOTHING, ReadHop
from hopline.agent.loss.recapture import Model, count, fit, refit
from hopline.agent.loss.score import Unscored
from hopline.agent.loss.survival import ALL_LOST, PRODUCT_ONLY, Survival, measure_survival
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

SPEAK = ReadHop(tool="text_to_speech", backend="voice", modality="audio", reader="other recogniser")
HEAR = ReadHop(tool="speech_to_text", backend="recogniser", modality="text", reader="english")
DRAW = ReadHop(tool="text_to_image", backend="pencil", modality="image", reader="other captioner")
CAPTION = ReadHop(tool="image_captioning", backend="captioner", modality="text", reader="english")


def text_hops(n: int) -> list[ReadHop]:
    return [ReadHop(tool=f"tool{k}", backend=f"backend{k}", modality="text", reader="english") for k in range(n)]


def histories(table: dict[str, int]) -> NDArray[np.bool_]:
    """`{"110": 3}`: three facts seen at the source and after the first hop."""
    return np.array([[c == "1" for c in history] for history, n in table.items() for _ in range(n)])


def simulated(phi: Sequence[float], recall: Sequence[float], facts: int, seed: int) -> NDArray[np.bool_]:
    draw = np.random.default_rng(seed)
    alive = np.ones(facts, dtype=bool)
    columns = [alive]
    for survive, see in zip(phi, recall, strict=True):
        alive = alive & (draw.random(facts) < survive)
        columns.append(alive & (draw.random(facts) < see))
    return np.array(columns).T


def measured(seen: NDArray[np.bool_], chain: Sequence[ReadHop], facts_each: int = 1, **more: Any) -> Survival:
    return measure_survival(seen, np.arange(len(seen)) // facts_each, chain, resamples=200, **more)


def value(found: Estimate | Unscored | None) -> float:
    assert isinstance(found, Estimate)
    return found.value


def reason(found: Estimate | Unscored | float | None) -> str:
    assert isinstance(found, Unscored)
    return found.reason


def test_two_hops_and_one_reader_by_hand() -> None:
    # r = 36/45, φ1 = 50/(100 r), φ2 = (36/50)/r
    seen = histories({"111": 36, "110": 14, "101": 9, "100": 41})
    found = measured(seen, text_hops(2))
    assert value(found.recall["text", "english"]) == pytest.approx(0.8, abs=1e-3)
    assert [value(leg.hazard) for leg in found.legs] == pytest.approx([0.375, 0.1], abs=1e-3)
    assert [leg.last_seen_before for leg in found.legs] == [41, 14]


def test_a_reader_of_the_last_node_alone_gives_the_product_only() -> None:
    # r = 36/45 for audio, φ1 = 50/80, φ2·r2 = 36/50
    seen = histories({"111": 36, "110": 14, "101": 9, "100": 41})
    found = measured(seen, [SPEAK, HEAR])
    speak, hear = found.legs
    assert value(speak.hazard) == pytest.approx(0.375, abs=1e-3)
    assert speak.product is None
    assert reason(hear.hazard) == PRODUCT_ONLY
    assert value(hear.product) == pytest.approx(0.72, abs=1e-3)
    assert list(found.recall) == [("audio", "other recogniser")]
    assert value(found.recall["audio", "other recogniser"]) == pytest.approx(0.8, abs=1e-3)


def test_one_hop_gives_the_product_only() -> None:
    found = measured(histories({"11": 30, "10": 10}), text_hops(1))
    assert value(found.legs[0].product) == pytest.approx(0.75, abs=1e-3)
    assert found.recall == {}
    assert "two hops" in reason(found.half_life)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=3, max_size=5), st.integers(1, 30))
def test_with_readers_that_miss_nothing_a_hazard_is_a_share(lost: list[int], left: int) -> None:
    """Monotone histories: what is not seen is never seen again."""
    hops = len(lost)
    table = {"1" * (k + 1) + "0" * (hops - k): n for k, n in enumerate(lost) if n} | {"1" * (hops + 1): left}
    found = measured(histories(table), text_hops(hops))
    before = [sum(lost[k:]) + left for k in range(hops)]
    assert [value(leg.hazard) for leg in found.legs] == pytest.approx(
        [n / total for n, total in zip(lost, before, strict=True)], abs=2e-3
    )
    assert value(found.recall["text", "english"]) == pytest.approx(1.0, abs=2e-3)
    assert [value(share) for share in found.curve] == pytest.approx(
        [1 - sum(lost[: k + 1]) / before[0] for k in range(hops)]
    )


def chance_of(history: Sequence[bool], phi: Sequence[float], recall: Sequence[float]) -> float:
    """Over all hops at which the fact may have died."""
    total = 0.0
    for death in range(len(phi) + 1):
        p = math.prod(phi[:death]) * (1 - phi[death] if death < len(phi) else 1.0)
        for k, seen in enumerate(history):
            see = recall[k] if k < death else 0.0
            p *= see if seen else 1 - see
        total += p
    return total


def test_the_likelihood_is_that_of_all_deaths_enumerated() -> None:
    assert sum(chance_of(h, [0.7, 0.9, 0.6], [0.8, 0.5, 0.8]) for h in product([True, False], repeat=3)) == (
        pytest.approx(1.0)
    )
    seen = simulated([0.7, 0.9, 0.8, 0.9], [0.8, 0.6, 0.8, 0.6], 400, seed=3)[:, 1:]
    model = Model(leg=np.arange(4), power=np.ones(4, dtype=int), node=np.array([0, 1, 0, 1]))
    found = fit(count(seen, np.ones_like(seen), np.arange(400)), model)
    recall = found.recall[model.node]
    by_hand = sum(math.log(chance_of(list(row), list(found.survival), list(recall))) for row in seen)
    assert found.log_likelihood == pytest.approx(by_hand, abs=1e-3)
    for move in np.eye(6) * 0.02:  # and it is a maximum
        beside = np.concatenate([found.survival, found.recall]) - move
        worse = sum(math.log(chance_of(list(row), list(beside[:4]), list(beside[4:][model.node]))) for row in seen)
        assert worse < by_hand


def test_a_resample_is_fitted_as_if_it_were_the_data() -> None:
    seen = simulated([0.6, 0.9, 0.8, 0.95], [0.8, 0.7, 0.8, 0.7], 500, seed=5)[:, 1:]
    source = np.arange(500) // 5
    counts = count(seen, np.ones_like(seen), source)
    model = Model(leg=np.arange(4), power=np.ones(4, dtype=int), node=np.array([0, 1, 0, 1]))
    weights = np.random.default_rng(0).multinomial(100, np.full(100, 0.01), size=8)
    drawn = refit(counts, model, weights, fit(counts, model))
    for weight, shares in zip(weights, drawn, strict=True):
        again = np.repeat(np.arange(500), weight[source])
        alone = fit(count(seen[again], np.ones_like(seen[again]), np.arange(len(again))), model)
        assert shares == pytest.approx(np.concatenate([alone.survival, alone.recall]), abs=2e-3)


def test_planted_hazards_and_recalls_are_found() -> None:
    phi, recall = [0.6, 0.9, 0.7, 0.95, 0.8, 0.9], [0.8, 0.95, 0.7, 0.95, 0.8, 0.95]
    chain = [SPEAK, HEAR, DRAW, CAPTION, SPEAK, HEAR]
    found = measured(simulated(phi, recall, 20_000, seed=1), chain, facts_each=10)
    assert [1 - value(leg.hazard) for leg in found.legs] == pytest.approx(phi, abs=0.02)
    assert [value(r) for r in found.recall.values()] == pytest.approx([0.8, 0.95, 0.7], abs=0.02)
    assert value(found.kinds["text_to_speech"]) == pytest.approx(0.3, abs=0.02)
    assert isinstance(found.flat, float)
    assert found.flat < 1e-6
    assert "not flat" in reason(found.half_life)


def test_a_node_read_by_the_hop_that_leaves_it_makes_a_round_trip() -> None:
    own = [
        SPEAK,
        HEAR,
        ReadHop(tool="text_to_image", backend="pencil", modality="image", reader="captioner"),
        CAPTION,
    ]
    seen = simulated([0.9, 0.9, 0.6, 0.9], [0.9] * 4, 4000, seed=2)
    found = measured(seen, own, facts_each=4)
    assert [leg.hops for leg in found.legs] == [(1,), (2,), (3, 4)]
    trip = found.legs[2]
    assert trip.kind == "text_to_image + image_captioning"
    assert reason(trip.split) == READER_IS_NEXT_HOP
    assert value(trip.hazard) == pytest.approx(1 - 0.54, abs=0.03)
    assert ("image", "captioner") not in found.recall
    assert list(found.kinds) == ["text_to_speech", "speech_to_text", "text_to_image + image_captioning"]
    # What that reader says changes nothing, for it is not used.
    circular = seen.copy()
    circular[:, 3] = seen[:, 4]
    assert [leg.hazard for leg in measured(circular, own, facts_each=4).legs] == [leg.hazard for leg in found.legs]


def test_a_node_that_nobody_reads_joins_its_hops_and_the_last_ones_are_unscored() -> None:
    unread = ReadHop(tool="text_to_image", backend="pencil", modality="image", reader=None)
    seen = simulated([0.8, 0.5, 0.8, 0.9], [0.9, 0.0, 0.9, 0.0], 2000, seed=4)
    found = measured(seen, [CAPTION, unread, CAPTION, unread])
    assert [leg.hops for leg in found.legs] == [(1,), (2, 3), (4,)]
    assert reason(found.legs[1].split) == NOT_READ
    assert value(found.legs[1].hazard) == pytest.approx(0.6, abs=0.04)
    assert reason(found.legs[2].hazard) == NOT_READ
    assert math.isnan(found.survived[2])


def test_a_reader_whose_recall_cannot_be_learned_splits_nothing() -> None:
    seen = simulated([0.8, 0.8, 0.9], [0.9] * 3, 2000, seed=13)
    read = np.ones_like(seen)
    read[:, 1] = ~seen[:, 2] & ~seen[:, 3]  # looked only for facts that nobody sees later
    found = measured(seen, [SPEAK, HEAR, CAPTION], read=read)
    assert [leg.hops for leg in found.legs] == [(1, 2), (3,)]
    assert reason(found.legs[0].split) == NEVER_CHECKED
    assert value(found.legs[0].hazard) == pytest.approx(0.36, abs=0.03)


def test_nothing_read_is_no_loss_and_no_gain() -> None:
    found = measured(histories({"10": 30}), [ReadHop(tool="t", backend="b", modality="text", reader=None)])
    assert reason(found.legs[0].hazard) == NOT_READ
    assert reason(found.half_life) == "no node is read"
    assert found.curve == ()


def test_not_looked_for_is_not_lost() -> None:
    phi = [0.8, 0.9, 0.7, 0.9]
    seen = simulated(phi, [0.9] * 4, 20_000, seed=6)
    read = np.ones_like(seen)
    read[:, 2] = np.random.default_rng(7).random(len(seen)) < 0.5
    read[::3, 4] = False
    found = measured(seen & read, text_hops(4), read=read)
    assert [1 - value(leg.hazard) for leg in found.legs] == pytest.approx(phi, abs=0.03)
    as_absent = measured(seen & read, text_hops(4))
    assert abs(1 - value(as_absent.legs[3].hazard) - phi[3]) > 0.1


def test_when_all_is_lost_the_hops_after_have_no_hazard() -> None:
    seen = simulated([0.8, 0.9, 0.0, 0.9, 0.9], [0.9] * 5, 1000, seed=8)
    found = measured(seen, [*text_hops(4), SPEAK])
    assert value(found.legs[2].hazard) == pytest.approx(1.0)
    assert found.legs[2].hazard.lo == pytest.approx(0.025 ** (1 / 540), abs=0.02)  # type: ignore[union-attr]  # scored above
    assert reason(found.legs[3].hazard) == ALL_LOST
    assert reason(found.legs[4].hazard) == SAW_NOTHING
    # The last node at which anything was seen splits φ from r only by the node before.
    early = measured(simulated([0.8, 0.0, 0.9], [0.9] * 3, 1000, seed=9), text_hops(3))
    assert value(early.legs[0].product) == pytest.approx(0.72, abs=0.05)
    assert value(early.legs[1].hazard) == 1.0
    assert reason(early.legs[2].hazard) == ALL_LOST


def test_the_bootstrap_draws_sources_not_facts() -> None:
    seen = simulated([0.7, 0.9, 0.8], [0.9] * 3, 60, seed=10)
    once = measured(seen, text_hops(3))
    alike = measured(np.repeat(seen, 7, axis=0), text_hops(3), facts_each=7)
    for a, b in zip(once.legs, alike.legs, strict=True):
        assert isinstance(a.hazard, Estimate)
        assert isinstance(b.hazard, Estimate)
        assert (b.hazard.value, b.hazard.lo, b.hazard.hi) == pytest.approx(
            (a.hazard.value, a.hazard.lo, a.hazard.hi), abs=2e-3
        )


def test_sources_may_have_any_label_and_order() -> None:
    seen = simulated([0.7, 0.9, 0.8], [0.9] * 3, 100, seed=11)
    labels = [f"source {k // 4}" for k in range(100)]
    order = np.random.default_rng(0).permutation(100)
    found = measure_survival(seen, labels, text_hops(3), resamples=50)
    again = measure_survival(seen[order], [labels[k] for k in order], text_hops(3), resamples=50)
    assert [value(leg.hazard) for leg in again.legs] == pytest.approx([value(leg.hazard) for leg in found.legs])


def test_under_twenty_sources_there_is_no_interval() -> None:
    seen = simulated([0.7, 0.9, 0.8], [0.9] * 3, 400, seed=12)
    few, enough = measured(seen, text_hops(3), facts_each=25), measured(seen, text_hops(3), facts_each=20)
    assert all(isinstance(leg.hazard, Estimate) and leg.hazard.lo is None for leg in few.legs)
    assert all(isinstance(leg.hazard, Estimate) and leg.hazard.lo is not None for leg in enough.legs)
    assert few.recall["text", "english"].lo is None  # type: ignore[union-attr]  # every reader saw facts


def test_flat_hazards_have_a_half_life() -> None:
    seen = histories({"1000": 400, "1100": 200, "1110": 100, "1111": 100})
    found = measured(seen, text_hops(3))
    assert found.flat == pytest.approx(1.0, abs=1e-3)
    assert value(found.half_life) == pytest.approx(1.0, abs=1e-2)
    half_life = found.half_life
    assert isinstance(half_life, Estimate)
    assert half_life.lo is not None
    assert half_life.lo < 1 < (half_life.hi or 0)
    few = measured(seen, text_hops(3), facts_each=80)
    assert reason(few.half_life).startswith("10 sources cannot show flat hazards")


def test_a_round_trip_counts_as_its_hops_in_the_half_life() -> None:
    unread = ReadHop(tool="text_to_image", backend="pencil", modality="image", reader=None)
    seen = histories({"10000": 400, "11000": 300, "11010": 50, "11011": 50})
    found = measured(seen, [CAPTION, unread, CAPTION, CAPTION])
    assert [round(value(leg.hazard), 2) for leg in found.legs] == [0.5, 0.75, 0.5]
    assert found.flat == pytest.approx(1.0, abs=1e-2)
    assert value(found.half_life) == pytest.approx(1.0, abs=2e-2)


def test_without_loss_there_is_no_half_life_and_the_interval_is_not_empty() -> None:
    found = measured(histories({"1111": 40}), text_hops(3))
    assert reason(found.half_life) == "nothing was lost"
    hazard = found.legs[0].hazard
    assert isinstance(hazard, Estimate)
    assert (hazard.value, hazard.lo) == (0.0, 0.0)
    assert hazard.hi == pytest.approx(1 - 0.025 ** (1 / 40))


def test_kaplan_meier_by_hand() -> None:
    seen = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]], dtype=bool)
    read = np.ones_like(seen)
    read[4, 1:] = False  # leaves the count after the first node
    ended, at_risk = last_sightings(seen, read, np.array([0, 0, 1, 1, 1]))
    assert ended.tolist() == [[0, 1, 0], [1, 0, 1]]
    assert at_risk.tolist() == [[2, 2, 1], [3, 1, 1]]
    curve = kaplan_meier(ended.sum(axis=0), at_risk.sum(axis=0))
    assert curve.tolist() == pytest.approx([4 / 5, 4 / 5 * 2 / 3, 4 / 5 * 2 / 3 * 1 / 2])


@pytest.mark.parametrize(
    ("seen", "source", "says"),
    [
        (np.ones((3, 2), dtype=bool), [1, 2, 3], "for 2 hops"),
        (np.ones((3, 3), dtype=bool), [1, 2], "one label for each"),
        (np.zeros((3, 3), dtype=bool), [1, 2, 3], "seen at its source"),
        (np.ones((0, 3), dtype=bool), [], "one label for each"),
    ],
)
def test_what_does_not_fit_is_refused(seen: NDArray[np.bool_], source: list[int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        measure_survival(seen, source, text_hops(2))

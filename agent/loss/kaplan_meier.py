"""Kaplan-Meier over legs: the share of facts not yet seen for the last time (JASA 53:457, 1958)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def last_sightings(
    seen: NDArray[np.bool_], read: NDArray[np.bool_], source: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where facts were last seen.

    A fact ends on the leg to the first node, after its last sighting, at which it was looked for. A fact
    that nobody looked for any more leaves the count where it was last seen.

    Args:
        seen: shape (facts, L): at the nodes after the source.
        read: shape (facts, L): somebody looked.
        source: shape (facts,): 0 to sources − 1.

    Returns:
        Facts that ended on each leg and facts at risk on it, by source; shape (sources, L) each.
    """
    legs = seen.shape[1]
    last = np.where(seen.any(axis=1), legs - seen[:, ::-1].argmax(axis=1), 0)
    looked = read & (np.arange(1, legs + 1) > last[:, None])
    end = np.where(looked.any(axis=1), looked.argmax(axis=1), legs)
    until = np.where(end < legs, end + 1, last)
    ended = np.zeros((int(source.max()) + 1, legs))
    at_risk = np.zeros_like(ended)
    np.add.at(ended, source, np.arange(legs) == end[:, None])
    np.add.at(at_risk, source, np.arange(legs) < until[:, None])
    return ended, at_risk


def kaplan_meier(ended: NDArray[Any], at_risk: NDArray[Any]) -> NDArray[np.float64]:
    """∏ (1 − d_t / n_t) after each leg, over the last axis; a leg with nobody at risk changes nothing."""
    hazard = np.divide(ended, at_risk, out=np.zeros_like(ended, dtype=float), where=at_risk > 0)
    return np.asarray(np.cumprod(1 - hazard, axis=-1))

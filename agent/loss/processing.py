"""The data-processing check: where no hop sees the source, bits cannot rise along a chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hopline.agent.loss.estimate import Estimate

REASON = "the reader of the earlier node is weak, or the source leaked into the later one"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rise:
    """Node `later` keeps more than node `earlier`, and their intervals are apart.

    Attributes:
        earlier: place in the chain, from 0.
        later: place in the chain, the highest of those apart.
        bits: between the two figures.
        reason: the two explanations; figures alone cannot tell which.
    """

    earlier: int
    later: int
    bits: float
    reason: str

    def __str__(self) -> str:
        return f"node {self.later} keeps {self.bits:.2f} bits more than node {self.earlier}: {self.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Processing:
    """Bits along a chain.

    Attributes:
        raw: I_k as measured.
        corrected: I*_k, the highest of I_k and all after it; never rises.
        rises: node by node, at most one for each earlier node.
    """

    raw: tuple[Estimate, ...]
    corrected: tuple[float, ...]
    rises: tuple[Rise, ...]


def check_processing(nodes: Sequence[Estimate]) -> Processing:
    """Raw and corrected bits, and where they rise.

    A rise is told if the interval of a later node begins above the end of an earlier one's. It means that the
    reader of the earlier node is weak, or that the later one was made with the source in sight; figures alone
    cannot tell which. Nodes without an interval are not judged.

    Args:
        nodes: estimates of one measure over the same sources, in the order of the chain.
    """
    corrected, highest = [], float("-inf")
    for node in reversed(nodes):
        highest = max(highest, node.value)
        corrected.append(highest)
    rises = []
    for i, earlier in enumerate(nodes):
        apart = [
            j
            for j, later in enumerate(nodes[i + 1 :], i + 1)
            if later.lo is not None and earlier.hi is not None and later.lo > earlier.hi
        ]
        if apart:
            top = max(apart, key=lambda j: nodes[j].value)
            rises.append(Rise(earlier=i, later=top, bits=nodes[top].value - earlier.value, reason=REASON))
    return Processing(raw=tuple(nodes), corrected=tuple(reversed(corrected)), rises=tuple(rises))

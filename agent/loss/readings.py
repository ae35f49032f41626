"""Which readings of a chain's nodes count as evidence of survival, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

READER_IS_NEXT_HOP = "reader equals next hop"
NOT_READ = "not read"
SAW_NOTHING = "its reader saw no fact anywhere"
NEVER_CHECKED = "no fact looked for by its reader was seen later"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadHop:
    """One hop of the chain and who reads what it made.

    Attributes:
        tool: standard name, the kind of hop.
        backend: who does it.
        modality: of what it makes.
        reader: backend or extractor that reads that node, None if nobody does.
    """

    tool: str
    backend: str
    modality: str
    reader: str | None


def checked(
    seen: NDArray[np.bool_],
    source: Sequence[Any] | NDArray[Any],
    chain: Sequence[ReadHop],
    read: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Histories that fit their chain: seen only where read, and what was read.

    Args:
        seen: shape (facts, nodes), node 0 the source.
        source: shape (facts,).
        chain: one hop for each node after the source.
        read: shape (facts, nodes); everywhere by default.

    Raises:
        ValueError: shapes that do not fit, no facts, no hops, or a fact not seen at its source.
    """
    seen = np.asarray(seen, dtype=bool)
    read = np.ones_like(seen) if read is None else np.asarray(read, dtype=bool)
    if not chain or seen.ndim != 2 or seen.shape[1] != len(chain) + 1 or read.shape != seen.shape:
        raise ValueError(
            f"seen {seen.shape} and read {read.shape} for {len(chain)} hops; give one column for the source"
            " and one for the node after each hop"
        )
    if not len(seen) or len(source) != len(seen):
        raise ValueError(f"{len(seen)} histories and {len(source)} source labels; give one label for each history")
    if not seen[:, 0].all():
        raise ValueError("every fact is seen at its source, node 0; leave out the others")
    return seen & read, read


def usable(
    seen: NDArray[np.bool_], read: NDArray[np.bool_], chain: Sequence[ReadHop]
) -> tuple[list[int], dict[int, str]]:
    """Nodes whose readings count, and why each of the others does not."""
    why: dict[int, str] = {}
    for k, hop in enumerate(chain, start=1):
        if hop.reader is None or not read[:, k].any():
            why[k] = NOT_READ
        elif k < len(chain) and hop.reader == chain[k].backend:
            why[k] = READER_IS_NEXT_HOP
    left = [k for k in range(1, len(chain) + 1) if k not in why]
    sighted = {reader_key(chain[k - 1]) for k in left if seen[:, k].any()}
    why |= {k: SAW_NOTHING for k in left if reader_key(chain[k - 1]) not in sighted}
    left = [k for k in left if k not in why]
    later = {k: read[:, k] & seen[:, [j for j in left if j > k]].any(axis=1) for k in left}
    learned = {reader_key(chain[k - 1]) for k in left if later[k].any()}
    last = max((k for k in left if seen[:, k].any()), default=0)
    why |= {k: NEVER_CHECKED for k in left if k < last and reader_key(chain[k - 1]) not in learned}
    return [k for k in left if k not in why], why


def reader_key(hop: ReadHop) -> tuple[str, str]:
    """Modality and reader: what has a recall of its own."""
    return hop.modality, hop.reader or ""

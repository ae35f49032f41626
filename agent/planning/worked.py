"""Requests over the standard tools whose tools are known: what the ranking was fitted to, and what a judge is shown."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

from hopline.agent.planning.vectors import Vectors

SHOWN = 5
"""Nearest requests that a judge is shown."""
_SAME_GIVEN = 0.15
"""What the same types of attachments count, in cosine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Worked:
    """A request and its tools.

    Attributes:
        request: plain words.
        attachments: types.
        accept: sequences of tools that do what is asked, the plainest first.
    """

    request: str
    attachments: tuple[str, ...]
    accept: tuple[tuple[str, ...], ...]

    @property
    def tools(self) -> tuple[str, ...]:
        return self.accept[0]


@lru_cache(maxsize=1)
def worked() -> tuple[Worked, ...]:
    """All there are."""
    lines = files("hopline.agent.planning").joinpath("requests.jsonl").read_text("utf-8").splitlines()
    return tuple(
        Worked(
            request=row["request"],
            attachments=tuple(row["attachments"]),
            accept=tuple(map(tuple, row["accept"])),
        )
        for row in map(json.loads, lines)
    )


def nearest(
    request: str, kinds: Sequence[str], tools: Collection[str], vectors: Vectors, count: int = SHOWN
) -> list[Worked]:
    """The worked requests nearest to one, the nearest last; never itself.

    Args:
        request: plain words.
        kinds: types of its attachments.
        tools: names that there are; requests that need others are left out.
        vectors: of a loaded encoder.
        count: how many; none where there are fewer.
    """
    import numpy as np

    every = [replace(one, accept=tuple(a for a in one.accept if set(a) <= set(tools))) for one in worked()]
    near = vectors.encode_fixed([one.request for one in every]) @ vectors.encode([request])[0]
    same = np.array([sorted(one.attachments) == sorted(kinds) for one in every])
    able = [any(one.accept) and one.request != request for one in every]
    order = [int(place) for place in np.argsort(-(near + _SAME_GIVEN * same), kind="stable") if able[place]]
    return [every[place] for place in reversed(order[:count])] if len(order) >= count else []

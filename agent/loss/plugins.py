"""Extractors and metrics that installed packages bring.

Entry-point group `hopline.readers` names `Extractor` classes, `hopline.metrics` functions from an
encoder (or None) to a `TextMetric`. Ours use the same groups; `HOPLINE_PLUGINS=0` leaves out all
but ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from hopline.agent.loss.extraction import English, Extractor
from hopline.agent.loss.text import BUILT_IN, Encoder, TextMetric
from hopline.tools.errors import NotFound, UserError

OURS = "hopline"


def metrics(encoder: Encoder | None = None) -> list[TextMetric]:
    """All text metrics, ours first.

    Args:
        encoder: handed to the metrics that compare vectors.

    Raises:
        UserError: an entry point is broken; names the package that brings it.
    """
    makers: dict[str, Callable[[Encoder | None], TextMetric]] = {**BUILT_IN, **_entries("hopline.metrics")}
    return [make(encoder) for make in makers.values()]


def extractor(name: str = "english") -> Extractor:
    """The extractor of that name.

    Raises:
        NotFound: no package brings it.
        UserError: an entry point is broken; names the package that brings it.
    """
    found: dict[str, type[Extractor]] = {English.name: English, **_entries("hopline.readers")}
    if name not in found:
        raise NotFound(f"there is no extractor of facts {name!r}; there are: {', '.join(found)}.")
    return found[name]()


@cache
def _entries(group: str) -> Mapping[str, Any]:
    """What the entry points of a group load, by name; each package's once."""
    only_ours = os.environ.get("HOPLINE_PLUGINS") == "0"
    found: dict[str, Any] = {}
    for entry in entry_points(group=group):
        package = entry.dist.name if entry.dist else "an unknown package"
        if only_ours and package != OURS:
            continue
        if entry.name in found:
            raise UserError(f"two packages bring {group} entry {entry.name!r}, one is {package}.", hint="Remove one.")
        try:
            found[entry.name] = entry.load()
        except Exception as error:  # a plug-in may raise anything while it is imported
            raise UserError(
                f"the package {package} brings {group} entry {entry.name!r}, which does not load: {error!r}.",
                hint="Remove the package, or set HOPLINE_PLUGINS=0.",
            ) from error
    return found

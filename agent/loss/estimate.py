"""A figure over many sources, with its interval, its ceiling and what it reads on chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hopline.agent.loss.score import Signature

LEAST_SOURCES = 20
"""Below this many sources no interval is given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure over sources; never NaN.

    Under `LEAST_SOURCES` sources the interval is dropped, whatever was given, and a warning says so.

    Attributes:
        value: the figure.
        lo: lower end of the 95% interval, None without one.
        hi: upper end, None without one.
        n: sources, at least 1; what a bootstrap resamples.
        ceiling: what nothing can exceed, None if there is none.
        chance: what shuffled outputs read, None if unknown.
        method: how the figure and its interval were made.
        at_ceiling: the figure is a lower bound, to be printed with "≥".
        warnings: sentences for the reader.
        signature: of the metric.

    Raises:
        ValueError: for a figure that is not finite, an interval with one end or turned over, no sources.
    """

    value: float
    lo: float | None = None
    hi: float | None = None
    n: int
    ceiling: float | None = None
    chance: float | None = None
    method: str
    at_ceiling: bool = False
    warnings: tuple[str, ...] = ()
    signature: Signature

    def __post_init__(self) -> None:
        for name in ("value", "lo", "hi", "ceiling", "chance"):
            figure = getattr(self, name)
            if figure is not None and not math.isfinite(figure):
                raise ValueError(f"{self.signature}: {name} is a finite number, not {figure}; give Unscored instead")
        if self.n < 1:
            raise ValueError(f"{self.signature}: an estimate needs a source; give Unscored instead")
        if (self.lo is None) != (self.hi is None):
            raise ValueError(f"{self.signature}: an interval has two ends; give both or none")
        if self.lo is not None and self.hi is not None and self.lo > self.hi:
            raise ValueError(f"{self.signature}: the interval {self.lo} to {self.hi} is turned over")
        if self.n < LEAST_SOURCES:
            object.__setattr__(self, "lo", None)
            object.__setattr__(self, "hi", None)
            warning = f"No interval: {self.n} sources, {LEAST_SOURCES} are needed."
            if warning not in self.warnings:
                object.__setattr__(self, "warnings", (*self.warnings, warning))

    def __str__(self) -> str:
        """`≥ 8.00 [7.90, 8.00] (n = 256)`."""
        interval = f" [{self.lo:.2f}, {self.hi:.2f}]" if self.lo is not None else ""
        return f"{'≥ ' if self.at_ceiling else ''}{self.value:.2f}{interval} (n = {self.n})"

    def to_json(self) -> dict[str, Any]:
        """Plain data; the signature as its string."""
        return {
            "value": self.value,
            "lo": self.lo,
            "hi": self.hi,
            "n": self.n,
            "ceiling": self.ceiling,
            "chance": self.chance,
            "method": self.method,
            "at_ceiling": self.at_ceiling,
            "warnings": list(self.warnings),
            "signature": str(self.signature),
        }

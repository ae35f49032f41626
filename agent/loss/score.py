"""A number with its signature, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """How a number was made."""

    metric: str
    settings: Mapping[str, str] = field(default_factory=dict)
    version: str = ""

    def __str__(self) -> str:
        parts = [self.metric, *(f"{k}:{v}" for k, v in self.settings.items()), self.version]
        return "|".join(p for p in parts if p)


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A number; never NaN."""

    value: float
    signature: Signature

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"{self.signature}: a score is a finite number, not {self.value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unscored:
    """No number, and why."""

    reason: str
    signature: Signature | None = None

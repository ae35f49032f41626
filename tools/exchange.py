"""One exchange with a language model, as whoever made it reports it; the journal keeps it as a model call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """What was asked and what came back.

    Attributes:
        purpose: `plan`, `repair`, `judge`, `answer`, or the name of the tool it was made for.
        identity: model, digest, server, settings.
        messages: `role` and `content` each, in order; pictures are named, not held.
        reply: the text that came back; None if there was none.
        input_tokens: as the engine counted; None if it did not.
        output_tokens: as the engine counted; None if it did not.
        started_at: ISO 8601 in UTC.
        duration_ms: wall clock.
        finish_reason: `stop`, `length`, …; empty is an error.
        repair: 0 for the first try.
        error: why there is no reply that can be used.
    """

    purpose: str
    identity: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[Mapping[str, Any], ...] = ()
    reply: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    started_at: str = ""
    duration_ms: float | None = None
    finish_reason: str = ""
    repair: int = 0
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data, the inverse of `exchange_from_json`."""
        return asdict(self)


def exchange_from_json(data: Mapping[str, Any]) -> Exchange:
    """An Exchange from plain data."""
    return Exchange(**{**data, "messages": tuple(data["messages"])})

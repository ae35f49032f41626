"""Quantities, times and names as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime

from hopline.agent.hops.records import Hop
from hopline.agent.views.markup import Html, tag

MODALITY_WORDS = {"text": "text", "image": "picture", "audio": "sound", "video": "video"}

STATUS_WORDS = {
    "ok": "done",
    "partial": "partly done",
    "failed": "failed",
    "cancelled": "cancelled",
    "running": "running",
    "skipped": "skipped",
}

FLAG_WORDS = {
    "no_speech": "no speech heard",
    "maybe_not_english": "maybe not English",
    "other_language": "maybe another language",
    "not_sure": "not sure",
}


def seconds(duration_ms: float | None) -> str:
    """`40 ms`, `1.2 s`, `12 s`, `2 min 5 s`; a dash when unknown."""
    if duration_ms is None:
        return "–"
    if duration_ms < 1000:
        return f"{duration_ms:.0f} ms"
    value = duration_ms / 1000
    if value < 10:
        return f"{value:.1f} s"
    if round(value) < 100:
        return f"{value:.0f} s"
    return f"{round(value) // 60} min {round(value) % 60} s"


def size(size_bytes: int) -> str:
    """`812 bytes`, `44 kB`, `3.1 MB` (powers of ten)."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1e3:.0f} kB"
    return f"{size_bytes / 1e6:.1f} MB"


def number(value: float) -> str:
    """Up to three decimals, thousands apart."""
    return f"{value:,.3f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}"


def name_of_tool(tool: str) -> str:
    """`speech_to_text` as `Speech to text`."""
    words = tool.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def flag(word: str) -> str:
    """A flag as words."""
    return FLAG_WORDS.get(word, word.replace("_", " "))


def moment(iso: str) -> Html:
    """An ISO 8601 time as a `<time>` in UTC; shown as it is when it does not read."""
    try:
        when = datetime.fromisoformat(iso)
    except ValueError:
        return tag("span", iso or "–")
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    return tag("time", f"{when.day} {when:%B %Y, %H:%M} UTC", datetime=when.isoformat())


def span_ms(started: str, ended: str) -> float | None:
    """Milliseconds between two ISO 8601 times; None when either does not read."""
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds() * 1000
    except (ValueError, TypeError):
        return None


def hop_anchor(hop: Hop) -> str:
    """The id of a hop's place on the page."""
    return f"hop-{hop.id}"

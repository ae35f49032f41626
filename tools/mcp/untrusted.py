"""Words of a server, made harmless for a line of ours: no control or bidi characters, no line breaks, not long."""

from __future__ import annotations

import unicodedata

_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def one_line(text: str, most: int = 300) -> str:
    """The text on one line of at most `most` characters."""
    # Four times as much is looked at, so that a description of megabytes costs nothing.
    shown = "".join(" " if unicodedata.category(c) in _HIDDEN else c for c in text[: 4 * most])
    line = " ".join(shown.split())
    return line if len(line) <= most and len(text) <= 4 * most else f"{line[: most - 1].rstrip()}…"

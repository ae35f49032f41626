"""How values show themselves in a notebook.

Values of the core know no HTML. Whoever can draw a kind says so here; a value that nobody draws is its text.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

_DRAWN: dict[type, Callable[[Any], str]] = {}


def draws(kind: type, draw: Callable[[Any], str]) -> None:
    """Say how values of a kind are drawn, as HTML that is safe to show."""
    _DRAWN[kind] = draw


def drawn(value: object) -> str:
    """The HTML of a value."""
    for kind in type(value).__mro__:
        if kind in _DRAWN:
            return _DRAWN[kind](value)
    return f"<pre>{html.escape(repr(value))}</pre>"

"""One line of the proofs: what was asked, what was measured, whether it is met."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One bar and what was measured.

    Attributes:
        test: what is proven.
        bar: as loss.md of the project's pages states it.
        measured: the figures, in words.
        met: the bar holds.
        known: why it is known to be missed; told, and no reason to fail.
    """

    test: str
    bar: str
    measured: str
    met: bool
    known: str = ""

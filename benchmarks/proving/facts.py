"""The fact extractor: planted edits and natural sentences, as `benchmarks/facts.py` prints them in full."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator

import facts

from proving.row import Row

SEED = 20
"""Of the planted texts."""


def rows(full: bool) -> Iterator[Row]:
    """Both; without `full` with fewer texts."""
    each = 25 if full else 8
    planted, met = _said(lambda: facts.edits(each, SEED, caseless=False, misses=False))
    yield Row(
        test=f"planted edits, {planted[0].split(',')[1].strip()}, templates apart from the extractor's",
        bar="status accuracy ≥ 0.95 per type of fact, ≥ 200 texts",
        measured=", ".join(" ".join(line.split()[:2]) for line in planted[1:] if "0.95" in line),
        met=met and int(re.findall(r"\d+", planted[0])[0]) >= 200,
    )
    path = facts.DATA / "natural-test.txt"
    natural, met = _said(lambda: facts.natural(path, caseless=False, misses=False))
    barred = [line.split() for line in natural[2:] if line.split()[0] in facts.BARS]
    yield Row(
        test=f"{len(facts.labelled(path))} natural sentences (Harvard lists 37 to 72, WordNet 3.0), labelled by hand",
        bar="recall and precision ≥ 0.80 for objects, counts, colours, numbers, names",
        measured=", ".join(f"{kind} {recall} / {precision}" for kind, recall, precision, *_ in barred),
        met=met,
    )


def _said(measure: Callable[[], bool]) -> tuple[list[str], bool]:
    """What a measurement printed, line by line, and whether its bars are met."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        met = measure()
    return [line.strip() for line in printed.getvalue().splitlines() if line.strip()], met

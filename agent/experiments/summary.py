"""The report in Markdown: the same figures as the page, for a repository or a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from hopline.agent.experiments.methods import methods
from hopline.agent.experiments.ratings import agreement_rows, corrected_rows
from hopline.agent.experiments.study import (
    HEADLINES,
    Rows,
    Study,
    comparison_rows,
    factor_rows,
    flow_rows,
    generation_rows,
    headline_rows,
    hop_rows,
    kind_rows,
    level_rows,
    loop_rows,
    notes,
    part_rows,
    unscored_rows,
)


def markdown(study: Study) -> str:
    """The summary."""
    tables = [
        ("By generation", generation_rows(study)),
        ("By slot and type of fact, last generation", part_rows(study)),
        ("Hop by hop", hop_rows(study)),
        ("By kind of hop", kind_rows(study)),
        ("Comparisons", comparison_rows(study)),
        ("Which factor matters", factor_rows(study)),
        ("Level by level", level_rows(study)),
        ("Loops and drift", loop_rows(study)),
        ("What people say: facts kept", corrected_rows(study.people) if study.people else []),
        ("What people say: agreement", agreement_rows(study.people) if study.people else []),
        ("What became of the sources", flow_rows(study)),
        ("Unscored", unscored_rows(study)),
    ]
    parts = [
        f"# {study.grid.experiment.name}",
        f"Headline: {HEADLINES[study.analysis.headline]}; 95% intervals, n is sources.",
        _table(headline_rows(study)),
        *(f"- {note}" for note in notes(study)),
    ]
    for title, rows in tables:
        if len(rows) > 1:
            parts += [f"## {title}", _table(rows)]
    parts += ["## Methods", methods(study), f"Repeat it: `{study.command}`"]
    return "\n\n".join(parts) + "\n"


def _table(rows: Rows) -> str:
    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"

    return "\n".join([line(rows[0]), line(["---"] * len(rows[0])), *map(line, rows[1:])])

"""What people wrote on their sheets: agreement with the machine and with each other, and the headline corrected."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path

from hopline.agent.experiments.sampling import ANSWERS, KEY_COLUMNS, SHEET_COLUMNS, UNSURE, all_cells, write_table
from hopline.agent.experiments.spec import NAME
from hopline.agent.experiments.study import Rows, Study, shown
from hopline.agent.loss.agreement import Agreement, corrected_share, measure_agreement
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.facts import FACT_TYPES
from hopline.agent.loss.score import Unscored
from hopline.tools.errors import BadInput, UserError

ALL = "all"
_KEPT_COLUMNS = ("cell", "rater", "answer")

Answers = Mapping[str, Mapping[str, str]]
"""By cell and rater, as people write them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keyed:
    """A cell as the key has it."""

    chain: str
    source: str
    modality: str
    type: str
    machine: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HumanCheck:
    """What came of a sample that people rated.

    Attributes:
        with_machine: by modality and type of fact, `all` for all of them.
        between: by pair of raters.
        kept: by chain, the share of the facts kept at its last text as the machine counts it, and corrected by
            people; not corrected for guessing.
        rated: cells with an answer.
        unsure: cells that could not be told, or on which raters are split.
        gone: rated cells that the experiment no longer has.
    """

    with_machine: Mapping[tuple[str, str], Agreement | Unscored]
    between: Mapping[tuple[str, str], Agreement | Unscored]
    kept: Mapping[str, tuple[float, Estimate | Unscored]]
    rated: int
    unsure: int
    gone: int = 0


def read_ratings(files: Sequence[Path], key: Path | None = None) -> HumanCheck:
    """Read filled sheets and measure them.

    Where several people rated a cell, what most of them say counts; a tie counts as unsure.

    Args:
        files: `ratings.csv` of one person each, or of several with different names in `rater`.
        key: `key.csv`; that beside the first file by default.

    Raises:
        UserError: a file is not there, or nobody rated anything.
        BadInput: a file is not such a table, or has an answer or cell that there is not; says which line.
    """
    rows = [row for _, row in _rows(_key(files, key), KEY_COLUMNS)]
    cells = {row["cell"]: Keyed(**{field.name: row[field.name] for field in fields(Keyed)}) for row in rows}
    return _measured(cells, _answers(files, cells))


def keep_ratings(files: Sequence[Path], folder: Path, key: Path | None = None) -> Path:
    """Keep what people wrote for the reports of their experiment; what they wrote of an item before is replaced.

    Args:
        files: as of `read_ratings`.
        folder: of the journal.
        key: as of `read_ratings`.

    Returns:
        The file: `ratings/EXPERIMENT.csv`.

    Raises:
        UserError, BadInput: as `read_ratings`.
        OSError: the folder cannot be written.
    """
    key = _key(files, key)
    rows = [row for _, row in _rows(key, KEY_COLUMNS)]
    new = _answers(files, {row["cell"] for row in rows})
    name = rows[0]["experiment"]
    if not re.fullmatch(NAME, name):
        raise BadInput(f"{key.name}: {name!r} is no name of an experiment.")
    path = _kept_in(folder, name)
    answers = {cell: dict(said) for cell, said in _kept(path).items()}
    for cell, said in new.items():
        answers.setdefault(cell, {}).update(said)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    told = [(cell, *pair) for cell, said in sorted(answers.items()) for pair in sorted(said.items())]
    write_table(aside, _KEPT_COLUMNS, told)
    aside.replace(path)
    return path


def people_of(study: Study, folder: Path) -> HumanCheck | None:
    """What people said of a study, of what it still has; None where nobody was asked.

    Args:
        study: to be checked.
        folder: of the journal.
    """
    answers = _kept(_kept_in(folder, study.grid.experiment.name))
    if not answers:
        return None
    order = [chain.name for chain in study.grid.experiment.expanded()]
    cells = {
        c.id: Keyed(chain=c.chain, source=c.source, modality=c.modality, type=c.fact.type, machine=c.machine)
        for c in sorted(all_cells(study), key=lambda cell: order.index(cell.chain))
    }
    known = {cell: said for cell, said in answers.items() if cell in cells}
    return _measured(cells, known, gone=len(answers) - len(known)) if known else None


def _key(files: Sequence[Path], key: Path | None) -> Path:
    return key or files[0].parent / "key.csv"


def _kept_in(folder: Path, experiment: str) -> Path:
    return folder / "ratings" / f"{experiment}.csv"


def _kept(path: Path) -> Answers:
    found: dict[str, dict[str, str]] = {}
    for _, row in _rows(path, _KEPT_COLUMNS) if path.exists() else ():
        found.setdefault(row["cell"], {})[row["rater"]] = row["answer"]
    return found


def _measured(cells: Mapping[str, Keyed], answers: Answers, gone: int = 0) -> HumanCheck:
    agreed = {cell: said for cell, by_rater in answers.items() if (said := _majority(by_rater.values()))}
    with_machine = {}
    for modality in (ALL, *dict.fromkeys(cells[cell].modality for cell in agreed)):
        for kind in (ALL, *FACT_TYPES):
            chosen = [
                cell for cell in agreed
                if modality in (ALL, cells[cell].modality) and kind in (ALL, cells[cell].type)
            ]  # fmt: skip
            if chosen:
                with_machine[modality, kind] = measure_agreement(
                    [cells[cell].machine for cell in chosen],
                    [agreed[cell] for cell in chosen],
                    [cells[cell].source for cell in chosen],
                )
    return HumanCheck(
        with_machine=with_machine,
        between=_between(answers, cells),
        kept=_shares_kept(cells, agreed),
        rated=len(answers),
        unsure=len(answers) - len(agreed),
        gone=gone,
    )


def _answers(files: Sequence[Path], cells: Collection[str]) -> Answers:
    words = (*ANSWERS, UNSURE)
    found: dict[str, dict[str, str]] = {}
    for file in files:
        for line, row in _rows(file, SHEET_COLUMNS):
            word, rater = row["answer"].strip().lower(), row["rater"].strip() or file.stem
            if not word:
                continue
            if word not in words:
                raise BadInput(f"{file.name}, line {line}: {word!r} is no answer; they are {', '.join(words)}.")
            if row["cell"] not in cells:
                raise BadInput(f"{file.name}, line {line}: the key has no cell {row['cell']!r}.")
            if rater in found.setdefault(row["cell"], {}):
                raise BadInput(f"{file.name}, line {line}: {rater} rated {row['cell']} twice.")
            found[row["cell"]][rater] = word
    if not found:
        raise UserError("nobody rated anything: the column answer is empty.")
    return found


def _majority(answers: Iterable[str]) -> str | None:
    """What most of them say, in the machine's words."""
    counts = Counter(ANSWERS[answer] for answer in answers if answer != UNSURE).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    return counts[0][0]


def _between(answers: Answers, cells: Mapping[str, Keyed]) -> dict[tuple[str, str], Agreement | Unscored]:
    raters = sorted({rater for by_rater in answers.values() for rater in by_rater})
    found = {}
    for one, other in combinations(raters, 2):
        both = [
            (cells[cell].source, said[one], said[other])
            for cell, said in answers.items()
            if UNSURE not in (said.get(one, UNSURE), said.get(other, UNSURE))
        ]
        sources, mine, theirs = ([row[k] for row in both] for k in range(3))
        found[one, other] = measure_agreement(mine, theirs, sources)
    return found


def _shares_kept(cells: Mapping[str, Keyed], agreed: Mapping[str, str]) -> dict[str, tuple[float, Estimate | Unscored]]:
    """By chain, over the cells of its last text."""
    found = {}
    for chain in dict.fromkeys(cell.chain for cell in cells.values()):
        own = {name: c for name, c in cells.items() if c.chain == chain and c.modality == "text"}
        machine: dict[str, tuple[float, float]] = {}
        for cell in own.values():
            kept, whole = machine.get(cell.source, (0.0, 0.0))
            machine[cell.source] = (kept + (cell.machine == "kept"), whole + 1)
        rated = [(c.source, c.machine == "kept", agreed[name] == "kept") for name, c in own.items() if name in agreed]
        share = sum(c.machine == "kept" for c in own.values()) / len(own) if own else 0.0
        found[chain] = (share, corrected_share(machine, rated, metric="facts kept"))
    return found


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            sample = file.read()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path.name}: it is not UTF-8 text.") from None
    # Spreadsheets of some countries write semicolons.
    comma = max(",;\t", key=sample.partition("\n")[0].count)
    reader = csv.DictReader(sample.splitlines(), delimiter=comma)
    missing = [name for name in columns if name not in (reader.fieldnames or ())]
    if missing:
        raise BadInput(f"{path.name}: it has no column {missing[0]!r}; give the file that `experiment sample` wrote.")
    return [(reader.line_num, {name: row.get(name) or "" for name in columns}) for row in reader]


def agreement_rows(check: HumanCheck) -> Rows:
    """Agreement with the machine by modality and type, and between raters."""
    rows = [["who", "what", "type", "agreement", "kappa", "cells", "sources"]]
    named = [("the machine", *key, found) for key, found in check.with_machine.items()]
    named += [(f"{one} and {other}", ALL, ALL, found) for (one, other), found in check.between.items()]
    for who, modality, kind, found in named:
        if isinstance(found, Unscored):
            rows.append([who, modality, kind, shown(found), "–", "0", "–"])
        else:
            rows.append([who, modality, kind, shown(found.raw), shown(found.kappa), str(found.cells), str(found.raw.n)])
    return rows


def corrected_rows(check: HumanCheck) -> Rows:
    """The share of the facts kept, as the machine counts it and corrected."""
    rows = [["chain", "facts kept, by the machine", "corrected by people", "sources rated"]]
    for chain, (machine, found) in check.kept.items():
        rows.append([chain, f"{machine:.2f}", shown(found), str(found.n) if isinstance(found, Estimate) else "0"])
    return rows

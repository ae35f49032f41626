"""A sheet for people: facts beside what a chain made of them, in chance order, without what the machine says."""

from __future__ import annotations

import csv
import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hopline.agent.experiments.observing import Observation
from hopline.agent.experiments.shelf import Stage
from hopline.agent.experiments.study import Study, place_of
from hopline.agent.hops.records import ArtifactRef
from hopline.agent.loss.facts import Fact
from hopline.agent.views.artifact import artifact_fragment
from hopline.agent.views.gallery import Gallery
from hopline.agent.views.markup import Html, tag
from hopline.agent.views.page import document
from hopline.tools.artifact import TEXT
from hopline.tools.errors import UserError

ANSWERS = {"same": "kept", "other": "altered", "no": "missing"}
"""What people write, and the machine's word for it."""
UNSURE = "unclear"
SHEET_COLUMNS = ("item", "cell", "rater", "answer", "note")
KEY_COLUMNS = ("experiment", "cell", "item", "chain", "source", "repeat", "step", "modality", "type", "fact", "machine")
_EMBEDDED_BYTES = 120_000_000
_ASKED = {"text": "Does the text say:", "image": "Does the picture show:", "audio": "Does the recording say:"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One fact at one node of one trajectory.

    Attributes:
        id: the same as long as the fact and what is looked at are; says nothing of where it is from.
        item: its number on the sheet, from 1; 0 if it is not on it.
        chain: name.
        source: id.
        repeat: from 0.
        step: number of the hop that made what is looked at.
        modality: of what is looked at.
        fact: of the source.
        machine: kept, altered or missing, as the last text of the trajectory was read. For a picture or sound
            this is what the hop that read it said.
        outputs: what is looked at.
    """

    id: str
    item: int = 0
    chain: str
    source: str
    repeat: int
    step: int
    modality: str
    fact: Fact
    machine: str
    outputs: tuple[ArtifactRef, ...]


def all_cells(study: Study) -> list[Cell]:
    """The facts of every source at the last text of every trajectory, and at the picture or sound it was read from."""
    stages: dict[int, Sequence[Stage]] = {}
    found = []
    for row in study.analysis.facts:
        last = study.analysis.last(row.observation.trajectory.chain.name)
        if last is None or row.step != last.step or row.status == "invented":
            continue
        made = stages.setdefault(id(row.observation), study.shelf.stages(row.observation))
        text = next((stage for stage in made if stage.step == last.step), None)
        before = next((stage for stage in reversed(made) if stage.step < last.step), None)
        for stage in (text, before):
            if stage is None or not stage.outputs:
                continue
            modality = stage.outputs[0].modality
            if modality in _ASKED and (modality != TEXT or stage is text):
                found.append(_cell(row.observation, stage, modality, row.fact, row.status))
    return sorted(found, key=lambda cell: (cell.chain, cell.source, cell.repeat, cell.step, cell.fact.id))


def _cell(observation: Observation, stage: Stage, modality: str, fact: Fact, status: str) -> Cell:
    chain, source, repeat = place_of(observation)
    name = "|".join((chain, source, str(repeat), str(stage.step), fact.id, *(ref.id for ref in stage.outputs)))
    return Cell(
        id=hashlib.sha256(name.encode()).hexdigest()[:10],
        chain=chain,
        source=source,
        repeat=repeat,
        step=stage.step,
        modality=modality,
        fact=fact,
        # The colour of a thing that is gone is not there either.
        machine="missing" if status == "void" else status,
        outputs=stage.outputs,
    )


def draw_cells(cells: Sequence[Cell], n: int, seed: int = 0) -> list[Cell]:
    """Number n cells as items of a sheet: as many of each chain and modality, at random, in chance order.

    Args:
        cells: as `all_cells` gives them.
        n: items at most.
        seed: of the draw and the order.

    Returns:
        All cells in their order; those on the sheet have their number.

    Raises:
        UserError: there is no cell, or n is not 1 or more.
    """
    if n < 1 or not cells:
        raise UserError("there is nothing to sample: no fact of a source came to the end of a chain, or n is under 1.")
    chance = random.Random(seed)
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.chain, cell.modality), []).append(cell)
    for group in groups.values():
        chance.shuffle(group)
    chosen: list[str] = []
    while len(chosen) < n and any(groups.values()):
        chosen += [group.pop().id for group in groups.values() if group][: n - len(chosen)]
    chance.shuffle(chosen)
    items = {name: number for number, name in enumerate(chosen, 1)}
    return [replace(cell, item=items.get(cell.id, 0)) for cell in cells]


def write_sample(study: Study, cells: Sequence[Cell], folder: Path) -> list[Path]:
    """Write `sheet.html` and `ratings.csv` for people, and `key.csv`, which they should not see.

    Args:
        study: that the cells are of.
        cells: as `draw_cells` gives them.
        folder: made if it is not there.

    Raises:
        UserError: ratings would be overwritten.
        OSError: the folder cannot be written.
    """
    sheet, ratings, key = (folder / name for name in ("sheet.html", "ratings.csv", "key.csv"))
    if ratings.exists():
        raise UserError(f"{ratings} is there already; somebody may have filled it in. Choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    items = sorted((cell for cell in cells if cell.item), key=lambda cell: cell.item)
    sheet.write_text(_sheet(study, items), "utf-8")
    write_table(ratings, SHEET_COLUMNS, [(cell.item, cell.id, "", "", "") for cell in items])
    write_table(
        key,
        KEY_COLUMNS,
        [
            (study.grid.experiment.name, c.id, c.item or "", c.chain, c.source, c.repeat, c.step, c.modality,
             c.fact.type, c.fact.id, c.machine)
            for c in cells
        ],
    )  # fmt: skip
    return [sheet, ratings, key]


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def statement(fact: Fact) -> str:
    """A fact in words that ask for nothing else: the number of a thing without its colour.

    Args:
        fact: of a source.
    """
    things = [part.removeprefix("object:").partition("#")[0] for part in fact.slot.split("~")]
    words = {
        "object": f"{fact.value}, one or more",
        "count": f"{things[0]}, how many: {fact.value}",
        "colour": f"{things[0]}, its colour: {fact.value}",
        "relation": f"{fact.text}",
        "number": f"the number {fact.text}",
        "name": f"the name {fact.text}",
        "quantity": f"the quantity {fact.text}",
        "date": f"the day or date {fact.text}",
        "negation": f"that it is not so: {fact.text}",
    }
    return words[fact.type]


def _sheet(study: Study, items: Sequence[Cell]) -> str:
    gallery = Gallery(study.shelf.read, None, limit=_EMBEDDED_BYTES)
    answers: Mapping[str, str] = {
        "same": "it is there as stated",
        "other": "it is there with another value: another number, colour, name, place",
        "no": "it is not there",
        UNSURE: "it cannot be told",
    }
    how = (
        tag("h1", "What do you see, hear and read?"),
        tag(
            "p",
            "Each item has a statement, and a text, picture or sound. Judge only what is in front of you, not what "
            "another item says. Write one of these words into the column ",
            tag("code", "answer"),
            " of ",
            tag("code", "ratings.csv"),
            ", and your name or initials into the column ",
            tag("code", "rater"),
            ":",
            class_="hl-lead",
        ),
        tag("dl", (_explained(word, told) for word, told in answers.items()), class_="hl-pairs"),
    )
    shown = (_item(cell, gallery) for cell in items)
    body = (
        tag("header", how, class_="hl-header"),
        tag("main", tag("ol", shown, class_="hl-plain hl-hops", role="list"), id="main"),
        tag("footer", tag("p", f"{len(items)} items. Thank you."), class_="hl-footer"),
    )
    return document("Items to rate – hopline", body)


def _explained(word: str, told: str) -> Html:
    return tag("div", tag("dt", tag("code", word)), tag("dd", told))


def _item(cell: Cell, gallery: Gallery) -> Html:
    return tag(
        "li",
        tag("h2", f"{cell.item} ", tag("code", cell.id, class_="hl-time")),
        tag("p", _ASKED[cell.modality], " ", tag("strong", statement(cell.fact)), class_="hl-lead"),
        tag("div", (_shown(ref, gallery, cell.item) for ref in cell.outputs)),
        class_="hl-hop",
        id=f"item-{cell.item}",
    )


def _shown(ref: ArtifactRef, gallery: Gallery, item: int) -> Html:
    return artifact_fragment(ref, gallery, description=f"What item {item} is about", fold=10_000)

"""Rows of a Hugging Face dataset: from the hub, or from a folder that `save_to_disk` wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hopline.agent.experiments.spec import Sources
from hopline.tools.artifact import Artifact
from hopline.tools.errors import BadInput, MissingExtra, UserError
from hopline.tools.media import sniff

MEDIA = ("Image", "Audio", "Video")
"""Kinds of columns that hold files."""


def read_rows(wanted: Sources, folder: Path) -> Iterator[tuple[Artifact, Mapping[str, str]]]:
    """What is sent, and the other columns as text, row by row.

    Args:
        wanted: its `dataset`, `split`, `subset`, `revision`, `content`.
        folder: that a relative path starts from.

    Raises:
        MissingExtra: the package `datasets` is not installed.
        UserError: the dataset or its split does not load; says why.
        BadInput: a column is not there, or what it holds is refused.
    """
    try:
        import datasets
    except ImportError:
        raise MissingExtra(
            "a dataset of the Hugging Face hub needs the package datasets.", hint="pip install 'hopline[datasets]'"
        ) from None
    table: Any = _load(datasets, wanted, folder)
    kinds = {name: type(feature).__name__ for name, feature in table.features.items()}
    content = wanted.content or next((name for name, kind in kinds.items() if kind in MEDIA), "text")
    for column in filter(None, (content, wanted.reference)):
        if column not in kinds:
            raise BadInput(f"{wanted.dataset}: it has no column {column!r}; it has: {', '.join(kinds)}.")
    for name, kind in kinds.items():
        if kind in MEDIA:  # the file as it is: it goes through the same gate as any other
            table = table.cast_column(name, getattr(datasets, kind)(decode=False))
    plain = [name for name, kind in kinds.items() if kind not in MEDIA]
    for number, row in enumerate(table):
        said = {name: _text(row[name]) for name in plain}
        shown = f"{wanted.dataset}, row {number}"
        yield _artifact(row[content], kinds[content] in MEDIA, shown), {k: v for k, v in said.items() if v}


def _load(datasets: Any, wanted: Sources, folder: Path) -> Any:
    here = folder / wanted.dataset
    try:
        if (here / "dataset_dict.json").is_file():
            return datasets.load_from_disk(str(here))[wanted.split]
        if (here / "state.json").is_file():
            return datasets.load_from_disk(str(here))
        return datasets.load_dataset(
            str(here) if here.is_dir() else wanted.dataset,
            wanted.subset or None,
            split=wanted.split,
            revision=wanted.revision or None,
        )
    except Exception as error:  # a loader may raise anything: no network, no such name, a broken file
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(f"the dataset {wanted.dataset}, split {wanted.split}, does not load: {first}") from error


def _artifact(value: Any, is_file: bool, shown: str) -> Artifact:
    if not is_file:
        return Artifact.from_text(_text(value))
    data, path = value.get("bytes"), value.get("path")
    if data is None and path:
        data = Path(path).read_bytes()
    if not data:
        raise BadInput(f"{shown}: there is nothing in it.")
    return sniff(data, Path(path).name if path else shown)


def _text(value: Any) -> str:
    """A cell as text; of several captions the first."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _text(value[0]) if value else ""
    return "" if value is None or isinstance(value, Mapping) else str(value).strip()

"""The sources of an experiment: probe messages, texts, or a folder of files with references."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hopline.agent.experiments.spec import Experiment
from hopline.agent.loss.grammar import PICTURE, SPEECH, Grammar
from hopline.tools.artifact import TEXT, Artifact
from hopline.tools.errors import BadInput, UserError
from hopline.tools.media import open_file

GRAMMARS = {grammar.name: grammar for grammar in (SPEECH, PICTURE)}
GRAMMAR_COUNT = 48
MANIFESTS = ("metadata.csv", "metadata.jsonl")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One source.

    Attributes:
        id: unique in its corpus, in the order of the corpus when sorted as it stands.
        artifact: what is sent.
        reference: what it says, for measuring; its own text, or None.
        values: of the slots of a grammar's message.
    """

    id: str
    artifact: Artifact
    reference: str | None
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """All sources.

    Attributes:
        sources: in order.
        grammar: that the messages come from, None for free content.
    """

    sources: tuple[Source, ...]
    grammar: Grammar | None = None


def read_corpus(experiment: Experiment) -> Corpus:
    """The sources of an experiment.

    Raises:
        UserError, BadInput: a file is not there or not what it should be; says which and where.
    """
    wanted = experiment.sources
    if wanted.grammar:
        return _messages(wanted.grammar, wanted.count or GRAMMAR_COUNT, wanted.seed)
    path = experiment.folder / (wanted.texts or wanted.folder)
    found = _texts(path) if wanted.texts else _folder(path)
    sources = [source for source, _ in zip(found, range(wanted.count or 10**9), strict=False)]
    if not sources:
        raise BadInput(f"{path.name}: there is no source in it.")
    ids = [source.id for source in sources]
    twice = next((i for i in ids if ids.count(i) > 1), None)
    if twice is not None:
        raise BadInput(f"{path.name}: two sources have the id {twice!r}.")
    return Corpus(sources=tuple(sources))


def _messages(name: str, count: int, seed: int | None) -> Corpus:
    if name not in GRAMMARS:
        raise BadInput(f"there is no grammar {name!r}; there are: {', '.join(GRAMMARS)}.")
    grammar = GRAMMARS[name]
    width = len(str(count - 1))
    sources = tuple(
        Source(
            id=f"{grammar.name}-{number:0{width}}",
            artifact=Artifact.from_text(message.text),
            reference=message.text,
            values=message.values,
        )
        for number, message in enumerate(grammar.messages(count, seed=seed))
    )
    return Corpus(sources=sources, grammar=grammar)


def _texts(path: Path) -> Iterator[Source]:
    lines = [(number, line.strip()) for number, line in enumerate(_read(path).splitlines(), 1) if line.strip()]
    width = len(str(len(lines)))
    for number, line in lines:
        name, text = f"{number:0{width}}", line
        if path.suffix == ".jsonl":
            row = _row(path.name, number, line)
            name, text = str(row.get("id", name)), str(row["text"]) if "text" in row else ""
            if not text:
                raise BadInput(f"{path.name}, line {number}: it has no text.")
        yield Source(id=name, artifact=Artifact.from_text(text), reference=text)


def _folder(path: Path) -> Iterator[Source]:
    if not path.is_dir():
        raise UserError(f"{path}: there is no such folder.")
    references = _references(path)
    missing = next((name for name in references if not (path / name).is_file()), None)
    if missing is not None:
        raise BadInput(f"{path.name}: its manifest names {missing}, which is not there.")
    names = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
    for name in sorted(n for n in names if n not in MANIFESTS and not Path(n).name.startswith(".")):
        artifact = open_file(path / name)
        reference = references.get(name) or (artifact.text if artifact.modality == TEXT else None)
        yield Source(id=name, artifact=artifact, reference=reference)


def _references(folder: Path) -> dict[str, str]:
    """What each file says, by name: `metadata.csv` or `.jsonl` with `file_name` and `text` or `transcription`."""
    path = next((folder / name for name in MANIFESTS if (folder / name).is_file()), None)
    if path is None:
        return {}
    if path.suffix == ".csv":
        rows = list(enumerate(csv.DictReader(_read(path).splitlines()), 2))
    else:
        lines = enumerate(_read(path).splitlines(), 1)
        rows = [(number, _row(path.name, number, line)) for number, line in lines if line.strip()]
    found = {}
    for number, row in rows:
        text = row.get("text") or row.get("transcription")
        if not row.get("file_name"):
            raise BadInput(f"{path.name}, line {number}: it has no file_name.")
        if text:
            found[str(row["file_name"])] = str(text)
    return found


def _row(name: str, number: int, line: str) -> dict[str, str]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise BadInput(f"{name}, line {number}: it is not a JSON object.")
    return row


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path.name}: it is not UTF-8 text.") from None

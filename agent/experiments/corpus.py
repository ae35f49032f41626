"""The sources of an experiment: probe messages, texts, a folder of files with references, a dataset."""

from __future__ import annotations

import csv
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hopline.agent.experiments.dataset import read_rows
from hopline.agent.experiments.spec import Experiment
from hopline.agent.experiments.twins import twins
from hopline.agent.loss.extraction import Extractor
from hopline.agent.loss.grammar import PICTURE, SPEECH, Grammar
from hopline.agent.loss.plugins import extractor
from hopline.tools.artifact import TEXT, Artifact
from hopline.tools.errors import BadInput, UserError
from hopline.tools.media import open_file

GRAMMARS = {grammar.name: grammar for grammar in (SPEECH, PICTURE)}
GRAMMAR_COUNT = 48
MANIFESTS = ("metadata.csv", "metadata.jsonl")
SAYS = ("text", "transcription", "caption", "sentence")
"""Columns that may say what a file means, the first that is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One source.

    Attributes:
        id: unique in its corpus, in the order of the corpus when sorted as it stands.
        artifact: what is sent.
        reference: what it says, for measuring; its own text, or None.
        question: that is asked of it; the reference then says the answer.
        answer: the words of it that matter.
        values: of the slots of a grammar's message.
    """

    id: str
    artifact: Artifact
    reference: str | None
    question: str = ""
    answer: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def request(self) -> str:
        """What feeds the text inputs of a chain that no hop feeds: its own text, or its question."""
        return self.artifact.text if self.artifact.modality == TEXT else self.question


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """All sources.

    Attributes:
        sources: in order.
        grammar: that the messages come from, None for free content.
        distractors: texts that were not sent, and might have been as well as one of the sources.
    """

    sources: tuple[Source, ...]
    grammar: Grammar | None = None
    distractors: tuple[str, ...] = ()


def read_corpus(experiment: Experiment) -> Corpus:
    """The sources of an experiment.

    Raises:
        UserError, BadInput: a file is not there or not what it should be; says which and where.
    """
    wanted = experiment.sources
    if wanted.grammar:
        corpus = _messages(wanted.grammar, wanted.count or GRAMMAR_COUNT, wanted.seed)
    else:
        corpus = _free(experiment)
    return _paired(corpus, extractor(experiment.extractor), wanted.seed or 0) if wanted.pairs else corpus


def _paired(corpus: Corpus, reads: Extractor, seed: int) -> Corpus:
    """Of each text and its twin, which is its equal but for one fact, a coin sends one; texts without a twin go."""
    if corpus.sources[0].artifact.modality != TEXT or corpus.grammar is not None:
        raise BadInput("minimal pairs are made of free texts; leave out `pairs` for anything else.")
    chance = random.Random(seed)
    sources, distractors = [], []
    texts = [source.artifact.text for source in corpus.sources]
    for source, twin in zip(corpus.sources, twins(texts, reads, seed), strict=True):
        if twin is not None:
            sent, other = chance.sample((source.artifact.text, twin), 2)
            sources.append(replace(source, artifact=Artifact.from_text(sent), reference=sent))
            distractors.append(other)
    if not sources:
        raise BadInput("no text of the corpus says a fact that another text says otherwise: there are no pairs.")
    return Corpus(sources=tuple(sources), distractors=tuple(distractors))


def _free(experiment: Experiment) -> Corpus:
    wanted = experiment.sources
    if wanted.dataset:
        name, found = wanted.dataset, _dataset(experiment)
    else:
        path = experiment.folder / (wanted.texts or wanted.folder)
        name, found = path.name, _texts(path) if wanted.texts else _folder(path, wanted.manifest)
    sources = tuple(itertools.islice(found, wanted.count))
    if not sources:
        raise BadInput(f"{name}: there is no source in it.")
    twice = next((i for i, count in Counter(source.id for source in sources).items() if count > 1), None)
    if twice is not None:
        raise BadInput(f"{name}: two sources have the id {twice!r}.")
    other = next((s for s in sources if s.artifact.modality != sources[0].artifact.modality), None)
    if other is not None:
        raise BadInput(
            f"{name}: {sources[0].id} is {sources[0].artifact.modality}, {other.id} is {other.artifact.modality};"
            " the sources of one experiment are of one modality."
        )
    for column in ("question", "answer"):
        lacking = [source.id for source in sources if not getattr(source, column)]
        if 0 < len(lacking) < len(sources):
            raise BadInput(f"{name}: {lacking[0]} has no {column}, and others have one.")
    return Corpus(sources=sources)


def _dataset(experiment: Experiment) -> Iterator[Source]:
    wanted = experiment.sources
    for number, (artifact, row) in enumerate(read_rows(wanted, experiment.folder)):
        own = artifact.text if artifact.modality == TEXT else None
        said = next((row[column] for column in filter(None, (wanted.reference, *SAYS)) if column in row), None)
        yield Source(
            id=row.get("id") or str(number),
            artifact=artifact,
            reference=own or said,
            question=row.get("question", ""),
            answer=row.get("answer", ""),
        )


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
    if path.suffix in (".csv", ".jsonl"):
        for number, row in _rows(path):
            if not row.get("text"):
                raise BadInput(f"{path.name}, line {number}: it has no text.")
            yield Source(
                id=row.get("id") or str(number), artifact=Artifact.from_text(row["text"]), reference=row["text"]
            )
        return
    lines = [(number, line.strip()) for number, line in enumerate(_read(path).splitlines(), 1) if line.strip()]
    width = len(str(len(lines)))
    for number, line in lines:
        yield Source(id=f"{number:0{width}}", artifact=Artifact.from_text(line), reference=line)


def _folder(path: Path, name: str) -> Iterator[Source]:
    if not path.is_dir():
        raise UserError(f"{path}: there is no such folder.")
    manifest = _manifest(path, name)
    missing = next((name for name in manifest if not (path / name).is_file()), None)
    if missing is not None:
        raise BadInput(f"{path.name}: its manifest names {missing}, which is not there.")
    # What a manifest does not name is no source: a licence or a note may lie beside the files.
    found = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
    for name in sorted(manifest or [n for n in found if not Path(n).name.startswith(".")]):
        artifact = open_file(path / name)
        own = artifact.text if artifact.modality == TEXT else None
        for number, row in enumerate(manifest.get(name, [{}]), 1):
            yield Source(
                id=row.get("id") or (name if number == 1 else f"{name}#{number}"),
                artifact=artifact,
                reference=next((row[column] for column in SAYS if row.get(column)), own),
                question=row.get("question", ""),
                answer=row.get("answer", ""),
            )


def _manifest(folder: Path, name: str) -> dict[str, list[dict[str, str]]]:
    """The rows of a folder's manifest, by file."""
    path = next((folder / n for n in ([name] if name else MANIFESTS) if (folder / n).is_file()), None)
    if path is None:
        if name:
            raise UserError(f"{folder.name}: there is no manifest {name} in it.")
        return {}
    found: dict[str, list[dict[str, str]]] = {}
    for number, row in _rows(path):
        if not row.get("file_name"):
            raise BadInput(f"{path.name}, line {number}: it has no file_name.")
        found.setdefault(row["file_name"], []).append(row)
    return found


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and columns of a CSV or JSON Lines file, without what is empty."""
    if path.suffix == ".csv":
        rows: Iterable[tuple[int, Mapping[str, object]]] = enumerate(
            csv.DictReader(_read(path).splitlines(keepends=True)), 2
        )
    else:
        lines = enumerate(_read(path).splitlines(), 1)
        rows = ((number, _row(path.name, number, line)) for number, line in lines if line.strip())
    for number, row in rows:
        yield number, {name: str(value) for name, value in row.items() if value not in (None, "")}


def _row(name: str, number: int, line: str) -> dict[str, object]:
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

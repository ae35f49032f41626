"""Results of published studies, read in as a study: the same analysis, with intervals; nothing runs.

`semantic-drift` is what "The Telephone Game" (arXiv 2509.04438) evaluates, as its repository lays it out
(mollahsabbir/Semantic-Drift-in-Unified-Models): `text-first/gen-0.csv`, `gen-1/NAME.png`, `gen-2.csv`, …
and `image-first/gen-0/NAME.png`, `gen-1.csv`, …, each CSV with `filename` and `caption`. A folder may hold one
model, or a folder for each.

`broken-telephone` is what "LLM as a Broken Telephone" (arXiv 2502.20258) publishes
(amr-mohamedd/LLM-as-a-Broken-Telephone): JSON files of passages, either as generated (`{id: {"0_en": text,
"1_fr": …, "1_en": …}}`) or as evaluated (`{title: {"0": {"text": …, "factscore": …}, "2": …}}`), found in any
folder below; a chain for each setting.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hopline.agent.experiments.analysis import analyse
from hopline.agent.experiments.corpus import Corpus, Source
from hopline.agent.experiments.engine import Trajectory
from hopline.agent.experiments.evidence import Encode
from hopline.agent.experiments.grid import Grid
from hopline.agent.experiments.observing import Node, Observation
from hopline.agent.experiments.shelf import Stage
from hopline.agent.experiments.spec import Chain, experiment_from
from hopline.agent.experiments.study import Study
from hopline.agent.hops.records import ArtifactRef
from hopline.agent.loss.plugins import extractor, metrics
from hopline.agent.planning.plan import Plan, Step
from hopline.tools.artifact import Artifact
from hopline.tools.encoder import Encoder
from hopline.tools.errors import BadInput, NotFound, Unavailable, UserError
from hopline.tools.media import open_file
from hopline.tools.registry import installed

_PROTOCOLS = {
    "text-first": ("text-first", "captions-first"),
    "image-first": ("image-first", "images-first"),
}
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_PUBLISHED = ("factscore", "BLEU", "ROUGE-1", "ROUGE-L", "METEOR", "BERTScore F1", "CHR-F")
"""Scores of the second study that are kept beside ours, under their own names."""


@dataclass(kw_only=True, slots=True)
class Way:
    """One chain of another study, as it was found.

    Attributes:
        name: of the chain.
        links: tools of one generation.
        pool: chains of one pool have the same sources and are compared.
        sources: by id, what was sent (a text, or a picture's file) and what it says.
        texts: by source and hop, what was said.
        files: by source and hop, pictures that were drawn.
        scores: by source, hop and metric, scores that came with them.
    """

    name: str
    links: tuple[str, ...]
    pool: str = ""
    sources: dict[str, tuple[str | Path, str | None]] = field(default_factory=dict)
    texts: dict[str, dict[int, str]] = field(default_factory=dict)
    files: dict[str, dict[int, Path]] = field(default_factory=dict)
    scores: dict[str, dict[int, dict[str, float]]] = field(default_factory=dict)

    @property
    def hops(self) -> int:
        """The last hop at which anything is."""
        said = (hop for texts in self.texts.values() for hop in texts)
        drawn = (hop for files in self.files.values() for hop in files)
        return max((*said, *drawn), default=0)


def import_study(folder: Path, format_: str, *, name: str | None = None) -> Study:
    """The study in a folder of published results.

    Args:
        folder: of the results.
        format_: `semantic-drift` or `broken-telephone`.
        name: of the study; the folder's by default.

    Raises:
        UserError: there is no such folder or format.
        BadInput: nothing of this format is in it, or a file is broken; says which.
    """
    if format_ not in _FORMATS:
        raise UserError(f"there is no format {format_!r}; there are: {', '.join(_FORMATS)}.")
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder.")
    read, notes = _FORMATS[format_]
    ways = [way for way in read(folder) if way.sources and way.hops]
    if not ways:
        raise BadInput(f"{folder.name}: there are no results of the format {format_} in it.")
    return _study(ways, name or re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-") or format_, notes,
                  f"hopline experiment import {folder.name} --format {format_}")  # fmt: skip


# -- the two formats -----------------------------------------------------------------------------


def _semantic_drift(folder: Path) -> Iterable[Way]:
    models = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    for model in models:
        captions: dict[str, str] = {}
        for protocol, names in _PROTOCOLS.items():
            root = next((model / name for name in names if (model / name).is_dir()), None)
            if root is None:
                continue
            links = ("text_to_image", "image_captioning")
            way = Way(
                name=protocol if model == folder else f"{model.name} {protocol}",
                links=links if protocol == "text-first" else links[::-1],
                pool=protocol,
            )
            # Generations alternate; an empty folder beside a CSV of the same number is none of them.
            found = ((re.fullmatch(r"gen-(\d+)(\.csv)?", path.name), path) for path in root.iterdir())
            numbered = ((int(match[1]), path) for match, path in found if match)
            drawn = 1 if protocol == "text-first" else 0
            generations = {hop: path for hop, path in numbered if path.is_dir() == (hop % 2 == drawn)}
            for hop, path in sorted(generations.items()):
                for source, made in (_pictures(path) if path.is_dir() else _captions(path)).items():
                    if hop == 0:
                        way.sources[source] = (made, made if isinstance(made, str) else captions.get(source))
                    elif source not in way.sources:
                        raise BadInput(f"{path}: {source} is not in generation 0.")
                    elif isinstance(made, str):
                        way.texts.setdefault(source, {})[hop] = made
                    else:
                        way.files.setdefault(source, {})[hop] = made
            if protocol == "text-first":
                captions = {source: said for source, (_, said) in way.sources.items() if said}
            yield way


def _captions(path: Path) -> dict[str, str]:
    """Captions by file name without its ending. The study reads them as Latin-1; ours are UTF-8 where they can be."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    reader = csv.DictReader(text.splitlines(keepends=True))
    if not {"filename", "caption"} <= set(reader.fieldnames or ()):
        raise BadInput(f"{path}: it needs the columns filename and caption.")
    rows = {Path(row["filename"]).stem: (row["caption"] or "").strip() for row in reader if row["filename"]}
    return {source: caption for source, caption in rows.items() if caption}


def _pictures(path: Path) -> dict[str, Path]:
    return {file.stem: file for file in sorted(path.iterdir()) if file.suffix.lower() in _PICTURES}


def _broken_telephone(folder: Path) -> Iterable[Way]:
    ways: dict[str, Way] = {}
    for path in sorted(folder.rglob("*.json")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        passages = _json(path)
        if passages is None:
            continue
        name, pool = _setting(path.stem)
        way = ways.setdefault(name, Way(name=name, links=("translation",), pool=pool))
        if path.stem.startswith("rephrased"):
            way.links = ("summarization",)  # a text from a text in its own language
        for source, states in passages.items():
            texts, scores = _states(states)
            if 0 not in texts:
                continue
            way.sources.setdefault(source, (texts[0], texts[0]))
            way.texts.setdefault(source, {}).update({k: text for k, text in texts.items() if k})
            for k, found in scores.items():
                way.scores.setdefault(source, {}).setdefault(k, {}).update(found)
    return ways.values()


def _json(path: Path) -> Mapping[str, Mapping[str, Any]] | None:
    """The passages of a file, None if it is about something else."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (ValueError, UnicodeDecodeError):
        raise BadInput(f"{path.name}: it is not JSON.") from None
    if (
        isinstance(data, dict)
        and data
        and all(isinstance(v, dict) and ("0" in v or "0_en" in v) for v in data.values())
    ):
        return data
    return None


def _setting(stem: str) -> tuple[str, str]:
    """`news2024 Llama-3.1-8B-Instruct en-fr-en` and `news2024` from a file's name; the date and time are left out."""
    stem = re.sub(r"_(factscore|additional)$", "", stem)
    found = re.fullmatch(
        r"(?:translated|rephrased)_passages_(?P<data>[^_]+)_(?P<model>.+?)_(?:trans_(?P<way>(?:[a-z]{2}_)+)|rephrased?_)"
        r"\d{8}_\d{6}(?P<rest>.*)",
        stem,
    )
    if found is None:
        return _plain(stem), stem
    way = (found["way"] or "rephrase_").rstrip("_").replace("_", "-")
    parts = (found["data"], found["model"], way, found["rest"].strip("_").replace("_", " "))
    return _plain(" ".join(part for part in parts if part)), found["data"]


def _plain(name: str) -> str:
    """Without the braces that would name a factor."""
    return name.replace("{", "(").replace("}", ")")


def _states(states: Mapping[str, Any]) -> tuple[dict[int, str], dict[int, dict[str, float]]]:
    """English texts by generation, and their scores; an empty text is missing, not a score of 0."""
    texts: dict[int, str] = {}
    scores: dict[int, dict[str, float]] = {}
    for key, state in states.items():
        found = re.fullmatch(r"(\d+)(_en)?", key)
        if found is None:
            continue
        text = state.get("text", "") if isinstance(state, dict) else state
        if not isinstance(text, str) or not text.strip():
            continue
        texts[int(found[1])] = text.strip()
        if isinstance(state, dict):
            own = {name: float(state[name]) for name in _PUBLISHED if isinstance(state.get(name), int | float)}
            if own:
                scores[int(found[1])] = own
    return texts, scores


_FORMATS: Mapping[str, tuple[Callable[[Path], Iterable[Way]], tuple[str, ...]]] = {
    "semantic-drift": (
        _semantic_drift,
        (
            "Imported: the texts of arXiv 2509.04438 as they are, read by our extractor.",
            "MCD and SDR are from text to text with our sentence encoder. The study's own average over four pairs of "
            "modalities, with MPNet, CLIP and DINO, is another number.",
        ),
    ),
    "broken-telephone": (
        _broken_telephone,
        (
            "Imported: the English texts of arXiv 2502.20258 as they are, read by our extractor. Texts in other "
            "languages are not read, so that a generation is one round trip.",
            "Scores under the study's own names are its own, here with intervals; where a text was empty the study "
            "counted 0, and here it is missing.",
        ),
    ),
}


# -- a study of what was found -------------------------------------------------------------------


def _study(ways: Sequence[Way], name: str, notes: Sequence[str], command: str) -> Study:
    chains = [
        {"name": way.name, "chain": " | ".join(way.links), "generations": -(-way.hops // len(way.links))}
        for way in ways
    ]
    first: dict[str, str] = {}
    pairs = []
    for way in ways:
        if way.pool in first:
            pairs.append({"base": first[way.pool], "other": way.name})
        else:
            first[way.pool] = way.name
    experiment = experiment_from(
        {"name": name, "sources": {"folder": name}, "chains": chains, "compare": pairs}, shown=name
    )
    shelf = _Folder()
    corpus: dict[str, Source] = {}
    trajectories: list[Trajectory] = []
    observations: list[Observation] = []
    nodes: list[Node] = []
    plans: dict[str, Plan] = {}
    for way, chain in zip(ways, experiment.expanded(), strict=True):
        tools = [way.links[k % len(way.links)] for k in range(way.hops)]
        plans[way.name] = Plan(steps=tuple(Step(id=f"step{k}", tool=tool) for k, tool in enumerate(tools, 1)))
        nodes += _nodes(way, chain)
        for source_id, (sent, reference) in way.sources.items():
            artifact = Artifact.from_text(sent) if isinstance(sent, str) else open_file(sent)
            source = Source(id=source_id, artifact=artifact, reference=reference)
            corpus.setdefault(source_id, source)
            trajectory = Trajectory(source=source, chain=chain, repeat=0, seed=0, cell="", experiment=name)
            texts = way.texts.get(source_id, {})
            whole = all(node.step in texts for node in nodes if node.chain == way.name)
            observation = Observation(
                trajectory=trajectory,
                run="",
                status="ok" if whole else "partial",
                problem="" if whole else "the results lack a generation",
                failed_step=0,
                texts=dict(sorted(texts.items())),
                losses={},
                calls=0,
                scores=way.scores.get(source_id, {}),
            )
            shelf.put(observation, tools, texts, way.files.get(source_id, {}))
            if isinstance(sent, Path):
                shelf.keep(artifact, sent)
            trajectories.append(trajectory)
            observations.append(observation)
    grid = Grid(
        experiment=experiment,
        corpus=Corpus(sources=tuple(corpus.values())),
        plans=plans,
        units=tuple((trajectory,) for trajectory in trajectories),
        registry=installed(),
        links={},
        left_out={},
    )
    encoder = Encoder()
    encode: Encode | None = None
    with suppress(Unavailable):
        encoder.load()
        encode = encoder.encode
    analysis = analyse(
        grid,
        observations,
        extractor=extractor(),
        metrics=[metric for metric in metrics() if metric.name != "cosine"],
        encode=encode,
        nodes=nodes,
    )
    return Study(
        grid=grid, observations=observations, analysis=analysis, shelf=shelf, command=command, versions={}, notes=notes
    )


def _nodes(way: Way, chain: Chain) -> Iterable[Node]:
    """Places at which some source has a text."""
    steps = sorted({k for texts in way.texts.values() for k in texts})
    last = {chain.generation(k): k for k in steps}
    for k in steps:
        tool = way.links[(k - 1) % len(way.links)]
        generation = chain.generation(k)
        yield Node(chain=way.name, step=k, generation=generation, tool=tool, ends=last[generation] == k)


class _Folder:
    """Media of imported trajectories: texts in memory, pictures in their files, opened when they are asked for."""

    def __init__(self) -> None:
        self._made: dict[int, list[tuple[int, str, str | Path]]] = {}
        self._known: dict[str, Artifact | Path] = {}

    def keep(self, artifact: Artifact, file: Path) -> None:
        """A source that is a picture."""
        self._known[artifact.id] = file

    def put(
        self, observation: Observation, tools: Sequence[str], texts: Mapping[int, str], files: Mapping[int, Path]
    ) -> None:
        """What a trajectory made, by hop."""
        made: dict[int, str | Path] = {**files, **texts}
        self._made[id(observation)] = [(step, tools[step - 1], made[step]) for step in sorted(made)]

    def stages(self, observation: Observation) -> Sequence[Stage]:
        """The hops of a trajectory at which something is."""
        stages = []
        for step, tool, made in self._made.get(id(observation), ()):
            artifact = Artifact.from_text(made) if isinstance(made, str) else open_file(made)
            self._known[artifact.id] = artifact if isinstance(made, str) else made
            ref = ArtifactRef(
                id=artifact.id,
                modality=artifact.modality,
                media_type=artifact.media_type,
                size_bytes=len(artifact.data),
            )
            stages.append(Stage(step=step, tool=tool, outputs=(ref,)))
        return stages

    def read(self, ref: ArtifactRef) -> Artifact:
        """From memory or its file.

        Raises:
            NotFound: it is not of this study.
        """
        found = self._known.get(ref.id)
        if found is None:
            raise NotFound(f"artifact {ref.id[:12]} is not of this study.")
        return found if isinstance(found, Artifact) else open_file(found)

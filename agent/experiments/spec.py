"""What an experiment is: its sources, chains and factors, read from a short TOML file.

name = "speech-loop"
repeats = 2
measures = ["mer", "cosine"]
[sources]
grammar = "speech"
count = 48
[engine]
lanes = 2
[limits]
hop_timeout_s = 60
[[chains]]
name = "clean"
chain = "text_to_speech | speech_to_text"
generations = 3
[[chains]]
name = "{snr} dB"
chain = "text_to_speech | noise(snr_db={snr}) | speech_to_text"
generations = 3
factors = { snr = [10, 0] }
[[compare]]
base = "clean"
other = "0 dB"
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from hopline.tools.errors import BadInput, UserError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Level = str | int | float
"""A level of a factor."""

NAME = "[A-Za-z0-9][A-Za-z0-9_-]*"
"""Of an experiment: it names folders too."""

_Count = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sources(_Strict):
    """Where the sources come from: one of `grammar`, `texts`, `folder`, `dataset`.

    Attributes:
        grammar: `speech` or `picture`: probe messages of known entropy.
        texts: file with one text a line, or CSV or JSON Lines with `text` (and `id`).
        folder: of recordings, pictures or texts, with a manifest where there are references: the imagefolder and
            audiofolder layout. Columns: `file_name`, `text` (or `transcription`, `caption`), `id`, and `question` with
            the `answer` in a word or two; a file that is named several times is several sources, one that is not named
            is none.
        manifest: of the folder; `metadata.csv` or `metadata.jsonl` by default.
        dataset: name on the Hugging Face hub, or a folder that `save_to_disk` wrote; needs the extra `datasets`.
        split: of the dataset.
        subset: of the dataset, where it has several (its configuration).
        revision: of the dataset on the hub.
        content: column that is sent; by default the first of pictures or recordings, else `text`.
        reference: column that says what it means; by default `text`, `transcription`, `caption` or `sentence`.
        count: how many at most; all by default, 48 of a grammar.
        pairs: each text gets a twin in which one fact is another. A coin decides which of the two is sent; the other
            one makes it harder to tell the sources apart.
        seed: of a grammar (its own by default), of the twins and coins (0 by default).
    """

    grammar: str = ""
    texts: str = ""
    folder: str = ""
    manifest: str = ""
    dataset: str = ""
    split: str = "test"
    subset: str = ""
    revision: str = ""
    content: str = ""
    reference: str = ""
    count: _Count | None = None
    pairs: bool = False
    seed: int | None = None

    @model_validator(mode="after")
    def _one(self) -> Sources:
        if sum(map(bool, (self.grammar, self.texts, self.folder, self.dataset))) != 1:
            raise ValueError("name one of grammar, texts, folder, dataset")
        return self


class EngineSpec(_Strict):
    """Who runs the trajectories.

    Attributes:
        name: `local`, this machine.
        lanes: trajectories side by side; one for each core by default.
    """

    name: Literal["local"] = "local"
    lanes: _Count | None = None


class LimitsSpec(_Strict):
    """What an experiment may take; what it says of a hop goes before the limits of the environment.

    Attributes:
        hop_timeout_s: wall clock of one hop, loading included.
        hop_memory_mib: resident memory of one worker, MiB.
        hops: of all trajectories; a larger experiment is refused.
        minutes: wall clock, after which no trajectory begins; the same command goes on.
    """

    hop_timeout_s: Annotated[float, Field(gt=0)] | None = None
    hop_memory_mib: Annotated[float, Field(gt=0)] | None = None
    hops: _Count | None = None
    minutes: Annotated[float, Field(gt=0)] | None = None


class ChainSpec(_Strict):
    """A chain, with factors to cross.

    Attributes:
        name: with factors in braces.
        before: links that run once, before the first generation; generation 0 in tables.
        chain: one generation, as `hopline run --chain` takes it, with factors in braces.
        generations: how often it is repeated.
        factors: levels by name; each combination is a chain of its own.
        optional: left out, and said so, where something it needs is not here.
    """

    name: str
    before: str = ""
    chain: str
    generations: _Count = 1
    factors: dict[str, Annotated[list[Level], Field(min_length=1)]] = {}
    optional: bool = False


class Comparison(_Strict):
    """Two chains compared by source.

    Attributes:
        base: name of a chain.
        other: name of the one that is compared with it.
    """

    base: str
    other: str


class Experiment(_Strict):
    """A whole experiment.

    Attributes:
        name: of letters, digits, `-` and `_`.
        sources: what is sent.
        chains: through what.
        compare: which chains are compared; each with the first by default.
        repeats: of each trajectory; what does not depend on the seed runs once.
        seed: of the first repeat.
        profile: which backend serves each tool.
        tools_from: Python files whose `@tool` functions the chains may use.
        measures: of the field, beside the headline: `wer`, `mer`, `cer`, `chrf`, `cosine` and what installed packages
            bring; all by default.
        extractor: who reads facts.
        engine: who runs it.
        limits: what it may take.
        difference: share of the facts or bits whose loss should be seen, for planning.
        spread: standard deviation of the differences over sources, for planning; from a pilot, if there was one
            (`sd` in its table of comparisons).
        folder: that relative paths start from.
    """

    name: Annotated[str, Field(pattern=f"^{NAME}$")]
    sources: Sources
    chains: Annotated[list[ChainSpec], Field(min_length=1)]
    compare: list[Comparison] | None = None
    repeats: _Count = 1
    seed: int = 0
    profile: str = "offline"
    tools_from: tuple[str, ...] = ()
    measures: tuple[str, ...] | None = None
    extractor: str = "english"
    engine: EngineSpec = EngineSpec()
    limits: LimitsSpec = LimitsSpec()
    difference: Annotated[float, Field(gt=0, le=1)] = 0.1
    spread: Annotated[float, Field(gt=0)] = 0.33
    folder: Path = Path()

    @model_validator(mode="after")
    def _named(self) -> Experiment:
        names = [chain.name for chain in self.expanded()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two chains are called {twice[0]!r}; put their factor in braces into the name")
        for pair in self.compare or []:
            for name in (pair.base, pair.other):
                if name not in names:
                    raise ValueError(f"compare names {name!r}, but the chains are {', '.join(names)}")
        return self

    def expanded(self) -> tuple[Chain, ...]:
        """Every combination of factors as a chain of its own."""
        return tuple(chain for spec in self.chains for chain in _expand(spec))

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """What is compared."""
        if self.compare is not None:
            return tuple((pair.base, pair.other) for pair in self.compare)
        first, *others = (chain.name for chain in self.expanded())
        return tuple((first, other) for other in others)

    def without(self, names: Collection[str]) -> Experiment:
        """The experiment without some chains, and what was to be compared with them."""
        kept = [
            ChainSpec(
                name=chain.name,
                before=" | ".join(chain.before),
                chain=" | ".join(chain.links),
                generations=chain.generations,
                factors={name: [level] for name, level in chain.levels.items()},
            )
            for chain in self.expanded()
            if chain.name not in names
        ]
        compare = [Comparison(base=base, other=other) for base, other in self.pairs() if not {base, other} & set(names)]
        return self.model_copy(update={"chains": kept, "compare": compare})


class Chain(_Strict):
    """One combination of factors.

    Attributes:
        name: as in tables and plots.
        before: links that run once, `tool:backend(name=value)` each.
        links: of one generation.
        generations: how often it is repeated.
        levels: of the factors.
        optional: left out where something it needs is not here.
    """

    name: str
    before: tuple[str, ...] = ()
    links: tuple[str, ...]
    generations: int
    levels: dict[str, Level] = {}
    optional: bool = False

    @property
    def written(self) -> str:
        """The whole chain, all generations, as `run --chain` takes it."""
        return " | ".join(self.before + self.links * self.generations)

    def generation(self, step: int) -> int:
        """Generation of a hop, from 1; 0 before the first one.

        Args:
            step: number of the hop, from 1.
        """
        return max(0, (step - 1 - len(self.before)) // len(self.links) + 1)


def _expand(spec: ChainSpec) -> list[Chain]:
    chains = []
    for levels in itertools.product(*spec.factors.values()):
        chosen = dict(zip(spec.factors, levels, strict=True))
        try:
            name, before, written = (text.format_map(chosen) for text in (spec.name, spec.before, spec.chain))
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            raise ValueError(f"chain {spec.name!r}: {error} is in braces but no factor") from None
        chains.append(
            Chain(
                name=name,
                before=_links(before) if before else (),
                links=_links(written),
                generations=spec.generations,
                levels=chosen,
                optional=spec.optional,
            )
        )
    return chains


def _links(written: str) -> tuple[str, ...]:
    return tuple(link.strip() for link in written.split("|"))


def experiment_from(data: dict[str, Any], *, folder: Path = Path(), shown: str = "the experiment") -> Experiment:
    """An experiment from plain data.

    Raises:
        BadInput: what is wrong, key by key.
    """
    try:
        return Experiment.model_validate({**data, "folder": folder})
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, e['loc'])) + ': ' if e['loc'] else ''}{e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise BadInput(f"{shown}: {told}.") from None


def read_experiment(path: Path) -> Experiment:
    """An experiment from its file.

    Raises:
        UserError: there is no such file.
        BadInput: it is not TOML, or not an experiment; says where.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name}: it is not TOML: {error}.") from None
    return experiment_from(data, folder=path.parent, shown=path.name)

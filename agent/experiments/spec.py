"""What an experiment is: its sources, chains and factors, read from a short TOML file.

name = "speech-loop"
[sources]
grammar = "speech"
count = 48
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
from pathlib import Path
from typing import Annotated, Any

from hopline.tools.errors import BadInput, UserError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Level = str | int | float
"""A level of a factor."""

_Count = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sources(_Strict):
    """Where the sources come from: one of `grammar`, `texts`, `folder`.

    Attributes:
        grammar: `speech` or `picture`: probe messages of known entropy.
        texts: file with one text a line, or JSON Lines with `text` (and `id`).
        folder: of recordings, pictures or texts, with `metadata.csv` or `metadata.jsonl` (`file_name`, `text`)
            where there are references.
        count: how many at most; all by default, 48 of a grammar.
        seed: of a grammar; its own by default.
    """

    grammar: str = ""
    texts: str = ""
    folder: str = ""
    count: _Count | None = None
    seed: int | None = None

    @model_validator(mode="after")
    def _one(self) -> Sources:
        if sum(map(bool, (self.grammar, self.texts, self.folder))) != 1:
            raise ValueError("name one of grammar, texts, folder")
        return self


class ChainSpec(_Strict):
    """A chain, with factors to cross.

    Attributes:
        name: with factors in braces.
        chain: one generation, as `hopline run --chain` takes it, with factors in braces.
        generations: how often it is repeated.
        factors: levels by name; each combination is a chain of its own.
    """

    name: str
    chain: str
    generations: _Count = 1
    factors: dict[str, Annotated[list[Level], Field(min_length=1)]] = {}


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
        lanes: trajectories side by side; one for each core by default.
        difference: share of the facts or bits whose loss should be seen, for planning.
        folder: that relative paths start from.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    sources: Sources
    chains: Annotated[list[ChainSpec], Field(min_length=1)]
    compare: list[Comparison] | None = None
    repeats: _Count = 1
    seed: int = 0
    profile: str = "offline"
    lanes: _Count | None = None
    difference: Annotated[float, Field(gt=0, le=1)] = 0.1
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


class Chain(_Strict):
    """One combination of factors.

    Attributes:
        name: as in tables and plots.
        links: of one generation, `tool:backend(name=value)` each.
        generations: how often it is repeated.
        levels: of the factors.
    """

    name: str
    links: tuple[str, ...]
    generations: int
    levels: dict[str, Level] = {}

    @property
    def written(self) -> str:
        """The whole chain, all generations, as `run --chain` takes it."""
        return " | ".join(self.links * self.generations)


def _expand(spec: ChainSpec) -> list[Chain]:
    chains = []
    for levels in itertools.product(*spec.factors.values()):
        chosen = dict(zip(spec.factors, levels, strict=True))
        try:
            name, written = spec.name.format_map(chosen), spec.chain.format_map(chosen)
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            raise ValueError(f"chain {spec.name!r}: {error} is in braces but no factor") from None
        links = tuple(link.strip() for link in written.split("|"))
        chains.append(Chain(name=name, links=links, generations=spec.generations, levels=chosen))
    return chains


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

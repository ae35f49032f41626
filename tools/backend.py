"""What does the work: the one interface that every backend implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from hopline.tools.artifact import Artifact
from hopline.tools.errors import MissingModel
from hopline.tools.exchange import Exchange
from hopline.tools.hub import HubFiles

_DISTRIBUTIONS = {"faster_whisper": "faster-whisper", "piper": "piper-tts", "av": "av", "PIL": "pillow"}
"""Import name to distribution name, where they differ."""

Progress = Callable[[float, str], None]
"""Called with the fraction done in [0, 1] and a few words; may raise `HopCancelled`."""


def _no_progress(fraction: float, words: str) -> None:
    """Nobody is watching."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MechanicalLoss:
    """Something a tool cut without being asked.

    Attributes:
        kind: `truncated`, `resized`, `resampled`, `downmixed`, `clipped`, `alpha_dropped`,
            `not_drawn`, `substituted`, `not_spoken`, `skipped`, …
        message: one sentence for people, with the quantities.
        before: the quantity that went in, with its `unit`; None where there is none.
        after: the quantity that was kept.
        unit: `characters`, `pixels`, `Hz`, `s`, `words`, …
    """

    kind: str
    message: str
    before: float | None = None
    after: float | None = None
    unit: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call of a backend.

    Attributes:
        inputs: by port name, an ordered tuple; one artifact unless the port takes many.
        parameters: all of them, after defaults, checked against the tool's schema.
        seed: for whatever is random, 0 to 2**31 - 1.
        progress: report here on long work, a few times a second at most.
        tools: for each name in `Backend.needs`, a function from inputs and parameters to a
            Result; each use is a child hop.
    """

    inputs: Mapping[str, tuple[Artifact, ...]]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    progress: Progress = _no_progress
    tools: Mapping[str, Callable[..., Result]] = field(default_factory=dict)

    def one(self, name: str) -> Artifact:
        """The single artifact of an input.

        Raises:
            ValueError: the input holds none or several.
        """
        (artifact,) = self.inputs[name]
        return artifact


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a backend gives back.

    Attributes:
        outputs: by port name, an ordered tuple; one artifact unless the port gives many.
        details: plain JSON for the hop: word times, confidence, language. Key `declared` is
            for what the backend knows it made (the scene drawn, the text spoken): evidence of
            kind "declared". Key `flags` is a list of words a person must see (`no_speech`). Key `recoded`
            says that the output is the input coded otherwise: the same picture or recording, only worse.
        mechanical_losses: every cut, never none by silence.
        exchanges: with language models, in order; each becomes a model call in the journal.
    """

    outputs: Mapping[str, tuple[Artifact, ...]]
    details: Mapping[str, Any] = field(default_factory=dict)
    mechanical_losses: tuple[MechanicalLoss, ...] = ()
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """Something outside this process that a backend needs and does not find.

    Attributes:
        what: a phrase for people.
        command: what brings it.
        download_bytes: how much the command downloads, 0 where nothing or unknown.
    """

    what: str
    command: str
    download_bytes: int = 0


class Backend(ABC):
    """One way to do one tool's work.

    Constructing a backend is cheap and imports nothing heavy; `load` brings the weights;
    `call` does the work and may be used many times. Heavy backends live in a worker process,
    so state set in `load` stays warm and a hang can be killed.

    Class attributes:
        tool: name of the declared tool it serves.
        name: second part of `tool:name[:model]`.
        code_version: changed by hand whenever the output for the same input may change.
        deterministic: same inputs, parameters, seed and identity give the same bytes.
        seeded: the seed matters; a backend that ignores it repeats itself whatever the seed.
        remote: content leaves this machine.
        asks_first: somebody has to approve each call, for nobody here knows what it changes outside the run.
        asks_server: a server must run for it; where no profile names a backend, any other comes first.
        large: its model is fetched by name, or with a profile that names it; it comes after those at hand.
        heavy: wants a worker process; False runs in the coordinator.
        batch: calls that `call_many` takes at once to be faster than one by one; only a heavy backend's are gathered.
        batch_threads: threads from which that is faster.
        extra: the extra of the distribution that brings its packages (`stt`); "" = base.
        packages: import names looked for by `doctor`, and their versions enter the identity.
        models: names in `models.toml` that `load` reads.
        hub: files of the hub that `load` reads.
        needs: tools it calls through `Call.tools`; such a backend is never heavy.
        licence: of the code it calls, where that is not permissive.
    """

    tool: ClassVar[str]
    name: ClassVar[str]
    code_version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    seeded: ClassVar[bool] = False
    remote: bool = False
    asks_first: ClassVar[bool] = False
    asks_server: ClassVar[bool] = False
    large: ClassVar[bool] = False
    heavy: ClassVar[bool] = True
    batch: ClassVar[int] = 1
    batch_threads: ClassVar[int] = 1
    extra: ClassVar[str] = ""
    packages: ClassVar[tuple[str, ...]] = ()
    models: tuple[str, ...] = ()
    hub: tuple[HubFiles, ...] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    licence: ClassVar[str] = ""

    def __init__(self, model: str = "") -> None:
        self.model = model

    @property
    def id(self) -> str:
        """`tool:backend[:model]`."""
        return ":".join(part for part in (self.tool, self.name, self.model) if part)

    def identity(self) -> dict[str, str]:
        """What decides the output beside the inputs; part of the cache key.

        Must be cheap: read from the manifest and package metadata, never from loaded weights.
        """
        found = {"backend": self.id, "code_version": self.code_version}
        for package in self.packages:
            found[package] = _version(package)
        if self.models:
            from hopline.tools.models import manifest

            for model in self.models:
                found[f"model {model}"] = manifest()[model].digest
        for one in self.hub:
            found[f"model {one.repository}"] = one.digest or "unknown"
        return found

    def missing(self) -> tuple[Missing, ...]:
        """What has to be started or fetched beside `packages` and `models`; must be cheap, and raises nothing."""
        return tuple(
            Missing(
                what=f"model {one.repository}",
                command=f"hopline models pull {self.id}",
                download_bytes=one.size_bytes,
            )
            for one in self.hub
            if one.folder is None
        )

    def hub_folder(self) -> Path:
        """Where its model of the hub lies.

        Raises:
            MissingModel: it is not here; the hint is the command that brings it, with its size.
        """
        (one,) = self.hub
        folder = one.folder
        if folder is None:
            size = f"  (about {one.size_bytes / 1e6:.0f} MB)" if one.size_bytes else ""
            raise MissingModel(
                f"the model {one.repository} is not on this machine.",
                hint=f"Get it with: hopline models pull {self.id}{size}",
            )
        return folder

    def load(self) -> None:
        """Bring packages and weights into memory; called once, timed apart.

        Raises:
            MissingExtra: a package is not installed.
            MissingModel: the weights are not on this machine.
            MissingServer: a server that it asks does not answer.
        """

    @abstractmethod
    def call(self, call: Call) -> Result:
        """Do the work once.

        Raises:
            InputRefused: this backend cannot take this input; says why and what would help.
            HopCancelled: raised by `call.progress` when somebody asked it to stop.
        """

    def batch_on(self, threads: int) -> int:
        """Calls that are gathered for it where it has so many threads; 1 for none."""
        return self.batch if self.heavy and threads >= self.batch_threads else 1

    def call_many(self, calls: Sequence[Call]) -> list[Result]:
        """Do the work for several calls, at most `batch`; override where the library batches."""
        return [self.call(call) for call in calls]


def ignored(call: Call, *names: str, why: str = "this backend does not take them") -> list[MechanicalLoss]:
    """A loss for parameters that were given and have no effect."""
    given = [name for name in names if call.parameters.get(name) not in (None, "")]
    if not given:
        return []
    message = f"had no effect, {why}: {', '.join(given)}"
    return [MechanicalLoss(kind="ignored", message=message, before=len(given), after=0, unit="parameters")]


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(_DISTRIBUTIONS.get(package, package))
    except metadata.PackageNotFoundError:
        return "not installed"

"""One run and its services: what happened, what came out, what was lost."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopline.agent.hops.journal import Journal
from hopline.agent.hops.records import ArtifactRef, Hop, ModelCall, Probe, RunRecord, RunStatus
from hopline.agent.loss.run import RunLoss
from hopline.agent.measuring import measure
from hopline.agent.notebook import artifact_html
from hopline.agent.planning.plan import Plan, plan_from_json
from hopline.agent.running.events import OnEvent, nobody
from hopline.tools.artifact import TEXT, Artifact
from hopline.tools.errors import BadInput, HoplineError

if TYPE_CHECKING:
    from hopline.agent.agent import Agent
    from hopline.agent.tracing.spans import RunSpans

FORMAT = "hopline.run/1"


class RunFailed(HoplineError):
    """A run did not end ok; raised only by `raise_for_status`.

    Attributes:
        run: the run.
    """

    reason = "run_failed"

    def __init__(self, run: Run) -> None:
        error = run.record.error
        super().__init__(f"run {run.id} ended {run.status}: {error.message if error else 'no reason was given'}")
        self.run = run


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """One thing the person asked for.

    Attributes:
        modality: `text`, `image`, `audio`, `video`.
        path: file with its bytes.
        sha256: id of the artifact.
        text: the words, for text; empty otherwise.
        media_type: IANA media type.
    """

    modality: str
    path: Path
    sha256: str
    text: str = ""
    media_type: str = ""

    def _repr_html_(self) -> str:
        return artifact_html(Artifact(data=self.path.read_bytes(), modality=self.modality, media_type=self.media_type))


class Run:
    """A run as the journal has it; `Agent.run` and `Agent.open` give one."""

    def __init__(self, agent: Agent, run_id: str) -> None:
        self._agent = agent
        self._loss: RunLoss | None = None
        self.id = run_id
        self.cancelled = threading.Event()
        self.out: Path | None = None
        self.spans: RunSpans | None = None
        """Its spans while it is on its way, where it is traced."""

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.status}: {self.record.request!r}>"

    @property
    def _journal(self) -> Journal:
        return self._agent.journal

    @property
    def record(self) -> RunRecord:
        """The run's record."""
        return self._journal.run(self.id)

    @property
    def status(self) -> RunStatus:
        """`running`, `ok`, `partial`, `failed` or `cancelled`."""
        return self.record.status

    @property
    def plan(self) -> Plan | None:
        """The plan; None if there was none."""
        data = self.record.plan
        return plan_from_json(data) if data is not None else None

    @property
    def hops(self) -> list[Hop]:
        """Every hop, in the order in which they began."""
        return self._journal.hops(self.id)

    @property
    def probes(self) -> list[Probe]:
        """Readings for measurement."""
        return self._journal.probes(self.id)

    @property
    def model_calls(self) -> list[ModelCall]:
        """Exchanges with chat models."""
        return self._journal.model_calls(self.id)

    @property
    def answer(self) -> str:
        """The closing answer."""
        return self.record.answer

    @property
    def outputs(self) -> list[Output]:
        """What the person asked for, as files."""
        return [self._output(ref, number) for number, ref in enumerate(self.record.outputs, start=1)]

    def _output(self, ref: ArtifactRef, number: int) -> Output:
        path = self._journal.store.path(ref.id, ref.media_type)
        if self.out is not None:
            target = self.out / f"{number:02d}-{ref.modality}{path.suffix}"
            self.out.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            path = target
        text = self._journal.read(ref).text if ref.modality == TEXT else ""
        return Output(modality=ref.modality, path=path, sha256=ref.id, text=text, media_type=ref.media_type)

    def read(self, ref: ArtifactRef) -> Artifact:
        """What a hop took or gave: `run.read(run.hops[0].outputs["text"][0]).text`.

        Raises:
            NotFound: its file is gone from the store.
            StoreCorrupt: its bytes do not match its digest.
        """
        return self._journal.read(ref)

    def raise_for_status(self) -> Run:
        """This run, if it ended ok.

        Raises:
            RunFailed: it did not.
        """
        if self.status != "ok":
            raise RunFailed(self)
        return self

    def cancel(self) -> None:
        """Ask the run to stop; may be called from any thread. Its processes end within 2 s."""
        self.cancelled.set()

    def loss(self, *, probe: bool = True, on_event: OnEvent = nobody, extractor: str = "english") -> RunLoss:
        """What each hop lost: reads the nodes that need a reader (probes), then measures.

        Readings are kept, so that measuring again calls nothing.

        Args:
            probe: read; without it only readings that are there already are used.
            on_event: told about each reading.
            extractor: of facts: `english` (rules), `chat` (the profile's chat model, asked each time), or one that
                a package brings by the entry points `hopline.readers`.

        Raises:
            NotFound: there is no such extractor.
            HoplineError: the chat model is not there, or did not answer in its form.
        """
        if self._loss is None or probe or extractor != "english":
            measured = measure(
                self._agent.runner,
                self.id,
                probe=probe,
                on_event=on_event,
                cancelled=self.cancelled,
                extractor=extractor,
            )
            if extractor != "english":
                return measured
            self._loss = measured
        return self._loss

    def page(self, path: Path) -> Path:
        """Write the page of the run, one self-contained HTML file.

        Returns:
            The path.

        Raises:
            BadInput: the file cannot be written.
        """
        html = self._html(path.with_name(f"{path.stem}-media"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(html, "utf-8")
        except OSError as error:
            raise BadInput(f"{path} cannot be written: {error.strerror}.") from None
        return path

    def _repr_html_(self) -> str:
        from hopline.agent.views.frame import page_frame

        return page_frame(self._html(None), title=f"run {self.id}", height_px=900)

    def _html(self, media_folder: Path | None) -> str:
        from hopline.agent.views.page import run_page

        loss = self.loss(probe=False).to_json()
        return run_page(
            self.record, self.hops, self.probes, self.model_calls, loss, self._journal.read, media_folder=media_folder
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data of format `hopline.run/1` (docs/log-format.md)."""
        record = self.record
        loss = self._loss.to_json() if self._loss else None
        scores = {row["hop"]: row["scores"] for row in loss["hops"]} if loss else {}
        return {
            "format": FORMAT,
            "run": record.id,
            "conversation": record.conversation,
            "position": record.position,
            "request": record.request,
            "profile": record.profile,
            "status": record.status,
            "error": asdict(record.error) if record.error else None,
            "plan": record.plan,
            "hops": [_hop_json(hop, scores.get(hop.id, [])) for hop in self.hops],
            "probes": [asdict(probe) for probe in self.probes],
            "model_calls": [asdict(call) for call in self.model_calls],
            "outputs": [
                {"modality": o.modality, "path": str(o.path), "sha256": o.sha256}
                | ({"text": o.text} if o.modality == TEXT else {})
                for o in self.outputs
            ],
            "answer": record.answer,
            "loss": loss,
        }


def _hop_json(hop: Hop, scores: list[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "id": hop.id,
        "step": hop.step,
        "item": hop.item,
        "parent": hop.parent,
        "tool": hop.tool,
        "backend": hop.backend,
        "inputs": {name: [ref.id for ref in refs] for name, refs in hop.inputs.items()},
        "outputs": {name: [ref.id for ref in refs] for name, refs in hop.outputs.items()},
        "parameters": dict(hop.parameters),
        "seed": hop.seed,
        "identity": dict(hop.identity),
        "remote": hop.remote,
        "status": hop.status,
        "cached_from": hop.cached_from,
        "started_at": hop.started_at,
        "duration_ms": hop.duration_ms,
        "load_ms": hop.load_ms,
        "details": dict(hop.details),
        "mechanical_losses": [asdict(loss) for loss in hop.mechanical_losses],
        "scores": scores,
        "error": asdict(hop.error) if hop.error else None,
    }

"""The records of a journal: plain frozen values, each with its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hopline.tools.backend import MechanicalLoss
from hopline.tools.notebook import drawn

HopStatus = Literal["running", "ok", "failed", "cancelled", "skipped"]
RunStatus = Literal["running", "ok", "partial", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactRef:
    """An artifact by its id, without its bytes.

    Attributes:
        id: sha256, 64 hexadecimal digits.
        modality: `text`, `image`, `audio`, `video` or another type.
        media_type: IANA media type.
        size_bytes: length of the bytes.
    """

    id: str
    modality: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AttachmentRecord:
    """An attachment of a request.

    Attributes:
        handle: `audio1`, as plans name it.
        name: the file's name, without its folder.
        artifact: what was attached.
        reference: a text that says what is in it, if the person gave one.
    """

    handle: str
    name: str
    artifact: ArtifactRef
    reference: ArtifactRef | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a hop or run did not do its work; `reason` is a stable word (`timeout`)."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Hop:
    """One backend call that happened.

    Attributes:
        id: number in this journal.
        run: id of its run.
        step: id of the plan's step; for a child hop, its parent's.
        item: position among the step's hops, from 0.
        parent: id of the hop that made this call for itself; None for a step's own hop.
        tool: standard name.
        backend: `tool:backend[:model]`.
        inputs: by port name, ordered.
        outputs: by port name, ordered; empty until it ended well.
        parameters: all, after defaults.
        seed: 0 to 2**31 - 1.
        repeat: index among repeats of a backend that is not deterministic.
        identity: what decided the output beside its inputs.
        remote: content left this machine.
        status: `running` until it ended.
        cached_from: id of the hop whose outputs these are, if nothing was called.
        started_at: ISO 8601 in UTC.
        duration_ms: wall clock of the call, without loading and waiting; of calls done together, its share.
        load_ms: wall clock of loading the backend for this hop, 0 if it was warm.
        details: what the backend said: word times, confidence, language, `declared`, `flags`.
        mechanical_losses: what was cut without being asked.
        error: why it did not do its work.
    """

    id: int
    run: str
    step: str
    item: int = 0
    parent: int | None = None
    tool: str
    backend: str
    inputs: Mapping[str, tuple[ArtifactRef, ...]] = field(default_factory=dict)
    outputs: Mapping[str, tuple[ArtifactRef, ...]] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    repeat: int = 0
    identity: Mapping[str, str] = field(default_factory=dict)
    remote: bool = False
    status: HopStatus = "running"
    cached_from: int | None = None
    started_at: str = ""
    duration_ms: float | None = None
    load_ms: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    mechanical_losses: tuple[MechanicalLoss, ...] = ()
    error: Failure | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """Words a person must see, such as `no_speech`."""
        return tuple(self.details.get("flags", ()))

    @property
    def output_list(self) -> tuple[ArtifactRef, ...]:
        """All outputs, port after port."""
        return tuple(ref for refs in self.outputs.values() for ref in refs)

    def _repr_html_(self) -> str:
        return drawn(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A reading of a node for measurement; not part of the run.

    Attributes:
        id: number in this journal.
        run: id of its run.
        node: the artifact that was read.
        hop: the hop that made the node; None for an attachment.
        reader: `tool:backend[:model]` that read it.
        identity: of the reader.
        reading: the text it read; None if it failed.
        details: what the reader said beside the text.
        error: why there is no reading.
        started_at: ISO 8601 in UTC.
        duration_ms: wall clock.
    """

    id: int
    run: str
    node: ArtifactRef
    hop: int | None
    reader: str
    identity: Mapping[str, str] = field(default_factory=dict)
    reading: ArtifactRef | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    error: Failure | None = None
    started_at: str = ""
    duration_ms: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCall:
    """One exchange with a chat model.

    Attributes:
        id: number in this journal.
        run: id of its run.
        hop: the hop it was made for; None for planning and answering.
        purpose: `plan`, `repair`, `judge`, `answer`, `summarization`, …
        identity: model, digest, server, settings.
        messages: JSON list of messages, as an artifact.
        reply: the reply's text, as an artifact; None if there was none.
        input_tokens: as the server counted.
        output_tokens: as the server counted.
        started_at: ISO 8601 in UTC.
        duration_ms: wall clock.
        finish_reason: `stop`, `length`, …; empty is an error.
        repair: 0 for the first try.
        error: why there is no reply.
    """

    id: int
    run: str
    hop: int | None
    purpose: str
    identity: Mapping[str, str] = field(default_factory=dict)
    messages: ArtifactRef | None = None
    reply: ArtifactRef | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    started_at: str = ""
    duration_ms: float | None = None
    finish_reason: str = ""
    repair: int = 0
    error: Failure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """A request and everything about it but its hops, probes and model calls.

    Attributes:
        id: short name, unique in this journal.
        conversation: id of the conversation it belongs to.
        position: its place there, from 1: `run3`.
        request: what the person typed.
        attachments: in the order given.
        profile: name of the profile.
        plan: the plan as `hopline.plan/1`; None if planning failed.
        seed: of the run; each hop's follows from it.
        status: `running` until it ended.
        error: why it is not ok.
        answer: the closing answer; empty when none.
        outputs: what the person asked for.
        created_at: ISO 8601 in UTC.
        ended_at: ISO 8601 in UTC; empty while it runs.
        options: flags of the run that matter to repeat it (`use_cache`, `route`, …).
    """

    id: str
    conversation: str
    position: int
    request: str
    attachments: tuple[AttachmentRecord, ...] = ()
    profile: str = "offline"
    plan: Mapping[str, Any] | None = None
    seed: int = 0
    status: RunStatus = "running"
    error: Failure | None = None
    answer: str = ""
    outputs: tuple[ArtifactRef, ...] = ()
    created_at: str = ""
    ended_at: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


Record = RunRecord | Hop | Probe | ModelCall


def to_json(record: Record) -> dict[str, Any]:
    """Plain data of a record, every field by its name."""
    return asdict(record)


def hop_from_json(data: Mapping[str, Any]) -> Hop:
    """A Hop from its plain data; the inverse of `to_json`."""
    row = dict(data)
    row["inputs"] = refs_from_json(row["inputs"])
    row["outputs"] = refs_from_json(row["outputs"])
    row["mechanical_losses"] = tuple(MechanicalLoss(**loss) for loss in row["mechanical_losses"])
    row["error"] = failure_from_json(row["error"])
    return Hop(**row)


def probe_from_json(data: Mapping[str, Any]) -> Probe:
    """A Probe from its plain data."""
    row = dict(data)
    row["node"] = ArtifactRef(**row["node"])
    row["reading"] = ref_from_json(row["reading"])
    row["error"] = failure_from_json(row["error"])
    return Probe(**row)


def model_call_from_json(data: Mapping[str, Any]) -> ModelCall:
    """A ModelCall from its plain data."""
    row = dict(data)
    row["messages"] = ref_from_json(row["messages"])
    row["reply"] = ref_from_json(row["reply"])
    row["error"] = failure_from_json(row["error"])
    return ModelCall(**row)


def run_from_json(data: Mapping[str, Any]) -> RunRecord:
    """A RunRecord from its plain data."""
    row = dict(data)
    row["attachments"] = tuple(
        AttachmentRecord(
            handle=a["handle"],
            name=a["name"],
            artifact=ArtifactRef(**a["artifact"]),
            reference=ref_from_json(a["reference"]),
        )
        for a in row["attachments"]
    )
    row["outputs"] = tuple(ArtifactRef(**ref) for ref in row["outputs"])
    row["error"] = failure_from_json(row["error"])
    return RunRecord(**row)


def refs_from_json(data: Mapping[str, Any]) -> dict[str, tuple[ArtifactRef, ...]]:
    """Named lists of artifact references from plain data."""
    return {name: tuple(ArtifactRef(**ref) for ref in refs) for name, refs in data.items()}


def ref_from_json(data: Mapping[str, Any] | None) -> ArtifactRef | None:
    """A reference from plain data, or None."""
    return ArtifactRef(**data) if data else None


def failure_from_json(data: Mapping[str, Any] | None) -> Failure | None:
    """A failure from plain data, or None."""
    return Failure(**data) if data else None

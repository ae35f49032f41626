"""The nodes of a run in order: what is known of each, who read it, and what it is measured against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hopline.agent.hops.records import ArtifactRef, Hop, Probe, RunRecord
from hopline.agent.loss.extraction import declared_facts
from hopline.agent.loss.facts import Fact
from hopline.tools.artifact import AUDIO, IMAGE, TEXT, Artifact
from hopline.tools.backend import Backend
from hopline.tools.errors import HoplineError

Evidence = Literal["given", "read", "declared", "none"]
READ_BY = {AUDIO: "speech_to_text", IMAGE: "image_captioning"}
"""The tool that reads a node of each modality, unless a profile names its readers."""
NOT_CONTENT = frozenset({"question"})
"""Inputs that ask; what they say need not come out again."""
_ENGLISH = frozenset({"", "en", "eng", "english", "auto"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """An attachment, a text of the request, or an output of a step.

    Attributes:
        id: `audio1`, `given1`, `step1`, or `step1.0` where a step made several.
        label: for people.
        step: id of the step that made it; None for what was given.
        hop: id of the hop that made it.
        modality: of the artifact.
        artifact: its reference.
        evidence: given (it is text, or came with a text), read by a probe, declared by the tool
            that made it, or none.
        reader: who read it, if it was read.
        text: what it says by that evidence.
        declared_facts: the scene a tool says it made; only where it was not read.
        unread: why it was not read.
        language: ISO 639-1, or the name as the plan wrote it.
        parents: ids of the nodes it was made from.
        ancestors: ids of all nodes before it on its way, nearest last.
        sources: ids of the nodes whose facts it should carry; itself for a source.
        read_by_hops: hops that take it as input.
        sound_only: audio that is not speech.
    """

    id: str
    label: str
    step: str | None = None
    hop: int | None = None
    modality: str
    artifact: ArtifactRef | None = None
    evidence: Evidence = "none"
    reader: str | None = None
    text: str | None = None
    declared_facts: tuple[Fact, ...] | None = None
    unread: str = ""
    language: str = "en"
    parents: tuple[str, ...] = ()
    ancestors: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    read_by_hops: tuple[Hop, ...] = ()
    sound_only: bool = False

    @property
    def is_source(self) -> bool:
        """Its own facts are what later nodes are measured against."""
        return self.sources == (self.id,)

    @property
    def split_unread(self) -> bool:
        """It could not be read apart from the hop that leaves it."""
        return bool(self.sources) and self.evidence in ("none", "declared") and bool(self.read_by_hops)

    def to_json(self) -> dict[str, Any]:
        """Plain data of a node in `hopline.loss/1`."""
        return {
            "id": self.id,
            "label": self.label,
            "step": self.step,
            "hop": self.hop,
            "modality": self.modality,
            "artifact": self.artifact.id if self.artifact else None,
            "reader": self.reader,
            "evidence": self.evidence,
            "text": self.text,
        }


def read_nodes(
    run: RunRecord,
    hops: Sequence[Hop],
    probes: Sequence[Probe],
    read: Callable[[ArtifactRef], Artifact] | None,
    notes: list[str] | None = None,
) -> list[Node]:
    """Nodes in an order in which each follows what it was made from.

    Args:
        run: the run.
        hops: all of its hops, child hops too.
        probes: readings.
        read: bytes of an artifact; None leaves every text unread (only the shape is wanted).
        notes: told what could not be read.
    """
    own = _ordered(run, hops)
    walk = _Walk(run, own, hops, probes, read, notes if notes is not None else [])
    for attachment in run.attachments:
        walk.attachment(attachment.handle, attachment.name, attachment.artifact, attachment.reference)
    for hop in own:
        walk.hop(hop)
    return walk.nodes


def may_read(backend: Backend, node: Node) -> bool:
    """Whether a backend reads a node apart from the hops that leave it, as far as is known before it has."""
    return not any(_same_reader(backend.id, backend.identity(), {}, hop) for hop in node.read_by_hops)


def usable_readers(node: Node, probes: Sequence[Probe]) -> list[Probe]:
    """Readings by somebody other than the hops that leave the node, newest last."""
    return [
        p
        for p in probes
        if p.reading is not None
        and not any(_same_reader(p.reader, p.identity, p.details, hop) for hop in node.read_by_hops)
    ]


def _ordered(run: RunRecord, hops: Sequence[Hop]) -> list[Hop]:
    """Own hops in the order of the plan, items in order; of a hop that ran twice, the last."""
    steps = [s.get("id") for s in (run.plan or {}).get("steps", ())]
    place = {step: k for k, step in enumerate(steps)}
    newest: dict[tuple[str, int], Hop] = {}
    for hop in hops:
        if hop.parent is None:
            before = newest.get((hop.step, hop.item))
            if before is None or before.status != "ok" or hop.status == "ok":
                newest[hop.step, hop.item] = hop
    own = sorted(newest.values(), key=lambda h: (place.get(h.step, len(place)), h.item, h.id))
    if not place:
        own.sort(key=lambda h: h.id)
    return own


def _same_reader(reader: str, identity: Mapping[str, str], details: Mapping[str, Any], hop: Hop) -> bool:
    readers = _workers(reader, details)
    if any(a == b or _unsure_same(a, b) for a in readers for b in _workers(hop.backend, hop.details)):
        return True
    return bool(identity) and dict(identity) == dict(hop.identity)


def _workers(backend: str, details: Mapping[str, Any]) -> set[str]:
    """Who did the work: the backend, and the one it says it handed the work to (`details["reader"]`)."""
    inner = str(details.get("reader") or "")
    if inner and ":" not in inner:
        inner = f"{backend.partition(':')[0]}:{inner}"
    return {backend, inner} - {""}


def _unsure_same(a: str, b: str) -> bool:
    """One backend, named with its model in one place and without in the other."""
    one, two = a.split(":", 2), b.split(":", 2)
    return one[:2] == two[:2] and len(one) != len(two)


class _Walk:
    """Nodes as they are found, one hop after the other."""

    def __init__(
        self, run: RunRecord, own: Sequence[Hop], hops: Sequence[Hop], probes: Sequence[Probe],
        read: Callable[[ArtifactRef], Artifact] | None, notes: list[str],
    ) -> None:  # fmt: skip
        self.nodes: list[Node] = []
        self.own, self.probes, self.read, self.notes = own, probes, read, notes
        self.plan: Mapping[str, Any] = {s.get("id"): s for s in (run.plan or {}).get("steps", ())}
        self.step_nodes: dict[str, list[Node]] = {}
        self.given = 0

    def add(self, node: Node) -> Node:
        self.nodes.append(node)
        return node

    def attachment(self, handle: str, name: str, artifact: ArtifactRef, reference: ArtifactRef | None) -> None:
        words = self._text(reference if reference is not None else artifact if artifact.modality == TEXT else None)
        self.add(
            Node(
                id=handle, label=f"{handle} {name}".strip(), modality=artifact.modality, artifact=artifact,
                evidence="given" if words is not None else "none", text=words,
                unread="" if words is not None else "no reference",
                sources=(handle,) if reference is not None or artifact.modality == TEXT else (),
                read_by_hops=self._leaving(artifact),
            )
        )  # fmt: skip

    def hop(self, hop: Hop) -> None:
        parents = self._parents(hop)
        refs = hop.output_list if hop.status == "ok" else ()
        several = len(refs) > 1 or sum(1 for h in self.own if h.step == hop.step) > 1
        sources = tuple(dict.fromkeys(s for p in parents for s in p.sources))
        ancestors = tuple(n.id for n in self.nodes if any(n.id == p.id or n.id in p.ancestors for p in parents))
        for ref in refs:
            made = self.step_nodes.setdefault(hop.step, [])
            node = Node(
                id=f"{hop.step}.{len(made)}" if several else hop.step,
                label=f"{hop.step} {hop.tool}" + (f" {len(made) + 1}" if several else ""),
                step=hop.step,
                hop=hop.id,
                modality=ref.modality,
                artifact=ref,
                language=_language(hop, parents),
                parents=tuple(p.id for p in parents),
                ancestors=ancestors,
                sources=sources,
                read_by_hops=self._leaving(ref, hop.step),
                sound_only=ref.modality == AUDIO and not _speech(hop, parents),
            )
            node = self._known(node, hop)
            if not node.sources and node.text is not None and ref.modality == TEXT:
                node = replace(node, sources=(node.id,))
            made.append(self.add(node))

    def _known(self, node: Node, hop: Hop) -> Node:
        """The node with what is known of it: its text, a reading, or what its tool declares."""
        if node.modality == TEXT:
            text = self._text(node.artifact)
            if self.read is None:
                return replace(node, evidence="given", text="")
            return replace(node, evidence="given" if text is not None else "none", text=text)
        readings = [p for p in self.probes if node.artifact is not None and p.node.id == node.artifact.id]
        for probe in reversed(usable_readers(node, readings)):
            text = self._text(probe.reading)
            if text is not None:
                inner = sorted(_workers(probe.reader, probe.details) - {probe.reader})
                return replace(node, evidence="read", reader=inner[0] if inner else probe.reader, text=text)
        node = replace(node, unread=self._why_unread(node, readings))
        declared = hop.details.get("declared")
        if isinstance(declared, Mapping):
            if declared.get("objects") is not None:
                return replace(node, evidence="declared", declared_facts=declared_facts(declared))
            if isinstance(declared.get("text"), str):
                return replace(node, evidence="declared", text=declared["text"])
        return node

    def _why_unread(self, node: Node, readings: Sequence[Probe]) -> str:
        tool = READ_BY.get(node.modality)
        if tool is None or node.sound_only:
            return "no reader for sounds" if node.sound_only else f"no reader for {node.modality}"
        failed = next((p.error for p in readings if p.error is not None), None)
        if failed:
            return f"the reader failed: {failed.message}"
        return "reader equals next hop" if any(h.tool == tool for h in node.read_by_hops) else "not read"

    def _leaving(self, ref: ArtifactRef, step: str | None = None) -> tuple[Hop, ...]:
        """Hops that take the node as content."""
        return tuple(h for h in self.own if h.step != step and any(r.id == ref.id for r in _content(h)))

    def _parents(self, hop: Hop) -> list[Node]:
        """Nodes a hop was made from; a text the plan holds itself becomes a node of its own."""
        found: list[Node] = []
        named = self._named_sources(hop)
        for ref in _content(hop):
            of_artifact = [n for n in self.nodes if n.artifact is not None and n.artifact.id == ref.id]
            node = next((n for n in reversed(of_artifact) if n.id in named or n.step in named), None)
            node = node or (of_artifact[-1] if of_artifact else None)
            if node is None and ref.modality == TEXT:
                node = self._literal(ref)
            if node is not None and node not in found:
                found.append(node)
        return found

    def _named_sources(self, hop: Hop) -> set[str]:
        step = self.plan.get(hop.step) or {}
        entries = [s for sources in (step.get("inputs") or {}).values() for s in sources if isinstance(s, Mapping)]
        return {str(s.get("attachment") or s.get("step") or "") for s in entries} - {""}

    def _literal(self, ref: ArtifactRef) -> Node:
        self.given += 1
        name = f"given{self.given}"
        text = self._text(ref) if self.read is not None else ""
        return self.add(
            Node(
                id=name,
                label="text of the request",
                modality=TEXT,
                artifact=ref,
                evidence="given" if text is not None else "none",
                text=text,
                sources=(name,),
                read_by_hops=self._leaving(ref),
            )
        )

    def _text(self, ref: ArtifactRef | None) -> str | None:
        if ref is None or self.read is None:
            return None
        try:
            return self.read(ref).data.decode("utf-8", errors="replace")
        except (HoplineError, OSError, KeyError) as error:
            self.notes.append(f"Artifact {ref.id[:12]} cannot be read: {error}")
            return None


def _content(hop: Hop) -> list[ArtifactRef]:
    """What a hop takes as content, port after port."""
    return [ref for port, refs in hop.inputs.items() if port not in NOT_CONTENT for ref in refs]


def _speech(hop: Hop, parents: Sequence[Node]) -> bool:
    return hop.tool != "text_to_audio" and not any(p.sound_only for p in parents)


def _language(hop: Hop, parents: Sequence[Node]) -> str:
    if hop.tool in ("translation", "summarization") and hop.parameters.get("language"):
        asked = str(hop.parameters["language"]).strip().lower()
        return "en" if asked in _ENGLISH or asked.startswith("en-") else asked
    if hop.tool == "speech_to_text":
        heard = str(hop.details.get("language") or hop.parameters.get("language") or "en").lower()
        return "en" if heard in _ENGLISH or heard.startswith("en-") else heard
    return next((p.language for p in parents), "en")

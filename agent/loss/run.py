"""The loss of one stored run: where each fact was last seen, and the usual numbers hop by hop.

Works on records only. A node is text as it is, or read by a probe; never by the backend of the
hop that leaves it, for that reader would return the next hop's own output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from hopline.agent.hops.records import ArtifactRef, Hop, Probe, RunRecord
from hopline.agent.loss.extraction import English, Extractor
from hopline.agent.loss.facts import Alignment, Fact, align
from hopline.agent.loss.grammar import probe_in
from hopline.agent.loss.nodes import Evidence, Node, may_read, read_nodes, usable_readers
from hopline.agent.loss.plugins import metrics
from hopline.agent.loss.recoding import recoding_score
from hopline.agent.loss.score import Score, Signature
from hopline.agent.loss.text import Encoder, TextMetric
from hopline.tools.artifact import TEXT, Artifact
from hopline.tools.backend import Backend
from hopline.tools.notebook import drawn

FORMAT = "hopline.loss/1"
State = Literal["seen", "altered", "not_read", "seen_again", "void", "unscored"]
NO_REFERENCE = "no reference"


@dataclass(frozen=True, kw_only=True, slots=True)
class FactHistory:
    """One fact of a source and its state at every node after it.

    Attributes:
        id: `source:fact`.
        fact: as the source says it.
        source: id of the node that says it.
        states: by node id, in the order of the run.
        last_seen: id of the last node at which it was seen.
        altered_to: by node id, what it had become.
    """

    id: str
    fact: Fact
    source: str
    states: dict[str, State]
    last_seen: str
    altered_to: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class InventedFact:
    """A fact that no source says, dated at the first node that says it."""

    fact: Fact
    first_seen: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HopScore:
    """One metric of one hop: a value, or the reason why there is none."""

    metric: str
    value: float | None
    unscored: str | None
    signature: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HopLoss:
    """What had become of the source's facts after one hop.

    Attributes:
        hop: id of the hop.
        step: its step.
        tool: standard name.
        backend: who did the work.
        kept: facts of the source that its output says; None when unscored, like the next four.
        altered: facts with another value.
        missing: facts the output does not say.
        void: facts whose object is gone.
        invented: facts no source says and no node before said.
        not_seen_since: facts whose last sighting is just before this hop, void ones left out: they were lost here or
            the reader missed them. Over the hops they add up to the facts not seen at the end.
        unscored: why there are no counts.
        round_trip: ids of the hops that are measured together, itself included.
        against: ids of the nodes whose facts these are, joined by `+`; "" when there are none.
        scores: the usual numbers against the same nodes; SSIM or STOI against its own input.
        mechanical_losses: as the tool reported them.
    """

    hop: int
    step: str
    tool: str
    backend: str
    kept: int | None = None
    altered: int | None = None
    missing: int | None = None
    void: int | None = None
    invented: int | None = None
    not_seen_since: int | None = None
    unscored: str | None = None
    round_trip: tuple[int, ...] | None = None
    against: str = ""
    scores: tuple[HopScore, ...] = ()
    mechanical_losses: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLoss:
    """The loss of one run; `to_json` is format `hopline.loss/1`."""

    run: str
    nodes: tuple[Node, ...] = ()
    facts: tuple[FactHistory, ...] = ()
    invented: tuple[InventedFact, ...] = ()
    hops: tuple[HopLoss, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "format": FORMAT,
            "run": self.run,
            "nodes": [node.to_json() for node in self.nodes],
            "facts": [
                {
                    "id": h.id,
                    "type": h.fact.type,
                    "text": h.fact.text,
                    "value": h.fact.value,
                    "source": h.source,
                    "states": dict(h.states),
                    "last_seen": h.last_seen,
                    "altered_to": dict(h.altered_to),
                    "depends_on": f"{h.source}:{h.fact.depends_on[0]}" if h.fact.depends_on else None,
                }
                for h in self.facts
            ],
            "invented": [{"type": i.fact.type, "text": i.fact.text, "first_seen": i.first_seen} for i in self.invented],
            "hops": [_plain(hop) for hop in self.hops],
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        return drawn(self)


def _plain(hop: HopLoss) -> dict[str, Any]:
    row = asdict(hop)
    row["round_trip"] = list(hop.round_trip) if hop.round_trip else None
    row["scores"] = [asdict(score) for score in hop.scores]
    row["mechanical_losses"] = list(hop.mechanical_losses)
    return row


def probes_wanted(
    run: RunRecord, hops: Sequence[Hop], readers: Callable[[str], Sequence[Backend]], probes: Sequence[Probe] = ()
) -> list[tuple[Node, list[Backend]]]:
    """What should be read before measuring, each node with those who may read it, the best first.

    Left out: text, nodes with no source to compare with, nodes read already, and nodes that only the next hop's
    own backend reads.

    Args:
        run: the run.
        hops: all of its hops.
        readers: of a modality, in order of preference.
        probes: readings that there are.
    """
    wanted: list[tuple[Node, list[Backend]]] = []
    for node in read_nodes(run, hops, (), None):
        if node.hop is None or node.artifact is None or node.modality == TEXT or not node.sources or node.sound_only:
            continue
        done = [p for p in probes if p.node.id == node.artifact.id]
        if usable_readers(node, done) or any(node.artifact == other.artifact for other, _ in wanted):
            continue
        had = {probe.reader for probe in done if probe.reading is not None}
        if able := [reader for reader in readers(node.modality) if reader.id not in had and may_read(reader, node)]:
            wanted.append((node, able))
    return wanted


def measure(
    run: RunRecord,
    hops: Sequence[Hop],
    probes: Sequence[Probe],
    read: Callable[[ArtifactRef], Artifact],
    encoder: Encoder | None = None,
    extractor: Extractor | None = None,
) -> RunLoss:
    """Facts and scores of a stored run. Calls no model but the encoder, if one is given.

    Args:
        run: the run.
        hops: all of its hops.
        probes: readings of its nodes that were written down.
        read: the bytes of an artifact; what it raises of `HoplineError` becomes a note.
        encoder: for the cosine.
        extractor: of facts; the English one if none is given.
    """
    extractor = extractor or English()
    notes: list[str] = []
    nodes = read_nodes(run, hops, probes, read, notes)
    by_id = {node.id: node for node in nodes}
    facts_of = {n.id: _facts(n, extractor) for n in nodes}
    sources = [n for n in nodes if n.is_source]
    histories: dict[str, list[FactHistory]] = {}
    alignments: dict[str, Alignment] = {}
    for node in nodes:
        if node.sources and _readable(node, by_id, extractor) and not node.is_source:
            alignments[node.id] = align(_source_facts(node, facts_of), facts_of[node.id])
    for source in sources:
        histories[source.id] = [_history(source, fact, nodes, alignments) for fact in facts_of[source.id]]
    invented, new_at = _invented(nodes, alignments)
    gone_at = _gone_at([h for source in sources for h in histories[source.id]], by_id)
    scorers = metrics(encoder)
    rows = [
        _recoding(_hop_loss(hop, nodes, by_id, alignments, new_at, gone_at, extractor, scorers), hop, read)
        for hop in _own(hops)
    ]
    _say_sources(nodes, notes, extractor)
    _say_probes(sources, notes)
    return RunLoss(
        run=run.id,
        nodes=tuple(nodes),
        facts=tuple(h for source in sources for h in histories[source.id]),
        invented=tuple(invented),
        hops=tuple(rows),
        notes=tuple(dict.fromkeys(notes)),
    )


def _own(hops: Sequence[Hop]) -> list[Hop]:
    return [hop for hop in hops if hop.parent is None]


def _facts(node: Node, extractor: Extractor) -> tuple[Fact, ...]:
    if node.declared_facts is not None and node.text is None:
        return node.declared_facts
    return extractor.facts(node.text) if node.text is not None and node.language == extractor.language else ()


def _source_facts(node: Node, facts_of: dict[str, tuple[Fact, ...]]) -> list[Fact]:
    """Facts of all sources of a node, their ids made unique by their source."""
    return [_named(fact, source) for source in node.sources for fact in facts_of[source]]


def _named(fact: Fact, source: str) -> Fact:
    def name(fact_id: str) -> str:
        return f"{source}:{fact_id}"

    slot = name(fact.slot) if fact.type in ("count", "colour") and fact.depends_on else fact.slot
    return replace(fact, id=name(fact.id), slot=slot, depends_on=tuple(name(d) for d in fact.depends_on))


def _readable(node: Node, by_id: dict[str, Node], extractor: Extractor) -> bool:
    known = node.text is not None or node.declared_facts is not None
    same_language = all(by_id[s].language == extractor.language for s in node.sources)
    return known and same_language and node.language == extractor.language


def _history(source: Node, fact: Fact, nodes: Sequence[Node], alignments: dict[str, Alignment]) -> FactHistory:
    named = f"{source.id}:{fact.id}"
    states: dict[str, State] = {source.id: "seen"}
    altered: dict[str, str] = {}
    last = source.id
    for node in nodes:
        if source.id not in node.sources or node.id == source.id:
            continue
        alignment = alignments.get(node.id)
        if alignment is None:
            states[node.id] = "unscored"
            continue
        fate = alignment.by_id()[named]
        if fate.status == "kept":
            before = [states[a] for a in node.ancestors if a in states]
            states[node.id] = "seen_again" if any(s in ("not_read", "altered", "void") for s in before) else "seen"
            last = node.id
        elif fate.status == "altered":
            states[node.id] = "altered"
            altered[node.id] = fate.found.text if fate.found else ""
        else:
            states[node.id] = "void" if fate.status == "void" else "not_read"
    return FactHistory(id=named, fact=fact, source=source.id, states=states, last_seen=last, altered_to=altered)


def _invented(nodes: Sequence[Node], alignments: dict[str, Alignment]) -> tuple[list[InventedFact], dict[str, int]]:
    """Facts no source says, each dated at the first node on its way, and how many are new at each node."""
    found: list[InventedFact] = []
    said: dict[str, set[tuple[str, str, str]]] = {}
    new_at: dict[str, int] = {}
    for node in nodes:
        if node.id not in alignments:
            continue
        known = set().union(*(said.get(a, set()) for a in node.ancestors))
        here = {(f.type, f.slot.partition("#")[0], f.value): f for f in alignments[node.id].invented}
        fresh = [fact for key, fact in here.items() if key not in known]
        found.extend(InventedFact(fact=fact, first_seen=node.id) for fact in fresh)
        said[node.id] = set(here)
        new_at[node.id] = len(fresh)
    return found, new_at


def _gone_at(histories: Sequence[FactHistory], by_id: dict[str, Node]) -> dict[str, int]:
    """How many facts were last seen just before each node: the first read node after the last sighting."""
    found: dict[str, int] = {}
    for history in histories:
        after = [
            node
            for node, state in history.states.items()
            if state in ("not_read", "altered")
            and by_id[node].evidence != "declared"  # its hop has no counts: what is not read after it counts there
            and history.last_seen in by_id[node].ancestors
        ]
        if after:
            found[after[0]] = found.get(after[0], 0) + 1
    return found


def _hop_loss(
    hop: Hop, nodes: Sequence[Node], by_id: dict[str, Node], alignments: dict[str, Alignment], new_at: dict[str, int],
    gone_at: dict[str, int], extractor: Extractor, scorers: Sequence[TextMetric],
) -> HopLoss:  # fmt: skip
    outputs = [n for n in nodes if n.hop == hop.id]
    against = list(dict.fromkeys(s for n in outputs for s in n.sources))
    row: dict[str, Any] = {
        "hop": hop.id,
        "step": hop.step,
        "tool": hop.tool,
        "backend": hop.backend,
        "against": "+".join(against),
        "mechanical_losses": tuple(asdict(m) for m in hop.mechanical_losses),
    }
    reason = _why_not(hop, outputs, by_id, alignments, extractor)
    trip = _round_trip(hop, outputs, by_id)
    if reason:
        return HopLoss(**row, unscored=reason, round_trip=trip)
    counted = [alignments[n.id] for n in outputs]
    text = "\n".join(n.text or "" for n in outputs)
    reference = "\n".join(by_id[s].text or "" for s in against)
    return HopLoss(
        **row,
        kept=sum(a.count("kept") for a in counted),
        altered=sum(a.count("altered") for a in counted),
        missing=sum(a.count("missing") for a in counted),
        void=sum(a.count("void") for a in counted),
        invented=sum(new_at[n.id] for n in outputs),
        not_seen_since=sum(gone_at.get(n.id, 0) for n in outputs),
        round_trip=trip,
        scores=(
            *(_score(metric.name, metric(reference, text)) for metric in scorers),
            *(_score("slot_bits", scored) for scored in _slot_bits(reference, text)),
        ),
    )


def _slot_bits(reference: str, text: str) -> list[Score]:
    """Bits of a probe message that a text still tells; none where the reference is no probe message."""
    probe = probe_in(reference)
    if probe is None:
        return []
    grammar, message = probe
    settings = {"grammar": grammar.name, "messages": "1", "of": f"{grammar.bits:.2f}"}
    signature = Signature(metric="slot_bits", settings=settings, version="1")
    return [Score(value=grammar.kept_bits(message.values, grammar.read(text)), signature=signature)]


def _recoding(row: HopLoss, hop: Hop, read: Callable[[ArtifactRef], Artifact]) -> HopLoss:
    found = recoding_score(hop, read) if hop.status == "ok" else None
    if found is None:
        return row
    name = found.signature.metric if found.signature else ""
    return replace(row, scores=(*row.scores, _score(name, found)))


def _score(name: str, scored: Any) -> HopScore:
    label = str(scored.signature) if scored.signature is not None else name
    if isinstance(scored, Score):
        return HopScore(metric=name, value=scored.value, unscored=None, signature=label)
    return HopScore(metric=name, value=None, unscored=scored.reason, signature=label)


def _why_not(
    hop: Hop, outputs: Sequence[Node], by_id: dict[str, Node], alignments: dict[str, Alignment], extractor: Extractor
) -> str | None:
    """Why a hop has no counts; None when it has."""
    if hop.status == "failed":
        return "the hop failed"
    if hop.status != "ok":
        return f"the hop is {hop.status}"
    if not outputs:
        return "no output"
    for node in outputs:
        if node.is_source or not node.sources:
            return NO_REFERENCE
        if node.evidence in ("none", "declared"):
            return node.unread or "not read"
        if node.id not in alignments:
            languages = (node.language, *(by_id[s].language for s in node.sources))
            other = next((language for language in languages if language != extractor.language), "")
            return f"facts are read in {extractor.language} only, this is {other}"
    return None


def _round_trip(hop: Hop, outputs: Sequence[Node], by_id: dict[str, Node]) -> tuple[int, ...] | None:
    """The hops between two nodes that can be read, when there is more than one of them."""
    forward = [n for n in outputs if n.split_unread]
    if forward:
        after = tuple(h.id for n in forward for h in n.read_by_hops)
        return (hop.id, *after) if after else None
    before = tuple(
        made for n in outputs for p in n.parents if by_id[p].split_unread and (made := by_id[p].hop) is not None
    )
    return (*dict.fromkeys(before), hop.id) if before else None


def _say_probes(sources: Sequence[Node], notes: list[str]) -> None:
    notes.extend(
        f"{source.id} is a probe message of {probe[0].bits:.2f} bits: slot_bits is how many of them an output still "
        "tells. One message has no interval."
        for source in sources
        if source.text is not None and (probe := probe_in(source.text))
    )


def _say_sources(nodes: Sequence[Node], notes: list[str], extractor: Extractor) -> None:
    made = [node.id for node in nodes if node.is_source and node.hop is not None]
    notes.extend(f"No reference: what follows {name} is measured against {name}." for name in made)
    if any(n.evidence == "declared" for n in nodes):
        notes.append("A declared node was not read: its facts are what the tool says it made.")
    notes.append(f"Facts read by {extractor.signature}.")


__all__ = ["FORMAT", "Evidence", "FactHistory", "HopLoss", "HopScore", "RunLoss", "measure", "probes_wanted"]

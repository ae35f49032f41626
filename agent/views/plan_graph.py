"""The graph of a plan: which box feeds which, before it is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hopline.agent.hops.records import AttachmentRecord, Hop
from hopline.agent.views.markup import shortened
from hopline.agent.views.words import STATUS_WORDS, hop_anchor, name_of_tool, seconds

_TEXT_CHARACTERS = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """One attachment, literal text or step.

    Attributes:
        key: unique in the graph.
        title: what it is.
        note: a few words below the title.
        modality: of what it gives; empty when nothing is known.
        status: of its hops, `ok` for what was given; empty before it ran.
        link: address of its first hop on the page; empty when it has none.
        step: it is a step, not something given.
    """

    key: str
    title: str
    note: str
    modality: str
    status: str
    link: str = ""
    step: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """Boxes in an order in which they can run, and edges from key to key."""

    boxes: tuple[Box, ...]
    edges: tuple[tuple[str, str], ...]

    def feeding(self, key: str) -> list[str]:
        """Keys of the boxes that feed this one."""
        return [start for start, end in self.edges if end == key]

    def fed(self, key: str) -> list[str]:
        """Keys of the boxes that this one feeds."""
        return [end for start, end in self.edges if start == key]

    def layers(self) -> dict[str, int]:
        """The column of each box: a step stands after all that feed it, a given thing just before its first use."""
        column: dict[str, int] = {}
        for box in self.boxes:
            column[box.key] = max((column[key] + 1 for key in self.feeding(box.key) if key in column), default=0)
        for box in self.boxes:
            if not box.step and self.fed(box.key):
                column[box.key] = max(min(column[key] for key in self.fed(box.key)) - 1, 0)
        return column


def graph(plan: Mapping[str, Any], hops: Sequence[Hop] = (), attachments: Sequence[AttachmentRecord] = ()) -> Graph:
    """The graph of a `hopline.plan/1`, with what became of each step.

    Args:
        plan: plain data of a plan.
        hops: of the run, for status, time and links.
        attachments: of the run, for names.
    """
    boxes: dict[str, Box] = {}
    edges: dict[tuple[str, str], None] = {}
    given = {a.handle: a for a in attachments}
    for step in plan.get("steps", ()):
        key = f"step {step['id']}"
        for sources in step.get("inputs", {}).values():
            for source in sources:
                start = _given_box(source, given)
                boxes.setdefault(start.key, start)
                edges[(start.key, key)] = None
        boxes[key] = _step_box(step, [h for h in hops if h.step == step["id"] and h.parent is None])
    found = tuple(box for box in boxes.values() if box.title)
    kept = {box.key for box in found}
    return Graph(boxes=found, edges=tuple(e for e in edges if e[0] in kept and e[1] in kept))


def _given_box(source: Mapping[str, Any], given: Mapping[str, AttachmentRecord]) -> Box:
    if "step" in source:
        return Box(key=f"step {source['step']}", title="", note="", modality="", status="")
    if "attachment" in source:
        handle = str(source["attachment"])
        record = given.get(handle)
        # `run1.audio1` is of an earlier run of the conversation.
        kind = handle.rpartition(".")[2].rstrip("0123456789")
        modality = record.artifact.modality if record else "" if kind == "step" else kind
        known = shortened(record.name, _TEXT_CHARACTERS) if record else ""
        name = known or ("from an earlier request" if "." in handle else "attachment")
        return Box(key=f"attachment {handle}", title=handle, note=name, modality=modality, status="ok")
    words = str(source.get("text", ""))
    quoted = f"“{shortened(words, _TEXT_CHARACTERS)}”"
    return Box(key=f"text {words}", title="Words given", note=quoted, modality="text", status="ok")


def _step_box(step: Mapping[str, Any], hops: Sequence[Hop]) -> Box:
    outputs = [ref for hop in hops for ref in hop.output_list]
    statuses = {hop.status for hop in hops}
    bad = [word for word in ("failed", "cancelled", "skipped", "running") if word in statuses]
    status = bad[0] if bad else "ok" if hops else ""
    note = [str(step["id"])]
    if len(hops) > 1:
        note.append(f"{len(hops)} hops")
    if status == "ok":
        cached = all(hop.cached_from is not None for hop in hops)
        note.append("cached" if cached else seconds(sum(hop.duration_ms or 0 for hop in hops)))
    elif status:
        note.append(STATUS_WORDS[status])
    return Box(
        key=f"step {step['id']}",
        title=name_of_tool(str(step["tool"])),
        note=" · ".join(note),
        modality=outputs[0].modality if outputs else "",
        status=status,
        link=f"#{hop_anchor(hops[0])}" if hops else "",
        step=True,
    )

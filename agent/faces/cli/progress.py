"""What a person sees while a run is on its way."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Self

from hopline.agent.faces.cli.output import seconds, visible
from hopline.agent.hops.journal import Journal
from hopline.agent.hops.records import Hop
from hopline.agent.planning.plan import Plan
from hopline.agent.running.approval import Approval
from hopline.agent.running.events import Event
from hopline.tools.artifact import TEXT
from hopline.tools.errors import HoplineError
from rich.console import Console
from rich.status import Status
from rich.text import Text

_MARKS = {"ok": ("✓", "green"), "failed": ("✗", "red"), "cancelled": ("■", "yellow"), "skipped": ("–", "yellow")}
_SHOWN_CHARACTERS = 160
_ASKED_CHARACTERS = 2000


def meant(plan: Plan) -> Iterator[str]:
    """What a plan took the words of a follow-up to mean, and on what it chose its backends, a line each."""
    for words, handles in plan.why.get("refers_to", {}).items():
        yield f"“{words}” is {', '.join(handles)}" if words[0] != "(" else f"this is about {', '.join(handles)}"
    again = plan.why.get("again")
    if again:
        instead = "; ".join(f"{old} is now {', '.join(new)}" for old, new in plan.why.get("instead", {}).items())
        changed = ", ".join(f"{name} = {value}" for name, value in plan.why.get("changed", {}).items())
        told = "; ".join(filter(None, [instead, changed]))
        yield f"{', '.join(again)} again{f': {told}' if told else ''}"
    if "route" in plan.why:
        yield plan.why["route"]["words"]


class Progress:
    """A line for each hop as it ends, and a moving line for what is under way on a terminal.

    Args:
        console: for human text.
        journal: gives the texts that hops made.
    """

    def __init__(self, console: Console, journal: Journal) -> None:
        self._console = console
        self._journal = journal
        self._status: Status | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal and sys.stderr.isatty():
            self._status = self._console.status("planning …")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if event.kind == "planned" and event.plan is not None and event.plan.steps:
            chain = " → ".join(dict.fromkeys(f"{step.id} {step.tool}" for step in event.plan.steps))
            self._console.print(Text(f"plan ({event.plan.planner}): {chain}", style="dim"))
            for words in meant(event.plan):
                self._console.print(Text(f"  {visible(words)}", style="dim"))
            for problem in event.plan.problems:
                self._console.print(Text(f"  {problem.severity}: {problem.message}", style="yellow"))
        elif event.kind in ("hop_started", "hop_progress") and event.hop is not None:
            self._under_way(event)
        elif event.kind == "hop_ended" and event.hop is not None:
            self._ended(event.hop)
        elif event.kind == "probe":
            self._under_way(event)

    def approve(self, asked: Approval) -> bool:
        """Ask on the terminal; no where there is none."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        if self._status is not None:
            self._status.stop()
        self._console.print(Text(f"{asked.step} {asked.tool.name} may change something outside. It would get:", "bold"))
        for name, artifacts in asked.inputs.items():
            shown = [self._cut(a.text) if a.modality == TEXT else f"{a.modality}, {a.media_type}" for a in artifacts]
            self._console.print(Text(f"    {name}: {'; '.join(shown)}"))
        for name, value in asked.parameters.items():
            self._console.print(Text(f"    {name} = {self._cut(repr(value))}"))
        self._console.print(Text("Call it? [y/N] ", "bold"), end="")
        # Not input(): a thread that waits in it holds a lock that ends the process badly when the run is stopped.
        answer = os.read(sys.stdin.fileno(), 1000).decode(errors="replace").strip().lower()
        if self._status is not None:
            self._status.start()
        return answer in ("y", "yes")

    @staticmethod
    def _cut(text: str) -> str:
        line = " ".join(visible(text).split())
        return line if len(line) <= _ASKED_CHARACTERS else f"{line[:_ASKED_CHARACTERS]}… ({len(text)} characters)"

    def _under_way(self, event: Event) -> None:
        if self._status is None:
            return
        if event.hop is None:
            self._status.update(Text(f"measuring: {visible(event.words)}"))
            return
        done = f"  {event.fraction:.0%}" if event.kind == "hop_progress" else ""
        words = f"  {visible(event.words)}" if event.words else ""
        self._status.update(Text(f"{event.hop.step} {event.hop.tool} …{done}{words}"))

    def _ended(self, hop: Hop) -> None:
        mark, style = _MARKS.get(hop.status, ("?", "red"))
        where = hop.step if not hop.item else f"{hop.step}.{hop.item}"
        inner = "  ↳ " if hop.parent is not None else ""
        line = Text.assemble(
            inner, (f"{mark} ", style), (f"{where} {hop.tool}", "bold"), (f"  {hop.backend.partition(':')[2]}", "dim")
        )
        if hop.cached_from is not None:
            line.append("  from the cache", "dim")
        elif hop.duration_ms is not None:
            loading = f" + {seconds(hop.load_ms)} loading" if (hop.load_ms or 0) >= 1 else ""
            line.append(f"  {seconds(hop.duration_ms)}{loading}", "dim")
        self._console.print(line)
        for ref in hop.output_list:
            if ref.modality == TEXT:
                self._console.print(Text(f"    “{self._text(ref.id, hop)}”"))
            else:
                self._console.print(Text(f"    {ref.modality}, {ref.media_type}, {ref.size_bytes / 1000:.0f} kB"))
        for loss in hop.mechanical_losses:
            self._console.print(Text(f"    cut: {visible(loss.message)}", style="yellow"))
        for note in hop.details.get("notes") or [flag.replace("_", " ") for flag in hop.flags]:
            self._console.print(Text(f"    note: {visible(str(note))}", style="yellow"))
        if hop.error is not None:
            self._console.print(Text(f"    {visible(hop.error.message)}", style="red"))

    def _text(self, artifact_id: str, hop: Hop) -> str:
        ref = next(r for r in hop.output_list if r.id == artifact_id)
        try:
            text = " ".join(visible(self._journal.read(ref).text).split())
        except HoplineError as error:
            return str(error)
        return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"

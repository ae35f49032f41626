"""What each hop lost, as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hopline.agent.faces.cli.output import visible
from hopline.agent.loss.difference import COUNTS
from rich.console import Console
from rich.table import Table
from rich.text import Text


def show_loss(loss: Mapping[str, Any], console: Console) -> None:
    """Print a `hopline.loss/1`: hops, then where each fact was last seen.

    Args:
        loss: plain data of a RunLoss.
        console: where to.
    """
    hops = Table(title="What each hop kept", title_justify="left", box=None, pad_edge=False)
    hops.add_column("hop", no_wrap=True)
    for name in (*COUNTS, "not seen since"):
        hops.add_column(name, justify="right", min_width=max(map(len, name.split())))
    beside = []
    for row in loss["hops"]:
        counts = [row.get(name) for name in (*COUNTS, "not_seen_since")]
        hop = f"{row['step']} {row['tool']}"
        hops.add_row(Text(hop), *(Text("–" if count is None else str(count)) for count in counts))
        scores = ", ".join(f"{s['metric']} {s['value']:.2f}" for s in row["scores"] if s["value"] is not None)
        why = row.get("unscored")
        told = [
            f"against {row['against']}: {scores}" if scores else f"Unscored: {why}" if why else "",
            ", ".join(dict.fromkeys(str(loss["kind"]).replace("_", " ") for loss in row["mechanical_losses"])),
        ]
        beside.append(Text(visible(f"{hop}  {'; cut: '.join(told) if told[1] else told[0] or '–'}")))
    console.print(hops)
    for line in beside:
        console.print(line)
    if loss["facts"]:
        names = {node["id"]: node.get("label") or node["id"] for node in loss["nodes"]}
        facts = Table(title="Where each fact was last seen", title_justify="left", box=None, pad_edge=False)
        for name in ("fact", "type", "last seen at", "became"):
            facts.add_column(name)
        for fact in loss["facts"]:
            became = "; ".join(f"{text} at {names.get(node, node)}" for node, text in fact["altered_to"].items())
            facts.add_row(
                Text(visible(fact["text"])),
                fact["type"],
                Text(str(names.get(fact["last_seen"], fact["last_seen"]))),
                Text(visible(became)),
            )
        console.print(facts)
    for note in loss["notes"]:
        console.print(Text(visible(note), style="dim"))


def show_difference(difference: Mapping[str, Any], console: Console) -> None:
    """Print a `hopline.difference/1`: what changed, before → after.

    Args:
        difference: plain data.
        console: where to.
    """
    table = Table(title="Before → after", title_justify="left", box=None, pad_edge=False)
    for name in ("hop", "backend", *COUNTS, "scores"):
        table.add_column(name)
    for row in difference["hops"]:
        tools = [str(tool) for tool in dict.fromkeys(row["tool"]) if tool]
        scores = ", ".join(f"{s['metric']} {_change(s['values'])}" for s in row["scores"] if any(s["values"]))
        backends = [str(backend).partition(":")[2] for backend in dict.fromkeys(row["backend"]) if backend]
        table.add_row(
            Text(f"{row['step']} {' → '.join(tools)}"),
            Text(" → ".join(backends)),
            *(Text(_change(row[name])) for name in COUNTS),
            Text(visible(scores)),
        )
    console.print(table)
    for fact in difference["facts"]:
        ends = " → ".join(
            ", ".join([str(end["last_seen"]), *(f"became {text}" for text in end["altered_to"].values())])
            for end in fact["ends"]
        )
        console.print(Text(visible(f"{fact['type']} “{fact['text']}”: last seen at {ends}")))
    if not difference["facts"]:
        console.print(Text("Every fact was last seen where it was before.", style="dim"))
    if repair := difference.get("repair"):
        gain = f"{repair['gain']:+d} of {repair['lost']} facts that were lost before ({repair['facts']} in all)"
        console.print(Text(f"Repair gain: {gain}."))
    console.print(Text("One source: what happened here, not a measure of the backends.", style="dim"))


def _change(pair: Sequence[float | int | None]) -> str:
    shown = ["–" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value) for value in pair]
    return shown[0] if shown[0] == shown[1] else " → ".join(shown)

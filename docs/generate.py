"""Renews the generated parts of the pages beside this file; `--check` fails if one is stale.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import typer
from hopline.tools.declarations import STANDARD_TOOLS
from hopline.tools.hub import known as hub_models
from hopline.tools.models import manifest
from hopline.tools.registry import installed

DOCS = Path(__file__).parent
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def tools() -> str:
    """The table of standard tools."""
    registry = installed()
    rows = ["| tool | from → to | what it does | backends |", "|---|---|---|---|"]
    for tool in STANDARD_TOOLS:
        backends = ", ".join(f"`{b.name}`" for b in registry.backends(tool.name)) or "none yet"
        signature = tool.signature.replace("*", "\\*")
        rows.append(f"| `{tool.name}` | {signature} | {tool.description} | {backends} |")
    return "\n".join(rows)


def commands() -> str:
    """The help of every command."""
    from hopline.agent.faces.cli import app

    group = typer.main.get_command(app)
    context = typer.Context(group, info_name="hopline")
    parts = []
    for name, command in _commands(group, context):
        parts.append(f"## hopline {name}\n\n{(command.help or '').strip()}\n")
        shown = [(_shown(one), (one.help or "").replace("|", "\\|")) for one in command.params if _own(one)]
        rows = [f"| `{name}` | {words} |" for name, words in shown]
        if rows:
            parts.append("\n".join(["| | |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts).strip()


def _commands(group: Any, context: typer.Context) -> Iterator[tuple[str, Any]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield name, command
            yield from ((f"{name} {inner}", one) for inner, one in _commands(command, context))
        else:
            yield name, command


def _own(parameter: object) -> bool:
    return getattr(parameter, "name", "") not in ("help", "install_completion", "show_completion")


def _shown(parameter: object) -> str:
    options = getattr(parameter, "opts", [])
    return ", ".join(options) if options and options[0].startswith("-") else str(getattr(parameter, "name", "")).upper()


def schema() -> str:
    """The journal's schema."""
    text = resources.files("hopline.agent.hops").joinpath("schema.sql").read_text("utf-8")
    return f"```sql\n{text.strip()}\n```"


def licences() -> str:
    """The models and their licences."""
    rows = ["| model | what | licence | credit |", "|---|---|---|---|"]
    rows += [f"| {m.name} | {m.title} | {m.licence} | {m.attribution} |" for m in manifest().values()]
    rows += [f"| {m.name} (of the hub) | {m.title} | {m.licence} |  |" for m in hub_models().values()]
    return "\n".join(rows)


PARTS: Mapping[str, Callable[[], str]] = {
    "tools": tools,
    "commands": commands,
    "schema": schema,
    "licences": licences,
}


def renewed(text: str) -> str:
    """A page with its generated parts as they should be."""
    return _PART.sub(lambda m: f"{m[1]}{PARTS[m[2]]()}\n{m[3]}", text)


def stale() -> list[Path]:
    """Pages whose generated parts are not as they should be."""
    return [path for path in sorted(DOCS.glob("*.md")) if renewed(path.read_text("utf-8")) != path.read_text("utf-8")]


if __name__ == "__main__":
    old = stale()
    if "--check" in sys.argv:
        sys.exit(f"stale: {', '.join(p.name for p in old)}; run make docs" if old else 0)
    for page in old:
        page.write_text(renewed(page.read_text("utf-8")), "utf-8")
        print(f"renewed {page.name}")

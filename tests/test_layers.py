"""The import rule of the architecture: who may import whom (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A layer is the longest of these names that a module's name begins with.
CORE = "hopline.tools"
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    CORE: (CORE,),
    "hopline.tools.chat": (CORE, "hopline.tools.chat"),
    "hopline.tools.mcp": (CORE, "hopline.tools.mcp"),
    "hopline.tools.mcp.settings": (CORE,),
    "hopline.agent.planning": (CORE, "hopline.tools.chat", "hopline.agent.planning"),
    "hopline.agent.hops": (CORE, "hopline.agent.hops"),
    "hopline.agent.running": (
        CORE,
        "hopline.tools.mcp.settings",
        "hopline.agent.planning.plan",
        "hopline.agent.hops",
        "hopline.agent.running",
    ),
    "hopline.agent.tracing": (CORE, "hopline.agent.hops", "hopline.agent.running", "hopline.agent.tracing"),
    "hopline.agent.acting": (
        CORE,
        "hopline.tools.chat",
        "hopline.agent.planning",
        "hopline.agent.running",
        "hopline.agent.hops",
        "hopline.agent.acting",
    ),
    "hopline.agent.loss": (CORE, "hopline.agent.hops", "hopline.agent.loss"),
    "hopline.agent.views": (CORE, "hopline.agent.hops", "hopline.agent.loss", "hopline.agent.views"),
    "hopline.agent.faces": ("hopline",),
    "hopline.agent": (
        "hopline.tools",
        "hopline.tools.chat",
        "hopline.tools.mcp",
        "hopline.agent.planning",
        "hopline.agent.hops",
        "hopline.agent.running",
        "hopline.agent.acting",
        "hopline.agent.loss",
        "hopline.agent.experiments",
        "hopline.agent.tracing",
        "hopline.agent.views",
        "hopline.agent",
    ),
}
TOOL_FOLDERS = {
    f"{CORE}.{path.parent.name}"
    for path in ROOT.glob("tools/*/__init__.py")
    if path.parent.name not in ("chat", "mcp", "fakes")
}
MAY_IMPORT |= {folder: (CORE, folder) for folder in TOOL_FOLDERS}
# The plan is a value that running reads, and nothing else of planning.
LAYERS = sorted([*MAY_IMPORT, "hopline.agent.planning.plan"], key=len, reverse=True)


def layer(module: str) -> str:
    return next(name for name in LAYERS if module == name or module.startswith(f"{name}."))


def modules() -> Iterator[tuple[str, Path]]:
    for folder in ("agent", "tools"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(("hopline", *(p for p in parts if p != "__init__"))), path


def imports(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, at any depth, TYPE_CHECKING included."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("hopline"))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its layer"
            if node.module and node.module.startswith("hopline"):
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    is_module = (ROOT / Path(*inner.split(".")[1:])).with_suffix(".py").exists()
                    yield inner if is_module else node.module


def breaches(module: str, path: Path) -> list[str]:
    own = layer(module)
    allowed = MAY_IMPORT["hopline.agent.planning" if own == "hopline.agent.planning.plan" else own]
    found = []
    for imported in imports(path):
        wanted = layer(imported)
        fits = (
            wanted in allowed or "hopline" in allowed or any(imported.startswith(f"{a}.") for a in allowed if a != CORE)
        )
        plan_only = wanted == "hopline.agent.planning.plan" and "hopline.agent.planning" in allowed
        # Agent may use every layer but the faces; the prefix "hopline.agent" must not let them in.
        if own == "hopline.agent" and imported.startswith("hopline.agent.faces"):
            fits = False
        if not (fits or plan_only):
            found.append(f"{module} imports {imported}")
    return found


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_module_keeps_to_its_layer(module: str, path: Path) -> None:
    assert breaches(module, path) == []


def test_the_rule_notices_a_breach(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from hopline.agent.running.runner import Runner\n", "utf-8")
    assert breaches("hopline.agent.loss.bad", bad)
    assert breaches("hopline.tools.speech_to_text.bad", bad)
    bad.write_text("from hopline.tools.text_to_speech.piper import Piper\n", "utf-8")
    assert breaches("hopline.tools.speech_to_text.bad", bad)
    bad.write_text("from hopline.agent.faces.cli import main\n", "utf-8")
    assert breaches("hopline.agent.bad", bad)
    bad.write_text("from hopline.agent.planning.typed import plan\n", "utf-8")
    assert breaches("hopline.agent.running.bad", bad)

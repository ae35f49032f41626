"""The pages say what is true: their code runs, their generated parts are fresh, their links lead somewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> Iterator[tuple[str, str | None]]:
    """Python blocks of a page, each with the text block that follows it, if one does."""
    text = page.read_text("utf-8")
    found = list(_FENCE.finditer(text))
    for number, match in enumerate(found):
        if match[1] != "python":
            continue
        after = found[number + 1] if number + 1 < len(found) else None
        expected = after[2] if after and after[1] == "text" and not text[match.end() : after.start()].strip() else None
        yield match[2], expected


@pytest.mark.models
@pytest.mark.parametrize("page", [p for p in PAGES if any(True for _ in blocks(p))], ids=lambda p: p.name)
def test_code_blocks_run_and_print_what_they_say(
    page: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for example in (ROOT / "examples").glob("memo.*"):
        (tmp_path / example.name).write_bytes(example.read_bytes())
    monkeypatch.chdir(tmp_path)
    # As in an activated environment: pages name the command `hopline` alone.
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    names: dict[str, object] = {"__name__": "__page__"}
    for code, expected in blocks(page):
        exec(compile(code, str(page), "exec"), names)
        printed = capfd.readouterr().out
        if expected is not None:
            assert printed.strip() == expected.strip()


def test_generated_parts_are_fresh() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert [path.name for path in module.stale()] == [], "run make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [t for t in targets if not (page.parent / t).exists()] == []

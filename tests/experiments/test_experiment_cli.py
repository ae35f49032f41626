"""`hopline experiment` as a person types it: check, run, run again, report, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hopline.agent.hops.journal import Journal

TOOL = """
from hopline.tools.function import tool

@tool
def small(text: str) -> str:
    "Writes a text in small letters."
    return text.lower()
"""
SPEC = """
name = "small"
tools_from = ["mine.py"]
measures = ["mer"]
[sources]
grammar = "speech"
count = 20
[[chains]]
name = "{times} times"
chain = "small"
generations = 2
factors = { times = [1] }
"""


def experiment(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", "from hopline.agent.faces.cli import main; main()", "experiment", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done


def as_json(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SPEC)
    (tmp_path / "mine.py").write_text(TOOL)
    return tmp_path


def test_check_run_again_report(folder: Path, home: Path) -> None:
    found = as_json(experiment(folder, "check", "small.toml", "--json"))
    assert (found["sources"], found["hops"], found["calls"], found["finished"]) == (20, 40, 40, 0)
    assert found["untimed"] == ["small:function"]
    done = as_json(experiment(folder, "run", "small.toml", "--out", "out", "--json"))
    assert (done["completed"], done["trajectories"]) == (20, 20)
    assert done["headline"][0]["bits"].startswith("≥ 21.81 [")
    assert (folder / done["report"]).is_file()
    first = (folder / "out" / "tables" / "figures.csv").read_bytes()
    with Journal(home) as journal:
        hops = {hop.id for run in journal.runs() for hop in journal.hops(run.id)}
    assert len(hops) == 40

    told = experiment(folder, "check", "small.toml").stdout
    assert "20 trajectories are finished; the others take at most 0 calls of tools" in told
    experiment(folder, "run", "small.toml", "--out", "out")
    experiment(folder, "report", "small.toml", "--out", "again")
    assert (folder / "out" / "tables" / "figures.csv").read_bytes() == first
    assert (folder / "again" / "tables" / "figures.csv").read_bytes() == first
    with Journal(home) as journal:
        assert {hop.id for run in journal.runs() for hop in journal.hops(run.id)} == hops


def test_what_is_refused(folder: Path) -> None:
    assert "none.toml: No such file" in experiment(folder, "check", "none.toml", code=2).stderr
    (folder / "small.toml").write_text(SPEC.replace('"small"\ngen', '"absent"\ngen'))
    assert "there is no tool 'absent'" in experiment(folder, "check", "small.toml", code=2).stderr
    (folder / "small.toml").write_text(SPEC.replace('"small"\ngen', '"text_to_speech:absent | speech_to_text"\ngen'))
    refused = experiment(folder, "run", "small.toml", code=3).stderr
    assert "chain '1 times': there is no backend 'text_to_speech:absent'" in refused

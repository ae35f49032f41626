"""The examples run and show what they promise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hopline.tools.fakes.ollama import Line, OllamaServer, words
from nbclient import NotebookClient

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def printed(folder: Path, name: str, *arguments: str, **environment: str) -> str:
    """What an example prints when run from a folder."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.models
def test_ask(tmp_path: Path) -> None:
    out = printed(tmp_path, "ask.py")
    assert "step1  speech_to_text:faster-whisper  resampled" in out
    assert "step2  text_to_image:pictograms" in out
    assert "speech_to_text: kept" in out
    assert (tmp_path / "ask.html").stat().st_size > 10_000


@pytest.mark.models
def test_own_tool(tmp_path: Path) -> None:
    assert printed(tmp_path, "own_tool.py") == "capitals | text_to_speech\nRED BOATS SAIL\n"


@pytest.mark.models
def test_telephone(tmp_path: Path) -> None:
    sent, *generations = printed(tmp_path, "telephone.py", "3", "1").splitlines()
    assert sent.startswith("sent: 21.8 bits each")
    assert len(generations) == 1
    # Two wrong slots of three messages would already leave fewer.
    assert float(generations[0].split()[2].removesuffix(":")) > 12


def seen(request: Mapping[str, Any]) -> Sequence[Line]:
    """What a vision model might say to each of the four requests."""
    asked = request["messages"][-1]["content"]
    assert len(request["messages"][-1]["images"]) == 1
    if "Markdown" in asked:
        return words("```markdown\nShopping\n- two red apples\n", "- one green pear\nTotal: 4 pieces\n```")
    if "funny" in asked:
        return words("A ball does not run, it rolls.")
    return [0.15, *words("A red", done_reason=None), 0.15, *words(" ball."), 0.15]


def test_llama_vision(tmp_path: Path) -> None:
    with OllamaServer(script=seen) as server:
        out = printed(tmp_path, "llama_vision.py", OLLAMA_HOST=server.host)
    described, streamed, explained, transcribed = out.split("== ")[1:]
    assert described.startswith("describe\nA red ball.\n  by image_captioning:ollama:llama3.2-vision ")
    assert "Q4_K_M: 500 tokens in, 1 out\n  wer " in described
    assert streamed == "stream a caption\nA red ball.\n"
    assert "A ball does not run, it rolls." in explained
    assert "no scores: no reference" in explained
    assert "transcribe a screenshot\nShopping\n- two red apples\n- one green pear\nTotal: 4 pieces\n" in transcribed
    assert "wer 0.10" in transcribed, "one word of ten is wrong"
    assert (tmp_path / "llama-vision" / "screenshot.html").stat().st_size > 10_000
    assert (tmp_path / "llama-vision" / "01-text.md").read_text("utf-8").startswith("Shopping\n")


def tour() -> Any:
    return nbformat.reads((EXAMPLES / "tour.ipynb").read_text("utf-8"), as_version=4)  # type: ignore[no-untyped-call]  # it has no types


@pytest.mark.models
def test_tour(tmp_path: Path) -> None:
    for memo in EXAMPLES.glob("memo.*"):
        (tmp_path / memo.name).write_bytes(memo.read_bytes())
    notebook = tour()
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=where).execute()
    shown: dict[str, str] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            told = output.text if output.output_type == "stream" else output.data.get("text/html", "")
            shown[cell.source.splitlines()[-1]] = told or output.data["text/plain"]
    assert "<svg" in shown['agent.plan(request, {"audio1": "audio"})']
    assert '<img src="data:image/png;base64,' in shown["run.outputs[0]"]
    assert '<audio controls preload="metadata" src="data:audio/wav;base64,' in shown["run.outputs[1]"]
    assert "Text to image" in shown["run.hops[1]"]
    assert "two red cars" in shown["run.loss()"]
    assert shown["run"].startswith("<iframe")
    swapped = shown["[(hop.backend, hop.cached_from is not None) for hop in other.hops]"]
    assert "('text_to_image:pictograms', True)" in swapped
    assert "('image_captioning:exemplar', False)" in swapped
    assert shown["run_experiment(experiment, journal=agent.journal)"].startswith("<iframe")


def test_the_tour_is_kept_without_outputs() -> None:
    nbformat.validate(tour())
    code = [cell for cell in tour().cells if cell.cell_type == "code"]
    assert code
    assert [cell.source for cell in code if cell.outputs or cell.execution_count is not None] == []


def test_every_example_is_run() -> None:
    told = Path(__file__).read_text("utf-8")
    assert [
        path.name for path in [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.ipynb")] if f'"{path.name}"' not in told
    ] == []

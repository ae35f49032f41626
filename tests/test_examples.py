"""The examples run and show what they promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def printed(folder: Path, name: str, *arguments: str) -> str:
    """What an example prints when run from a folder."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments], cwd=folder, capture_output=True, text=True, timeout=240
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


def test_every_example_is_run() -> None:
    told = Path(__file__).read_text("utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in told] == []

"""What `doctor` knows: each backend of each tool, what it misses and what brings it; the profile for a machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hopline.agent.running.profile import Profile, load_profile, profile_names
from hopline.agent.running.readiness import EXTRA_BYTES, readiness, recommended
from hopline.tools.machine import Machine, this_machine
from hopline.tools.registry import Registry, installed

BASE_ONLY = """
import sys
from importlib.abc import MetaPathFinder

class NotHere(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

HIDDEN = set(sys.argv[1].split(","))
sys.meta_path.insert(0, NotHere())
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name.partition(".")[0] in HIDDEN else real(name, package)
sys.argv = ["hopline", *sys.argv[2:]]
from hopline.agent.faces.cli import main
main()
"""


def doctor_without(packages: set[str], tmp_path: Path) -> dict[str, Any]:
    """`hopline doctor --json` where these packages are not installed and nothing was pulled."""
    environment = {**os.environ, "HOPLINE_MODELS": str(tmp_path / "models"), "OLLAMA_HOST": "127.0.0.1:9"}
    command = [sys.executable, "-c", BASE_ONLY, ",".join(packages), "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 3, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_with_nothing_but_the_base(tmp_path: Path) -> None:
    needed = {package for backend in _all_backends() for package in backend.packages}
    told = doctor_without(needed - {"langchain_core", "numpy", "PIL", "scipy"}, tmp_path)
    rows = {row["tool"]: row for row in told["tools"]}
    assert rows["speech_to_text"]["ready"] is False
    assert rows["speech_to_text"]["commands"] == ["pip install 'hopline[stt]'", "hopline models pull offline"]
    assert rows["speech_to_text"]["download_bytes"] > EXTRA_BYTES["stt"]
    assert rows["text_to_speech"]["commands"][0] == "pip install 'hopline[tts]'"
    assert rows["image_ocr"]["commands"] == ["pip install 'hopline[ocr]'"]
    for row in told["tools"]:
        for one in (row, *row["others"]):
            assert one["ready"] or one["missing"], one
            assert not (one["ready"] and one["commands"]), one
    assert not any(row["ready"] for row in told["tools"] if row["tool"] not in ("text_to_audio",)), "true, all of it"


def test_here_every_other_backend_is_named_with_what_it_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    rows = {row.tool: row for row in readiness(installed(), load_profile("offline"))}
    for tool, row in rows.items():
        kinds = {kind.name for kind in installed().backends(tool)}
        named = {one.backend.split(":")[1] for one in (row, *row.others) if one.backend}
        assert named == kinds
    ollama = next(one for one in rows["image_captioning"].others if one.backend == "image_captioning:ollama")
    assert not ollama.ready
    assert "ollama serve" in ollama.commands
    assert ollama.download_bytes >= 7_900_000_000
    server = next(one for one in rows["speech_to_text"].others if one.backend == "speech_to_text:openai")
    assert server.commands == ("export OPENAI_API_KEY=…",)


def test_a_model_of_the_hub_is_missing_with_its_size() -> None:
    profile = Profile(name="mine", backends={"speech_to_text": "speech_to_text:faster-whisper:small"})
    row = next(row for row in readiness(installed(), profile) if row.tool == "speech_to_text")
    assert row.commands == ("hopline models pull speech_to_text:faster-whisper:small",)
    assert row.download_bytes == 486_000_000


@pytest.mark.parametrize(
    ("memory_gib", "gpu_gib", "ollama", "profile"),
    [
        (4, 0, False, "offline"),
        (4, 0, True, "offline"),
        (8, 0, False, "cpu-small"),
        (8, 0, True, "cpu-small"),
        (32, 0, False, "cpu-small"),
        (32, 0, True, "local"),
        (16, 4, False, "cpu-small"),
        (16, 8, False, "gpu"),
        (64, 24, True, "gpu"),
    ],
)
def test_the_profile_for_a_machine(memory_gib: int, gpu_gib: int, ollama: bool, profile: str) -> None:
    machine = Machine(
        memory_mib=memory_gib * 1024, cores=4, gpu="Card" if gpu_gib else "", gpu_memory_mib=gpu_gib * 1024
    )
    advised, why = recommended(machine, ollama)
    assert advised == profile
    assert profile in profile_names()
    assert "GiB" in why


def test_a_card_is_seen_where_the_driver_lists_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA T4, 15360'\necho 'NVIDIA L4, 23034'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    this_machine.cache_clear()
    try:
        seen = this_machine()
        assert (seen.gpu, seen.gpu_memory_mib) == ("NVIDIA L4", 23034)
        program.write_text("#!/bin/sh\nexit 9\n")
        this_machine.cache_clear()
        assert this_machine().gpu == ""
    finally:
        this_machine.cache_clear()


@pytest.mark.parametrize("name", ["offline", "local", "cpu-small", "gpu"])
def test_profiles_name_tools_that_there_are(name: str) -> None:
    profile = load_profile(name)
    registry = installed()
    for tool, backend in profile.backends.items():
        assert tool in registry
        assert backend.startswith(f"{tool}:")
    assert not profile.remote


def _all_backends() -> list[Any]:
    registry: Registry = installed()
    return [kind for tool in registry for kind in registry.backends(tool.name)]

"""What `doctor` knows: each backend of each tool, what it misses and what brings it; the profile for a machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hopline.agent.faces.cli import installing
from hopline.agent.running.profile import Profile, load_profile, profile_names
from hopline.agent.running.readiness import EXTRA_BYTES, beside_the_tools, licences, readiness, recommended
from hopline.tools.machine import Machine, this_machine
from hopline.tools.registry import installed
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def brought_by(*extras: str) -> set[str]:
    """Names of the distributions that `pip install 'hopline[…]'` brings, those of the base included."""
    found: set[str] = set()
    asked = [("hopline", frozenset(extras))]
    seen = set(asked)
    while asked:
        name, wanted = asked.pop()
        found.add(canonicalize_name(name))
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # not installed here
            continue
        for one in map(Requirement, lines):
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in wanted or {""}):
                asked += {(one.name, frozenset(one.extras))} - seen
                seen.add((one.name, frozenset(one.extras)))
    return found


@cache
def distributions() -> dict[str, set[str]]:
    """By the name that is imported, the distributions that bring it."""
    return {name: set(map(canonicalize_name, of)) for name, of in metadata.packages_distributions().items()}


def doctor_with_the_base_alone(profile: str, models: Path) -> dict[str, Any]:
    """`hopline doctor --json` where no extra is installed and nothing was pulled."""
    base = brought_by()
    hidden = {name for name, of in distributions().items() if not base & of}
    environment = {**os.environ, "HOPLINE_MODELS": str(models), "OLLAMA_HOST": "127.0.0.1:9"}
    command = [sys.executable, "-c", BASE_ONLY, ",".join(hidden), "doctor", "--profile", profile, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 3, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("profile", ["offline", "local", "cpu-small", "gpu"])
def test_with_nothing_but_the_base(profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each missing piece has a command, and the command brings it."""
    monkeypatch.setenv("HOPLINE_MODELS", str(tmp_path))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    told = doctor_with_the_base_alone(profile, tmp_path)
    rows = [*told["tools"], *told["beside"], *(other for row in told["tools"] for other in row["others"])]
    extras: dict[str, set[str]] = {}
    pulls: dict[str, set[str]] = {}
    for row in rows:
        if row["tool"] == "audio_question_answering" and not row["backend"]:
            assert row["optional"], "a profile has to name a backend for it"
            continue
        assert row["ready"] == (not row["missing"]) == (not row["commands"]), row
        brought, pulled = set(), set()
        for command in row["commands"]:
            name = command.rpartition(" ")[2]
            if command.startswith("pip install 'hopline["):
                extra = name.partition("[")[2].partition("]")[0]
                assert EXTRA_BYTES[extra] > 0
                brought |= extras.setdefault(extra, brought_by(extra))
            elif " pull " in command:
                name = name if command.startswith("hopline") else f"ollama:{name}"
                pulled |= pulls.setdefault(name, {one.name for one in installing._pulls([name])})
        for missing in row["missing"]:
            kind, _, name = missing.partition(" ")
            name = name.partition(",")[0]
            if kind == "package":
                # Of what is not installed here the distribution is called as what is imported.
                assert distributions().get(name, {canonicalize_name(name)}) & brought, row
            elif kind == "model":
                assert {name, f"ollama:{name}", row["backend"]} & pulled, row
    assert {row["tool"] for row in told["tools"] if row["ready"]} <= {"text_to_audio"}, "and nothing works without"
    planning, loss = told["beside"][:2]
    assert planning["commands"] == ["pip install 'hopline[encoder]'", f"hopline models pull {profile}"]
    assert (planning["optional"], loss["optional"]) == (False, True)


def test_a_profile_that_has_no_name_here_is_pulled_model_by_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOPLINE_MODELS", str(tmp_path))
    mine = Profile(name="mine", backends={"text_to_speech": "text_to_speech:piper"})
    speaking = next(row for row in readiness(installed(), mine) if row.tool == "text_to_speech")
    assert speaking.commands == ("hopline models pull rhasspy/piper-voices/en_US-joe-medium",)
    changed = load_profile("offline").model_copy(update={"large_models": ()})
    assert beside_the_tools(changed)[0].commands == ("hopline models pull sentence-transformers/all-MiniLM-L6-v2",)


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
    assert any(command.startswith("ollama serve") for command in ollama.commands)
    assert ollama.download_bytes >= 7_900_000_000
    server = next(one for one in rows["speech_to_text"].others if one.backend == "speech_to_text:openai")
    assert server.commands == ("export OPENAI_API_KEY=…",)


def test_a_model_of_the_hub_is_missing_with_its_size() -> None:
    profile = Profile(name="mine", backends={"speech_to_text": "speech_to_text:faster-whisper:small"})
    row = next(row for row in readiness(installed(), profile) if row.tool == "speech_to_text")
    assert row.commands == ("hopline models pull speech_to_text:faster-whisper:small",)
    assert row.download_bytes == 486_000_000


def test_licences_of_models_of_the_hub() -> None:
    used = {row.name: row.licence for row in licences(installed(), load_profile("gpu")) if row.kind == "model"}
    assert used["stabilityai/sdxl-turbo"].startswith("sai-nc-community (not for commerce")
    assert used["facebook/musicgen-small"] == "CC-BY-NC-4.0"
    turbo = "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
    assert used[turbo] == f"see https://huggingface.co/{turbo}"


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

"""The profile `local`: what `doctor` says with Ollama down, up and half there, and how its models are pulled."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hopline.agent.running.profile import Profile, load_profile
from hopline.agent.running.readiness import Readiness, readiness
from hopline.tools.chat.pulling import pull_by_ollama
from hopline.tools.chat.sizes import size_bytes
from hopline.tools.errors import BackendFailed, MissingServer
from hopline.tools.fakes.ollama import Line, Model, OllamaServer
from hopline.tools.registry import installed

VISION, TEXT = "llama3.2-vision:latest", "qwen2.5:latest"


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """An address where nothing listens, on a machine with the program `ollama`."""
    (tmp_path / "ollama").touch(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setenv("OLLAMA_HOST", host)
        yield host


def rows() -> dict[str, Readiness]:
    return {row.tool: row for row in readiness(installed(), load_profile("local"))}


def hopline(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", "from hopline.agent.faces.cli import main; main()", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ, timeout=120)
    assert done.returncode == code, done.stderr + done.stdout
    return done


def test_it_plans_with_one_model_and_sees_with_another() -> None:
    profile = load_profile("local")
    assert (profile.chat, profile.sees) == ("ollama:qwen2.5", "ollama:llama3.2-vision")
    assert not profile.remote
    registry = installed()
    for tool, backend in profile.backends.items():
        assert profile.choose(registry, tool).id == backend
    assert {tool.name for tool in registry} - set(profile.backends) == {
        "audio_classification",
        "audio_question_answering",
    }


def test_with_ollama_down(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rows()
    seeing, reading = found["image_captioning"], found["summarization"]
    assert not seeing.ready
    assert seeing.missing == (f"no Ollama at http://{nobody}", "model llama3.2-vision, unless it was pulled already")
    assert seeing.commands == ("ollama serve", "hopline models pull local")
    assert seeing.download_bytes == 7_900_000_000
    assert reading.commands == ("ollama serve", "hopline models pull local")
    monkeypatch.setenv("PATH", "")
    start, _ = rows()["image_captioning"].commands
    assert start == "ollama serve  # not installed here: https://ollama.com/download"
    assert found["text_to_audio"].missing == ()


@pytest.mark.models
def test_doctor_with_ollama_down(nobody: str) -> None:
    said = hopline("doctor", "--profile", "local", code=3).stdout
    assert said.count("to get it: ollama serve\n") == 1
    assert said.count("to get it: hopline models pull local   (12600 MB)\n") == 1
    told: dict[str, Any] = json.loads(hopline("doctor", "--profile", "local", "--json", code=3).stdout)
    (row,) = (row for row in told["tools"] if row["tool"] == "image_ocr")
    assert row["commands"] == ["ollama serve", "hopline models pull local"]
    assert row["download_bytes"] == 7_900_000_000


def test_with_one_model_of_two(ollama: OllamaServer) -> None:
    found = rows()
    assert found["image_captioning"].ready
    assert found["translation"].missing == ("model qwen2.5",)
    assert found["translation"].commands == ("hopline models pull local",)
    ollama.models[TEXT] = Model()
    assert rows()["translation"].ready


def test_nobody_gets_a_server_unasked() -> None:
    registry = installed()
    mine = Profile(name="mine")
    for tool in registry:
        if tool.planned:
            assert not mine.choose(registry, tool.name).asks_server


def test_sizes() -> None:
    assert size_bytes("llama3.2-vision") == size_bytes("llama3.2-vision:latest") == 7_900_000_000
    assert size_bytes("llama3.2-vision:11b-instruct-fp16") == 0
    assert size_bytes("someone/own") == 0


# -- pulling -----------------------------------------------------------------------------------


def progress(*done: int) -> list[Line]:
    parts: list[Line] = [{"status": "pulling aa", "digest": "aa", "total": 4_000_000_000, "completed": n} for n in done]
    return [{"status": "pulling manifest"}, *parts, {"status": "verifying sha256 digest"}, {"status": "success"}]


def test_pull_tells_how_far_it_is(ollama: OllamaServer) -> None:
    lines: list[str] = []

    def report(line: str) -> None:
        lines.append(line)
        ollama.models[TEXT] = Model()

    ollama.pulls = progress(0, 1_000_000, 2_000_000_000, 2_000_000_100, 4_000_000_000)
    pull_by_ollama("qwen2.5", report)
    assert lines == [
        "qwen2.5:latest (about 4.7 GB)",
        "pulling manifest",
        "pulling aa: 0% of 4.0 GB",
        "pulling aa: 50% of 4.0 GB",
        "pulling aa: 100% of 4.0 GB",
        "verifying sha256 digest",
        "success",
        f"qwen2.5:latest is there: {Model().digest[:12]}",
    ]
    lines.clear()
    pull_by_ollama("qwen2.5", report)
    assert lines == [f"qwen2.5:latest is there: {Model().digest[:12]}"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}], "does not exist"),
        ([{"status": "pulling manifest"}], "broke off at 'pulling manifest'"),
        (["<html>"], "is not Ollama"),
    ],
    ids=["unknown", "cut", "no Ollama"],
)
def test_a_pull_that_fails(ollama: OllamaServer, lines: list[Line], said: str) -> None:
    ollama.pulls = lines
    with pytest.raises(BackendFailed, match=said):
        pull_by_ollama("qwen2.5")


def test_a_pull_that_is_cut(ollama: OllamaServer) -> None:
    ollama.pulls = [{"status": "pulling manifest"}, None]
    with pytest.raises((MissingServer, BackendFailed)):
        pull_by_ollama("qwen2.5")


def test_the_command_that_pulls(ollama: OllamaServer, nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", ollama.host)
    told = hopline("models", "pull", "ollama:llama3.2-vision", "--json")
    assert json.loads(told.stdout)["models"] == ["ollama:llama3.2-vision"]
    assert "llama3.2-vision:latest is there" in told.stderr
    monkeypatch.setenv("OLLAMA_HOST", nobody)
    assert "ollama serve" in hopline("models", "pull", "ollama:qwen2.5", code=3).stderr

"""The command line: results on stdout, people's text on stderr, exit codes, JSON, clear refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MEMO = Path(__file__).resolve().parents[2] / "examples" / "memo.m4a"


def hopline(*arguments: object, check: int | None = 0, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", "from hopline.agent.faces.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, input=stdin, timeout=240)
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    if check is not None:
        assert done.returncode == check, done.stderr + done.stdout
    return done


def as_json(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_help_version_and_wrong_use() -> None:
    assert "run" in hopline("--help").stdout
    assert hopline("--version").stdout.strip() == "0.1.0"
    assert hopline("nonsense", check=2).stdout == ""
    assert "say what you want" in hopline("run", check=2).stderr


@pytest.mark.models
def test_four_hops_and_everything_after(tmp_path: Path) -> None:
    request = "Listen to the memo, draw what it describes, then describe the drawing aloud."
    out = tmp_path / "out"
    reference = f"audio1={MEMO.with_suffix('.txt')}"
    done = hopline("run", request, "-a", MEMO, "-r", reference, "--loss", "--out", out, "--json")
    run = as_json(done)
    assert run["format"] == "hopline.run/1"
    assert run["status"] == "ok"
    wanted = ["speech_to_text", "text_to_image", "image_captioning", "text_to_speech"]
    assert [hop["tool"] for hop in run["hops"]] == wanted
    assert [o["modality"] for o in run["outputs"]] == ["image", "audio"]
    assert all(Path(o["path"]).is_file() for o in run["outputs"])
    assert run["loss"]["hops"][0]["kept"] >= 12
    assert "✓ step4 text_to_speech" in done.stderr
    shown = as_json(hopline("show", "last", "--json"))
    assert shown["hops"] == [hop | {"scores": []} for hop in run["hops"]] or shown["run"] == run["run"]
    page = tmp_path / "page.html"
    hopline("show", "last", "--html", page)
    assert "two red cars" in page.read_text("utf-8")
    assert as_json(hopline("loss", "last", "--json"))["format"] == "hopline.loss/1"
    assert as_json(hopline("verify", "--json")) == {"format": "hopline.verify/1", "problems": []}
    bundle = tmp_path / "run.zip"
    hopline("export", "last", bundle)
    hopline("rm", run["run"])
    assert as_json(hopline("runs", "--json"))["runs"] == []
    assert hopline("import", bundle).stdout.strip() == run["run"]
    again = hopline("resume", "last", "--json")
    assert as_json(again)["status"] == "ok"


def test_a_chain_of_functions_from_a_file(tmp_path: Path) -> None:
    tools = tmp_path / "mine.py"
    tools.write_text(
        "from hopline.tools import tool\n\n"
        "@tool\ndef shout(text: str) -> str:\n    'Shouts.'\n    return text.upper()\n"
    )
    assert hopline("run", "hello", "--chain", "shout", "--tools-from", tools).stdout.strip() == "HELLO"
    assert hopline("run", "-", "--chain", "shout", "--tools-from", tools, stdin="from stdin").stdout == "FROM STDIN\n"


def test_a_plan_is_valid_input_for_run(tmp_path: Path) -> None:
    plan = as_json(hopline("plan", "Transcribe this recording.", "--has", "audio", "--json"))
    assert plan["format"] == "hopline.plan/1"
    assert [step["tool"] for step in plan["steps"]] == ["speech_to_text"]
    assert plan["steps"][0]["inputs"] == {"audio": [{"attachment": "audio1"}]}
    saved = tmp_path / "plan.json"
    saved.write_text(json.dumps(plan))
    done = as_json(hopline("run", "--plan", saved, "-a", MEMO, "--json"))
    assert done["status"] == "ok"


def test_cases_give_one_plan_a_line(tmp_path: Path) -> None:
    cases = tmp_path / "cases.jsonl"
    cases.write_text(
        '{"id": 7, "request": "Transcribe this recording.", "attachments": ["audio"]}\n'
        '{"id": "x", "request": "Hello!", "attachments": []}\n'
        '{"id": 9, "request": "Stabilize my shaky video.", "attachments": []}\n'
    )
    tools = tmp_path / "tools.json"
    tools.write_text(
        json.dumps(
            [
                {
                    "name": "Video Stabilizer",
                    "description": "Stabilizes a video.",
                    "inputs": ["video"],
                    "outputs": ["video"],
                }
            ]
        )
    )
    lines = [json.loads(line) for line in hopline("plan", "--cases", cases).stdout.splitlines()]
    assert [line["id"] for line in lines] == [7, "x", 9]
    assert [step["tool"] for step in lines[0]["steps"]] == ["speech_to_text"]
    assert lines[1]["steps"] == []
    foreign = [json.loads(line) for line in hopline("plan", "--cases", cases, "--tools", tools).stdout.splitlines()]
    assert [line["id"] for line in foreign] == [7, "x", 9]
    assert all(line["format"] == "hopline.plan/1" for line in foreign)


def silent(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.zeros(160_000, "<i2").tobytes())
    return path


@pytest.mark.models
def test_ten_seconds_of_silence_is_no_speech(tmp_path: Path) -> None:
    run = as_json(hopline("run", "Transcribe this.", "-a", silent(tmp_path / "quiet.wav"), "--json"))
    assert run["status"] == "ok"
    assert run["outputs"][0]["text"] == ""
    assert run["hops"][0]["details"]["flags"] == ["no_speech"]
    assert "no speech" in run["answer"]


PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.wav", b"", "empty.wav is empty"),
        ("cut.wav", b"RIFF\x24\x00\x00\x00WAVEfmt ", "cut.wav"),
        ("text.wav", b"just words", "text.wav is text"),
        ("broken.png", PNG, "broken.png is a broken picture"),
        ("list.m3u8", b"#EXTM3U\nhttp://127.0.0.1/x.wav\n", "playlist"),
        ("missing.wav", None, "no such file"),
    ],
)
def test_bad_attachments_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    done = hopline("run", "Transcribe this.", "-a", path, check=2)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    refused = as_json(hopline("run", "Transcribe this.", "-a", path, "--json", check=2))
    assert refused["format"] == "hopline.error/1"
    assert refused["reason"] == "bad_input"
    assert as_json(hopline("runs", "--json"))["runs"] == []


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "is a directory" in hopline("run", "Transcribe this.", "-a", tmp_path, check=2).stderr


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"steps": [{"id": "step1", "tool": "teleport", "inputs": {}}]}, "no tool 'teleport'"),
        ({"steps": [{"id": "step1", "tool": "text_to_speech", "inputs": {}}]}, "needs its input 'text'"),
        ({"format": "hopline.plan/9", "steps": []}, "hopline.plan/1"),
        ({"steps": "none"}, "does not read"),
    ],
)
def test_a_plan_that_does_not_check_is_wrong_use(tmp_path: Path, plan: Any, words: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan))
    done = hopline("run", "--plan", path, check=2)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_is_missing_is_exit_code_3() -> None:
    done = hopline("run", "relaxing music", "--chain", "text_to_audio:nobody", check=3)
    assert "text_to_audio:nobody" in done.stderr
    refused = as_json(hopline("run", "relaxing music", "--chain", "text_to_audio:nobody", "--json", check=3))
    assert refused["error"]["reason"] == "missing_backend"


@pytest.mark.models
def test_punctuation_only_is_a_failed_run_not_a_crash() -> None:
    done = hopline("run", "...!!!", "--chain", "text_to_speech", "--json", check=1)
    run = as_json(done)
    assert run["status"] == "failed"
    assert "no word or number" in run["error"]["message"]


def test_unknown_names_are_wrong_use() -> None:
    assert "no profile 'nope'" in hopline("run", "x", "--profile", "nope", check=2).stderr
    assert "no run is called" in hopline("show", "last", check=2).stderr
    assert "no planner" in hopline("plan", "x", "--planner", "oracle", check=2).stderr


def test_tools_doctor_models_and_licences() -> None:
    tools = as_json(hopline("tools", "--json"))
    assert {"speech_to_text", "summarization", "video_to_image"} <= {row["name"] for row in tools["tools"]}
    assert "speech_to_text" in hopline("tools").stdout
    doctor = as_json(hopline("doctor", "--json"))
    ready = {row["tool"] for row in doctor["tools"] if row["ready"]}
    assert {"speech_to_text", "text_to_speech", "text_to_image", "image_captioning", "image_ocr"} <= ready
    used = as_json(hopline("licences", "--json"))["uses"]
    assert {"piper-tts", "openmoji", "hopline"} <= {row["name"] for row in used}
    assert "GPL" in next(row["licence"] for row in used if row["name"] == "piper-tts")
    assert len(as_json(hopline("models", "--json"))["models"]) >= 5


def test_doctor_names_what_is_missing_and_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_MODELS", str(tmp_path / "no-models"))
    done = hopline("doctor", check=3)
    assert "hopline models pull offline" in done.stdout
    run = as_json(hopline("run", "Transcribe this.", "-a", MEMO, "--json", check=None))
    assert run["error"]["reason"] == "missing_model"
    assert "hopline models pull" in run["error"]["message"]


@pytest.mark.crash
def test_interrupt_ends_at_once_with_130_and_the_run_can_be_resumed(tmp_path: Path) -> None:
    tools = tmp_path / "slow.py"
    tools.write_text(
        "import time\nfrom hopline.tools import tool\n\n@tool\ndef wait(text: str) -> str:\n    'Waits.'\n"
        "    time.sleep(100)\n    return text\n"
    )
    command = [sys.executable, "-c", "from hopline.agent.faces.cli import main; main()", "run", "x", "--chain", "wait"]
    process = subprocess.Popen(
        [*command, "--tools-from", str(tools)],
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts the tests in the background has them ignore SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not as_json(hopline("runs", "--json"))["runs"]:
            pass
        time.sleep(0.5)
        began = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=10)
        assert process.returncode == 130
        assert time.monotonic() - began < 2.5
    finally:
        process.kill()
        process.communicate()
    assert as_json(hopline("runs", "--json"))["runs"][0]["status"] == "cancelled"


@pytest.mark.models
def test_loss_of_a_stored_run_needs_no_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chain = "text_to_image | image_captioning"
    hopline("run", "Two red cars next to a green tree.", "--chain", chain)
    with_models = as_json(hopline("loss", "last", "--json"))["hops"][1]
    monkeypatch.setenv("HOPLINE_MODELS", str(tmp_path / "none"))
    without = as_json(hopline("loss", "last", "--json"))["hops"][1]
    assert without["kept"] == with_models["kept"] > 3
    for here, gone in zip(with_models["scores"], without["scores"], strict=True):
        if here["metric"] == "cosine":
            assert here["value"] > 0.5
            assert gone["unscored"] == "the sentence encoder is not here (hopline models pull offline)"
        else:
            assert here == gone


@pytest.mark.models
def test_replay_with_a_swap_shows_the_paired_difference(tmp_path: Path) -> None:
    memo = tmp_path / "said.txt"
    memo.write_text("Two red cars are next to a green tree.")
    chain = "text_to_image | image_captioning | text_to_speech"
    hopline("run", "x", "-a", memo, "--chain", chain)
    done = hopline(
        "replay",
        "last",
        "--swap",
        "step3=text_to_speech:piper",
        "--swap",
        "step2=image_captioning:exemplar",
        "--loss",
        "--json",
    )
    made = as_json(done)
    assert made["difference"]["format"] == "hopline.difference/1"
    assert [hop["cached_from"] is not None for hop in made["hops"]] == [True, False, True]
    assert made["difference"]["hops"][1]["backend"] == ["image_captioning:offline", "image_captioning:exemplar"]
    assert "Before → after" in hopline("replay", "last", "--swap", "step2=image_captioning:offline", "--loss").stderr

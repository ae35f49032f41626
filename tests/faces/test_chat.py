"""`hopline chat` from a pipe and on a terminal: requests line by line, commands, errors, exit codes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hopline.tools.fakes.ollama import Line, Model, OllamaServer, words

COMMAND = [sys.executable, "-P", "-c", "from hopline.agent.faces.cli import main; main()", "chat"]
TOOLS = """
import time
from hopline.tools import tool

@tool
def shout(text: str) -> str:
    "Shouts a text: puts it into capital letters."
    return text.upper()

@tool
def nap(text: str) -> str:
    "Takes a nap: sleeps for a long time."
    time.sleep(60)
    return text
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(TOOLS)
    return path


def chat(lines: str, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, input=lines, timeout=240)
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    assert done.returncode == code, done.stderr + done.stdout
    return done


def hopline(*arguments: str) -> str:
    """What another command says on stdout."""
    done = subprocess.run([*COMMAND[:-1], *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(done: subprocess.CompletedProcess[str]) -> list[Any]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.models
def test_a_conversation_from_a_pipe_goes_on_later(tools: Path) -> None:
    done = chat(
        "Shout this: hello\n\nshout it again\nThanks\n/things\n/quit\nshout this: never\n", "--tools-from", tools
    )
    assert done.stdout.splitlines()[:2] == ["HELLO", "HELLO"]
    assert "Ask for something" in done.stdout
    assert "NEVER" not in done.stdout
    assert "run1.step1 again" in done.stderr
    assert "run2.step1  text, by shout" in done.stderr
    later = objects(chat("shout it again\n", "--tools-from", tools, "--continue", "last", "--json"))
    assert [one["format"] for one in later] == ["hopline.run/1"]
    assert later[0]["position"] == 4
    assert later[0]["hops"][0]["cached_from"] is not None
    rows = json.loads(hopline("runs", "--json"))["runs"]
    assert [row["position"] for row in rows] == [4, 3, 2, 1]
    assert len({row["conversation"] for row in rows}) == 1
    assert f"{rows[0]['conversation']} run4" in hopline("runs")
    shown = hopline("show", "last")
    assert "before: run1" in shown
    assert "run2.step1 again" in shown


@pytest.mark.models
def test_an_error_ends_a_request_and_not_the_conversation(tools: Path, tmp_path: Path) -> None:
    text = tmp_path / "a note.txt"
    text.write_text("dear all")
    lines = f'/attach /none.wav\n/attach\n/what\n/attach "{text}"\nShout the text\nTranscribe the recording\n'
    done = chat(lines, "--tools-from", tools, code=2)
    assert "/none.wav: there is no such file" in done.stderr
    assert "/attach takes the names of files" in done.stderr
    assert "there is no command /what" in done.stderr
    assert done.stdout.splitlines()[0] == "DEAR ALL"
    answers = objects(chat(f"/nope\nShout this: a\n{lines}", "--tools-from", tools, "--json", code=2))
    assert [one["format"].partition("/")[0] for one in answers][:2] == ["hopline.error", "hopline.run"]
    chat("x\n", "--continue", "nothing", code=2)


@pytest.mark.models
def test_ctrl_c_stops_the_request_and_the_conversation_goes_on(tools: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "--tools-from", str(tools)], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=_own_terminal,
    )  # fmt: skip
    os.close(theirs)
    try:
        screen = _until(ours, "1> ")
        os.write(ours, b"Take a nap: now\n")
        screen = _until(ours, "nap …")
        os.write(ours, b"\x03")
        screen = _until(ours, "2> ")
        assert "cancelled" in screen
        os.write(ours, b"Shout this: hello\n")
        assert "HELLO" in _until(ours, "3> ")
        os.write(ours, b"\x04")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.models
def test_stopping_a_pipe_stops_all_of_it(tools: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--tools-from", str(tools)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write("Take a nap: now\nShout this: never\n")
    process.stdin.close()
    process.stdin = None
    deadline = time.monotonic() + 60
    while not json.loads(hopline("runs", "--json"))["runs"] and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(1)
    process.terminate()
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "NEVER" not in stdout


def _own_terminal() -> None:
    import fcntl
    import signal
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _until(descriptor: int, words: str) -> str:
    """What comes on the terminal up to some words."""
    import select

    seen, deadline = "", time.monotonic() + 90
    while words not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([descriptor], [], [], 1)[0]:
            seen += os.read(descriptor, 4096).decode(errors="replace")
    return seen


@pytest.mark.parametrize(("turns", "code", "reason"), [(["shout", "finish"], 0, None), (["shout"], 1, "loop")])
def test_hop_by_hop_from_the_command_line(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: list[str], code: int, reason: str | None
) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text('name = "mine"\nchat = "ollama:small"\n')
    left = list(turns)

    def script(request: Mapping[str, Any]) -> Sequence[Line]:
        name = left.pop(0) if len(left) > 1 else left[0]
        arguments = {"answer": "Done."} if name == "finish" else {"text": "hello"}
        return words(json.dumps({"tool": name, "arguments": arguments}))

    with OllamaServer(script=script, models={"small:latest": Model(capabilities=("completion",))}) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        command = ["run", "Shout: hello", "--planner", "agent", "--profile", str(profile), "--tools-from", str(tools)]
        done = subprocess.run(
            [*COMMAND[:-1], *command, "--json"], capture_output=True, text=True, check=False, timeout=120
        )
    assert done.returncode == code, done.stderr
    run = json.loads(done.stdout)
    assert (run["error"] or {}).get("reason") == reason
    assert run["status"] == ("partial" if reason else "ok")
    assert run["plan"]["planner"] == "agent"
    # What was made before it was stopped is there.
    assert run["outputs"][0]["text"] == "HELLO"
    assert len(run["model_calls"]) == (4 if reason else 2)
    if reason:
        assert "HOPLINE_AGENT_SAME_CALLS" in run["answer"]


@pytest.mark.models
def test_a_conversation_with_the_real_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_PLANNER", "typed")
    lines = "Draw two red cars next to a green tree.\nDescribe it.\nRead that to me.\nWrite out what you read.\n"
    drawn, described, read, heard = objects(chat(lines, "--json"))
    assert [hop["tool"] for hop in drawn["hops"]] == ["text_to_image"]
    assert described["plan"]["steps"][0]["inputs"] == {"image": [{"attachment": "run1.step1"}]}
    caption = described["outputs"][0]["text"]
    assert "two red cars" in caption
    assert read["plan"]["steps"][0]["inputs"] == {"text": [{"attachment": "run2.step1"}]}
    assert read["outputs"][0]["modality"] == "audio"
    assert heard["plan"]["steps"][0]["inputs"] == {"audio": [{"attachment": "run3.step1"}]}
    assert "cars" in heard["outputs"][0]["text"]
    assert len({one["conversation"] for one in (drawn, described, read, heard)}) == 1

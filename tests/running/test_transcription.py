"""Long and many transcriptions in a worker: stopped at once and cleanly, and no memory is lost on the way."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from hopline.agent import Agent
from hopline.agent.running.events import Event
from hopline.tools.artifact import Artifact
from hopline.tools.media import decode_audio, encode_wav, open_file

pytestmark = pytest.mark.models

MEMO = Path(__file__).resolve().parents[2] / "examples" / "memo.m4a"
RATE_HZ = 16_000


def speech(seconds: float) -> Artifact:
    """The memo over and over."""
    memo, _, _ = decode_audio(open_file(MEMO), RATE_HZ)
    return encode_wav(np.resize(memo, int(seconds * RATE_HZ)), RATE_HZ)


def only_child() -> psutil.Process:
    """The worker; a hop says that it started just before it is there."""
    deadline = time.monotonic() + 10
    while not (children := psutil.Process().children()) and time.monotonic() < deadline:
        time.sleep(0.01)
    (child,) = children
    return child


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, ours alone, that workers use too."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield folder
    tempfile.tempdir = None


@pytest.mark.crash
@pytest.mark.parametrize("moment", ["hop_started", "hop_progress"], ids=["while it loads", "while it listens"])
def test_a_long_transcription_stops_within_two_seconds(scratch: Path, home: Path, moment: str) -> None:
    reached = threading.Event()

    def watch(event: Event) -> None:
        if event.kind == moment:
            reached.set()

    with Agent.from_profile("offline") as agent:
        started = agent.start("", [speech(600)], chain="speech_to_text", on_event=watch)
        assert reached.wait(120)
        worker = only_child()
        began = time.monotonic()
        started.run.cancel()
        run = started.wait(30)
        assert time.monotonic() - began < 2
        (hop,) = run.hops
        assert (run.status, hop.status) == ("cancelled", "cancelled")
        assert hop.error is not None
        assert hop.error.reason == "cancelled"
        assert not worker.is_running()
        assert psutil.Process().children() == []
        assert list(scratch.iterdir()) == []
        kept = [path for path in (home / "artifacts").rglob("*") if path.is_file()]
        assert [path.suffix for path in kept] == [".wav"], "the recording alone"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_fifty_transcriptions_take_no_more_memory_than_ten() -> None:
    audio = speech(4)
    resident: list[int] = []
    with Agent.from_profile("offline") as agent:
        for _ in range(50):
            run = agent.run("", [audio], chain="speech_to_text", use_cache=False)
            assert run.status == "ok", run.record.error
            resident.append(only_child().memory_info().rss)
        assert all(hop.cached_from is None for hop in run.hops)
    assert resident[-1] <= 1.05 * resident[9], [round(rss / 2**20) for rss in resident]

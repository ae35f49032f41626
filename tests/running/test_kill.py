"""kill -9 at every point of a four-hop run: resume gives the same artifacts and repeats nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from hopline.agent import Agent
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile, load_profile
from hopline.tools.errors import UserError
from hopline.tools.fakes import fake_registry
from hopline.tools.registry import installed

MEMO = Path(__file__).resolve().parents[2] / "examples" / "memo.m4a"

# Runs four hops and kills itself at the N-th moment: every event, and every write of the journal.
SCRIPT = """
import os, signal, sys
from hopline.agent import Agent
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile, load_profile
from hopline.tools.fakes import fake_registry
from hopline.tools.registry import installed
from hopline.tools.store import Store

real, moment = sys.argv[1] == "real", int(sys.argv[2])
count = 0

def tick(name):
    global count
    count += 1
    if count == moment:
        print(name, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

def ticking(kind, name):
    inner = getattr(kind, name)
    def outer(self, *arguments, **options):
        tick(f"before {name}")
        result = inner(self, *arguments, **options)
        tick(f"after {name}")
        return result
    setattr(kind, name, outer)

for name in ("begin_hop", "end_hop", "update_run"):
    ticking(Journal, name)
ticking(Store, "put")
registry = installed() if real else fake_registry()
profile = load_profile("offline") if real else Profile(name="fakes")
request = "Listen to the memo, draw what it describes, then describe the drawing aloud."
with Agent(registry=registry, profile=profile, journal=Journal()) as agent:
    if real:
        run = agent.run(request, [sys.argv[3]])
    else:
        run = agent.run("two red cars", chain="text_to_speech | speech_to_text | text_to_image | image_captioning")
    print("moments", count, flush=True)
"""


def killed_at(moment: int, real: bool) -> str:
    command = [sys.executable, "-c", SCRIPT, "real" if real else "fakes", str(moment), str(MEMO)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.stdout.strip()


def agent(real: bool) -> Agent:
    if real:
        return Agent(registry=installed(), profile=load_profile("offline"), journal=Journal())
    return Agent(registry=fake_registry(), profile=Profile(name="fakes"), journal=Journal())


def finals(real: bool, monkeypatch: pytest.MonkeyPatch, home: Path, moment: int) -> list[str]:
    """Kill at a moment in a fresh home, resume, check, and give the final artifact ids."""
    monkeypatch.setenv("HOPLINE_HOME", str(home / str(moment)))
    where = killed_at(moment, real)
    with agent(real) as resumed:
        rows = resumed.journal.runs()
        if not rows or rows[0].plan is None:
            assert "update_run" in where or "put" in where, where
            return []
        before = {h.id: h for h in resumed.journal.hops(rows[0].id) if h.status == "ok"}
        run = resumed.resume("last")
        hops = run.hops
        assert run.status == "ok", where
        finished = [(h.step, h.item) for h in hops if h.status == "ok"]
        assert len(finished) == len(set(finished)) == 4, where
        assert {i: h for i, h in before.items() if h in hops} == before
        assert resumed.journal.verify() == []
        return [ref.id for ref in run.record.outputs]


@pytest.mark.crash
def test_killed_at_every_point_with_fakes(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("HOPLINE_HOME", str(home / "whole"))
    moments = int(killed_at(10_000, False).split()[-1])
    with agent(False) as undisturbed:
        wanted = [ref.id for ref in undisturbed.open("last").record.outputs]
    assert moments > 20
    seen = [finals(False, monkeypatch, home, moment) for moment in range(1, moments + 1, 2)]
    assert all(found == wanted for found in seen if found)
    assert sum(bool(found) for found in seen) >= len(seen) - 3


@pytest.mark.crash
@pytest.mark.models
@pytest.mark.slow
def test_killed_at_every_point_with_real_models(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("HOPLINE_HOME", str(home / "whole"))
    moments = int(killed_at(10_000, True).split()[-1])
    with agent(True) as undisturbed:
        wanted = [ref.id for ref in undisturbed.open("last").record.outputs]
    seen = [finals(True, monkeypatch, home, moment) for moment in range(1, moments + 1)]
    assert all(found == wanted for found in seen if found)


@pytest.mark.crash
@pytest.mark.models
def test_killed_in_the_middle_with_real_models(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("HOPLINE_HOME", str(home / "whole"))
    killed_at(10_000, True)
    with agent(True) as undisturbed:
        wanted = [ref.id for ref in undisturbed.open("last").record.outputs]
    assert finals(True, monkeypatch, home, 11) == wanted


@pytest.mark.crash
def test_workers_end_with_their_parent(home: Path) -> None:
    code = (
        "import os, signal\n"
        "from hopline.agent.running.workers import Worker\n"
        "from hopline.tools.fakes import NoOpInWorker\n"
        "worker = Worker(NoOpInWorker()); worker._start(); print(worker.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


@pytest.mark.crash
def test_a_side_effect_in_flight_is_not_repeated_without_asking(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    with agent(False) as mine:
        run = mine.run("x", chain=f'append(path="{path}")')
        assert run.status == "ok"
        # As a kill between the effect and the end of its hop leaves it.
        mine.journal._db.execute("UPDATE hops SET status = 'running', outputs = '{}'")
        mine.journal._db.execute(
            "UPDATE runs SET status = 'running', owner = '999999999 1.00 ' || ?", (os.uname().nodename,)
        )
        with pytest.raises(UserError, match="repeat-side-effects"):
            mine.resume(run.id)
        assert path.read_text() == "x\n"
        assert mine.resume(run.id, repeat_side_effects=True).status == "ok"
        assert path.read_text() == "x\nx\n"


def test_a_live_run_cannot_be_resumed_elsewhere(home: Path) -> None:
    with agent(False) as mine:
        record = mine.journal.begin_run("live")
        mine.journal._db.execute(
            "UPDATE runs SET plan = ?, owner = ? WHERE id = ?", ('{"steps": []}', _other(), record.id)
        )
        with pytest.raises(UserError, match="still running"):
            mine.resume(record.id)


def _other() -> str:
    """The owner mark of a process that is there and is not this one: our parent."""
    parent = psutil.Process(os.getppid())
    return f"{parent.pid} {parent.create_time():.2f} {os.uname().nodename}"


def test_run_json_is_plain(home: Path) -> None:
    with agent(False) as mine:
        run = mine.run("two red cars", chain="text_to_speech | speech_to_text")
        assert json.loads(json.dumps(run.to_json()))["status"] == "ok"

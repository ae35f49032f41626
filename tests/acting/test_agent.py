"""The Agent and its runs, from a script, a thread and a test, over fakes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hopline.agent import Agent, Attachment, RunFailed
from hopline.agent.experiments.grid import registry_with_channels
from hopline.agent.hops.journal import Journal
from hopline.agent.running.events import Event
from hopline.agent.running.profile import Profile, load_profile, profile_names
from hopline.tools import tool
from hopline.tools.artifact import Artifact
from hopline.tools.errors import BadInput, BadPlan, MissingBackend, NotFound, UserError
from hopline.tools.fakes import drawn, fake_registry, spoken
from hopline.tools.registry import installed
from hopline.tools.spec import Tool

CHAIN = "text_to_speech | speech_to_text | text_to_image | image_captioning"


@pytest.fixture
def agent(home: Path) -> Iterator[Agent]:
    with Agent(registry=fake_registry(), profile=Profile(name="fakes"), journal=Journal()) as made:
        yield made


def test_a_run_has_everything(agent: Agent) -> None:
    run = agent.run("two red cars", chain=CHAIN)
    assert run.raise_for_status() is run
    assert [hop.tool for hop in run.hops] == CHAIN.split(" | ")
    assert run.outputs[-1].text == "two red cars"
    assert run.outputs[0].path.read_bytes()[:4] == b"RIFF"
    assert "two red cars" in run.answer
    assert "one picture" in run.answer
    assert agent.open().id == agent.open(run.id[:5]).id == run.id
    assert run.loss().to_json()["format"] == "hopline.loss/1"


def test_attachments_are_named_by_modality_and_may_carry_a_reference(agent: Agent, tmp_path: Path) -> None:
    reference = tmp_path / "said.txt"
    reference.write_text("two red cars")
    run = agent.run("x", [Attachment(spoken("two red cars"), reference), drawn("a cat")], chain="speech_to_text")
    given = run.record.attachments
    assert [a.handle for a in given] == ["audio1", "image1"]
    assert given[0].reference is not None
    (row,) = run.loss().to_json()["hops"]
    assert (row["kept"], row["missing"]) == (3, 0)


def test_wrong_use_raises_and_leaves_no_run(agent: Agent, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        agent.run("x", [tmp_path / "none.wav"], chain="speech_to_text")
    with pytest.raises(BadInput, match="should be text"):
        agent.run("x", [Attachment(spoken("x"), spoken("y"))], chain="speech_to_text")
    with pytest.raises(NotFound, match="no tool 'teleport'"):
        agent.run("x", chain="teleport")
    with pytest.raises(BadPlan, match="cannot feed image_captioning"):
        agent.run("x", chain="text_to_speech | image_captioning")
    with pytest.raises(BadPlan, match="does not read"):
        agent.run("x", chain="text_to_speech(speed)")
    with pytest.raises(BadPlan, match="speed"):
        agent.run("x", chain="text_to_speech(speed=9)")
    with pytest.raises(UserError, match="no planner"):
        agent.plan("x", planner="oracle")
    assert agent.journal.runs() == []


def test_every_other_outcome_is_a_run(agent: Agent) -> None:
    run = agent.run("x", chain="fail")
    assert run.status == "failed"
    with pytest.raises(RunFailed, match="on purpose"):
        run.raise_for_status()
    missing = agent.run(
        "x",
        plan={"steps": [{"id": "s", "tool": "no_op", "backend": "no_op:gone", "inputs": {"text": [{"text": "x"}]}}]},
    )
    assert missing.status == "failed"
    assert missing.record.error is not None
    assert missing.record.error.reason == "missing_backend"


def test_cancel_from_another_thread(agent: Agent) -> None:
    started = agent.start("x", chain="sleep")
    deadline = time.monotonic() + 10
    while not started.run.hops and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    began = time.monotonic()
    started.run.cancel()
    assert started.wait(10).status == "cancelled"
    assert time.monotonic() - began < 2


def test_runs_side_by_side_in_threads(agent: Agent) -> None:
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        answers[number] = agent.run(f"text {number}", chain="text_to_speech | speech_to_text").outputs[-1].text

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: f"text {n}" for n in range(4)}


def test_replay_with_a_swap_calls_only_what_follows(agent: Agent) -> None:
    first = agent.run("one two three four", chain=CHAIN)
    second = agent.replay(first.id, {"step3": "text_to_image:fake:drop=1"})
    assert [hop.cached_from is not None for hop in second.hops] == [True, True, False, False]
    assert second.hops[2].backend == "text_to_image:fake:drop=1"
    assert second.outputs[-1].text != first.outputs[-1].text
    with pytest.raises(BadPlan, match="no step 'step9'"):
        agent.replay(first.id, {"step9": "no_op:fake"})


def test_handles_across_the_runs_of_a_conversation(agent: Agent) -> None:
    first = agent.run("two red cars", chain="text_to_image")
    follow = {
        "steps": [{"id": "step1", "tool": "image_captioning", "inputs": {"image": [{"attachment": "run1.step1"}]}}]
    }
    second = agent.run("describe it", plan=follow, conversation=first.record.conversation)
    assert second.outputs[0].text == "two red cars"
    with pytest.raises(BadPlan, match=r"run1\.step1"):
        agent.run("describe it", plan=follow)


def test_a_resumed_run_that_is_whole_stays_as_it_is(agent: Agent) -> None:
    run = agent.run("x", chain="no_op")
    assert agent.resume(run.id).hops == run.hops


def test_resume_does_the_failed_hop_again_and_no_other(agent: Agent) -> None:
    run = agent.run("x", chain="no_op | fail")
    assert run.status == "failed"
    again = agent.resume(run.id)
    assert [(h.tool, h.status) for h in again.hops] == [("no_op", "ok"), ("fail", "failed"), ("fail", "failed")]


def test_events_reach_the_listener(agent: Agent) -> None:
    seen: list[Event] = []
    agent.run("x", chain="no_op", on_event=seen.append)
    assert [e.kind for e in seen if e.kind != "hop_progress"] == ["planned", "hop_started", "hop_ended", "run_ended"]


def test_outputs_can_be_copied_out(agent: Agent, tmp_path: Path) -> None:
    run = agent.run("x", chain="text_to_speech | speech_to_text", out=tmp_path / "there")
    assert [o.path.name for o in run.outputs] == ["01-audio.wav", "02-text.txt"]
    assert all(o.path.is_file() for o in run.outputs)


def test_functions_are_tools(home: Path) -> None:
    @tool
    def shout(text: str) -> str:
        """Shouts."""
        return text.upper()

    def plain(text: str) -> list[str]:
        """Splits into words."""
        return text.split()

    with Agent.from_profile(Profile(name="mine"), tools=[shout, plain]) as agent:
        assert agent.run("a b", chain="shout | plain").outputs[1].text == "B"


def test_a_plain_script_works(tmp_path: Path, home: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from hopline.agent import Agent\nfrom hopline.agent.running.profile import Profile\n"
        "from hopline.agent.hops.journal import Journal\nfrom hopline.tools.fakes import fake_registry\n"
        "agent = Agent(registry=fake_registry(), profile=Profile(name='f'), journal=Journal())\n"
        f"print(agent.run('two red cars', chain='{CHAIN}').outputs[-1].text)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "two red cars\n", done.stderr


def test_profiles(home: Path) -> None:
    assert "offline" in profile_names()
    (home / "profiles").mkdir(parents=True)
    (home / "profiles" / "mine.toml").write_text('name = "mine"\n[backends]\ntext_to_speech = "piper"\n')
    mine = load_profile("mine")
    assert mine.choose(installed(), "text_to_speech").id == "text_to_speech:piper"
    registry = installed()
    registry.add_tool(Tool(name="text_to_smell", description="", inputs=(), outputs=()))
    with pytest.raises(MissingBackend, match="text_to_smell"):
        mine.choose(registry, "text_to_smell")
    (home / "profiles" / "bad.toml").write_text('name = "bad"\nspeed = 3\n')
    with pytest.raises(BadPlan, match="speed"):
        load_profile("bad")
    (home / "profiles" / "worse.toml").write_text("not toml")
    with pytest.raises(BadPlan, match="not TOML"):
        load_profile("worse")


def test_a_profile_brings_tools_of_ones_own(home: Path) -> None:
    mine = "from hopline.tools import tool\n@tool\ndef shout(text: str) -> str:\n    return text.upper()\n"
    (home / "profiles").mkdir(parents=True)
    (home / "profiles" / "mine.py").write_text(mine)
    (home / "profiles" / "mine.toml").write_text('name = "mine"\ntools_from = ["mine.py"]\n')
    with Agent.from_profile("mine") as agent:
        assert agent.run("good evening", chain="shout").outputs[0].text == "GOOD EVENING"
    assert "shout" in registry_with_channels(profile=load_profile("mine"))
    (home / "profiles" / "mine.py").unlink()
    with pytest.raises(BadInput, match=r"mine\.py"):
        Agent.from_profile("mine")


def test_a_remote_backend_needs_a_profile_that_allows_it(agent: Agent) -> None:
    from hopline.tools.backend import Backend, Call, Result

    class Away(Backend):
        tool = "no_op"
        name = "away"
        heavy = False
        remote = True

        def call(self, call: Call) -> Result:
            return Result(outputs={"text": (Artifact.from_text("from afar"),)})

    agent.registry.add_backend(Away)
    with pytest.raises(BadPlan, match="sends content away"):
        agent.run("x", chain="no_op:away")
    agent.profile = agent.runner.profile = Profile(name="cloud", remote=True)
    run = agent.run("x", chain="no_op:away")
    assert run.hops[0].remote

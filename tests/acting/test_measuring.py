"""Who reads the nodes of a run when its loss is measured: the readers of the profile, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hopline.agent import Agent
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile
from hopline.tools.backend import Call, Result
from hopline.tools.errors import BadPlan, InputRefused, NotFound
from hopline.tools.fakes import FakeSpeechToText, fake_registry

TEXT = "Two red cars stand left of a green house."
NEXT, OTHER = "speech_to_text:fake:drop=0.0", "speech_to_text:fake:swap=0.0"
CHAIN = f"text_to_speech:fake | {NEXT}"


class Absent(FakeSpeechToText):
    """A reader whose package is not here."""

    name = "absent"
    packages = ("no_such_package_here",)


class Deaf(FakeSpeechToText):
    """A reader that fails."""

    name = "deaf"

    def call(self, call: Call) -> Result:
        raise InputRefused("it hears nothing.")


@pytest.fixture
def agent(home: Path) -> Iterator[Agent]:
    registry = fake_registry()
    for kind in (Absent, Deaf):
        registry.add_backend(kind)
    with Agent(registry=registry, profile=Profile(name="fakes"), journal=Journal()) as made:
        yield made


def read_by(agent: Agent, *readers: str, chain: str = CHAIN) -> tuple[list[str], str | None, int | None]:
    """Who read the speech of a run with these readers of audio, and what its first hop lost."""
    profile = Profile(name="fakes", readers={"audio": readers} if readers else {})
    agent.profile = agent.runner.profile = profile
    run = agent.run(TEXT, chain=chain)
    assert run.status == "ok"
    first = run.loss().hops[0]
    asked = [probe.reader for probe in run.probes]
    assert run.loss().hops[0] == first
    return asked, first.unscored, first.missing


def test_the_first_that_is_not_the_backend_of_the_next_hop(agent: Agent) -> None:
    assert read_by(agent, NEXT) == ([], "reader equals next hop", None)
    assert read_by(agent, NEXT, OTHER) == ([OTHER], None, 0)
    assert read_by(agent, OTHER, NEXT) == ([OTHER], None, 0)
    assert read_by(agent, NEXT, OTHER, chain="text_to_speech:fake | speech_to_text:fake:drop=0.5") == ([NEXT], None, 0)


def test_without_readers_it_is_what_serves_the_tool(agent: Agent) -> None:
    assert read_by(agent, chain="text_to_speech:fake") == (["speech_to_text:fake"], None, 0)
    assert read_by(agent) == ([], "reader equals next hop", None), "the same backend, named without a model"


def test_the_next_one_where_one_is_not_here_or_fails(agent: Agent) -> None:
    assert read_by(agent, "speech_to_text:absent", OTHER) == ([OTHER], None, 0)
    assert read_by(agent, "speech_to_text:deaf", OTHER) == (["speech_to_text:deaf", OTHER], None, 0)
    asked, unscored, _ = read_by(agent, "speech_to_text:deaf")
    assert (asked, unscored) == (["speech_to_text:deaf"], "the reader failed: it hears nothing.")


def test_a_reader_that_is_none_is_refused(agent: Agent) -> None:
    with pytest.raises(BadPlan, match=r"no reader of audio .* it is image → text"):
        read_by(agent, "image_captioning:fake")
    with pytest.raises(NotFound, match="speech_to_txt"):
        read_by(agent, "speech_to_txt:fake")

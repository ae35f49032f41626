"""What a notebook shows for artifacts, hops, plans, outputs, losses, runs and studies."""

from __future__ import annotations

import gc
import html
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hopline.agent import Agent
from hopline.agent.experiments.engine import LocalEngine
from hopline.agent.experiments.experiment import run_experiment
from hopline.agent.experiments.spec import experiment_from
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile
from hopline.tools.artifact import Artifact
from hopline.tools.fakes import drawn, fake_registry, filmed, spoken

CHAIN = "text_to_speech | speech_to_text | text_to_image | image_captioning"


@pytest.fixture
def agent() -> Iterator[Agent]:
    with Agent(registry=fake_registry(), profile=Profile(name="fakes"), journal=Journal()) as made:
        yield made


def test_artifacts_are_pictures_players_and_words(agent: Agent) -> None:
    assert '<img src="data:image/png;base64,' in drawn("a cat")._repr_html_()
    assert '<audio controls preload="metadata" src="data:audio/wav;base64,' in spoken("a cat")._repr_html_()
    assert "does not show video/x-msvideo" in filmed(["a cat"])._repr_html_()
    words = Artifact.from_text("<script>alert(1)</script> \u202e")._repr_html_()
    assert "<script>" not in words
    assert "&lt;script&gt;" in words
    assert "⟨U+202E⟩" in words
    assert words.startswith('<div class="hl" style="background: var(--ground)')


def test_a_hop_finds_what_it_took_and_gave_in_the_store(agent: Agent) -> None:
    run = agent.run("two red cars", chain=CHAIN)
    shown = run.hops[2]._repr_html_()
    assert "Text to image" in shown
    assert "two red cars" in shown
    assert '<img src="data:image/png;base64,' in shown
    assert '<img src="data:image/png;base64,' in run.outputs[1]._repr_html_()
    assert "two red cars" in run.outputs[2]._repr_html_()


def test_a_hop_whose_agent_is_gone_says_so() -> None:
    with Agent(registry=fake_registry(), profile=Profile(name="fakes"), journal=Journal()) as made:
        (hop,) = made.run("two red cars", chain="text_to_speech").hops
    del made
    gc.collect()
    assert "is not in the store of an agent that is still here" in hop._repr_html_()


def test_plans_losses_and_runs(agent: Agent) -> None:
    run = agent.run("two red cars", chain=CHAIN)
    assert run.plan is not None
    assert "<svg" in run.plan._repr_html_()
    loss = run.loss()._repr_html_()
    assert "<svg" in loss
    assert "red" in loss
    page = run._repr_html_()
    assert page.startswith("<iframe srcdoc=")
    assert "two red cars" in html.unescape(page)
    assert page.endswith('sandbox loading="lazy"></iframe>')


def test_a_study_is_its_report(journal: Journal) -> None:
    experiment = experiment_from(
        {
            "name": "fakes",
            "sources": {"grammar": "speech", "count": 4},
            "chains": [{"name": "null", "chain": "text_to_speech:fake | speech_to_text:fake"}],
        }
    )
    profile = Profile(name="fakes")
    engine = LocalEngine(registry=fake_registry(), profile=profile, journal=journal, lanes=1)
    study = run_experiment(experiment, journal=journal, registry=fake_registry(), profile=profile, engine=engine)
    shown = study._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert 'title="experiment fakes"' in shown
    assert "What went worst" in html.unescape(shown)


def test_without_an_agent_a_value_is_its_text() -> None:
    code = (
        "from hopline.tools.artifact import Artifact\n"
        "print(Artifact.from_text('<b>')._repr_html_()[:14])\n"
        "import sys; assert 'hopline.agent.notebook' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "<pre>Artifact(\n", done.stderr

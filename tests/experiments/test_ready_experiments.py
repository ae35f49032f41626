"""The experiments of examples/: each is complete as it lies there, and runs in a smaller size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hopline.agent.experiments.experiment import check_experiment, run_experiment
from hopline.agent.experiments.spec import Experiment, Sources, read_experiment
from hopline.agent.experiments.study import Study
from hopline.agent.experiments.summary import markdown
from hopline.agent.hops.journal import Journal
from hopline.agent.loss.estimate import Estimate
from hopline.agent.running.local_model import LocalModel
from hopline.agent.running.workers import Workers
from hopline.tools.errors import Unavailable
from hopline.tools.fakes.ollama import Line, OllamaServer, words

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "experiments"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))

pytestmark = pytest.mark.models


def small(name: str, *, count: int, generations: int = 1, **more: Any) -> Experiment:
    """A ready experiment with fewer sources, generations and repeats."""
    whole = read_experiment(FOLDER / f"{name}.toml")
    sources = Sources.model_validate({**whole.sources.model_dump(exclude_defaults=True), "count": count})
    chains = [c.model_copy(update={"generations": min(c.generations, generations)}) for c in whole.chains]
    return whole.model_copy(update={"sources": sources, "chains": chains, "repeats": 1, **more})


def completed(experiment: Experiment, journal: Journal) -> Study:
    study = run_experiment(experiment, journal=journal)
    assert {o.status for o in study.observations} == {"ok"}, [o.problem for o in study.observations]
    return study


def headline(study: Study, chain: str) -> float:
    node = study.analysis.last(chain)
    assert node is not None
    found = study.analysis.of(node, study.analysis.headline)
    assert isinstance(found, Estimate)
    return found.value


@pytest.fixture
def no_ollama(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers where Ollama would be."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")


@pytest.mark.usefixtures("no_ollama")
@pytest.mark.parametrize("name", NAMES)
def test_it_checks(name: str, journal: Journal) -> None:
    experiment = read_experiment(FOLDER / f"{name}.toml")
    assert experiment.name == name
    if name == "translation-telephone" and not LocalModel(Workers()).present:
        with pytest.raises(Unavailable, match="translation:local cannot be called here"):
            check_experiment(experiment, journal)
        return
    found = check_experiment(experiment, journal)
    assert found.sources >= 20
    assert found.calls <= found.hops
    for warning in found.warnings:
        assert "is left out" in warning or "needs about 117" in warning


@pytest.mark.parametrize("name", NAMES)
def test_its_report_is_here(name: str) -> None:
    report = (FOLDER / "reports" / f"{name}.md").read_text("utf-8")
    assert report.startswith(f"# {name}\n")
    assert f"experiment run {name}.toml" in report


def test_picture_loop(journal: Journal) -> None:
    study = completed(small("picture-loop", count=4), journal)
    assert len(study.observations) == 5 * 4
    assert headline(study, "clean") > headline(study, "JPEG 5")


@pytest.mark.slow
def test_speech_loop(journal: Journal) -> None:
    study = completed(small("speech-loop", count=8), journal)
    assert headline(study, "clean") > headline(study, "0 dB") > 0


@pytest.mark.slow
def test_mixed_loop(journal: Journal) -> None:
    study = completed(small("mixed-loop", count=4), journal)
    # Written down, described, written down again: three texts a trajectory, all of the first generation.
    assert [n.generation for n in study.analysis.nodes if n.chain == "clean"] == [1, 1, 1]
    assert headline(study, "clean") > headline(study, "0 dB")


@pytest.mark.usefixtures("no_ollama")
def test_factorial(journal: Journal) -> None:
    study = completed(small("factorial", count=3), journal)
    levels = {(c.levels["drawing"], c.levels["captioner"]) for c in study.grid.experiment.expanded()}
    drawings, captioners = {d for d, _ in levels}, {c for _, c in levels}
    assert len(drawings) >= 2
    assert len(captioners) >= 2
    assert len(levels) == len(drawings) * len(captioners)
    assert headline(study, "pictograms(size=512) × exemplar") > headline(study, "pictograms(size=512) × tagger")


@pytest.mark.parametrize("name", ["alternating-texts", "alternating-pictures"])
def test_alternating_protocol(name: str, journal: Journal) -> None:
    study = completed(small(name, count=2, generations=3), journal)
    begins = 0 if name == "alternating-pictures" else 1
    for chain in study.grid.experiment.expanded():
        own = [node for node in study.analysis.nodes if node.chain == chain.name]
        assert [node.generation for node in own] == list(range(begins, 4))
        # The mean cosine of the study is over generations; what was read before the first is none.
        assert [node.generation for node in own if node.ends] == [1, 2, 3]


@pytest.mark.slow
def test_translation_telephone(journal: Journal) -> None:
    study = completed(small("translation-telephone", count=2), journal)
    french = [o for o in study.observations if o.trajectory.chain.name == "French"]
    for o in french:
        assert o.texts[1] != o.trajectory.source.artifact.text
        assert journal.model_calls(o.run)
    assert headline(study, "French") > 0


def answers(request: Mapping[str, Any]) -> Sequence[Line]:
    """A vision model that sees the same in every picture."""
    assert len(request["messages"][-1]["images"]) == 1
    return words("Two", " cats.")


@pytest.mark.slow
def test_three_families(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    with OllamaServer(script=answers) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        study = completed(small("families", count=4), journal)
    asked = {c.name for c in study.grid.experiment.expanded()}
    assert {"tools", "LLM + tools", "LLM + adapter: llama3.2-vision"} <= asked
    assert "LLM + adapter: llava was left out: " in markdown(study)
    direct = [o for o in study.observations if o.trajectory.chain.name == "LLM + adapter: llama3.2-vision"]
    assert {o.texts[1] for o in direct} == {"Two cats."}
    for o in study.observations:
        run = journal.run(o.run)
        assert run.request == o.trajectory.source.question
        assert [a.artifact.modality for a in run.attachments] == ["image"]

"""Specification and corpora of an experiment: what reads, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hopline.agent.experiments.channels import jpeg, noise, shrink
from hopline.agent.experiments.corpus import read_corpus
from hopline.agent.experiments.spec import Experiment, experiment_from, read_experiment
from hopline.tools.errors import BadInput, UserError
from hopline.tools.media import decode_audio, decode_image, encode_png, encode_wav

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "experiments"


def spec(**more: Any) -> dict[str, Any]:
    return {
        "name": "t",
        "sources": {"grammar": "speech", "count": 3},
        "chains": [{"name": "clean", "chain": "text_to_speech | speech_to_text", "generations": 2}],
        **more,
    }


def test_factors_are_crossed() -> None:
    chain = {
        "name": "{snr} dB {q}",
        "chain": "a(x={snr}) | b(y={q})",
        "factors": {"snr": [10, 0], "q": ["low", "high"]},
    }
    expanded = experiment_from(spec(chains=[chain])).expanded()
    assert [c.name for c in expanded] == ["10 dB low", "10 dB high", "0 dB low", "0 dB high"]
    assert expanded[1].links == ("a(x=10)", "b(y=high)")
    assert expanded[1].levels == {"snr": 10, "q": "high"}


def test_generations_repeat_the_links() -> None:
    (chain,) = experiment_from(spec()).expanded()
    assert chain.written == "text_to_speech | speech_to_text | text_to_speech | speech_to_text"


def test_chains_are_compared_with_the_first_unless_said() -> None:
    chains = [{"name": name, "chain": "x"} for name in "abc"]
    assert experiment_from(spec(chains=chains)).pairs() == (("a", "b"), ("a", "c"))
    assert experiment_from(spec(chains=chains, compare=[{"base": "b", "other": "c"}])).pairs() == (("b", "c"),)
    assert experiment_from(spec(chains=chains, compare=[])).pairs() == ()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"colour": 1}, "colour: Extra inputs are not permitted"),
        ({"name": "a b"}, "name: String should match"),
        ({"repeats": 0}, "repeats: Input should be greater than or equal to 1"),
        ({"sources": {}}, "sources: name one of grammar, texts, folder"),
        ({"sources": {"grammar": "speech", "texts": "x"}}, "name one of grammar, texts, folder"),
        ({"chains": []}, "chains: List should have at least 1 item"),
        ({"chains": [{"name": "x", "chain": "a"}] * 2}, "two chains are called 'x'"),
        ({"chains": [{"name": "x", "chain": "a({snr})"}]}, "chain 'x': 'snr' is in braces but no factor"),
        ({"compare": [{"base": "clean", "other": "dirty"}]}, "compare names 'dirty', but the chains are clean"),
    ],
)
def test_what_is_wrong_is_named(more: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        experiment_from(spec(**more))
    assert words in str(refused.value)


def test_files_that_do_not_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_experiment(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(BadInput, match=r"bad\.toml: it is not TOML: Invalid value \(at end of document\)"):
        read_experiment(tmp_path / "bad.toml")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda p: p.stem)
def test_ready_experiments_read(path: Path) -> None:
    assert read_experiment(path).name == path.stem


def corpus(tmp_path: Path, **sources: Any) -> Any:
    return read_corpus(Experiment.model_validate(spec(sources=sources, folder=tmp_path)))


def test_messages_of_a_grammar() -> None:
    found = read_corpus(experiment_from(spec()))
    assert [s.id for s in found.sources] == ["speech-0", "speech-1", "speech-2"]
    assert found.grammar is not None
    assert found.grammar.read(found.sources[0].artifact.text) == found.sources[0].values


def test_texts_by_line_and_as_json(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("One cat.\n\nTwo dogs.\n")
    found = corpus(tmp_path, texts="t.txt").sources
    assert [(s.id, s.reference) for s in found] == [("1", "One cat."), ("3", "Two dogs.")]
    (tmp_path / "t.jsonl").write_text('{"id": "a", "text": "One cat."}\n{"text": "Two dogs."}\n')
    assert [s.id for s in corpus(tmp_path, texts="t.jsonl").sources] == ["a", "2"]
    assert [s.id for s in corpus(tmp_path, texts="t.jsonl", count=1).sources] == ["a"]


def test_a_folder_with_a_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "a.png").write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8)).data)
    (folder / "b.wav").write_bytes(encode_wav(np.zeros(1600, np.float32), 16_000).data)
    (folder / "metadata.csv").write_text("file_name,text\na.png,A black square.\n")
    found = corpus(tmp_path, folder="f").sources
    assert [(s.id, s.artifact.modality, s.reference) for s in found] == [
        ("a.png", "image", "A black square."),
        ("b.wav", "audio", None),
    ]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.jsonl", "{", "t.jsonl, line 1: it is not a JSON object"),
        ("t.jsonl", '{"id": 1}', "t.jsonl, line 1: it has no text"),
        ("t.jsonl", '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}', "two sources have the id 'a'"),
        ("t.txt", "\n \n", "t.txt: there is no source in it"),
    ],
)
def test_broken_corpora_are_refused(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput) as refused:
        corpus(tmp_path, texts=name)
    assert words in str(refused.value)


def test_a_manifest_that_names_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "gone.png", "text": "x"}')
    with pytest.raises(BadInput, match=r"its manifest names gone\.png, which is not there"):
        corpus(tmp_path, folder=".")
    with pytest.raises(BadInput, match="there is no grammar 'x'"):
        corpus(tmp_path, grammar="x")
    with pytest.raises(UserError, match="there is no such folder"):
        corpus(tmp_path, folder="none")


@pytest.mark.parametrize("snr_db", [20.0, 0.0])
def test_noise_has_the_power_it_says(snr_db: float) -> None:
    tone = (0.2 * np.sin(np.arange(32_000) / 20)).astype(np.float32)
    clean = encode_wav(tone, 16_000)
    heard = decode_audio(noise(clean, snr_db=snr_db))[0] - decode_audio(clean)[0]
    measured = 10 * np.log10(np.mean(tone**2) / np.mean(heard**2))
    assert measured == pytest.approx(snr_db, abs=0.2)
    assert noise(clean, snr_db=snr_db, seed=1).id == noise(clean, snr_db=snr_db, seed=1).id
    assert noise(clean, snr_db=snr_db, seed=1).id != noise(clean, snr_db=snr_db, seed=2).id


def test_picture_channels() -> None:
    picture = encode_png(np.random.default_rng(0).integers(0, 255, (60, 120, 3), dtype=np.uint8))
    assert decode_image(shrink(picture, side=30))[0].shape == (15, 30, 3)
    assert decode_image(jpeg(picture))[0].shape == (60, 120, 3)
    assert len(jpeg(picture, quality=10).data) < len(jpeg(picture, quality=80).data)

"""Specification and corpora of an experiment: what reads, and what is refused with which words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hopline.agent.experiments.channels import jpeg, noise, shrink
from hopline.agent.experiments.corpus import read_corpus
from hopline.agent.experiments.spec import Experiment, experiment_from, read_experiment
from hopline.agent.loss.facts import align
from hopline.agent.loss.plugins import extractor
from hopline.tools.errors import BadInput, MissingExtra, UserError
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


def test_what_runs_once_stands_before_the_first_generation() -> None:
    chain = {"name": "{x}", "before": "a | b(x={x})", "chain": "c | d", "generations": 2, "factors": {"x": [1]}}
    (found,) = experiment_from(spec(chains=[chain])).expanded()
    assert found.written == "a | b(x=1) | c | d | c | d"
    assert [found.generation(step) for step in range(1, 7)] == [0, 0, 1, 1, 2, 2]


def test_without_a_chain_nothing_is_compared_with_it() -> None:
    chains = [{"name": "{x}", "chain": "t(x={x})", "factors": {"x": ["a", "b"]}}, {"name": "c", "chain": "u"}]
    left = experiment_from(spec(chains=chains)).without({"b"})
    assert [(c.name, c.links, c.levels) for c in left.expanded()] == [
        ("a", ("t(x=a)",), {"x": "a"}),
        ("c", ("u",), {}),
    ]
    assert left.pairs() == (("a", "c"),)


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
        ({"sources": {}}, "sources: name one of grammar, texts, folder, dataset"),
        ({"sources": {"grammar": "speech", "texts": "x"}}, "name one of grammar, texts, folder, dataset"),
        ({"engine": {"name": "ray"}}, "engine.name: Input should be 'local'"),
        ({"limits": {"hops": 0}}, "limits.hops: Input should be greater than or equal to 1"),
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
    (tmp_path / "t.csv").write_text('file,text\na.png,"One cat, two dogs."\n')
    assert [(s.id, s.reference) for s in corpus(tmp_path, texts="t.csv").sources] == [("2", "One cat, two dogs.")]
    (tmp_path / "t.jsonl").write_text('{"id": "a", "text": "One cat."}\n{"text": "Two dogs."}\n')
    assert [s.id for s in corpus(tmp_path, texts="t.jsonl").sources] == ["a", "2"]
    assert [s.id for s in corpus(tmp_path, texts="t.jsonl", count=1).sources] == ["a"]


def square(folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8)).data)


def test_a_folder_with_a_manifest(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        square(tmp_path / "f", name)
    assert [(s.id, s.reference) for s in corpus(tmp_path, folder="f").sources] == [("a.png", None), ("b.png", None)]
    (tmp_path / "f" / "metadata.csv").write_text('file_name,text\na.png,"A black\nsquare."\nb.png,\n')
    (tmp_path / "f" / "LICENCE").write_text("Do as you like.")
    found = corpus(tmp_path, folder="f").sources
    assert [(s.id, s.artifact.modality, s.reference) for s in found] == [
        ("a.png", "image", "A black\nsquare."),
        ("b.png", "image", None),
    ]
    (tmp_path / "f" / "other.csv").write_text("file_name,caption\nb.png,Black.\n")
    (other,) = corpus(tmp_path, folder="f", manifest="other.csv").sources
    assert (other.id, other.reference) == ("b.png", "Black.")
    with pytest.raises(UserError, match=r"f: there is no manifest none\.csv in it"):
        corpus(tmp_path, folder="f", manifest="none.csv")


def test_questions_about_one_file_are_sources_of_their_own(tmp_path: Path) -> None:
    square(tmp_path / "f", "a.png")
    rows = (
        '{"file_name": "a.png", "question": "What is it?", "text": "A square."}',
        '{"file_name": "a.png", "question": "Which colour?", "text": "Black.", "id": "colour"}',
    )
    (tmp_path / "f" / "metadata.jsonl").write_text("\n".join(rows))
    found = corpus(tmp_path, folder="f").sources
    assert [(s.id, s.request, s.reference) for s in found] == [
        ("a.png", "What is it?", "A square."),
        ("colour", "Which colour?", "Black."),
    ]
    square(tmp_path / "f", "b.png")
    (tmp_path / "f" / "metadata.jsonl").write_text("\n".join((*rows, '{"file_name": "b.png"}')))
    with pytest.raises(BadInput, match=r"b\.png has no question, and others have one"):
        corpus(tmp_path, folder="f")


def test_one_experiment_has_sources_of_one_modality(tmp_path: Path) -> None:
    square(tmp_path / "f", "a.png")
    (tmp_path / "f" / "b.wav").write_bytes(encode_wav(np.zeros(1600, np.float32), 16_000).data)
    with pytest.raises(BadInput, match=r"a\.png is image, b\.wav is audio"):
        corpus(tmp_path, folder="f")


def test_without_the_package_a_dataset_says_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"pip install 'hopline\[datasets\]'"):
        corpus(tmp_path, dataset="somebody/something")


@pytest.mark.filterwarnings("default")
def test_a_dataset(tmp_path: Path) -> None:
    datasets: Any = pytest.importorskip("datasets", reason="the extra datasets is not installed")
    square(tmp_path, "a.png")
    picture = {"path": None, "bytes": (tmp_path / "a.png").read_bytes()}
    features = datasets.Features(
        image=datasets.Image(), caption=datasets.List(datasets.Value("string")), id=datasets.Value("string")
    )
    rows = {"image": [picture], "caption": [["A black square.", "It is black."]], "id": ["a"]}
    datasets.DatasetDict(test=datasets.Dataset.from_dict(rows, features=features)).save_to_disk(str(tmp_path / "p"))
    (found,) = corpus(tmp_path, dataset="p").sources
    assert (found.id, found.artifact.data, found.reference) == ("a", picture["bytes"], "A black square.")

    texts = datasets.Dataset.from_dict({"text": ["One cat.", "Two dogs."], "title": ["A", "B"]})
    texts.save_to_disk(str(tmp_path / "t"))
    both = corpus(tmp_path, dataset="t").sources
    assert [(s.id, s.artifact.text, s.reference) for s in both] == [
        ("0", "One cat.", "One cat."),
        ("1", "Two dogs.", "Two dogs."),
    ]
    assert [s.artifact.text for s in corpus(tmp_path, dataset="t", content="title", count=1).sources] == ["A"]
    with pytest.raises(BadInput, match="t: it has no column 'words'; it has: text, title"):
        corpus(tmp_path, dataset="t", content="words")
    with pytest.raises(UserError, match="the dataset p, split train, does not load"):
        corpus(tmp_path, dataset="p", split="train")


TEXTS = (
    "Two red cats sleep in the garden.",
    "Five boats left the harbour on Monday.",
    "Anna Fischer paid 40 dollars for a blue lamp.",
    "Three green cars stand behind a house.",
    "The parcel for Marcus Hale weighs 12 kilograms.",
)


def test_minimal_pairs_differ_in_one_fact(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("\n".join((*TEXTS, "Nothing much happened then.")))
    found = corpus(tmp_path, texts="t.txt", pairs=True)
    # The last text says no fact that could be another; of the others one of the pair is sent.
    assert len(found.sources) == len(found.distractors) == len(TEXTS)
    sent = [source.artifact.text for source in found.sources]
    assert 0 < sum(text in TEXTS for text in sent) < len(TEXTS)
    english = extractor()
    for text, other in zip(sent, found.distractors, strict=True):
        assert text != other
        assert (text in TEXTS) != (other in TEXTS)
        alignment = align(english.facts(text), english.facts(other))
        assert alignment.count("altered") == 1
        assert alignment.count("kept") == len(alignment.fates) - 1
    assert corpus(tmp_path, texts="t.txt", pairs=True) == found
    assert corpus(tmp_path, texts="t.txt", pairs=True, seed=1) != found
    with pytest.raises(BadInput, match="minimal pairs are made of free texts"):
        corpus(tmp_path, grammar="speech", pairs=True)


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
